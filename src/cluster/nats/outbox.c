/* SPDX-License-Identifier: MIT */
#include "cluster/nats/outbox.h"

#include "base/array.h"
#include "cluster/nats/joined.h"

enum { LETTER_BYTES = 128, JOINED_LEAST = 4096 };

void vsi_nats_outbox_init(vsi_nats_outbox *outbox, const vestry_host *host, size_t max_bytes) {
  *outbox = (vsi_nats_outbox){.host = host, .max_bytes = max_bytes};
  STAILQ_INIT(&outbox->messages);
}

void vsi_nats_outbox_take(vsi_nats_outbox *outbox, vsi_nats_messages *to) {
  STAILQ_INIT(to);
  STAILQ_CONCAT(to, &outbox->messages);
  memset(outbox->open, 0, sizeof outbox->open);
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

/* Subjects of nodes end with digits of a hash. Two that meet here go in more messages, and are in order. */
static vsi_nats_message **open_of(vsi_nats_outbox *outbox, const char *subject, size_t len) {
  return &outbox->open[(unsigned char)subject[len - 1] % VSI_NATS_OUTBOX_OPEN];
}

/* Room in what is joined. false: there is no memory. */
static bool make_room(const vestry_host *host, vsi_nats_message *message, size_t wanted) {
  bool is_own = message->data == message->own;
  unsigned char *data = is_own ? NULL : message->data;
  if (VSI_ARRAY_RESERVE(host, data, 0, message->room, wanted > JOINED_LEAST ? wanted : JOINED_LEAST)) return false;
  if (is_own) message->len = message->count ? vsi_nats_joined_add(data, 0, message->own, message->len) : 0;
  message->data = data;
  return true;
}

/* false: there is no room, or no memory: it goes alone. */
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

vestry_err vsi_nats_outbox_add(vsi_nats_outbox *outbox, const char *subject, const void *data, size_t len,
                               size_t max_payload) {
  size_t cost = LETTER_BYTES + len,
         more = vsi_nats_joined_must(data, len) ? VSI_NATS_JOINED_HEAD + VSI_NATS_JOINED_EACH : 0;
  if (len > max_payload || more > max_payload - len) return VESTRY_TOO_LARGE;
  if (cost > outbox->max_bytes - outbox->bytes) return VESTRY_FULL;
  vsi_nats_message **open = open_of(outbox, subject, strlen(subject)), *message = *open;
  bool is_joined =
      message && strcmp(message->subject, subject) == 0 && join(outbox->host, message, data, len, max_payload);
  if (!is_joined) {
    message = make(outbox->host, subject, data, len);
    if (!message) return VESTRY_NO_MEMORY;
    STAILQ_INSERT_TAIL(&outbox->messages, message, in);
    *open = message;
  }
  message->count++;
  message->cost += cost;
  outbox->bytes += cost;
  return VESTRY_OK;
}
