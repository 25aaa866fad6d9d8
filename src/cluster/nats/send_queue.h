/* SPDX-License-Identifier: MIT */
/* The send queue: parts that wait to be written, and bounded in bytes. A part is the data of one call of publish. Parts
 * of one subject keep their order. When they are written, parts that follow each other are joined into one message of
 * NATS, as far as there is room. The caller holds the broker's lock, except for the functions of parts that were
 * taken. */
#ifndef VSI_NATS_SEND_QUEUE_H
#define VSI_NATS_SEND_QUEUE_H

#include <stdbool.h>
#include <sys/queue.h>

#include "vestry/cluster/broker.h"
#include "vestry/host.h"

enum { VSI_NATS_SEND_QUEUE_SLOTS = 16 };

typedef struct vsi_nats_part {
  STAILQ_ENTRY(vsi_nats_part) in;
  size_t len; /* of its data */
  char subject[VESTRY_SUBJECT_MAX_BYTES + 1];
  unsigned char joined[]; /* a joined message of this part alone, in which its data are last */
} vsi_nats_part;

typedef STAILQ_HEAD(vsi_nats_parts, vsi_nats_part) vsi_nats_parts;

typedef struct vsi_nats_send_queue {
  const vestry_host *host;
  vsi_nats_parts slots[VSI_NATS_SEND_QUEUE_SLOTS]; /* by subject. Parts of subjects that share a slot are joined less
                                                      often */
  size_t count;                                    /* parts in the slots */
  size_t bytes, max_bytes; /* bytes: of parts in the slots, and of parts that were taken and are not written yet */
} vsi_nats_send_queue;

/* A message, valid until its parts are removed. */
typedef struct vsi_nats_message {
  const char *subject;
  vestry_slice data;
  size_t count, cost; /* number of parts; their share of `bytes` */
} vsi_nats_message;

void vsi_nats_send_queue_init(vsi_nats_send_queue *send_queue, const vestry_host *host, size_t max_bytes);
/* Add a part. max_payload: maximum size of a message. OK | FULL | NO_MEMORY | TOO_LARGE (the part, or the part with the
 * head that it needs because it begins with MARK) */
vestry_err vsi_nats_send_queue_add(vsi_nats_send_queue *send_queue, const char *subject, const void *data, size_t len,
                                   size_t max_payload);
/* Move all parts to `to`, which is overwritten. They still count in `bytes`. */
void vsi_nats_send_queue_take(vsi_nats_send_queue *send_queue, vsi_nats_parts to[VSI_NATS_SEND_QUEUE_SLOTS]);
/* Drop all parts. Returns their number. */
size_t vsi_nats_send_queue_drop(vsi_nats_send_queue *send_queue);

/* Make a message of the first part of a list, which is not empty, and of the parts after it, as far as they fit.
 *  most  maximum size of a message; a single part is not checked
 *  room  VSI_NATS_JOINED_BYTES bytes, for a message of several parts */
vsi_nats_message vsi_nats_parts_join(const vsi_nats_parts *parts, size_t most, unsigned char *room);
/* Remove the first parts of a list. */
void vsi_nats_parts_remove(vsi_nats_parts *parts, size_t count, const vestry_host *host);

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
