/* SPDX-License-Identifier: MIT */
#include "app/guard/once_answer.h"

#include <string.h>

#include "base/memory.h"
#include "http/routes/routes.h"

/* Room for the answer's bytes. NULL: there is none. */
static char *take_room(vsi_once_share *share, size_t len) {
  if (len > share->max_answer_bytes) return NULL;
  size_t held = atomic_fetch_add_explicit(&share->bytes, len, memory_order_relaxed);
  char *bytes = held + len > share->max_bytes ? NULL : vsi_alloc(share->host, len ? len : 1);
  if (!bytes) atomic_fetch_sub_explicit(&share->bytes, len, memory_order_relaxed);
  return bytes;
}

void vsi_once_answer_keep(vsi_once_answer *answer, vsi_once_share *share, const vestry_response *response) {
  size_t len = response->body_len;
  answer->status = response->status;
  for (size_t i = 0; i < response->headers_count; i++)
    len += strlen(response->headers[i].name) + strlen(response->headers[i].value) + 2;
  char *bytes = take_room(share, len);
  if (!bytes) return;
  char *at = bytes;
  for (size_t i = 0; i < response->headers_count; i++) {
    at = stpcpy(at, response->headers[i].name) + 1;
    at = stpcpy(at, response->headers[i].value) + 1;
  }
  if (response->body_len) memcpy(at, response->body, response->body_len);
  *answer = (vsi_once_answer){response->status, bytes, len, (size_t)(at - bytes), response->headers_count};
}

void vsi_once_answer_drop(vsi_once_answer *answer, vsi_once_share *share) {
  if (answer->bytes) atomic_fetch_sub_explicit(&share->bytes, answer->len, memory_order_relaxed);
  vsi_free(share->host, answer->bytes);
  answer->bytes = NULL;
}

vestry_err vsi_once_answer_repeat(const vsi_once_answer *answer, vestry_reply *reply) {
  vestry_err error = vestry_reply_status(reply, answer->bytes || answer->status >= 400 ? answer->status : 204);
  const char *at = answer->bytes;
  for (size_t i = 0; at && i < answer->headers_count && !error; i++) {
    const char *value = at + strlen(at) + 1;
    error = vestry_reply_header(reply, at, value);
    at = value + strlen(value) + 1;
  }
  if (!error && answer->len > answer->body_at)
    error = vestry_reply_body(reply, NULL, answer->bytes + answer->body_at, answer->len - answer->body_at);
  return error ? error : VESTRY_FAILED;
}

/* ------------------------------------------------------------------------------------------------- as bytes ------- */

/* What is before the answer's own bytes: nodes of one kind read it. */
typedef struct head {
  uint32_t status, is_kept, headers_count, body_at;
} head;

size_t vsi_once_answer_packed_len(const vsi_once_answer *answer) {
  return sizeof(head) + answer->len;
}

void vsi_once_answer_pack(const vsi_once_answer *answer, unsigned char *bytes) {
  const head packed = {(uint32_t)answer->status, answer->bytes != NULL, (uint32_t)answer->headers_count,
                       (uint32_t)answer->body_at};
  memcpy(bytes, &packed, sizeof packed);
  if (answer->len) memcpy(bytes + sizeof packed, answer->bytes, answer->len);
}

/* Whether the bytes begin with so many names and values, each terminated, and the body comes right after them. */
static bool is_sound(const head *packed, const unsigned char *bytes, size_t len) {
  size_t at = 0;
  if (packed->status > 599 || packed->body_at > len) return false;
  for (uint64_t texts = (uint64_t)packed->headers_count * 2; texts; texts--) {
    const unsigned char *end = at < packed->body_at ? memchr(bytes + at, 0, packed->body_at - at) : NULL;
    if (!end) return false;
    at = (size_t)(end - bytes) + 1;
  }
  return at == packed->body_at;
}

vestry_err vsi_once_answer_unpack(vsi_once_answer *answer, vsi_once_share *share, const unsigned char *bytes,
                                  size_t len) {
  head packed;
  if (len < sizeof packed) return VESTRY_FAILED;
  memcpy(&packed, bytes, sizeof packed);
  bytes += sizeof packed;
  len -= sizeof packed;
  if (!is_sound(&packed, bytes, len)) return VESTRY_FAILED;
  char *copy = packed.is_kept ? take_room(share, len) : NULL;
  *answer = (vsi_once_answer){.status = (int)packed.status};
  if (!copy) return VESTRY_OK;
  if (len) memcpy(copy, bytes, len);
  *answer = (vsi_once_answer){(int)packed.status, copy, len, packed.body_at, packed.headers_count};
  return VESTRY_OK;
}
