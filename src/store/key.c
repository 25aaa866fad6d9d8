/* SPDX-License-Identifier: MIT */
/* Keys: reading encoded keys, encoding keys, and formatting them as JSON. key.h describes the encoding. */
#include "store/key.h"

#include <string.h>

#include "base/buffer.h"
#include "base/hex.h"
#include "base/utf8.h"

/* --------------------------------------------------------------------------------------------------- reading ---- */

/* Read a number. Returns the address of the byte after it; NULL: malformed. */
static const unsigned char *read_number(const unsigned char *at, const unsigned char *end, uint64_t *ret_number) {
  uint64_t number = 0;
  for (unsigned shift = 0; at < end && shift < 64; shift += 7) {
    unsigned char byte = *at++;
    if (shift == 63 && byte > 1) return NULL; /* more than 64 bits */
    number |= (uint64_t)(byte & 0x7f) << shift;
    if (byte & 0x80) continue;
    if (byte == 0 && shift) return NULL; /* a shorter form exists */
    *ret_number = number;
    return at;
  }
  return NULL;
}

/* Reads the parts of a key in order. A tuple is returned first itself, with len as its count; its parts follow. */
typedef struct key_reader {
  const unsigned char *at, *end;
  size_t left[VESTRY_KEY_MAX_DEPTH]; /* parts that remain in each open tuple */
  size_t depth;                      /* number of open tuples */
  bool whole;                        /* the outermost part has been read */
} key_reader;

static key_reader reader_of(const void *encoded, size_t len) {
  const unsigned char *at = encoded;
  /* `whole`: it is too long for a key; the first read then finds bytes after the end */
  return (key_reader){.at = at, .end = len ? at + len : at, .whole = len > VESTRY_KEY_MAX_BYTES};
}

/* Read the next part. ret_part: as vestry_key, but a TUPLE has no parts; ret_closed: number of tuples that end after
 * it. OK | NOT_FOUND (the end: exactly one key was read) | MALFORMED. */
static vestry_err read_part(key_reader *reader, vestry_key *ret_part, size_t *ret_closed) {
  if (reader->whole && reader->depth == 0) return reader->at == reader->end ? VESTRY_NOT_FOUND : VESTRY_MALFORMED;
  if (reader->at == reader->end) return VESTRY_MALFORMED;
  vestry_key part = {.type = (vestry_key_type)*reader->at};
  uint64_t number = 0;
  const unsigned char *at = read_number(reader->at + 1, reader->end, &number);
  if (!at) return VESTRY_MALFORMED;
  if (reader->depth) reader->left[reader->depth - 1]--;
  reader->whole = true;
  size_t follows = 0; /* bytes of the string */
  switch (part.type) {
  case VESTRY_KEY_INTEGER:
    part.integer = (int64_t)(number >> 1 ^ (number & 1 ? UINT64_MAX : 0)); /* the inverse of zigzag */
    break;
  case VESTRY_KEY_STRING:
  case VESTRY_KEY_BYTES:
    if (number > (size_t)(reader->end - at)) return VESTRY_MALFORMED;
    part.data = at;
    part.len = follows = (size_t)number;
    break;
  case VESTRY_KEY_TUPLE:
    if (reader->depth == VESTRY_KEY_MAX_DEPTH) return VESTRY_MALFORMED;
    if (number > (size_t)(reader->end - at)) return VESTRY_MALFORMED; /* each part takes at least one byte */
    part.len = (size_t)number;
    reader->left[reader->depth++] = part.len;
    break;
  default: return VESTRY_MALFORMED;
  }
  reader->at = at + follows;
  size_t closed = 0;
  while (reader->depth && reader->left[reader->depth - 1] == 0) {
    reader->depth--;
    closed++;
  }
  *ret_part = part;
  *ret_closed = closed;
  return VESTRY_OK;
}

vestry_err vestry_key_decode(const void *encoded, size_t len, vestry_key *parts, size_t capacity, size_t *ret_count) {
  if (!ret_count || (!encoded && len) || (!parts && capacity)) return VESTRY_INVALID;
  key_reader reader = reader_of(encoded, len);
  size_t next[VESTRY_KEY_MAX_DEPTH]; /* the item for the next part of each open tuple */
  size_t count = 1, closed;
  vestry_key part;
  vestry_err error;
  for (size_t depth = 0; !(error = read_part(&reader, &part, &closed)); depth = reader.depth) {
    const size_t at = depth ? next[depth - 1]++ : 0;
    if (part.type == VESTRY_KEY_TUPLE) {
      if (count + part.len <= capacity) part.parts = parts + count;
      if (depth < VESTRY_KEY_MAX_DEPTH) next[depth] = count;
      count += part.len;
    }
    if (at < capacity) parts[at] = part;
  }
  if (error != VESTRY_NOT_FOUND) return error;
  *ret_count = count;
  return count <= capacity ? VESTRY_OK : VESTRY_TOO_LARGE;
}

