/* SPDX-License-Identifier: MIT */
/* What a reply's stream is to be a part of, from its beginning to its end: a session, a presence, a channel, a
 * topic. */
#ifndef VSI_HTTP_ATTACHMENT_H
#define VSI_HTTP_ATTACHMENT_H

#include "connection/close_list.h"

typedef struct vsi_attachment {
  vsi_close_node node; /* first: an attachment that begins may have itself told of the stream's end */
  struct vsi_attachment *next;
  /* One of the two is called, once, and may free it. No lock held. */
  void (*begin)(struct vsi_attachment *attachment, vestry_connection *connection); /* it opens, and is kept */
  void (*drop)(struct vsi_attachment *attachment);                                 /* there is no stream */
} vsi_attachment;

/* A list of a reply's. Zeroes are an empty one. */
typedef struct vsi_attachments {
  vsi_attachment *first, *last;
  size_t count; /* of those that are counted */
} vsi_attachments;

static inline void vsi_attachments_add(vsi_attachments *list, vsi_attachment *attachment) {
  attachment->next = NULL;
  *(list->first ? &list->last->next : &list->first) = attachment;
  list->last = attachment;
}

/* The same for one of those of which a reply may have as many as the instance says (vsi_reply_may_join). */
static inline void vsi_attachments_add_counted(vsi_attachments *list, vsi_attachment *attachment) {
  vsi_attachments_add(list, attachment);
  list->count++;
}

/* connection: NULL: there is no stream. The list is empty then. */
static inline void vsi_attachments_settle(vsi_attachments *list, vestry_connection *connection) {
  while (list->first) {
    vsi_attachment *attachment = list->first;
    list->first = attachment->next;
    if (connection)
      attachment->begin(attachment, connection);
    else
      attachment->drop(attachment);
  }
  list->count = 0;
}

#endif
