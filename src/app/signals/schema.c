/* SPDX-License-Identifier: MIT */
#include "app/signals/schema.h"

#include <math.h> /* only macros: libm is not linked */
#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/utf8.h"
#include "json/json.h"
#include "json/write.h"

enum { PATH_MAX_BYTES = 255, NAMES_MAX = 16 };
/* A value and the objects around it must not nest deeper than the JSON of an event may. */
enum { DEPTH_MAX = VSI_JSON_MAX_DEPTH - NAMES_MAX };

static const char *const phrases[] = {"true or false is expected", "an integer is expected", "a number is expected",
                                      "a string is expected", "JSON is expected"};

/* ------------------------------------------------------------------------------------------------- values --------- */

static vestry_err take_integer(const vestry_field *is, json_t *value, json_t **ret_value) {
  bool whole = json_is_integer(value);
  double number = json_number_value(value);
  const double most = (double)VESTRY_INTEGER_FIELD_MAX; /* above it, a double has no fraction */
  if (!json_is_number(value)) return VESTRY_INVALID;
  if (!whole && (number > most || number < -most)) return VESTRY_LIMIT;
  int64_t integer = whole ? json_integer_value(value) : (int64_t)number;
  if (!whole && number != (double)integer) return VESTRY_INVALID;
  if (integer < is->min || integer > is->max) return VESTRY_LIMIT;
  *ret_value = whole ? json_incref(value) : json_integer(integer);
  return *ret_value ? VESTRY_OK : VESTRY_NO_MEMORY;
}

static vestry_err take_number(const vestry_field *is, json_t *value, json_t **ret_value) {
  if (!json_is_number(value)) return VESTRY_INVALID;
  double number = json_number_value(value);
  if (number < is->min_number || number > is->max_number) return VESTRY_LIMIT;
  *ret_value = json_incref(value);
  return VESTRY_OK;
}

/* Return whether a value nests deeper than DEPTH_MAX. Never recurses deeper than that itself. */
static bool is_too_deep(const json_t *value, unsigned depth) {
  bool deep = false;
  if (!json_is_object(value) && !json_is_array(value)) return false;
  if (depth == DEPTH_MAX) return true;
  if (json_is_array(value)) {
    for (size_t i = 0; !deep && i < json_array_size(value); i++)
      deep = is_too_deep(json_array_get(value, i), depth + 1);
    return deep;
  }
  /* The iterators of jansson take a non-const object. */
  json_t *object = (json_t *)(uintptr_t)value;
  for (void *at = json_object_iter(object); !deep && at; at = json_object_iter_next(object, at))
    deep = is_too_deep(json_object_iter_value(at), depth + 1);
  return deep;
}

static vestry_err take_json(const vestry_field *is, json_t *value, json_t **ret_value) {
  vsi_writer counter = {.to = NULL};
  if (is_too_deep(value, 0) || vsi_json_put(&counter, value) || counter.len > is->max_bytes) return VESTRY_TOO_LARGE;
  *ret_value = json_incref(value);
  return VESTRY_OK;
}

vestry_err vsi_field_take(const vsi_field *field, json_t *value, json_t **ret_value) {
  const vestry_field *is = &field->is;
  switch (is->type) {
  case VESTRY_FIELD_INTEGER: return take_integer(is, value, ret_value);
  case VESTRY_FIELD_NUMBER: return take_number(is, value, ret_value);
  case VESTRY_FIELD_JSON: return take_json(is, value, ret_value);
  case VESTRY_FIELD_BOOLEAN:
    if (!json_is_boolean(value)) return VESTRY_INVALID;
    break;
  case VESTRY_FIELD_STRING:
    if (!json_is_string(value)) return VESTRY_INVALID;
    if (json_string_length(value) > is->max_bytes) return VESTRY_TOO_LARGE;
    break;
  }
  *ret_value = json_incref(value);
  return VESTRY_OK;
}

void vsi_field_explain(const vsi_field *field, vestry_err error, char *message, size_t capacity) {
  const vestry_field *is = &field->is;
  if (error == VESTRY_LIMIT && is->type == VESTRY_FIELD_INTEGER)
    snprintf(message, capacity, "an integer from %lld to %lld is expected", (long long)is->min, (long long)is->max);
  else if (error == VESTRY_LIMIT)
    snprintf(message, capacity, "a number from %g to %g is expected", is->min_number, is->max_number);
  else if (error == VESTRY_TOO_LARGE)
    snprintf(message, capacity, "at most %zu bytes are allowed, nested at most %d deep", is->max_bytes, DEPTH_MAX);
  else
    snprintf(message, capacity, "%s", phrases[is->type]);
}

/* -------------------------------------------------------------------------------------------------- paths --------- */

