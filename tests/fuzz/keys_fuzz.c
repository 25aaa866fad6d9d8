/* SPDX-License-Identifier: MIT */
/* Keys. Any bytes as an encoded key: an accepted one is read into a key, which must encode to the same bytes
 * (otherwise one key would have two encodings), and its text must be JSON, by jansson. And any key built from the
 * bytes: its encoding must be accepted.
 * Input: a byte that selects the kind and the size of the text buffer, then the bytes. */
#include <jansson.h>

#include "fuzz/target.h"
#include "store/key.h"

enum { MOST_PARTS = 4096 };

/* ------------------------------------------------------------------------------------------ accepted encodings ---- */

static void check_accepted(const uint8_t *data, size_t size, const char *text, size_t text_len) {
  static vestry_key parts[MOST_PARTS];
  static unsigned char again[MOST_PARTS];
  size_t count = 0, len = 0;
  require(vestry_key_decode(data, size, parts, MOST_PARTS, &count) == VESTRY_OK && count < size);
  require(vestry_key_encode(&parts[0], again, sizeof again, &len) == VESTRY_OK);
  require(len == size && memcmp(again, data, size) == 0);
  require(vsi_key_measure(&parts[0], &len) == VESTRY_OK && len == size);
  const vestry_key encoded = vestry_key_encoded(data, size);
  require(vestry_key_encode(&encoded, again, sizeof again, &len) == VESTRY_OK && len == size);
  require(vestry_key_decode(data, size, parts, count - 1, &len) == VESTRY_TOO_LARGE && len == count);
  json_t *json = json_loadb(text, text_len, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
  require(json != NULL);
  json_decref(json);
}

static void format_bytes(const uint8_t *data, size_t size, size_t room) {
  static char text[8 * MOST_PARTS];
  size_t len = 0;
  vestry_err error = vestry_key_format(data, size, text, sizeof text, &len);
  require(error == VESTRY_OK || error == VESTRY_MALFORMED);
  if (!error) check_accepted(data, size, text, len);
  char *small = malloc(room ? room : 1); /* the sanitizer detects writes past its end */
  vestry_err small_error = vestry_key_format(data, size, small, room, NULL);
  require(small_error == (error ? error : len < room ? VESTRY_OK : VESTRY_TOO_LARGE));
  if (room) require(strcmp(small, small_error ? "" : text) == 0);
  free(small);
}

/* ---------------------------------------------------------------------------------------------------- any keys ---- */

typedef struct source {
  const uint8_t *at, *end;
  vestry_key parts[MOST_PARTS];
  size_t used;
} source;

static uint8_t take(source *s) {
  return s->at < s->end ? *s->at++ : 0;
}

static vestry_key build(source *s, unsigned depth) {
  uint8_t kind = take(s);
  uint64_t number = 0;
  switch (kind % 5) {
  case 0:
    for (unsigned i = 0; i < kind / 5u % 9; i++) number = number << 8 | take(s);
    return vestry_key_integer((int64_t)number);
  case 1:
  case 2: {
    size_t len = kind / 5u < (size_t)(s->end - s->at) ? kind / 5u : (size_t)(s->end - s->at);
    vestry_key key = vestry_key_bytes(s->at, len);
    if (kind % 5 == 1) key.type = VESTRY_KEY_STRING;
    if (kind % 5 == 2 && kind & 1) key.type = VESTRY_KEY_ENCODED; /* mostly malformed */
    s->at += len;
    return key;
  }
  case 3: return (vestry_key){.type = (vestry_key_type)take(s), .len = take(s)}; /* mostly an invalid type */
  default: {
    size_t count = kind / 5u;
    if (depth == VESTRY_KEY_MAX_DEPTH + 2 || s->used + count > MOST_PARTS) count = 0;
    vestry_key *own = s->parts + s->used;
    s->used += count;
    for (size_t i = 0; i < count; i++) own[i] = build(s, depth + 1);
    return vestry_key_tuple(own, count);
  }
  }
}

static void encode_any(const uint8_t *data, size_t size, size_t room) {
  static source s;
  s.at = data;
  s.end = data + size;
  s.used = 0;
  vestry_key key = build(&s, 0);
  size_t measured = 0, len = 0;
  vestry_err error = vsi_key_measure(&key, &measured);
  require(error == VESTRY_OK || error == VESTRY_INVALID || error == VESTRY_TOO_LARGE);
  unsigned char *encoded = malloc(measured ? measured : 1);
  if (!error) {
    require(vestry_key_encode(&key, encoded, measured, &len) == VESTRY_OK && len == measured);
    static char text[8 * VESTRY_KEY_MAX_BYTES];
    require(vestry_key_format(encoded, len, text, sizeof text, NULL) == VESTRY_OK);
  }
  free(encoded);
  encoded = malloc(room ? room : 1);
  vestry_err small_error = vestry_key_encode(&key, encoded, room, &len);
  require(error ? small_error != VESTRY_OK : small_error == (measured <= room ? VESTRY_OK : VESTRY_TOO_LARGE));
  free(encoded);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  if (size == 0 || size > MOST_PARTS) return 0;
  if (data[0] & 1)
    encode_any(data + 1, size - 1, data[0] / 2u);
  else
    format_bytes(data + 1, size - 1, data[0] / 2u);
  return 0;
}
