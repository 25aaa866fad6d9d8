/* SPDX-License-Identifier: MIT */
/* Encoded keys as JSON. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/utf8.h"
#include "store/key.h"

/* Text into a buffer of fixed size. It goes on counting when the buffer is full, so that a malformed key is told from
 * one that is merely long. */
typedef struct text {
  char *data;
  size_t len, capacity;
} text;

static void add(text *t, const char *bytes, size_t len) {
  if (t->len < t->capacity && len < t->capacity - t->len) memcpy(t->data + t->len, bytes, len);
  t->len += len;
}

static void add_char(text *t, char c) {
  add(t, &c, 1);
}

static void add_integer(text *t, int64_t integer) {
  char digits[24];
  add(t, digits, (size_t)snprintf(digits, sizeof digits, "%" PRId64, integer));
}

static void add_hex(text *t, const unsigned char *bytes, size_t len) {
  static const char digits[] = "0123456789abcdef";
  for (size_t i = 0; i < len; i++) add(t, (const char[]){digits[bytes[i] >> 4], digits[bytes[i] & 15]}, 2);
}

static void add_string(text *t, const unsigned char *bytes, size_t len) {
  add_char(t, '"');
  for (size_t i = 0; i < len; i++) {
    unsigned char c = bytes[i];
    if (c == '"' || c == '\\') add_char(t, '\\');
    if (c < 0x20 || c == 0x7f) {
      add(t, "\\u00", 4);
      add_hex(t, &c, 1);
    } else {
      add_char(t, (char)c);
    }
  }
  add_char(t, '"');
}

static void add_bytes(text *t, const unsigned char *bytes, size_t len) {
  add(t, "{\"bytes\":\"", 10);
  add_hex(t, bytes, len);
  add(t, "\"}", 2);
}

static void add_part(text *t, const vestry_key *part) {
  switch (part->type) {
  case VESTRY_KEY_INTEGER: add_integer(t, part->integer); return;
  case VESTRY_KEY_STRING:
    if (vsi_is_utf8(part->data, part->len)) {
      add_string(t, part->data, part->len);
      return;
    }
    /* fall through */
  case VESTRY_KEY_BYTES: add_bytes(t, part->data, part->len); return;
  case VESTRY_KEY_TUPLE: add_char(t, '['); return;
  }
}

vestry_err vestry_key_format(const void *encoded, size_t len, char *buffer, size_t capacity, size_t *ret_len) {
  if ((!encoded && len) || (!buffer && capacity)) return VESTRY_INVALID;
  text t = {buffer, 0, capacity};
  vsi_key_reader reader;
  vsi_key_reader_init(&reader, encoded, len);
  bool comma = false;
  vestry_key part;
  size_t closed;
  vestry_err error;
  while (!(error = vsi_key_reader_next(&reader, &part, &closed))) {
    if (comma) add_char(&t, ',');
    add_part(&t, &part);
    comma = part.type != VESTRY_KEY_TUPLE || closed; /* nothing before a tuple's first part */
    for (; closed; closed--) add_char(&t, ']');
  }
  if (error == VESTRY_NOT_FOUND) error = t.len < capacity ? VESTRY_OK : VESTRY_TOO_LARGE; /* the key's end */
  if (capacity) buffer[error ? 0 : t.len] = '\0';
  if (!error && ret_len) *ret_len = t.len;
  return error;
}
