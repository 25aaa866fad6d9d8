/* SPDX-License-Identifier: MIT */
/* Attachments bind a reply's stream, for its whole life, to a session, a presence, a channel or a topic.
 *
 * Until the stream begins, an attachment holds copies of the arguments, and takes no place in its object. The object's
 * bound is checked when the handler declares the attachment, so that the handler gets the error. It is checked again
 * when the stream begins, because other streams may have taken the last place since: in the section of the object's
 * lock that counts the place, so the bound is exact. */
#ifndef VSI_HTTP_ATTACHMENT_H
#define VSI_HTTP_ATTACHMENT_H

#include "connection/close_node.h"

typedef struct vsi_attachment {
  vsi_close_node node; /* first member: an attachment that begins may register as close listener of the stream */
  struct vsi_attachment *next;
  /* The stream opens. OK: it keeps the attachment, which may have been freed | any error: nothing has begun, `drop`
   * follows, and the request is answered with the error instead of the stream. No lock held. */
  vestry_err (*begin)(struct vsi_attachment *attachment, vestry_connection *connection);
  void (*drop)(struct vsi_attachment *attachment); /* there is no stream: free the attachment. No lock held */
} vsi_attachment;

/* The attachments of a reply. Zeroes are an empty list. */
typedef struct vsi_attachments {
  vsi_attachment *first, *last;
  size_t count; /* number of counted ones that were added */
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

/* Begin all attachments in their order, and empty the list. At the first that cannot begin, it and those after it are
 * dropped, and its error is returned: the caller gives the stream up, which ends those that have begun.
 * connection NULL: there is no stream; all are dropped. */
static inline vestry_err vsi_attachments_settle(vsi_attachments *list, vestry_connection *connection) {
  vestry_err error = VESTRY_OK;
  while (list->first) {
    vsi_attachment *attachment = list->first;
    list->first = attachment->next;
    if (connection && !error) error = attachment->begin(attachment, connection);
    if (!connection || error) attachment->drop(attachment);
  }
  return error;
}

#endif
