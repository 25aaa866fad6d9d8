/* SPDX-License-Identifier: MIT */
/* The send queue: messages that wait to be written, in order, and bounded in bytes. A part is the data of one call of
 * publish. Parts to the same subject that wait together are joined into one message of NATS, as far as there is room.
 * The caller holds the broker's lock. */
#ifndef VSI_NATS_SEND_QUEUE_H
#define VSI_NATS_SEND_QUEUE_H

#include <stdbool.h>
#include <sys/queue.h>

#include "vestry/cluster/broker.h"
#include "vestry/host.h"

enum { VSI_NATS_SEND_QUEUE_OPEN = 16 };

/* A message: one part, or several to the same subject. */
typedef struct vsi_nats_message {
  STAILQ_ENTRY(vsi_nats_message) in;
  size_t count, cost;  /* number of parts; their share of `bytes` */
  size_t len, room;    /* room: size of data, if it is not own */
  unsigned char *data; /* own, or a separate array */
  char subject[VESTRY_SUBJECT_MAX_BYTES + 1];
  unsigned char own[];
} vsi_nats_message;

typedef STAILQ_HEAD(vsi_nats_messages, vsi_nats_message) vsi_nats_messages;

typedef struct vsi_nats_send_queue {
  const vestry_host *host;
  vsi_nats_messages messages;
  vsi_nats_message *open[VSI_NATS_SEND_QUEUE_OPEN]; /* last message to a subject, in the slot of the subject; NULL:
                                                       none */
  size_t bytes, max_bytes;                          /* bytes: of parts in the queue, and of parts that were taken and
                                                       are not written yet */
} vsi_nats_send_queue;

void vsi_nats_send_queue_init(vsi_nats_send_queue *send_queue, const vestry_host *host, size_t max_bytes);
/* Add a part. max_payload: maximum size of a message. OK | FULL | NO_MEMORY | TOO_LARGE (the part, or the part with the
 * head that it needs because it begins with MARK) */
vestry_err vsi_nats_send_queue_add(vsi_nats_send_queue *send_queue, const char *subject, const void *data, size_t len,
                                   size_t max_payload);
/* Move all messages to `to`, which is overwritten. They still count in `bytes`. */
void vsi_nats_send_queue_take(vsi_nats_send_queue *send_queue, vsi_nats_messages *to);
/* Remove the first message from a list. NULL: the list is empty. */
vsi_nats_message *vsi_nats_messages_take(vsi_nats_messages *messages);

void vsi_nats_message_free(const vestry_host *host, vsi_nats_message *message);

/* Parts to one subject that wait together are joined into one message of NATS, because the server and libnats need a
 * fixed time for each message. A single part is sent unchanged.
 *
 *    MARK (1), number of parts (1), and for each part: its length (4, little-endian), its bytes
 *
 * A part that itself begins with MARK is never sent unchanged. The receiver checks a joined message completely before
 * it passes on a part. A message that begins with MARK and is malformed is passed on unchanged, and the cluster rejects
 * it. A joined message without parts is a probe: it finds out whether the server accepts messages to a subject, and the
 * receiver drops it. */

enum {
  VSI_NATS_JOINED_MARK = 1,
  VSI_NATS_JOINED_HEAD = 2,
  VSI_NATS_JOINED_EACH = 4,
  VSI_NATS_JOINED_MOST = 255,   /* parts */
  VSI_NATS_JOINED_BYTES = 65536 /* of a message with several parts */
};

/* A probe, of HEAD bytes. */
#define VSI_NATS_JOINED_PROBE "\1"

/* Return whether a message is a probe. */
bool vsi_nats_joined_is_probe(const void *data, size_t len);
/* Return whether a part cannot be sent unchanged. */
bool vsi_nats_joined_must(const void *data, size_t len);
/* Append a part to a message. The message is empty before the first part, has at most MOST parts, and has room for HEAD
 * once, for EACH and for the part. Returns its new length. */
size_t vsi_nats_joined_add(unsigned char *message, size_t message_len, const void *data, size_t len);

/* The parts of a message, for reading. */
typedef struct vsi_nats_joined {
  const unsigned char *at;
  size_t count; /* parts that are left */
} vsi_nats_joined;

/* Open a message. false: the message is one part. */
bool vsi_nats_joined_open(const void *data, size_t len, vsi_nats_joined *ret_joined);
/* Get the next part. There must be one. */
vestry_slice vsi_nats_joined_next(vsi_nats_joined *joined);

#endif
