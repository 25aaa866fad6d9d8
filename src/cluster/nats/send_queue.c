/* SPDX-License-Identifier: MIT */
/* The send queue, and the format of joined messages (send_queue.h). */
#include "cluster/nats/send_queue.h"

#include <string.h>

#include "base/array.h"

enum { MESSAGE_BYTES = 128, JOINED_LEAST = 4096 };

void vsi_nats_send_queue_init(vsi_nats_send_queue *send_queue, const vestry_host *host, size_t max_bytes) {
  *send_queue = (vsi_nats_send_queue){.host = host, .max_bytes = max_bytes};
  STAILQ_INIT(&send_queue->messages);
}

void vsi_nats_send_queue_take(vsi_nats_send_queue *send_queue, vsi_nats_messages *to) {
  STAILQ_INIT(to);
  STAILQ_CONCAT(to, &send_queue->messages);
  memset(send_queue->open, 0, sizeof send_queue->open);
}

vsi_nats_message *vsi_nats_messages_take(vsi_nats_messages *messages) {
  vsi_nats_message *first = STAILQ_FIRST(messages);
  if (first) STAILQ_REMOVE_HEAD(messages, in);
  return first;
}

void vsi_nats_message_free(const vestry_host *host, vsi_nats_message *message) {
  if (message->data != message->own) vsi_free(host, message->data);
  vsi_free(host, message);
}

/* Slot of a subject. Subjects of nodes end with digits of a hash. If two subjects share a slot, their parts are joined
 * less often; their order is kept. */
static vsi_nats_message **open_of(vsi_nats_send_queue *send_queue, const char *subject, size_t len) {
  return &send_queue->open[(unsigned char)subject[len - 1] % VSI_NATS_SEND_QUEUE_OPEN];
}

/* Make room in a joined message. false: out of memory. */
static bool make_room(const vestry_host *host, vsi_nats_message *message, size_t wanted) {
  bool is_own = message->data == message->own;
  unsigned char *data = is_own ? NULL : message->data;
  if (VSI_ARRAY_RESERVE(host, data, 0, message->room, wanted > JOINED_LEAST ? wanted : JOINED_LEAST)) return false;
  if (is_own) message->len = message->count ? vsi_nats_joined_add(data, 0, message->own, message->len) : 0;
  message->data = data;
  return true;
}

/* Join a part to a message. false: it does not fit, or memory is missing, and it must be a separate message. */
static bool join(const vestry_host *host, vsi_nats_message *message, const void *data, size_t len, size_t max_len) {
  size_t each = VSI_NATS_JOINED_EACH, had = message->len;
  if (message->data == message->own) had += VSI_NATS_JOINED_HEAD + each;
  if (max_len > VSI_NATS_JOINED_BYTES) max_len = VSI_NATS_JOINED_BYTES;
  if (message->count == VSI_NATS_JOINED_MOST || had > max_len || each + len > max_len - had) return false;
  if (!make_room(host, message, had + each + len)) return false;
  message->len = vsi_nats_joined_add(message->data, message->len, data, len);
  return true;
}

static vsi_nats_message *make(const vestry_host *host, const char *subject, const void *data, size_t len) {
  bool is_wrapped = vsi_nats_joined_must(data, len);
  vsi_nats_message *message = vsi_alloc(host, sizeof *message + (is_wrapped ? 0 : len));
  if (!message) return NULL;
  *message = (vsi_nats_message){.len = len};
  memcpy(message->subject, subject, strlen(subject) + 1);
  message->data = message->own;
  if (is_wrapped) {
    message->len = 0;
    size_t wanted = VSI_NATS_JOINED_HEAD + VSI_NATS_JOINED_EACH + len;
    if (!make_room(host, message, wanted)) {
      vsi_free(host, message);
      return NULL;
    }
    message->len = vsi_nats_joined_add(message->data, 0, data, len);
  } else if (len) {
    memcpy(message->own, data, len);
  }
  return message;
}

vestry_err vsi_nats_send_queue_add(vsi_nats_send_queue *send_queue, const char *subject, const void *data, size_t len,
                                   size_t max_payload) {
  size_t cost = MESSAGE_BYTES + len,
         more = vsi_nats_joined_must(data, len) ? VSI_NATS_JOINED_HEAD + VSI_NATS_JOINED_EACH : 0;
  if (len > max_payload || more > max_payload - len) return VESTRY_TOO_LARGE;
  if (cost > send_queue->max_bytes - send_queue->bytes) return VESTRY_FULL;
  vsi_nats_message **open = open_of(send_queue, subject, strlen(subject)), *message = *open;
  bool is_joined =
      message && strcmp(message->subject, subject) == 0 && join(send_queue->host, message, data, len, max_payload);
  if (!is_joined) {
    message = make(send_queue->host, subject, data, len);
    if (!message) return VESTRY_NO_MEMORY;
    STAILQ_INSERT_TAIL(&send_queue->messages, message, in);
    *open = message;
  }
  message->count++;
  message->cost += cost;
  send_queue->bytes += cost;
  return VESTRY_OK;
}

/* The format of joined messages. */

bool vsi_nats_joined_is_probe(const void *data, size_t len) {
  return len == VSI_NATS_JOINED_HEAD && memcmp(data, VSI_NATS_JOINED_PROBE, len) == 0;
}

bool vsi_nats_joined_must(const void *data, size_t len) {
  return len && *(const unsigned char *)data == VSI_NATS_JOINED_MARK;
}

size_t vsi_nats_joined_add(unsigned char *message, size_t message_len, const void *data, size_t len) {
  if (!message_len) {
    message[0] = VSI_NATS_JOINED_MARK;
    message[1] = 0;
    message_len = VSI_NATS_JOINED_HEAD;
  }
  message[1]++;
  unsigned char *at = message + message_len;
  for (unsigned i = 0; i < VSI_NATS_JOINED_EACH; i++) at[i] = (unsigned char)(len >> 8 * i);
  if (len) memcpy(at + VSI_NATS_JOINED_EACH, data, len);
  return message_len + VSI_NATS_JOINED_EACH + len;
}

static size_t read_size(const unsigned char *at) {
  size_t size = 0;
  for (unsigned i = 0; i < VSI_NATS_JOINED_EACH; i++) size |= (size_t)at[i] << 8 * i;
  return size;
}

bool vsi_nats_joined_open(const void *data, size_t len, vsi_nats_joined *ret_joined) {
  const unsigned char *at = data;
  if (len < VSI_NATS_JOINED_HEAD || !vsi_nats_joined_must(data, len) || !at[1]) return false;
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