/* --------------------------------------------------------------------------------------------------- writing ---- */

/* The destination of an encoding. If data is NULL, the encoding is only measured. */
typedef struct writer {
  unsigned char *data;
  size_t len, limit;
} writer;

static vestry_err write_bytes(writer *w, const void *bytes, size_t len) {
  if (len > w->limit - w->len) return VESTRY_TOO_LARGE;
  if (w->data && len) memcpy(w->data + w->len, bytes, len);
  w->len += len;
  return VESTRY_OK;
}

/* Write a length or count as LEB128 to `at`, at most 10 bytes. Returns the number of bytes written. */
static size_t write_number(uint64_t number, unsigned char *at) {
  size_t len = 0;
  for (; number >= 0x80; number >>= 7) at[len++] = (unsigned char)(number | 0x80);
  at[len++] = (unsigned char)number;
  return len;
}

/* Small magnitudes of either sign become small numbers: 0, -1, 1, -2 … → 0, 1, 2, 3 … */
static uint64_t zigzag(int64_t integer) {
  return integer < 0 ? ~((uint64_t)integer << 1) : (uint64_t)integer << 1;
}

static vestry_err write_head(writer *w, vestry_key_type type, uint64_t number) {
  unsigned char head[11] = {(unsigned char)type};
  return write_bytes(w, head, 1 + write_number(number, head + 1));
}

/* Check an encoded key in a tuple. depth: number of enclosing tuples. OK | INVALID | TOO_LARGE */
static vestry_err check_encoded(const vestry_key *key, unsigned depth) {
  key_reader reader = reader_of(key->data, key->len);
  vestry_key part;
  vestry_err error;
  for (size_t inner = 0, closed; !(error = read_part(&reader, &part, &closed)); inner = reader.depth)
    if (part.type == VESTRY_KEY_TUPLE && depth + inner >= VESTRY_KEY_MAX_DEPTH) return VESTRY_TOO_LARGE;
  return error == VESTRY_NOT_FOUND ? VESTRY_OK : VESTRY_INVALID;
}

/* Write a part. depth: number of enclosing tuples. Every part writes at least two bytes, so the limit bounds the work
 * even if tuples share parts or contain themselves. */
static vestry_err write_part(writer *w, const vestry_key *key, unsigned depth) {
  vestry_err error = VESTRY_INVALID;
  switch (key->type) {
  case VESTRY_KEY_INTEGER: return write_head(w, key->type, zigzag(key->integer));
  case VESTRY_KEY_STRING:
  case VESTRY_KEY_BYTES:
    if (!key->data && (key->len || key->type == VESTRY_KEY_STRING)) return VESTRY_INVALID;
    error = write_head(w, key->type, key->len);
    return error ? error : write_bytes(w, key->data, key->len);
  case VESTRY_KEY_TUPLE:
    if (!key->parts && key->len) return VESTRY_INVALID;
    if (depth == VESTRY_KEY_MAX_DEPTH) return VESTRY_TOO_LARGE;
    error = write_head(w, key->type, key->len);
    for (size_t i = 0; !error && i < key->len; i++) error = write_part(w, &key->parts[i], depth + 1);
    return error;
  case VESTRY_KEY_READY: {
    const vestry_scoped_key *ready = &((const vsi_ready_key *)(const void *)key)->key;
    const vestry_key encoded = vestry_key_encoded(ready->data + ready->key_offset, ready->len - ready->key_offset);
    return write_part(w, &encoded, depth);
  }
  case VESTRY_KEY_EVERY: return VESTRY_INVALID;
  case VESTRY_KEY_ENCODED:
    if (!key->data && key->len) return VESTRY_INVALID;
    if (key->len > w->limit - w->len) return VESTRY_TOO_LARGE; /* before it is read */
    error = check_encoded(key, depth);
    return error ? error : write_bytes(w, key->data, key->len);
  }
  return error;
}

static vestry_err encode(writer *w, const vestry_key *key, size_t *ret_len) {
  if (!key || !ret_len) return VESTRY_INVALID;
  vestry_err error = write_part(w, key, 0);
  if (!error) *ret_len = w->len;
  return error;
}

vestry_err vestry_key_encode(const vestry_key *key, void *buffer, size_t capacity, size_t *ret_len) {
  if (!buffer && capacity) return VESTRY_INVALID;
  return encode(&(writer){buffer, 0, capacity < VESTRY_KEY_MAX_BYTES ? capacity : VESTRY_KEY_MAX_BYTES}, key, ret_len);
}

