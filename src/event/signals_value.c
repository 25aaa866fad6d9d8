/* SPDX-License-Identifier: MIT */
/* Values of signals, read by path and type. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "vestry/signals.h"
#include "json/value.h"

/* Maximum length of the path in an error message: its end, because that identifies it. */
enum { SHOWN_MAX = 40 };

/* Write the path up to `end`, at most SHOWN_MAX bytes of it, cut in front of a complete character. */
static int show(char *to, size_t size, const char *path, size_t end) {
  size_t begin = end > SHOWN_MAX ? end - SHOWN_MAX : 0;
  while (begin && begin < end && ((unsigned char)path[begin] & 0xC0) == 0x80) begin++;
  return snprintf(to, size, "%s%.*s", begin ? "…" : "", (int)(end - begin), path + begin);
}

/* Report a failure at the name from `begin` to `end`. wanted NULL: no such signal; otherwise expected and
 * found type. Returns its first argument. */
static vestry_err fail(vestry_err error, const char *path, size_t begin, size_t end, const char *wanted,
                       const char *found, vestry_signals_error *ret_error) {
  if (!ret_error) return error;
  ret_error->offset = begin;
  char *to = ret_error->message;
  size_t size = sizeof ret_error->message;
  size_t len = (size_t)show(to, size, path, end);
  if (!wanted)
    snprintf(to + len, size - len, ": no such signal");
  else
    snprintf(to + len, size - len, ": expected %s, found %s", wanted, found);
  return error;
}

static vestry_err bad_path(size_t offset, const char *why, vestry_signals_error *ret_error) {
  if (ret_error) {
    ret_error->offset = offset;
    snprintf(ret_error->message, sizeof ret_error->message, "%s", why);
  }
  return VESTRY_INVALID;
}

static const char *type_of(const json_t *value) {
  switch (json_typeof(value)) {
  case JSON_OBJECT: return "an object";
  case JSON_ARRAY: return "an array";
  case JSON_STRING: return "a string";
  case JSON_INTEGER: return "an integer";
  case JSON_REAL: return "a real number";
  case JSON_TRUE: return "true";
  case JSON_FALSE: return "false";
  case JSON_NULL: break;
  }
  return "null";
}

/* Return an element of an array by its index, written as in JavaScript: without leading zeros. NULL: there is none. */
static json_t *element_of(const json_t *array, const char *name, size_t len) {
  size_t index = 0, count = json_array_size(array);
  if (name[0] == '0' && len > 1) return NULL;
  for (size_t i = 0; i < len; i++) {
    if (name[i] < '0' || name[i] > '9') return NULL;
    index = index * 10 + (size_t)(name[i] - '0');
    if (index >= count) return NULL; /* before it can overflow */
  }
  return json_array_get(array, index);
}

/* Follow a path to its value. ret_begin: where the path's last name begins. */
static vestry_err walk(const json_t *signals, const char *path, const json_t **ret_value, size_t *ret_begin,
                       vestry_signals_error *ret_error) {
  const json_t *value = signals;
  size_t begin = 0, names = 0;
  for (;; begin++) {
    size_t len = strcspn(path + begin, ".");
    if (!len) return bad_path(begin, "the path has an empty name", ret_error);
    if (++names > VESTRY_SIGNALS_PATH_MAX_DEPTH) return bad_path(begin, "the path has too many names", ret_error);
    const json_t *inner = NULL;
    if (json_is_object(value)) {
      inner = json_object_getn(value, path + begin, len);
    } else if (json_is_array(value)) {
      inner = element_of(value, path + begin, len);
    } else if (value && begin) {
      size_t outer = begin - 1, outer_begin = outer;
      while (outer_begin && path[outer_begin - 1] != '.') outer_begin--;
      return fail(VESTRY_MALFORMED, path, outer_begin, outer, "an object", type_of(value), ret_error);
    }
    if (!inner) return fail(VESTRY_NOT_FOUND, path, begin, begin + len, NULL, NULL, ret_error);
    value = inner;
    if (!path[begin + len]) break;
    begin += len;
  }
  *ret_value = value;
  *ret_begin = begin;
  return VESTRY_OK;
}

/* Describe the values that a variable accepts. */
static const char *wanted_by(vestry_into into, const json_t *value, char text[64]) {
  switch (into.type) {
  case VESTRY_VALUE_STRING: return json_is_string(value) ? "a string without NUL" : "a string";
  case VESTRY_VALUE_NUMBER: return "a number";
  case VESTRY_VALUE_BOOLEAN: return "true or false";
  case VESTRY_VALUE_LIST: return "an array";
  case VESTRY_VALUE_OBJECT: return "an object";
  default: break;
  }
  if (into.min == INT64_MIN && into.max == INT64_MAX) return "an integer";
  snprintf(text, 64, "an integer from %" PRId64 " to %" PRId64, into.min, into.max);
  return text;
}

static const char *found_by(vestry_into into, const json_t *value) {
  if (into.type == VESTRY_VALUE_INTEGER && json_is_integer(value)) return "another";
  return into.type == VESTRY_VALUE_STRING && json_is_string(value) ? "a NUL" : type_of(value);
}

vestry_err vestry_signals_get(const json_t *signals, const char *path, vestry_into into,
                              vestry_signals_error *ret_error) {
  const json_t *value = NULL;
  size_t begin = 0;
  char text[64];
  if (!path) return bad_path(0, "the path is NULL", ret_error);
  vestry_err error = walk(signals, path, &value, &begin, ret_error);
  if (error) return error;
  error = vsi_into_take(into, value);
  if (error == VESTRY_INVALID) return bad_path(0, "the variable to read into is NULL", ret_error);
  if (error) fail(error, path, begin, strlen(path), wanted_by(into, value, text), found_by(into, value), ret_error);
  return error;
}
