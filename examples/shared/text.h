/* SPDX-License-Identifier: MIT */
/* The rule for all user texts: characters are Unicode code points. A field's maxlength counts an emoji as two, so with
 * the same number it never accepts a text that is too long here. */
#ifndef EXAMPLES_TEXT_H
#define EXAMPLES_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

/* Number of bytes for a text of max characters. */
#define TEXT_BYTES(max) (4 * (max) + 1)

/* Return whether a text has at most max characters. NULL is no text. */
static inline bool text_fits(const char *text, size_t max) {
  size_t count = 0;
  for (const char *at = text; text && *at; at++) count += ((unsigned char)*at & 0xC0) != 0x80;
  return text && count <= max;
}

/* Return whether a text fits and contains a visible character: blanks alone, including no-break spaces, are no text. */
static inline bool text_is_good(const char *text, size_t max) {
  const char *at = text ? text : "";
  while (*at && (strchr(" \t\r\n", *at) || strncmp(at, "\xC2\xA0", 2) == 0)) at += *at == '\xC2' ? 2 : 1;
  return *at && text_fits(text, max);
}

/* Return whether a text has the form name@example.org, without characters that mail servers reject. */
static inline bool text_is_email(const char *text) {
  const char *at = strchr(text, '@');
  if (!at || at == text || strchr(at + 1, '@') || strpbrk(text, " \t\r\n<>,;")) return false;
  const char *dot = strrchr(at, '.');
  return dot && dot > at + 1 && dot[1] && at[1] != '.' && !strstr(at, "..");
}

#endif