vestry_err vsi_field_find(const vsi_field *field, json_t *signals, json_t **ret_value) {
  json_t *at = signals;
  for (const char *name = field->is.path; name; name = strchr(name, '.')) {
    if (*name == '.') name++;
    if (!at || json_is_null(at)) return VESTRY_NOT_FOUND;
    if (!json_is_object(at)) return VESTRY_INVALID;
    at = json_object_getn(at, name, strcspn(name, "."));
  }
  if (!at || json_is_null(at)) return VESTRY_NOT_FOUND;
  *ret_value = at;
  return VESTRY_OK;
}

vestry_err vsi_field_put(const vsi_field *field, json_t *signals, json_t *value) {
  json_t *at = signals;
  for (const char *name = field->is.path; name != field->leaf; name += strcspn(name, ".") + 1) {
    size_t len = strcspn(name, ".");
    json_t *inner = json_object_getn(at, name, len);
    if (!inner) {
      inner = json_object();
      if (json_object_setn_new_nocheck(at, name, len, inner)) {
        json_decref(value);
        return VESTRY_NO_MEMORY;
      }
    }
    at = inner;
  }
  return json_object_set_new_nocheck(at, field->leaf, value) ? VESTRY_NO_MEMORY : VESTRY_OK;
}

static bool is_path(const char *path, const char **ret_leaf) {
  if (!path || !*path || strlen(path) > PATH_MAX_BYTES || !vsi_is_utf8(path, strlen(path))) return false;
  unsigned names = 0;
  for (const char *name = path;; name++) {
    size_t len = strcspn(name, ".");
    if (!len || *name == '_' || ++names > NAMES_MAX) return false;
    for (size_t i = 0; i < len; i++)
      if ((unsigned char)name[i] <= ' ' || name[i] == 0x7f) return false;
    *ret_leaf = name;
    name += len;
    if (!*name) return true;
  }
}

/* Order of characters in paths: the end of a path, then '.', then all others. So a path is directly followed by the
 * paths inside it. */
static int rank(char c) {
  return !c ? 0 : c == '.' ? 1 : (unsigned char)c + 1;
}

static int compare_paths(const char *a, const char *b) {
  for (; *a && *a == *b; a++) b++;
  return rank(*a) - rank(*b);
}

static int compare_fields(const void *a, const void *b) {
  return compare_paths((*(const vsi_field *const *)a)->is.path, (*(const vsi_field *const *)b)->is.path);
}

static bool is_inside(const char *outer, const char *inner) {
  size_t len = strlen(outer);
  return strncmp(outer, inner, len) == 0 && (!inner[len] || inner[len] == '.');
}

static int compare_path(const void *path, const void *field) {
  return compare_paths(path, (*(const vsi_field *const *)field)->is.path);
}

const vsi_field *vsi_schema_find(const vestry_schema *schema, const char *path) {
  const vsi_field **found =
      path ? bsearch(path, schema->sorted, schema->count, sizeof *schema->sorted, compare_path) : NULL;
  return found ? *found : NULL;
}

/* ------------------------------------------------------------------------------------------------- schemas -------- */

/* Fill in the default bounds, and check them. OK | INVALID */
static vestry_err resolve_bounds(vestry_field *is) {
  if (is->type == VESTRY_FIELD_INTEGER) {
    if (!is->min && !is->max) is->min = -VESTRY_INTEGER_FIELD_MAX, is->max = VESTRY_INTEGER_FIELD_MAX;
    if (is->min > is->max || is->min < -VESTRY_INTEGER_FIELD_MAX || is->max > VESTRY_INTEGER_FIELD_MAX)
      return VESTRY_INVALID;
  }
  if (is->type == VESTRY_FIELD_NUMBER) {
    if (is->min_number == 0 && is->max_number == 0) is->min_number = -HUGE_VAL, is->max_number = HUGE_VAL;
    if (!(is->min_number <= is->max_number)) return VESTRY_INVALID; /* false also for NaN */
  }
  if (!is->max_bytes) is->max_bytes = VESTRY_FIELD_MAX_BYTES;
  return is->max_bytes > VESTRY_FIELD_MAX_BYTES ? VESTRY_INVALID : VESTRY_OK;
}

/* Parse a JSON value of any type. Wraps it into an object, because only the parser of signals distinguishes malformed
 * text from a lack of memory. */
static vestry_err parse_default(const vestry_host *host, const char *text, json_t **ret_value) {
  vsi_buffer wrapped;
  vsi_buffer_init(&wrapped, host);
  vsi_buffer_append_str(&wrapped, "{\"v\":");
  vsi_buffer_append_str(&wrapped, text ? text : "null");
  vsi_buffer_append_char(&wrapped, '}');
  json_t *object = NULL;
  vestry_signals_limits limits = {.max_depth = VSI_JSON_MAX_DEPTH};
  vestry_err error =
      wrapped.error ? wrapped.error : vestry_signals_parse(wrapped.data, wrapped.len, &limits, &object, NULL);
  vsi_buffer_finish(&wrapped);
  if (!error && json_object_size(object) != 1) error = VESTRY_INVALID; /* `1,"w":2` */
  if (!error) *ret_value = json_incref(json_object_get(object, "v"));
  json_decref(object);
  return error == VESTRY_OK || error == VESTRY_NO_MEMORY ? error : VESTRY_INVALID;
}

