/* SPDX-License-Identifier: MIT */
/* Messages that wait to be written, in order, bounded in bytes. A letter goes together with those to its subject that
 * wait already, as far as there is room in one message (joined.h). Under the broker's lock. */
#ifndef VSI_NATS_OUTBOX_H
#define VSI_NATS_OUTBOX_H

#include <sys/queue.h>

#include "vestry/cluster/broker.h"

enum { VSI_NATS_OUTBOX_OPEN = 16 };

/* One letter, or several to one subject. */
typedef struct vsi_nats_message {
  STAILQ_ENTRY(vsi_nats_message) in;
  size_t count, cost;  /* letters, and what they count for */
  size_t len, room;    /* room: of data that is not own */
  unsigned char *data; /* own, or an array */
  char subject[VESTRY_SUBJECT_MAX_BYTES + 1];
  unsigned char own[];
} vsi_nats_message;

typedef STAILQ_HEAD(vsi_nats_messages, vsi_nats_message) vsi_nats_messages;

typedef struct vsi_nats_outbox {
  const vestry_host *host;
  vsi_nats_messages messages;
  vsi_nats_message *open[VSI_NATS_OUTBOX_OPEN]; /* the last one to a subject, by the subject; NULL: none */
  size_t bytes, max_bytes;                      /* of letters that are in it, or taken and not written yet */
} vsi_nats_outbox;

void vsi_nats_outbox_init(vsi_nats_outbox *outbox, const vestry_host *host, size_t max_bytes);
/* max_payload: of a message. OK | FULL | NO_MEMORY | TOO_LARGE (it begins as a message of several does, and needs some
 * bytes more than there is room for) */
vestry_err vsi_nats_outbox_add(vsi_nats_outbox *outbox, const char *subject, const void *data, size_t len,
                               size_t max_payload);
/* Move all messages to `to`, which is empty, or not begun; they still count. */
void vsi_nats_outbox_take(vsi_nats_outbox *outbox, vsi_nats_messages *to);
/* The first one, taken out of the list; NULL: there is none. */
vsi_nats_message *vsi_nats_messages_take(vsi_nats_messages *messages);

void vsi_nats_message_free(const vestry_host *host, vsi_nats_message *message);

#endif
