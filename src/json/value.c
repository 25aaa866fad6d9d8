/* SPDX-License-Identifier: MIT */
/* Values of jansson: building them from text and from values of C, mending their text, copying them, and reading them
 * into variables of C. */
#include "json/value.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/ascii.h"
#include "base/hex.h"
#include "base/utf8.h"
#include "json/load.h"

/* jansson receives only text that is known to be well formed. It can still reject a number that does not fit its types;
 * a name with a zero character was rejected by for_c before. Any other error means that it is out of memory, because
 * its lexer reports a failed allocation as a syntax error.
 *
 * One failure cannot be detected here. If the buffer of jansson 2.14's lexer, which grows with the longest token so
 * far, fails to grow, the lexer ignores that and drops the byte. If memory runs out in just that call, a string or
 * number of more than 15 bytes is a byte short. */
vestry_err vsi_json_build(const char *json, size_t len, json_t **ret_value, vsi_json_fault *ret_fault) {
  json_error_t why = {.line = 0}; /* zeroed: jansson sets no code if it cannot allocate its reader */
  json_t *value = vsi_json_load(json, len, JSON_DECODE_ANY, &why);
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

/* -------------------------------------------------------------------------------------------- values of C ---- */

static vestry_err make(const vestry_value *value, unsigned depth, json_t **ret_json);

static vestry_err make_list(const vestry_value *value, unsigned depth, json_t **ret_json) {
  json_t *list = json_array(), *item = NULL;
  vestry_err error = list ? VESTRY_OK : VESTRY_NO_MEMORY;
  for (size_t i = 0; i < value->count && !error; i++) {
    error = make(&value->items[i], depth, &item);
    if (!error && json_array_append_new(list, item)) error = VESTRY_NO_MEMORY;
  }
  *ret_json = list;
  return error;
}

static vestry_err make_object(const vestry_value *value, unsigned depth, json_t **ret_json) {
  json_t *object = json_object(), *item = NULL;
  vestry_err error = !object ? VESTRY_NO_MEMORY : value->count % 2 ? VESTRY_INVALID : VESTRY_OK;
  for (size_t i = 0; i < value->count && !error; i += 2) {
    const vestry_value *name = &value->items[i];
    bool is_name = name->type == VESTRY_VALUE_STRING && name->text && vsi_is_utf8(name->text, strlen(name->text));
    error = is_name ? make(&value->items[i + 1], depth, &item) : VESTRY_INVALID;
    if (!error && json_object_set_new_nocheck(object, name->text, item)) error = VESTRY_NO_MEMORY;
  }
  *ret_json = object;
  return error;
}

/* Make the JSON of a value. *ret_json: NULL on failure. */
static vestry_err make(const vestry_value *value, unsigned depth, json_t **ret_json) {
  *ret_json = NULL;
  if (depth > VESTRY_VALUE_MAX_DEPTH) return VESTRY_TOO_LARGE;
  bool has_items = value->items || !value->count;
  vestry_err error = VESTRY_OK;
  switch (value->type) {
  case VESTRY_VALUE_NULL: *ret_json = json_null(); break;
  case VESTRY_VALUE_BOOLEAN: *ret_json = json_boolean(value->boolean); break;
  case VESTRY_VALUE_INTEGER: *ret_json = json_integer((json_int_t)value->integer); break;
  case VESTRY_VALUE_NUMBER:
    if (!isfinite(value->number)) return VESTRY_INVALID;
    *ret_json = json_real(value->number);
    break;
  case VESTRY_VALUE_STRING:
    if (!value->text || !vsi_is_utf8(value->text, strlen(value->text))) return VESTRY_INVALID;
    *ret_json = json_string_nocheck(value->text);
    break;
  case VESTRY_VALUE_JSON:
    if (!value->json) return VESTRY_INVALID;
    *ret_json = json_incref(value->json);
    break;
  case VESTRY_VALUE_LIST: error = has_items ? make_list(value, depth + 1, ret_json) : VESTRY_INVALID; break;
  case VESTRY_VALUE_OBJECT: error = has_items ? make_object(value, depth + 1, ret_json) : VESTRY_INVALID; break;
  default: return VESTRY_INVALID;
  }
  if (!error && !*ret_json) error = VESTRY_NO_MEMORY;
  if (error) {
    json_decref(*ret_json);
    *ret_json = NULL;
  }
  return error;
}

vestry_err vestry_value_to_json(const vestry_value *value, json_t **ret_json) {
  json_t *made;
  vestry_err error = value ? make(value, 0, &made) : VESTRY_INVALID;
  if (!error) *ret_json = made;
  return error;
}

/* -------------------------------------------------------------------------------------- copies, variables ---- */

/* jansson 2.14 omits members that it has no memory for, without an error, so the sizes are compared. */
json_t *vsi_json_copy(json_t *value) {
  json_t *copy = json_copy(value);
  if (json_array_size(copy) == json_array_size(value) && json_object_size(copy) == json_object_size(value)) return copy;
  json_decref(copy);
  return NULL;
}

static vestry_err take_json(vestry_into into, const json_t *value, bool is_wanted) {
  if (!is_wanted) return VESTRY_MALFORMED;
  *(json_t **)into.variable = (json_t *)(uintptr_t)value; /* cast: the owner of the whole value may change it */
  return VESTRY_OK;
}

vestry_err vsi_into_take(vestry_into into, const json_t *value) {
  const json_int_t integer = json_integer_value(value);
  if (!into.variable) return VESTRY_INVALID;
  switch (into.type) {
  case VESTRY_VALUE_BOOLEAN:
    if (!json_is_boolean(value)) return VESTRY_MALFORMED;
    *(bool *)into.variable = json_is_true(value);
    return VESTRY_OK;
  case VESTRY_VALUE_INTEGER:
    if (!json_is_integer(value) || integer < into.min || integer > into.max) return VESTRY_MALFORMED;
    *(int64_t *)into.variable = integer;
    return VESTRY_OK;
  case VESTRY_VALUE_NUMBER:
    if (!json_is_number(value)) return VESTRY_MALFORMED;
    *(double *)into.variable = json_number_value(value);
    return VESTRY_OK;
  case VESTRY_VALUE_STRING:
    if (!vsi_json_c_text(value)) return VESTRY_MALFORMED;
    *(const char **)into.variable = json_string_value(value);
    return VESTRY_OK;
  case VESTRY_VALUE_JSON: return take_json(into, value, true);
  case VESTRY_VALUE_LIST: return take_json(into, value, json_is_array(value));
  case VESTRY_VALUE_OBJECT: return take_json(into, value, json_is_object(value));
  case VESTRY_VALUE_NULL:
  case VESTRY_VALUE_BYTES: break;
  }
  return VESTRY_INVALID;
}
