/* SPDX-License-Identifier: MIT */
#include "app/page/state_tag.h"

#include <string.h>

/* State tags as text. A tag is written with 16 different digits (hexadecimal) instead of 64 (base64), for this reason.
 * A tag is sent with each change, and is as a rule compressed together with it. A random tag has the same number of
 * bits in every notation, but each additional letter that occurs nowhere else in the change also lengthens the codes.
 * For a change of 100 bytes, brotli writes 104 bytes with base64url, and 96 with hexadecimal. */
static const char digits[] = "0123456789abcdef";
enum { DIGITS_64 = 16, DIGITS_32 = 8, BITS = 4 };

static char *put(char *at, uint64_t number, size_t count) {
  for (size_t i = count; i-- > 0; number >>= BITS) at[i] = digits[number & 15];
  return at + count;
}

/* Parse digits. Returns NULL if a character is not a digit. */
static const char *get(const char *at, size_t count, uint64_t *ret_number) {
  uint64_t number = 0;
  for (size_t i = 0; i < count; i++) {
    const char *digit = at[i] ? strchr(digits, at[i]) : NULL;
    if (!digit) return NULL;
    number = number << BITS | (uint64_t)(digit - digits);
  }
  *ret_number = number;
  return at + count;
}

size_t vsi_state_tag_write(const vsi_state_tag *tag, char text[VSI_STATE_TAG_BYTES]) {
  char *at = put(put(text, tag->hash.high, DIGITS_64), tag->hash.low, DIGITS_64);
  *at++ = '.';
  at = put(at, tag->build, DIGITS_32);
  if (tag->has_version) {
    *at++ = '.';
    at = put(at, tag->version, DIGITS_64);
  }
  for (size_t i = 0; i < tag->parts_count; i++) {
    *at++ = '~';
    at = put(put(at, tag->parts[i].name, DIGITS_32), tag->parts[i].content, DIGITS_64);
  }
  *at = '\0';
  return (size_t)(at - text);
}

bool vsi_state_tag_read(const char *text, vsi_state_tag *ret_tag) {
  vsi_state_tag tag = {.parts_count = 0};
  uint64_t build;
  const char *at = get(text, DIGITS_64, &tag.hash.high);
  if (at) at = get(at, DIGITS_64, &tag.hash.low);
  if (at) at = *at == '.' ? get(at + 1, DIGITS_32, &build) : NULL;
  if (!at) return false;
  tag.build = (uint32_t)build;
  if (*at == '.') {
    tag.has_version = true;
    at = get(at + 1, DIGITS_64, &tag.version);
  }
  while (at && *at == '~' && tag.parts_count < VSI_STATE_TAG_PARTS_MAX) {
    vsi_part_claim *part = &tag.parts[tag.parts_count++];
    uint64_t name = 0;
    at = get(at + 1, DIGITS_32, &name);
    if (at) at = get(at, DIGITS_64, &part->content);
    part->name = (uint32_t)name;
  }
  if (!at || *at) return false;
  *ret_tag = tag;
  return true;
}
