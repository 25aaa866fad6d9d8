/* SPDX-License-Identifier: MIT */
/* Classes and cases of ASCII characters, in any locale. A byte beyond ASCII is in no class. */
#ifndef VSI_BASE_ASCII_H
#define VSI_BASE_ASCII_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "vestry/host.h"

static inline bool vsi_is_digit(int c) {
  return c >= '0' && c <= '9';
}

static inline bool vsi_is_letter(int c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* White space of HTML. */
static inline bool vsi_is_space(int c) {
  return c == ' ' || c == '\t' || c == '\n' || c == '\f' || c == '\r';
}

static inline bool vsi_is_blank(int c) {
  return c == ' ' || c == '\t';
}

/* Characters of a URL that mean the same whether they are encoded or not (RFC 3986, section 2.3). */
static inline bool vsi_is_unreserved(int c) {
  return vsi_is_letter(c) || vsi_is_digit(c) || c == '-' || c == '.' || c == '_' || c == '~';
}

static inline char vsi_lower(char c) {
  return c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
}

/* Compare two texts, or at most their first len bytes, regardless of the case of letters. Unlike strcasecmp, these
 * functions do not depend on the locale: in a Turkish locale, I is not the capital of i. */
static inline int vsi_strncasecmp(const char *one, const char *other, size_t len) {
  for (; len && *one && vsi_lower(*one) == vsi_lower(*other); len--) one++, other++;
  return len ? (unsigned char)vsi_lower(*one) - (unsigned char)vsi_lower(*other) : 0;
}

static inline int vsi_strcasecmp(const char *one, const char *other) {
  return vsi_strncasecmp(one, other, SIZE_MAX);
}

/* Return whether a text is in a list that ends with NULL, regardless of case. */
static inline bool vsi_is_listed(const char *text, const char *const *list) {
  while (*list && vsi_strcasecmp(text, *list) != 0) list++;
  return *list != NULL;
}

/* Return whether two texts of the same length are equal, regardless of the case of letters. They may contain NULs. */
static inline bool vsi_is_same_text(const char *one, const char *other, size_t len) {
  for (size_t i = 0; i < len; i++)
    if (vsi_lower(one[i]) != vsi_lower(other[i])) return false;
  return true;
}

/* Return whether a text is a word, regardless of case. */
static inline bool vsi_is_word(vestry_slice text, const char *word) {
  return text.len == strlen(word) && vsi_is_same_text(text.data, word, text.len);
}

/* Read a decimal integer, with or without a minus sign. false: the text is none, or the number does not fit. */
static inline bool vsi_integer_read(vestry_slice text, int64_t *ret_number) {
  const char *at = text.data, *end = at + text.len;
  const bool is_negative = at < end && *at == '-';
  const uint64_t most = (uint64_t)INT64_MAX + is_negative;
  uint64_t number = 0;
  at += is_negative;
  if (at == end) return false;
  for (; at < end; at++) {
    const uint64_t digit = (uint64_t)(*at - '0');
    if (!vsi_is_digit(*at) || number > (most - digit) / 10) return false;
    number = number * 10 + digit;
  }
  *ret_number = is_negative ? (int64_t)(0 - number) : (int64_t)number;
  return true;
}

/* Return the first place in a text where `sought` begins, which is not empty; NULL: there is none. */
static inline const char *vsi_strcasestr(const char *text, const char *sought) {
  const size_t len = strlen(sought);
  while (*text && vsi_strncasecmp(text, sought, len) != 0) text++;
  return *text ? text : NULL;
}

#endif
