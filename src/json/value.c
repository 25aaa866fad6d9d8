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

/* ---------------------------------------------------------------------------------------------------- building ---- */

/* The text is known to be well formed, so that most values are made directly, at a sixth of the time of jansson's
 * reader: strings without an escape, and integers of at most INTEGER_DIGITS digits. The others are passed to jansson,
 * one at a time. */
enum { INTEGER_DIGITS = 18, NAME_BYTES = 64 };

typedef struct source {
  const char *at, *begin, *end;
  vsi_json_fault *fault;
  vestry_err error;
} source;

static json_t *build(source *from);

static void skip_space(source *from) {
  while (from->at < from->end && (*from->at == ' ' || *from->at == '\n' || *from->at == '\r' || *from->at == '\t'))
    from->at++;
}

/* Skip white space, a comma or colon, and white space. */
static void skip_between(source *from) {
  skip_space(from);
  if (from->at < from->end && (*from->at == ',' || *from->at == ':')) from->at++;
  skip_space(from);
}

/* Record the lack of memory if there is no value. */
static json_t *check(source *from, json_t *value) {
  if (!value && !from->error) from->error = VESTRY_NO_MEMORY;
  return value;
}

/* Pass a string or a number to jansson, which can reject a number that does not fit its types. Any other error means
 * that it is out of memory, because its lexer reports a failed allocation as a syntax error.
 *
 * One failure cannot be detected here. If the buffer of jansson 2.14's lexer, which grows with the longest token so
 * far, fails to grow, the lexer ignores that and drops the byte. If memory runs out in just that call, a string or
 * number of more than 15 bytes is a byte short. */
static json_t *load(source *from, const char *end) {
  json_error_t why = {.line = 0}; /* zeroed: jansson sets no code if it cannot allocate its reader */
  json_t *value = vsi_json_load(from->at, (size_t)(end - from->at), JSON_DECODE_ANY, &why);
  if (!value && json_error_code(&why) == json_error_numeric_overflow) {
    const size_t offset = (size_t)(from->at - from->begin) + (why.position > 0 ? (size_t)why.position : 0);
    from->error = vsi_json_fail(VESTRY_MALFORMED, offset, "a number is too large", from->fault);
  }
  from->at = end;
  return check(from, value);
}

/* Get the text between the quotes of a string, and move past the string. Returns false if the text contains an escape;
 * then `at` stays, and *ret_end is the end of the string. */
static bool take_plain(source *from, vestry_slice *ret_text, const char **ret_end) {
  const char *text = from->at + 1, *end = memchr(text, '"', (size_t)(from->end - text));
  const char *escape = memchr(text, '\\', (size_t)(end - text));
  *ret_text = (vestry_slice){text, (size_t)(end - text)};
  if (!escape) from->at = end + 1;
  if (!escape) return true;
  for (end = escape; *end != '"';) end += *end == '\\' ? 2 : 1;
  *ret_end = end + 1;
  return false;
}

static json_t *build_string(source *from) {
  vestry_slice text;
  const char *end;
  return take_plain(from, &text, &end) ? check(from, json_stringn_nocheck(text.data, text.len)) : load(from, end);
}

static json_t *build_number(source *from) {
  const char *at = from->at + (*from->at == '-'), *digits = at;
  json_int_t number = 0;
  for (; at < from->end && vsi_is_digit(*at) && at - digits < INTEGER_DIGITS; at++) number = number * 10 + (*at - '0');
  const bool goes_on = at < from->end && (vsi_is_digit(*at) || *at == '.' || *at == 'e' || *at == 'E');
  if (!goes_on) {
    number = *from->at == '-' ? -number : number;
    from->at = at;
    return check(from, json_integer(number));
  }
  while (at < from->end && (vsi_is_digit(*at) || strchr("+-.eE", *at))) at++;
  return load(from, at);
}

static json_t *build_array(source *from) {
  json_t *array = check(from, json_array());
  for (from->at++, skip_space(from); !from->error && *from->at != ']'; skip_between(from))
    if (json_array_append_new(array, build(from)) && !from->error) from->error = VESTRY_NO_MEMORY;
  if (!from->error) from->at++;
  return array;
}

/* Build a member. A name has no zero character (for_c). */
static void build_member(source *from, json_t *object) {
  char name[NAME_BYTES] = "";
  vestry_slice text;
  const char *end;
  json_t *held = NULL;
  const char *begin = from->at;
  if (take_plain(from, &text, &end) && text.len < sizeof name) {
    memcpy(name, text.data, text.len);
    name[text.len] = '\0';
  } else {
    from->at = begin;
    held = build_string(from);
  }
  skip_between(from);
  json_t *value = from->error ? NULL : build(from);
  if (json_object_set_new_nocheck(object, held ? json_string_value(held) : name, value) && !from->error)
    from->error = VESTRY_NO_MEMORY;
  json_decref(held);
}

static json_t *build_object(source *from) {
  json_t *object = check(from, json_object());
  for (from->at++, skip_space(from); !from->error && *from->at != '}'; skip_between(from)) build_member(from, object);
  if (!from->error) from->at++;
  return object;
}

static json_t *build_word(source *from, size_t len, json_t *value) {
  from->at += len;
  return value;
}

/* Build the value at `at`, and move past it. After an error the result may be incomplete, or NULL. */
static json_t *build(source *from) {
  switch (*from->at) {
  case '{': return build_object(from);
  case '[': return build_array(from);
  case '"': return build_string(from);
  case 't': return build_word(from, strlen("true"), json_true());
  case 'f': return build_word(from, strlen("false"), json_false());
  case 'n': return build_word(from, strlen("null"), json_null());
  default: return build_number(from);
  }
}

vestry_err vsi_json_build(const char *json, size_t len, json_t **ret_value, vsi_json_fault *ret_fault) {
  source from = {.at = json, .begin = json, .end = json + len, .fault = ret_fault};
  skip_space(&from);
  json_t *value = build(&from);
  if (!from.error) *ret_value = value;
  if (from.error) json_decref(value);
  return from.error;
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
  case VESTRY_VALUE_JSON:
    *(json_t **)into.variable = (json_t *)(uintptr_t)value; /* cast: the owner of the whole value may change it */
    return VESTRY_OK;
  case VESTRY_VALUE_LIST:
  case VESTRY_VALUE_OBJECT:
  case VESTRY_VALUE_NULL:
  case VESTRY_VALUE_BYTES: break;
  }
  return VESTRY_INVALID;
}
