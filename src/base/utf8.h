/* SPDX-License-Identifier: MIT */
/* Checks of UTF-8 from outside, sequence by sequence. They are inline, because separate libraries do not see the core's
 * functions, which are hidden. */
#ifndef VSI_BASE_UTF8_H
#define VSI_BASE_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The replacement of an invalid sequence by a decoder: U+FFFD. */
#define VSI_UTF8_REPLACEMENT "\xEF\xBF\xBD"

/* Return the number of bytes that follow a lead byte, and the range of the first of them (Unicode, table 3-7); 0: not a
 * lead byte. */
static inline size_t vsi_utf8_followers(unsigned char lead, unsigned char *ret_low, unsigned char *ret_high) {
  *ret_low = lead == 0xE0 ? 0xA0 : lead == 0xF0 ? 0x90 : 0x80;
  *ret_high = lead == 0xED ? 0x9F : lead == 0xF4 ? 0x8F : 0xBF;
  if (lead >= 0xC2 && lead <= 0xDF) return 1;
  if (lead >= 0xE0 && lead <= 0xEF) return 2;
  return lead >= 0xF0 && lead <= 0xF4 ? 3 : 0;
}

/* Return the length of the sequence at `at`, at least one byte; at < end. For an invalid sequence, this is the number
 * of bytes that a decoder replaces by one U+FFFD, the "maximal subpart" (Unicode, section 3.9; WHATWG Encoding). */
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

/* Return whether the text is valid; it may be NULL if len is 0. */
static inline bool vsi_is_utf8(const char *text, size_t len) {
  bool valid = true;
  for (size_t at = 0; valid && at < len;) at += vsi_utf8_next(text + at, text + len, &valid);
  return valid;
}

/* Return the code point at *at, which is valid, and move behind it. */
static inline uint32_t vsi_utf8_take(const char **at) {
  const unsigned char *bytes = (const unsigned char *)*at;
  unsigned char low, high;
  const size_t more = vsi_utf8_followers(bytes[0], &low, &high);
  uint32_t code = more ? bytes[0] & (0x3Fu >> more) : bytes[0];
  for (size_t i = 1; i <= more; i++) code = code << 6 | (bytes[i] & 0x3F);
  *at += more + 1;
  return code;
}

/* Write a code point, at most four bytes. Returns their number. */
static inline size_t vsi_utf8_put(char *to, uint32_t code) {
  static const unsigned char leads[] = {0, 0xC0, 0xE0, 0xF0};
  const unsigned more = (code >= 0x80) + (code >= 0x800) + (code >= 0x10000);
  to[0] = (char)(leads[more] | code >> 6 * more);
  for (unsigned i = 1; i <= more; i++) to[i] = (char)(0x80 | (code >> 6 * (more - i) & 0x3F));
  return more + 1;
}

/* Return the length without an incomplete sequence at the end, for texts that were cut. */
static inline size_t vsi_utf8_trim(const char *text, size_t len) {
  for (size_t back = 1; back <= 3 && back <= len; back++) {
    unsigned char c = (unsigned char)text[len - back], low, high;
    if (c >= 0x80 && c <= 0xBF) continue;
    bool valid;
    size_t have = vsi_utf8_next(text + len - back, text + len, &valid);
    return !valid && have == back && vsi_utf8_followers(c, &low, &high) >= back ? len - back : len;
  }
  return len;
}

#endif
