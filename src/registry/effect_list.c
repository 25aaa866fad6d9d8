/* SPDX-License-Identifier: MIT */
#include "registry/effect_list.h"

#include "json/value.h"
#include "json/write.h"

enum { DEFAULT_MAX_BYTES = 1024 * 1024, DEFAULT_MAX_DEPTH = 32, DEFAULT_MAX_COUNT = 10000 };

bool vsi_is_effect_list(const json_t *effects, size_t *ret_wrong) {
  size_t count = json_array_size(effects), at = 0;
  while (at < count && json_string_length(json_array_get(json_array_get(effects, at), 0))) at++;
  if (ret_wrong) *ret_wrong = at;
  return json_is_array(effects) && at == count;
}

vestry_err vestry_effects_print(const json_t *effects, char *buffer, size_t capacity, size_t *ret_len) {
  if ((!buffer && capacity) || !vsi_is_effect_list(effects, NULL)) return VESTRY_INVALID;
  vsi_writer counter = {.to = NULL};
  vestry_err error = vsi_json_put(&counter, effects);
  if (!error && counter.len > VSI_JSON_MAX_BYTES) error = VESTRY_TOO_LARGE;
  if (error) return error;
  if (ret_len) *ret_len = counter.len;
  if (counter.len >= capacity) return VESTRY_TOO_LARGE;
  vsi_writer writer = {.to = buffer};
  (void)vsi_json_put(&writer, effects); /* same result as the first time */
  buffer[writer.len] = '\0';
  return VESTRY_OK;
}

vestry_err vestry_effects_parse(const char *json, size_t len, const vestry_signals_limits *limits, json_t **ret_effects,
                                vestry_signals_error *ret_error) {
  if (!ret_effects || (!json && len)) return VESTRY_INVALID;
  size_t max_bytes = limits && limits->max_bytes ? limits->max_bytes : DEFAULT_MAX_BYTES;
  if (len > max_bytes) return vsi_json_fail(VESTRY_TOO_LARGE, max_bytes, "the JSON text is too long", ret_error);
  vsi_json_limits own = {.max_depth = DEFAULT_MAX_DEPTH, .max_count = DEFAULT_MAX_COUNT, .for_c = true};
  if (limits && limits->max_depth) own.max_depth = limits->max_depth;
  if (limits && limits->max_count) own.max_count = limits->max_count;
  if (own.max_depth > VSI_JSON_MAX_DEPTH) own.max_depth = VSI_JSON_MAX_DEPTH;
  vestry_err error = vsi_json_check(json, len, &own, VSI_JSON_ARRAY, ret_error);
  if (error) return error;
  json_t *effects = NULL;
  error = vsi_json_build(json, len, &effects, ret_error);
  if (error) return error;
  size_t wrong;
  if (!vsi_is_effect_list(effects, &wrong)) {
    json_decref(effects);
    return vsi_json_fail(VESTRY_MALFORMED, vsi_json_element_offset(json, len, wrong),
                         "an effect must be an array that begins with its name", ret_error);
  }
  *ret_effects = effects;
  return VESTRY_OK;
}
