/* SPDX-License-Identifier: MIT */
/* The one rule for texts that people write: a text's characters are Unicode's code points. A field's maxlength of as
 * many, which counts an emoji as two, lets no text in that is refused here. */
#ifndef EXAMPLES_TEXT_H
#define EXAMPLES_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

/* Room for a text of so many characters. */
#define TEXT_BYTES(max) (4 * (max) + 1)

/* At most so many characters. NULL is none. */
static inline bool text_fits(const char *text, size_t max) {
  size_t count = 0;
  for (const char *at = text; text && *at; at++) count += ((unsigned char)*at & 0xC0) != 0x80;
  return text && count <= max;
}

/* That, and something to see in it: blanks alone, no-break ones too, are no text. */
static inline bool text_is_good(const char *text, size_t max) {
  const char *at = text ? text : "";
  while (*at && (strchr(" \t\r\n", *at) || strncmp(at, "\xC2\xA0", 2) == 0)) at += *at == '\xC2' ? 2 : 1;
  return *at && text_fits(text, max);
}

/* name@example.org: what no server of mail would take is none. */
static inline bool text_is_email(const char *text) {
  const char *at = strchr(text, '@');
  if (!at || at == text || strchr(at + 1, '@') || strpbrk(text, " \t\r\n<>,;")) return false;
  const char *dot = strrchr(at, '.');
  return dot && dot > at + 1 && dot[1] && at[1] != '.' && !strstr(at, "..");
}

#endif
