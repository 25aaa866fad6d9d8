/* SPDX-License-Identifier: MIT */
/* Values of jansson: building them from values of C, copying them, and reading them into variables of C. */
#include "json/value.h"

#include <math.h>
#include <string.h>

#include "base/utf8.h"

/* -------------------------------------------------------------------------------------------- values of C ---- */

static vestry_err make(const vestry_value *value, unsigned depth, json_t **ret_json);

static bool is_name(const vestry_value *name) {
  return name->type == VESTRY_VALUE_STRING && name->text && vsi_is_utf8(name->text, strlen(name->text));
}

static vestry_err make_items(const vestry_value *value, unsigned depth, json_t **ret_json) {
  const bool is_object = value->type == VESTRY_VALUE_OBJECT;
  if ((!value->items && value->count) || (is_object && value->count % 2)) return VESTRY_INVALID;
  json_t *made = is_object ? json_object() : json_array(), *item = NULL;
  vestry_err error = made ? VESTRY_OK : VESTRY_NO_MEMORY;
  for (size_t i = 0; i < value->count && !error; i++) {
    const char *name = is_object ? value->items[i].text : NULL;
    error = is_object && !is_name(&value->items[i++]) ? VESTRY_INVALID : make(&value->items[i], depth, &item);
    if (!error && (name ? json_object_set_new_nocheck(made, name, item) : json_array_append_new(made, item)))
      error = VESTRY_NO_MEMORY;
  }
  *ret_json = made;
  return error;
}

/* Make the JSON of a value. *ret_json: NULL on failure. */
static vestry_err make(const vestry_value *value, unsigned depth, json_t **ret_json) {
  *ret_json = NULL;
  if (depth > VESTRY_VALUE_MAX_DEPTH) return VESTRY_TOO_LARGE;
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
  case VESTRY_VALUE_LIST:
  case VESTRY_VALUE_OBJECT: error = make_items(value, depth + 1, ret_json); break;
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
