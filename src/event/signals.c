/* SPDX-License-Identifier: MIT */
/* Reading the signals that a client sends with a request: JSON, within limits. */
#include "vestry/signals.h"

#include "base/memory.h"
#include "base/options.h"
#include "event/query.h"
#include "json/value.h"

enum { DEFAULT_MAX_BYTES = 1024 * 1024, DEFAULT_MAX_DEPTH = 32, DEFAULT_MAX_COUNT = 10000 };

/* Take the caller's limits, with defaults for unset members. OK | INVALID. */
static vestry_err resolve(const vestry_signals_limits *given, vestry_signals_limits *ret_limits) {
  if (VSI_OPTIONS_TAKE(vestry_signals_limits, *ret_limits, given)) return VESTRY_INVALID;
  if (!ret_limits->max_bytes) ret_limits->max_bytes = DEFAULT_MAX_BYTES;
  if (!ret_limits->max_depth) ret_limits->max_depth = DEFAULT_MAX_DEPTH;
  if (!ret_limits->max_count) ret_limits->max_count = DEFAULT_MAX_COUNT;
  if (ret_limits->max_depth > VSI_JSON_MAX_DEPTH) ret_limits->max_depth = VSI_JSON_MAX_DEPTH;
  return VESTRY_OK;
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

static vestry_err check_and_build(const char *json, size_t len, const vsi_json_limits *limits, vsi_json_kind kind,
                                  json_t **ret_value, vestry_signals_error *ret_error) {
  vestry_err error = vsi_json_check(json, len, limits, kind, ret_error);
  return error ? error : vsi_json_build(json, len, ret_value, ret_error);
}

/* Check and build a repaired copy, if the text has only errors that a browser's JSON.stringify can produce. */
static vestry_err mend_and_build(const char *json, size_t len, const vsi_json_limits *limits, json_t **ret_value,
                                 vestry_signals_error *ret_error) {
  const vsi_json_limits loose = {.max_depth = limits->max_depth, .max_count = limits->max_count};
  if (vsi_json_check(json, len, &loose, VSI_JSON_OBJECT, NULL)) return VESTRY_MALFORMED;
  json_t *copy = json_stringn_nocheck(json, len);
  if (!copy) return VESTRY_NO_MEMORY;
  char *text = (char *)(uintptr_t)json_string_value(copy);
  vsi_json_mend(text, len);
  vestry_err error = check_and_build(text, len, limits, VSI_JSON_OBJECT, ret_value, ret_error);
  json_decref(copy);
  return error;
}

static vestry_err parse(const char *json, size_t len, const vestry_signals_limits *given, vsi_json_kind kind,
                        json_t **ret_value, vestry_signals_error *ret_error) {
  vestry_signals_limits limits;
  if (resolve(given, &limits)) return VESTRY_INVALID;
  if (len > limits.max_bytes) return too_long(limits.max_bytes, ret_error);
  vsi_json_limits own = {.max_depth = limits.max_depth, .max_count = limits.max_count, .for_c = true};
  vestry_err error = check_and_build(json, len, &own, kind, ret_value, ret_error);
  const bool is_signals = kind == VSI_JSON_OBJECT;
  return error == VESTRY_MALFORMED && is_signals ? mend_and_build(json, len, &own, ret_value, ret_error) : error;
}

vestry_err vsi_json_parse(const char *json, size_t len, const vestry_signals_limits *limits, json_t **ret_value,
                          vsi_json_fault *ret_fault) {
  return parse(json, len, limits, VSI_JSON_VALUE, ret_value, ret_fault);
}

vestry_err vestry_signals_parse(const char *json, size_t len, const vestry_signals_limits *limits, json_t **ret_signals,
                                vestry_signals_error *ret_error) {
  if (!json && len) return VESTRY_INVALID;
  return len ? parse(json, len, limits, VSI_JSON_OBJECT, ret_signals, ret_error) : empty(ret_signals);
}

vestry_err vestry_signals_parse_query(const vestry_host *host, const char *query, size_t len,
                                      const vestry_signals_limits *given, json_t **ret_signals,
                                      vestry_signals_error *ret_error) {
  vestry_signals_limits limits;
  if ((!query && len) || resolve(given, &limits)) return VESTRY_INVALID;
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
