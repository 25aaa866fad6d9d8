/* What a reply's stream is to be a part of, from its beginning to its end: a session, somebody's presence. */
#ifndef VSI_REGISTRY_ATTACHMENT_H
#define VSI_REGISTRY_ATTACHMENT_H

#include "stream/close_list.h"

typedef struct vsi_attachment {
  vsi_close_node node; /* first: whoever begins it may have itself told of the stream's end */
  struct vsi_attachment *next;
  /* One of the two is called, once, and may free it. No lock held. */
  void (*begin)(struct vsi_attachment *attachment, vestry_connection *connection); /* it opens, and is kept */
  void (*drop)(struct vsi_attachment *attachment);                                 /* there is no stream */
} vsi_attachment;

/* A list of a reply's. */
typedef struct vsi_attachments {
  vsi_attachment *first;
} vsi_attachments;

static inline void vsi_attachments_add(vsi_attachments *list, vsi_attachment *attachment) {
  vsi_attachment **at = &list->first;
  while (*at) at = &(*at)->next;
  attachment->next = NULL;
  *at = attachment;
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
}

#endif
