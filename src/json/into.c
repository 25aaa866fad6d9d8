/* SPDX-License-Identifier: MIT */
#include "json/into.h"

#include <string.h>

static vestry_err take_integer(vestry_into into, const json_t *value) {
  json_int_t integer = json_integer_value(value);
  if (!json_is_integer(value) || integer < into.min || integer > into.max) return VESTRY_MALFORMED;
  *(int64_t *)into.variable = integer;
  return VESTRY_OK;
}

static vestry_err take_number(vestry_into into, const json_t *value) {
  if (!json_is_number(value)) return VESTRY_MALFORMED;
  *(double *)into.variable = json_number_value(value);
  return VESTRY_OK;
}

static vestry_err take_boolean(vestry_into into, const json_t *value) {
  if (!json_is_boolean(value)) return VESTRY_MALFORMED;
  *(bool *)into.variable = json_is_true(value);
  return VESTRY_OK;
}

static vestry_err take_text(vestry_into into, const json_t *value) {
  const char *text = json_string_value(value);
  if (!text || strlen(text) != json_string_length(value)) return VESTRY_MALFORMED;
  *(const char **)into.variable = text;
  return VESTRY_OK;
}

static vestry_err take_json(vestry_into into, const json_t *value, bool is_wanted) {
  if (!is_wanted) return VESTRY_MALFORMED;
  *(json_t **)into.variable = (json_t *)(uintptr_t)value; /* cast: the owner of the whole value may change it */
  return VESTRY_OK;
}

vestry_err vsi_into_take(vestry_into into, const json_t *value) {
  if (!into.variable) return VESTRY_INVALID;
  switch (into.type) {
  case VESTRY_VALUE_BOOLEAN: return take_boolean(into, value);
  case VESTRY_VALUE_INTEGER: return take_integer(into, value);
  case VESTRY_VALUE_NUMBER: return take_number(into, value);
  case VESTRY_VALUE_STRING: return take_text(into, value);
  case VESTRY_VALUE_JSON: return take_json(into, value, true);
  case VESTRY_VALUE_LIST: return take_json(into, value, json_is_array(value));
  case VESTRY_VALUE_OBJECT: return take_json(into, value, json_is_object(value));
  case VESTRY_VALUE_NULL:
  case VESTRY_VALUE_BYTES: break;
  }
  return VESTRY_INVALID;
}
