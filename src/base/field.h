/* SPDX-License-Identifier: MIT */
/* Syntax of HTTP headers (RFC 9110, section 5). */
#ifndef VSI_BASE_FIELD_H
#define VSI_BASE_FIELD_H

#include <stdbool.h>
#include <string.h>

/* Return whether the text is a token (5.6.2): the name of a header, or a method. */
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

/* Return whether the text can be a header's value: it has no control character but the tab. CR and LF would begin
 * another header, and no header contains other control characters. */
static inline bool vsi_is_field_value(const char *text) {
  for (; *text; text++) {
    unsigned char c = (unsigned char)*text;
    if ((c < 0x20 && c != '\t') || c == 0x7f) return false;
  }
  return true;
}

/* Return whether a text is on one line, because CR and LF would forge further lines. True for NULL. */
static inline bool vsi_is_one_line(const char *text) {
  return !text || !strpbrk(text, "\r\n");
}

#endif
