/* SPDX-License-Identifier: MIT */
/* What may stand in an HTTP header (RFC 9110, section 5). */
#ifndef VSI_BASE_FIELD_H
#define VSI_BASE_FIELD_H

#include <stdbool.h>
#include <string.h>

/* A token (5.6.2): a header's name, a method. */
static inline bool vsi_is_token(const char *text) {
  static const char marks[] = "!#$%&'*+-.^_`|~";
  if (!*text) return false;
  for (; *text; text++) {
    char c = *text;
    bool is_alnum = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
    if (!is_alnum && !strchr(marks, c)) return false;
  }
  return true;
}

/* A value: no control character but the tab. CR and LF would begin another header, and no header has the rest. */
static inline bool vsi_is_field_value(const char *text) {
  for (; *text; text++) {
    unsigned char c = (unsigned char)*text;
    if ((c < 0x20 && c != '\t') || c == 0x7f) return false;
  }
  return true;
}

/* Whether a text stands on one line: CR and LF would forge others. NULL does. */
static inline bool vsi_is_one_line(const char *text) {
  return !text || !strpbrk(text, "\r\n");
}

#endif
