/* SPDX-License-Identifier: MIT */
/* Attachments bind a reply's stream, for its whole life, to a session, a presence, a channel or a topic. */
#ifndef VSI_HTTP_ATTACHMENT_H
#define VSI_HTTP_ATTACHMENT_H

#include "connection/close_node.h"

typedef struct vsi_attachment {
  vsi_close_node node; /* first member: an attachment that begins may register as close listener of the stream */
  struct vsi_attachment *next;
  /* Exactly one of the two is called, once, and may free the attachment. No lock held. */
  void (*begin)(struct vsi_attachment *attachment, vestry_connection *connection); /* the stream opens and keeps it */
  void (*drop)(struct vsi_attachment *attachment);                                 /* there is no stream */
} vsi_attachment;

/* The attachments of a reply. Zeroes are an empty list. */
typedef struct vsi_attachments {
  vsi_attachment *first, *last;
  size_t count; /* number of counted ones */
} vsi_attachments;

static inline void vsi_attachments_add(vsi_attachments *list, vsi_attachment *attachment) {
  attachment->next = NULL;
  *(list->first ? &list->last->next : &list->first) = attachment;
  list->last = attachment;
}

/* Add an attachment that counts towards the reply's limit (vsi_reply_may_join). */
static inline void vsi_attachments_add_counted(vsi_attachments *list, vsi_attachment *attachment) {
  vsi_attachments_add(list, attachment);
  list->count++;
}

/* Begin or drop all attachments and empty the list. connection NULL: there is no stream. */
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
