/* SPDX-License-Identifier: MIT */
/* The send queue, and the format of joined messages (send_queue.h). */
#include "cluster/nats/send_queue.h"

#include <string.h>

#include "base/memory.h"

enum { PART_BYTES = 128, ALONE = VSI_NATS_JOINED_HEAD + VSI_NATS_JOINED_EACH };

static size_t cost_of(const vsi_nats_part *part) {
  return PART_BYTES + part->len;
}

/* Return whether a part cannot be sent unchanged. */
static bool must_join(const void *data, size_t len) {
  return len && *(const unsigned char *)data == VSI_NATS_JOINED_MARK;
}

void vsi_nats_send_queue_init(vsi_nats_send_queue *send_queue, const vestry_host *host, size_t max_bytes) {
  *send_queue = (vsi_nats_send_queue){.host = host, .max_bytes = max_bytes};
  for (size_t i = 0; i < VSI_NATS_SEND_QUEUE_SLOTS; i++) STAILQ_INIT(&send_queue->slots[i]);
}

vestry_err vsi_nats_send_queue_add(vsi_nats_send_queue *send_queue, const char *subject, const void *data, size_t len,
                                   size_t max_payload) {
  const size_t more = must_join(data, len) ? ALONE : 0, subject_len = strlen(subject);
  if (len > max_payload || more > max_payload - len) return VESTRY_TOO_LARGE;
  if (PART_BYTES + len > send_queue->max_bytes - send_queue->bytes) return VESTRY_FULL;
  vsi_nats_part *part = vsi_alloc(send_queue->host, sizeof *part + ALONE + len);
  if (!part) return VESTRY_NO_MEMORY;
  part->len = len;
  memcpy(part->subject, subject, subject_len + 1);
  part->joined[0] = VSI_NATS_JOINED_MARK;
  part->joined[1] = 1;
  for (unsigned i = 0; i < VSI_NATS_JOINED_EACH; i++)
    part->joined[VSI_NATS_JOINED_HEAD + i] = (unsigned char)(len >> 8 * i);
  if (len) memcpy(part->joined + ALONE, data, len);
  /* Subjects of nodes end with digits of a hash. */
  const size_t slot = (unsigned char)subject[subject_len - 1] % VSI_NATS_SEND_QUEUE_SLOTS;
  STAILQ_INSERT_TAIL(&send_queue->slots[slot], part, in);
  send_queue->count++;
  send_queue->bytes += cost_of(part);
  return VESTRY_OK;
}

void vsi_nats_send_queue_take(vsi_nats_send_queue *send_queue, vsi_nats_parts to[VSI_NATS_SEND_QUEUE_SLOTS]) {
  for (size_t i = 0; i < VSI_NATS_SEND_QUEUE_SLOTS; i++) {
    STAILQ_INIT(&to[i]);
    STAILQ_CONCAT(&to[i], &send_queue->slots[i]);
  }
  send_queue->count = 0;
}

size_t vsi_nats_send_queue_drop(vsi_nats_send_queue *send_queue) {
  const size_t count = send_queue->count;
  for (size_t i = 0; i < VSI_NATS_SEND_QUEUE_SLOTS; i++)
    for (vsi_nats_part *part; (part = STAILQ_FIRST(&send_queue->slots[i])) != NULL;) {
      send_queue->bytes -= cost_of(part);
      vsi_nats_parts_remove(&send_queue->slots[i], 1, send_queue->host);
    }
  send_queue->count = 0;
  return count;
}

vsi_nats_message vsi_nats_parts_join(const vsi_nats_parts *parts, size_t most, unsigned char *room) {
  const vsi_nats_part *first = STAILQ_FIRST(parts), *next = first;
  const size_t head = must_join(first->joined + ALONE, first->len) ? 0 : ALONE;
  vsi_nats_message message = {first->subject, {first->joined + head, ALONE - head + first->len}, 1, cost_of(first)};
  size_t len = ALONE + first->len;
  if (most > VSI_NATS_JOINED_BYTES) most = VSI_NATS_JOINED_BYTES;
  while (message.count < VSI_NATS_JOINED_MOST && (next = STAILQ_NEXT(next, in)) != NULL &&
         strcmp(next->subject, first->subject) == 0 && len + VSI_NATS_JOINED_EACH + next->len <= most) {
    if (message.count == 1) memcpy(room, first->joined, len);
    memcpy(room + len, next->joined + VSI_NATS_JOINED_HEAD, VSI_NATS_JOINED_EACH + next->len);
    len += VSI_NATS_JOINED_EACH + next->len;
    room[1] = (unsigned char)++message.count;
    message.cost += cost_of(next);
    message.data = (vestry_slice){room, len};
  }
  return message;
}

void vsi_nats_parts_remove(vsi_nats_parts *parts, size_t count, const vestry_host *host) {
  for (; count; count--) {
    vsi_nats_part *first = STAILQ_FIRST(parts);
    STAILQ_REMOVE_HEAD(parts, in);
    vsi_free(host, first);
  }
}

/* The format of joined messages. */

bool vsi_nats_joined_is_probe(const void *data, size_t len) {
  return len == VSI_NATS_JOINED_HEAD && memcmp(data, VSI_NATS_JOINED_PROBE, len) == 0;
}

static size_t read_size(const unsigned char *at) {
  size_t size = 0;
  for (unsigned i = 0; i < VSI_NATS_JOINED_EACH; i++) size |= (size_t)at[i] << 8 * i;
  return size;
}

bool vsi_nats_joined_open(const void *data, size_t len, vsi_nats_joined *ret_joined) {
  const unsigned char *at = data;
  if (len < VSI_NATS_JOINED_HEAD || !must_join(data, len) || !at[1]) return false;
  *ret_joined = (vsi_nats_joined){at + VSI_NATS_JOINED_HEAD, at[1]};
  size_t left = len - VSI_NATS_JOINED_HEAD;
  at += VSI_NATS_JOINED_HEAD;
  for (size_t i = 0; i < ret_joined->count; i++) {
    if (left < VSI_NATS_JOINED_EACH) return false;
    size_t size = read_size(at);
    left -= VSI_NATS_JOINED_EACH;
    if (size > left) return false;
    left -= size;
    at += VSI_NATS_JOINED_EACH + size;
  }
  return !left;
}

vestry_slice vsi_nats_joined_next(vsi_nats_joined *joined) {
  vestry_slice part = {joined->at + VSI_NATS_JOINED_EACH, read_size(joined->at)};
  joined->at += VSI_NATS_JOINED_EACH + part.len;
  joined->count--;
  return part;
}