static vestry_err make_default(const vestry_host *host, const vestry_field *is, json_t **ret_value) {
  const char *text = is->text ? is->text : "";
  switch (is->type) {
  case VESTRY_FIELD_BOOLEAN: *ret_value = json_boolean(is->boolean); break;
  case VESTRY_FIELD_INTEGER: *ret_value = json_integer(is->integer); break;
  case VESTRY_FIELD_NUMBER:
    if (!isfinite(is->number)) return VESTRY_INVALID;
    *ret_value = json_real(is->number);
    break;
  case VESTRY_FIELD_STRING:
    if (!vsi_is_utf8(text, strlen(text))) return VESTRY_INVALID;
    *ret_value = json_string_nocheck(text);
    break;
  case VESTRY_FIELD_JSON: return parse_default(host, is->text, ret_value);
  }
  return *ret_value ? VESTRY_OK : VESTRY_NO_MEMORY;
}

static vestry_err resolve(const vestry_host *host, const vestry_field *declared, vsi_field *field) {
  field->is = *declared;
  if ((unsigned)declared->type > VESTRY_FIELD_JSON || !is_path(declared->path, &field->leaf)) return VESTRY_INVALID;
  vestry_err error = resolve_bounds(&field->is);
  json_t *value = NULL;
  if (!error) error = make_default(host, &field->is, &value);
  if (!error) error = vsi_field_take(field, value, &field->initial);
  json_decref(value);
  return error == VESTRY_OK || error == VESTRY_NO_MEMORY ? error : VESTRY_INVALID;
}

/* Sort the fields by path. EXISTS: a path occurs twice, or inside another; *ret_at is the index of the second. */
static vestry_err sort(vestry_schema *schema, size_t *ret_at) {
  for (size_t i = 0; i < schema->count; i++) schema->sorted[i] = &schema->fields[i];
  qsort(schema->sorted, schema->count, sizeof *schema->sorted, compare_fields);
  for (size_t i = 1; i < schema->count; i++) {
    if (!is_inside(schema->sorted[i - 1]->is.path, schema->sorted[i]->is.path)) continue;
    *ret_at = (size_t)(schema->sorted[i] - schema->fields);
    return VESTRY_EXISTS;
  }
  return VESTRY_OK;
}

void vestry_schema_destroy(vestry_schema *schema) {
  if (!schema) return;
  for (size_t i = 0; schema->fields && i < schema->count; i++) json_decref(schema->fields[i].initial);
  vsi_free(schema->host, schema->fields);
  vsi_free(schema->host, schema->sorted);
  vsi_free(schema->host, schema);
}

vestry_err vestry_schema_create(const vestry_host *host, const vestry_field *fields, size_t count,
                                vestry_schema **ret_schema, size_t *ret_at) {
  size_t at = 0;
  if (ret_at) *ret_at = 0;
  host = vsi_host(host);
  if (!fields || !count || count > VESTRY_SCHEMA_MAX_COUNT || !ret_schema)
    return vsi_mistake(host, "vestry_schema_create",
                       "fields or ret_schema is NULL, or count is 0 or more than VESTRY_SCHEMA_MAX_COUNT");
  vestry_schema *schema = vsi_calloc(host, 1, sizeof *schema);
  if (!schema) return VESTRY_NO_MEMORY;
  schema->host = host;
  schema->count = count;
  schema->fields = vsi_calloc(host, count, sizeof *schema->fields);
  schema->sorted = vsi_calloc(host, count, sizeof *schema->sorted);
  vestry_err error = schema->fields && schema->sorted ? VESTRY_OK : VESTRY_NO_MEMORY;
  for (size_t i = 0; !error && i < count; i++) {
    error = resolve(host, &fields[i], &schema->fields[i]);
    at = i;
  }
  if (!error) error = sort(schema, &at);
  if (error) {
    if (ret_at && error != VESTRY_NO_MEMORY) *ret_at = at;
    if (error == VESTRY_INVALID)
      vsi_log(host, VESTRY_LOG_ERROR,
              "vestry_schema_create: field %zu, \"%.80s\": its path, type, limits or initial value is invalid", at,
              fields[at].path ? fields[at].path : "");
    vestry_schema_destroy(schema);
    return error;
  }
  *ret_schema = schema;
  return VESTRY_OK;
}