vestry_err vsi_key_measure(const vestry_key *key, size_t *ret_len) {
  return encode(&(writer){NULL, 0, VESTRY_KEY_MAX_BYTES}, key, ret_len);
}

/* --------------------------------------------------------------------------------------------------- as JSON ---- */

/* Text in a buffer of fixed size, whose last byte is reserved for the terminator. len grows even if the buffer is full,
 * so that a malformed key can be distinguished from a key that is only too long. */
typedef struct shown {
  char *data;
  size_t len, capacity;
} shown;

static void add(shown *t, const char *bytes, size_t len) {
  const size_t room = t->len + 1 < t->capacity ? t->capacity - 1 - t->len : 0;
  if (room) memcpy(t->data + t->len, bytes, len < room ? len : room);
  t->len += len;
}

static void add_char(shown *t, char c) {
  add(t, &c, 1);
}

/* Faster than snprintf, because a listing by prefix formats every stored key. */
static void add_integer(shown *t, int64_t integer) {
  char digits[20]; /* the sign and 19 digits */
  vsi_writer to = {.to = digits};
  vsi_put_int(&to, integer);
  add(t, digits, to.len);
}

/* Text beyond the buffer is not formatted, because users can choose long keys. */
static void add_hex(shown *t, const unsigned char *bytes, size_t len) {
  for (size_t i = 0; i < len && t->len < t->capacity; i++)
    add(t, (const char[]){vsi_hex_of(bytes[i] >> 4), vsi_hex_of(bytes[i])}, 2);
}

static void add_string(shown *t, const unsigned char *bytes, size_t len) {
  add_char(t, '"');
  for (const unsigned char *at = bytes; at < bytes + len && t->len < t->capacity; at++) {
    const bool is_control = *at < 0x20 || *at == 0x7f;
    if (is_control) add(t, "\\u00", 4);
    if (is_control) add_hex(t, at, 1);
    if (*at == '"' || *at == '\\') add_char(t, '\\');
    if (!is_control) add_char(t, (char)*at);
  }
  add_char(t, '"');
}

static void add_bytes(shown *t, const unsigned char *bytes, size_t len) {
  add(t, "{\"bytes\":\"", 10);
  add_hex(t, bytes, len);
  add(t, "\"}", 2);
}

static void add_part(shown *t, const vestry_key *part) {
  if (part->type == VESTRY_KEY_INTEGER)
    add_integer(t, part->integer);
  else if (part->type == VESTRY_KEY_TUPLE)
    add_char(t, '[');
  else if (part->type == VESTRY_KEY_STRING && vsi_is_utf8(part->data, part->len))
    add_string(t, part->data, part->len);
  else
    add_bytes(t, part->data, part->len);
}

/* Format the parts of a key. to_end: read them all, even if the buffer is full. NOT_FOUND (the end of the key) |
 * MALFORMED | OK (the buffer is full). */
static vestry_err add_key(shown *t, const void *encoded, size_t len, bool to_end) {
  key_reader reader = reader_of(encoded, len);
  bool comma = false;
  vestry_key part;
  size_t closed;
  vestry_err error = VESTRY_OK;
  while ((to_end || t->len < t->capacity) && !(error = read_part(&reader, &part, &closed))) {
    if (comma) add_char(t, ',');
    if (t->len < t->capacity) add_part(t, &part);
    comma = part.type != VESTRY_KEY_TUPLE || closed; /* no comma before the first part of a tuple */
    for (; closed; closed--) add_char(t, ']');
  }
  return error;
}

vestry_err vestry_key_format(const void *encoded, size_t len, char *buffer, size_t capacity, size_t *ret_len) {
  if ((!encoded && len) || (!buffer && capacity)) return VESTRY_INVALID;
  shown t = {buffer, 0, capacity};
  vestry_err error = add_key(&t, encoded, len, true);
  if (error == VESTRY_NOT_FOUND) error = t.len < capacity ? VESTRY_OK : VESTRY_TOO_LARGE;
  if (capacity) buffer[error ? 0 : t.len] = '\0';
  if (!error && ret_len) *ret_len = t.len;
  return error;
}

bool vsi_key_show(const void *encoded, size_t len, char *buffer, size_t capacity) {
  shown t = {buffer, 0, capacity};
  (void)add_key(&t, encoded, len, false);
  const bool is_cut = t.len >= capacity;
  buffer[is_cut ? vsi_utf8_trim(buffer, capacity - 1) : t.len] = '\0';
  return is_cut;
}
