/* SPDX-License-Identifier: MIT */
#include "json/value.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/ascii.h"
#include "base/hex.h"

/* jansson receives only text that is known to be well formed. It can still reject a number that does not fit its types;
 * a name with a zero character was rejected by for_c before. Any other error means that it is out of memory, because
 * its lexer reports a failed allocation as a syntax error.
 *
 * One failure cannot be detected here. If the buffer of jansson 2.14's lexer, which grows with the longest token so
 * far, fails to grow, the lexer ignores that and drops the byte. If memory runs out in just that call, a string or
 * number of more than 15 bytes is a byte short. */
vestry_err vsi_json_build(const char *json, size_t len, json_t **ret_value, vsi_json_fault *ret_fault) {
  json_error_t why = {.line = 0}; /* zeroed: jansson sets no code if it cannot allocate its reader */
  json_t *value = json_loadb(json, len, JSON_DECODE_ANY, &why);
  if (value) {
    *ret_value = value;
    return VESTRY_OK;
  }
  if (json_error_code(&why) != json_error_numeric_overflow) return VESTRY_NO_MEMORY;
  size_t offset = why.position > 0 ? (size_t)why.position : 0;
  return vsi_json_fail(VESTRY_MALFORMED, offset, "a number is too large", ret_fault);
}

/* ----------------------------------------------------------------------------------------------------- mending ---- */

/* Digits that a double needs at most; an exponent replaces the digits after them. */
enum { EXACT_DIGITS = 17, MOST_DIGITS = 400 };

/* Return the code unit of the escape \uXXXX at `at`; 0xFFFFFFFF if there is none. */
static uint32_t unit_at(const char *at, const char *end) {
  uint32_t unit = 0;
  if (end - at < 6 || at[0] != '\\' || at[1] != 'u') return UINT32_MAX;
  for (int i = 2; i < 6; i++) unit = unit << 4 | (uint32_t)vsi_hex_digit(vsi_lower(at[i]));
  return unit;
}

/* Mend an escape in a string. Returns the end of the escape. */
static char *mend_escape(char *at, const char *end) {
  const uint32_t unit = unit_at(at, end);
  if (unit == UINT32_MAX) return at + 2;
  const uint32_t second = unit >> 10 == 0xD800 >> 10 ? unit_at(at + 6, end) : UINT32_MAX;
  if (second >> 10 == 0xDC00 >> 10) return at + 12;
  if (!unit || unit >> 11 == 0xD800 >> 11) memcpy(at + 2, "fffd", 4);
  return at + 6;
}

/* Mend a number. Returns the end of the number. */
static char *mend_number(char *at, const char *end) {
  const bool is_negative = *at == '-';
  char *const begin = at + is_negative, *digits_end = begin;
  while (digits_end < end && vsi_is_digit(*digits_end)) digits_end++;
  at = digits_end;
  while (at < end && (vsi_is_digit(*at) || strchr("+-.eE", *at))) at++;
  const size_t count = (size_t)(digits_end - begin);
  if (at != digits_end || count < 19 || count > MOST_DIGITS) return at;
  char text[24], exponent[8];
  snprintf(text, sizeof text, "%s%.*s", is_negative ? "-" : "", count == 19 ? 19 : 20, begin);
  errno = 0;
  (void)strtoll(text, NULL, 10);
  if (errno != ERANGE) return at;
  const int len = snprintf(exponent, sizeof exponent, "e%zu", count - EXACT_DIGITS);
  memcpy(begin + EXACT_DIGITS, exponent, (size_t)len);
  memset(begin + EXACT_DIGITS + len, ' ', count - EXACT_DIGITS - (size_t)len);
  return at;
}

void vsi_json_mend(char *json, size_t len) {
  const char *const end = json + len;
  bool in_string = false;
  for (char *at = json; at < end;) {
    if (in_string && *at == '\\') {
      at = mend_escape(at, end);
    } else if (!in_string && (*at == '-' || vsi_is_digit(*at))) {
      at = mend_number(at, end);
    } else {
      in_string ^= *at == '"';
      at++;
    }
  }
}
