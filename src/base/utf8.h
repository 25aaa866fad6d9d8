/* SPDX-License-Identifier: MIT */
/* UTF-8 of others, sequence by sequence. Checks are inline: libraries of their own do not see the core's functions,
 * which are hidden. */
#ifndef VSI_BASE_UTF8_H
#define VSI_BASE_UTF8_H

#include <stdbool.h>
#include <stddef.h>

#include "vestry/error.h"

/* What a decoder puts in the place of a sequence that is none: U+FFFD. */
#define VSI_UTF8_REPLACEMENT "\xEF\xBF\xBD"

/* Unicode, table 3-7: the lead decides how many bytes follow and where the first of them may lie; 0: no lead. */
static inline size_t vsi_utf8_followers(unsigned char lead, unsigned char *ret_low, unsigned char *ret_high) {
  *ret_low = lead == 0xE0 ? 0xA0 : lead == 0xF0 ? 0x90 : 0x80;
  *ret_high = lead == 0xED ? 0x9F : lead == 0xF4 ? 0x8F : 0xBF;
  if (lead >= 0xC2 && lead <= 0xDF) return 1;
  if (lead >= 0xE0 && lead <= 0xEF) return 2;
  return lead >= 0xF0 && lead <= 0xF4 ? 3 : 0;
}

/* How many bytes, at least one, the sequence at `at` has; at < end. Of one that is not valid: those that a decoder
 * replaces by one U+FFFD, the "maximal subpart" (Unicode, section 3.9; WHATWG Encoding). */
static inline size_t vsi_utf8_next(const char *at, const char *end, bool *ret_valid) {
  const unsigned char *bytes = (const unsigned char *)at;
  unsigned char low, high;
  size_t more = vsi_utf8_followers(bytes[0], &low, &high), len = 1;
  for (; len <= more && len < (size_t)(end - at) && bytes[len] >= low && bytes[len] <= high; len++) {
    low = 0x80;
    high = 0xBF;
  }
  *ret_valid = bytes[0] < 0x80 || (more && len == more + 1);
  return len;
}

/* Whether all of it is valid; text may be NULL when len is 0. */
static inline bool vsi_is_utf8(const char *text, size_t len) {
  bool valid = true;
  for (size_t at = 0; valid && at < len;) at += vsi_utf8_next(text + at, text + len, &valid);
  return valid;
}

/* The length without a sequence at the end that misses bytes: for texts that were cut. */
VESTRY_API size_t vsi_utf8_trim(const char *text, size_t len);

#endif
