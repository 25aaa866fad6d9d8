/* SPDX-License-Identifier: MIT */
/* Messages that wait to be written, in order, bounded in bytes. A part goes together with those to its subject that
 * wait already, as far as there is room in one message (send_queue.h). Under the broker's lock. */
#ifndef VSI_NATS_SEND_QUEUE_H
#define VSI_NATS_SEND_QUEUE_H

#include <stdbool.h>
#include <sys/queue.h>

#include "vestry/cluster/broker.h"
#include "vestry/host.h"

enum { VSI_NATS_SEND_QUEUE_OPEN = 16 };

/* One part, or several to one subject. */
typedef struct vsi_nats_message {
  STAILQ_ENTRY(vsi_nats_message) in;
  size_t count, cost;  /* parts, and what they count for */
  size_t len, room;    /* room: of data that is not own */
  unsigned char *data; /* own, or an array */
  char subject[VESTRY_SUBJECT_MAX_BYTES + 1];
  unsigned char own[];
} vsi_nats_message;

typedef STAILQ_HEAD(vsi_nats_messages, vsi_nats_message) vsi_nats_messages;

typedef struct vsi_nats_send_queue {
  const vestry_host *host;
  vsi_nats_messages messages;
  vsi_nats_message *open[VSI_NATS_SEND_QUEUE_OPEN]; /* the last one to a subject, by the subject; NULL: none */
  size_t bytes, max_bytes;                          /* of parts that are in it, or taken and not written yet */
} vsi_nats_send_queue;

void vsi_nats_send_queue_init(vsi_nats_send_queue *send_queue, const vestry_host *host, size_t max_bytes);
/* max_payload: of a message. OK | FULL | NO_MEMORY | TOO_LARGE (it begins as a message of several does, and needs some
 * bytes more than there is room for) */
vestry_err vsi_nats_send_queue_add(vsi_nats_send_queue *send_queue, const char *subject, const void *data, size_t len,
                                   size_t max_payload);
/* Move all messages to `to`, which is empty, or not begun; they still count. */
void vsi_nats_send_queue_take(vsi_nats_send_queue *send_queue, vsi_nats_messages *to);
/* The first one, taken out of the list; NULL: there is none. */
vsi_nats_message *vsi_nats_messages_take(vsi_nats_messages *messages);

void vsi_nats_message_free(const vestry_host *host, vsi_nats_message *message);

/* Letters to one subject that waited together go as one message of NATS: a server and libnats work for each message,
 * however short. A part that goes alone is the message.
 *
 *   MARK (1), how many parts (1), and of each: how many bytes (4, little-endian), the bytes
 *
 * A part that begins with MARK itself never goes as it is. What comes in is judged as a whole before any part of it
 * is told: a message that begins with MARK, and is not what it says, is told as it is, and is for its receiver to
 * refuse. */

enum {
  VSI_NATS_JOINED_MARK = 1,
  VSI_NATS_JOINED_HEAD = 2,
  VSI_NATS_JOINED_EACH = 4,
  VSI_NATS_JOINED_MOST = 255,   /* parts */
  VSI_NATS_JOINED_BYTES = 65536 /* of a message that has several */
};

/* Whether a part cannot go as it is. */
bool vsi_nats_joined_must(const void *data, size_t len);
/* Append a part to a message, which is empty before the first; there is room for HEAD once, EACH and the part.
 * Returns how many bytes the message has. Not more than MOST. */
size_t vsi_nats_joined_add(unsigned char *message, size_t message_len, const void *data, size_t len);

/* The parts of a message, one after the other. */
typedef struct vsi_nats_joined {
  const unsigned char *at;
  size_t count; /* that are left */
} vsi_nats_joined;

/* false: the message is one part. */
bool vsi_nats_joined_open(const void *data, size_t len, vsi_nats_joined *ret_joined);
/* The next part, of those that are left. */
vestry_slice vsi_nats_joined_next(vsi_nats_joined *joined);

#endif
