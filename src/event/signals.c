/* SPDX-License-Identifier: MIT */
/* The signals that a client sends with a request: parsing them, which is JSON within limits, and reading their values
 * by path and type. */
#include "vestry/signals.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/ascii.h"
#include "base/memory.h"
#include "event/query.h"
#include "json/value.h"

enum { DEFAULT_MAX_BYTES = 1024 * 1024, DEFAULT_MAX_DEPTH = 32, DEFAULT_MAX_COUNT = 10000 };

/* Return the caller's limits, with defaults for unset members. */
static vestry_signals_limits resolve(const vestry_signals_limits *given) {
  vestry_signals_limits limits = given ? *given : (vestry_signals_limits){0};
  if (!limits.max_bytes) limits.max_bytes = DEFAULT_MAX_BYTES;
  if (!limits.max_depth) limits.max_depth = DEFAULT_MAX_DEPTH;
  if (!limits.max_count) limits.max_count = DEFAULT_MAX_COUNT;
  if (limits.max_depth > VSI_JSON_MAX_DEPTH) limits.max_depth = VSI_JSON_MAX_DEPTH;
  return limits;
}

static vestry_err empty(json_t **ret_signals) {
  json_t *signals = json_object();
  if (!signals) return VESTRY_NO_MEMORY;
  *ret_signals = signals;
  return VESTRY_OK;
}

static vestry_err too_long(size_t max_bytes, vestry_signals_error *ret_error) {
  return vsi_json_fail(VESTRY_TOO_LARGE, max_bytes, "the text is too long", ret_error);
}

vestry_err vsi_json_parse(const char *json, size_t len, const vestry_signals_limits *given, vsi_json_root kind,
                          json_t **ret_value, vsi_json_fault *ret_error) {
  const vestry_signals_limits limits = resolve(given);
  if (len > limits.max_bytes) return too_long(limits.max_bytes, ret_error);
  const vsi_json_limits own = {limits.max_depth, limits.max_count, .for_c = kind != VSI_JSON_ROOT_OBJECT};
  return vsi_json_read(json, len, &own, kind, ret_value, ret_error);
}

vestry_err vestry_signals_parse(const char *json, size_t len, const vestry_signals_limits *limits, json_t **ret_signals,
                                vestry_signals_error *ret_error) {
  if (!json && len) return VESTRY_INVALID;
  return len ? vsi_json_parse(json, len, limits, VSI_JSON_ROOT_OBJECT, ret_signals, ret_error) : empty(ret_signals);
}

vestry_err vsi_signals_parse_query(const vestry_host *host, const char *query, size_t len,
                                   const vestry_signals_limits *given, json_t **ret_signals,
                                   vestry_signals_error *ret_error) {
  const vestry_signals_limits limits = resolve(given);
  if (!query && len) return VESTRY_INVALID;
  host = vsi_host(host);
  vestry_slice encoded;
  size_t json_len, offset;
  if (vsi_query_find(query, len, "datastar", &encoded) || !encoded.len) return empty(ret_signals);
  if (vsi_query_decoded_len(encoded, &json_len, &offset)) {
    offset += (size_t)((const char *)encoded.data - query);
    return vsi_json_fail(VESTRY_MALFORMED, offset, "the query has a broken % escape", ret_error);
  }
  if (json_len > limits.max_bytes) return too_long(limits.max_bytes, ret_error);
  char *json = vsi_alloc(host, json_len);
  if (!json) return VESTRY_NO_MEMORY;
  vsi_query_decode(encoded, json);
  vestry_err error = vestry_signals_parse(json, json_len, &limits, ret_signals, ret_error);
  vsi_free(host, json);
  return error;
}

/* ------------------------------------------------------------------------------------------------- values ---- */

/* Maximum length of the part of a path that an error message shows. It is the end of the path, which identifies the
 * signal. */
enum { SHOWN_MAX = 40 };

/* Write the path up to `end`. If it is longer than SHOWN_MAX bytes, its beginning is cut off, in front of a complete
 * character. */
static int show(char *to, size_t size, const char *path, size_t end) {
  size_t begin = end > SHOWN_MAX ? end - SHOWN_MAX : 0;
  while (begin && begin < end && ((unsigned char)path[begin] & 0xC0) == 0x80) begin++;
  return snprintf(to, size, "%s%.*s", begin ? "…" : "", (int)(end - begin), path + begin);
}

/* Report a failure at the name from `begin` to `end`. wanted, found: the expected and the found type; NULL: there is no
 * such signal. Returns its first argument. */
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
    if (!vsi_is_digit(name[i])) return NULL;
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
    if (!len) return vsi_json_fail(VESTRY_INVALID, begin, "the path has an empty name", ret_error);
    if (++names > VESTRY_SIGNALS_PATH_MAX_DEPTH)
      return vsi_json_fail(VESTRY_INVALID, begin, "the path has too many names", ret_error);
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
  if (!path) return vsi_json_fail(VESTRY_INVALID, 0, "the path is NULL", ret_error);
  vestry_err error = walk(signals, path, &value, &begin, ret_error);
  if (error) return error;
  error = vsi_into_take(into, value);
  if (error == VESTRY_INVALID) return vsi_json_fail(VESTRY_INVALID, 0, "the variable to read into is NULL", ret_error);
  if (error) fail(error, path, begin, strlen(path), wanted_by(into, value, text), found_by(into, value), ret_error);
  return error;
}
