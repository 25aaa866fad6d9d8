/* SPDX-License-Identifier: MIT */
/* Parameters of query strings and form bodies: finding one by its name, and decoding its value. */
#include "event/query.h"

#include <string.h>

#include "base/ascii.h"
#include "base/hex.h"
#include "vestry/signals.h"

/* Decode the character at `at`. Returns its value and the number of encoded bytes; -1 for a broken escape. */
static int decode_one(const char *at, const char *end, size_t *ret_bytes) {
  *ret_bytes = 1;
  if (*at == '+') return ' ';
  if (*at != '%') return (unsigned char)*at;
  *ret_bytes = 3;
  if (end - at < 3) return -1;
  int high = vsi_hex_digit(vsi_lower(at[1])), low = vsi_hex_digit(vsi_lower(at[2]));
  return high < 0 || low < 0 ? -1 : high << 4 | low;
}

/* Compare a name in its decoded form, as servers do. A name with a broken escape equals none. */
static bool is_name(const char *at, const char *end, const char *name) {
  for (; at < end && *name; name++) {
    size_t bytes;
    if (decode_one(at, end, &bytes) != (unsigned char)*name) return false;
    at += bytes;
  }
  return at == end && !*name;
}

vestry_err vsi_query_find(const char *query, size_t len, const char *name, vestry_slice *ret_encoded) {
  if (!len) return VESTRY_NOT_FOUND;
  const char *end = query + len;
  for (const char *at = query;;) {
    const char *stop = memchr(at, '&', (size_t)(end - at));
    if (!stop) stop = end;
    const char *equals = memchr(at, '=', (size_t)(stop - at));
    if (is_name(at, equals ? equals : stop, name) && stop > at) {
      const char *value = equals ? equals + 1 : stop;
      *ret_encoded = (vestry_slice){.data = value, .len = (size_t)(stop - value)};
      return VESTRY_OK;
    }
    if (stop == end) return VESTRY_NOT_FOUND;
    at = stop + 1;
  }
}

vestry_err vsi_query_decoded_len(vestry_slice encoded, size_t *ret_len, size_t *ret_offset) {
  const char *from = encoded.data, *end = from + encoded.len;
  size_t len = 0, bytes;
  for (const char *at = from; at < end; at += bytes, len++) {
    if (decode_one(at, end, &bytes) < 0) {
      *ret_offset = (size_t)(at - from);
      return VESTRY_MALFORMED;
    }
  }
  *ret_len = len;
  return VESTRY_OK;
}

void vsi_query_decode(vestry_slice encoded, char *to) {
  const char *at = encoded.data, *end = at + encoded.len;
  for (size_t bytes; at < end; at += bytes) *to++ = (char)decode_one(at, end, &bytes);
}

vestry_err vsi_query_value(const char *query, size_t query_len, const char *name, char *buffer, size_t capacity,
                           size_t *ret_len) {
  vestry_slice encoded;
  size_t len, offset;
  vestry_err error = vsi_query_find(query, query_len, name, &encoded);
  if (!error) error = vsi_query_decoded_len(encoded, &len, &offset);
  if (error) return error;
  if (len >= capacity) return VESTRY_TOO_LARGE;
  vsi_query_decode(encoded, buffer);
  buffer[len] = '\0';
  *ret_len = len;
  return VESTRY_OK;
}
