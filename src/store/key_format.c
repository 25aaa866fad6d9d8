/* SPDX-License-Identifier: MIT */
/* Encoded keys as JSON. */
#include <string.h>

#include "base/utf8.h"
#include "store/key.h"

/* Text in a buffer of fixed size, whose last byte is reserved for the terminator. len grows even if the buffer is full,
 * so that a malformed key can be distinguished from a key that is only too long. */
typedef struct text {
  char *data;
  size_t len, capacity;
} text;

static void add(text *t, const char *bytes, size_t len) {
  const size_t room = t->len + 1 < t->capacity ? t->capacity - 1 - t->len : 0;
  if (room) memcpy(t->data + t->len, bytes, len < room ? len : room);
  t->len += len;
}

static void add_char(text *t, char c) {
  add(t, &c, 1);
}

/* Faster than snprintf, because a listing by prefix formats every stored key. */
static void add_integer(text *t, int64_t integer) {
  char digits[20]; /* the sign and 19 digits */
  char *first = digits + sizeof digits;
  uint64_t left = integer < 0 ? 0 - (uint64_t)integer : (uint64_t)integer;
  do *--first = (char)('0' + left % 10);
  while ((left /= 10) != 0);
  if (integer < 0) *--first = '-';
  add(t, first, (size_t)(digits + sizeof digits - first));
}

static void add_hex(text *t, const unsigned char *bytes, size_t len) {
  static const char digits[] = "0123456789abcdef";
  for (size_t i = 0; i < len; i++) add(t, (const char[]){digits[bytes[i] >> 4], digits[bytes[i] & 15]}, 2);
}

static bool is_escaped(unsigned char c) {
  return c < 0x20 || c == 0x7f || c == '"' || c == '\\';
}

static void add_escaped(text *t, unsigned char c) {
  if (c == '"' || c == '\\') {
    add(t, (const char[]){'\\', (char)c}, 2);
  } else {
    add(t, "\\u00", 4);
    add_hex(t, &c, 1);
  }
}

static void add_string(text *t, const unsigned char *bytes, size_t len) {
  add_char(t, '"');
  for (size_t i = 0, plain = 0; i < len; i += plain + 1) {
    for (plain = 0; i + plain < len && !is_escaped(bytes[i + plain]);) plain++;
    add(t, (const char *)bytes + i, plain);
    if (i + plain < len) add_escaped(t, bytes[i + plain]);
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
    comma = part.type != VESTRY_KEY_TUPLE || closed; /* no comma before the first part of a tuple */
    for (; closed; closed--) add_char(&t, ']');
  }
  if (error == VESTRY_NOT_FOUND) error = t.len < capacity ? VESTRY_OK : VESTRY_TOO_LARGE; /* the end of the key */
  if (capacity) buffer[error ? 0 : t.len] = '\0';
  if (!error && ret_len) *ret_len = t.len;
  return error;
}

/* Return the beginning of a part, as much as fits into the buffer, because users can choose long keys and the rest
 * would be formatted for nothing. */
static vestry_key beginning_of(vestry_key part, size_t most) {
  if (part.type == VESTRY_KEY_INTEGER || part.type == VESTRY_KEY_TUPLE || part.len <= most) return part;
  part.len = part.type == VESTRY_KEY_STRING ? vsi_utf8_trim(part.data, most) : most;
  return part;
}

bool vsi_key_show(const void *encoded, size_t len, char *buffer, size_t capacity) {
  text t = {buffer, 0, capacity};
  vsi_key_reader reader;
  vsi_key_reader_init(&reader, encoded, len);
  bool comma = false;
  vestry_key part;
  size_t closed;
  while (t.len < capacity && !vsi_key_reader_next(&reader, &part, &closed)) {
    if (comma) add_char(&t, ',');
    const vestry_key shown = beginning_of(part, capacity);
    add_part(&t, &shown);
    comma = part.type != VESTRY_KEY_TUPLE || closed;
    for (; closed && t.len < capacity; closed--) add_char(&t, ']');
  }
  const bool is_cut = t.len >= capacity;
  buffer[is_cut ? vsi_utf8_trim(buffer, capacity - 1) : t.len] = '\0';
  return is_cut;
}
