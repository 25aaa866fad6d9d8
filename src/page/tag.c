#include "page/tag.h"

#include <string.h>

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
enum { DIGITS_64 = 11, DIGITS_32 = 6 };

vsi_hash vsi_hash_of(const vsi_hash_key *key, const void *data, size_t len) {
  return (vsi_hash){vsi_siphash_1_3(key->high, data, len), vsi_siphash_1_3(key->low, data, len)};
}

static char *put(char *at, uint64_t number, size_t count) {
  for (size_t i = count; i-- > 0; number >>= 6) at[i] = digits[number & 63];
  return at + count;
}

/* NULL: those are no digits, or the number is too large. */
static const char *get(const char *at, size_t count, uint64_t most, uint64_t *ret_number) {
  uint64_t number = 0;
  for (size_t i = 0; i < count; i++) {
    const char *digit = at[i] ? strchr(digits, at[i]) : NULL;
    if (!digit || number > most >> 6) return NULL;
    number = number << 6 | (uint64_t)(digit - digits);
  }
  if (number > most) return NULL;
  *ret_number = number;
  return at + count;
}

size_t vsi_tag_write(const vsi_tag *tag, char text[VSI_TAG_BYTES]) {
  char *at = put(put(text, tag->hash.high, DIGITS_64), tag->hash.low, DIGITS_64);
  *at++ = '.';
  at = put(at, tag->build, DIGITS_32);
  if (tag->has_version) {
    *at++ = '.';
    at = put(at, tag->version, DIGITS_64);
  }
  for (size_t i = 0; i < tag->parts_count; i++) {
    *at++ = '~';
    at = put(at, tag->parts[i], DIGITS_64);
  }
  *at = '\0';
  return (size_t)(at - text);
}

bool vsi_tag_read(const char *text, vsi_tag *ret_tag) {
  vsi_tag tag = {.parts_count = 0};
  uint64_t build;
  const char *at = get(text, DIGITS_64, UINT64_MAX, &tag.hash.high);
  if (at) at = get(at, DIGITS_64, UINT64_MAX, &tag.hash.low);
  if (at) at = *at == '.' ? get(at + 1, DIGITS_32, UINT32_MAX, &build) : NULL;
  if (!at) return false;
  tag.build = (uint32_t)build;
  if (*at == '.') {
    tag.has_version = true;
    at = get(at + 1, DIGITS_64, UINT64_MAX, &tag.version);
  }
  while (at && *at == '~' && tag.parts_count < VSI_TAG_PARTS_MAX)
    at = get(at + 1, DIGITS_64, UINT64_MAX, &tag.parts[tag.parts_count++]);
  if (!at || *at) return false;
  *ret_tag = tag;
  return true;
}
