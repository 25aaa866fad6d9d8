/* SPDX-License-Identifier: MIT */
/* Syntax of HTTP headers (RFC 9110, section 5). */
#ifndef VSI_BASE_FIELD_H
#define VSI_BASE_FIELD_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/ascii.h"

/* Return whether the text is a token (5.6.2): the name of a header, or a method. */
static inline bool vsi_is_token(const char *text) {
  static const uint32_t marks[] = {0x00000000, 0x03ff6cfa, 0xc7fffffe,
                                   0x57ffffff}; /* digits, letters, !#$%&'*+-.^_`|~ */
  if (!*text) return false;
  for (; *text; text++) {
    const unsigned char c = (unsigned char)*text;
    if (c > 0x7f || !(marks[c / 32] >> c % 32 & 1)) return false;
  }
  return true;
}

/* Return whether the text can be a header's value: it has no control character but the tab. CR and LF would begin
 * another header, and no header contains other control characters. */
static inline bool vsi_is_field_value(const char *text) {
  const uint64_t each = UINT64_C(0x0101010101010101);
  /* Eight bytes at once, if none is below space (its subtraction borrows into its top bit) and none is 0x7f (the same
   * with 1 after XOR). A borrow can mark further bytes wrongly, but only above a byte that is marked rightly. */
  for (size_t left = strlen(text); left >= 8; left -= 8, text += 8) {
    uint64_t eight;
    memcpy(&eight, text, sizeof eight);
    const uint64_t deleted = eight ^ each * 0x7f;
    if ((((eight - each * 0x20) & ~eight) | ((deleted - each) & ~deleted)) & each * 0x80) break;
  }
  for (; *text; text++) {
    unsigned char c = (unsigned char)*text;
    if ((c < 0x20 && c != '\t') || c == 0x7f) return false;
  }
  return true;
}

/* Return whether a text has no CR and no LF, which would begin a forged line of a header or an event. True for NULL. */
static inline bool vsi_is_one_line(const char *text) {
  return !text || !strpbrk(text, "\r\n");
}

enum { VSI_HTTP_DATE_BYTES = 30 };

/* Write an IMF-fixdate (5.6.7), with English names in every locale. false: the year has not four digits. */
static inline bool vsi_http_date_write(int64_t seconds, char text[VSI_HTTP_DATE_BYTES]) {
  static const char days[] = "SunMonTueWedThuFriSat", months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
  time_t at = (time_t)seconds;
  struct tm t;
  if (!gmtime_r(&at, &t) || t.tm_year < -900 || t.tm_year > 8099) return false;
  snprintf(text, VSI_HTTP_DATE_BYTES, "%.3s, %02u %.3s %04u %02u:%02u:%02u GMT", days + 3 * t.tm_wday,
           (unsigned)t.tm_mday % 100, months + 3 * t.tm_mon, (unsigned)(t.tm_year + 1900) % 10000,
           (unsigned)t.tm_hour % 100, (unsigned)t.tm_min % 100, (unsigned)t.tm_sec % 100);
  return true;
}

#endif
