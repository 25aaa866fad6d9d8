/* SPDX-License-Identifier: MIT */
/* Names and values from a request's path, query and form.
 *
 * Values come from the client, and their number is bounded. A form with more values is refused before its handler runs
 * (serve/serve.c), because the handler could take a missing value for a box that is not ticked. If a value in a form is
 * not UTF-8, contains a NUL or has a broken escape, the form has no values at all, for the same reason. In a query,
 * only the name of such a value has none. Others add parameters to links, such as the campaign of a newsletter, and not
 * all encode them as UTF-8, or at all ("rebate=10%"); the page's own parameters keep their meaning.
 *
 * Values are sorted when they are read, because a handler may look each of many up. */
#include <stdlib.h>
#include <string.h>

#include "base/ascii.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/utf8.h"
#include "event/query.h"
#include "http/multipart.h"
#include "http/request.h"
#include "http/routes/routes.h"
#include "instance/instance.h"
#include "json/value.h"

/* Allocate `count` pairs and their order, followed by text_len bytes of text. */
static vestry_err make_value_room(const vestry_request *req, vsi_values *values, size_t count, size_t text_len,
                                  char **ret_text) {
  if (count > req->v->max_values_count) return VESTRY_TOO_LARGE;
  values->pairs = vsi_alloc(req->v->host, count * (2 * sizeof *values->pairs + sizeof *values->order) + text_len);
  if (!values->pairs) return VESTRY_NO_MEMORY;
  values->order = (uint32_t *)(values->pairs + 2 * count);
  *ret_text = (char *)(values->order + count);
  return VESTRY_OK;
}

static bool is_value_text(const char *text, size_t len) {
  return vsi_is_utf8(text, len) && !memchr(text, '\0', len);
}

/* -------------------------------------------------------------------------------------- a query, a form's body ---- */

/* Decode a text in place and terminate it: there is a byte after it. */
static vestry_err decode_value(char *text, size_t len) {
  const vestry_slice encoded = {text, len};
  size_t decoded, offset;
  if (vsi_query_decoded_len(encoded, &decoded, &offset)) return VESTRY_MALFORMED;
  vsi_query_decode(encoded, text); /* writes never pass reads */
  text[decoded] = '\0';
  return is_value_text(text, decoded) ? VESTRY_OK : VESTRY_MALFORMED;
}

/* Read a query or a form's body.
 *  has_foreign  a pair with a malformed name is left out, and a malformed value is NULL; otherwise MALFORMED */
static vestry_err read_encoded(vsi_values *values, const vestry_request *req, const char *query, size_t len,
                               bool has_foreign) {
  if (!len) return VESTRY_OK;
  size_t count = 0;
  for (size_t i = 0; i < len; i++) count += query[i] != '&' && (!i || query[i - 1] == '&');
  char *text;
  vestry_err error = make_value_room(req, values, count, len + 1, &text);
  if (error) return error;
  memcpy(text, query, len);
  for (char *at = text, *end = text + len; at < end && !error;) {
    char *stop = memchr(at, '&', (size_t)(end - at));
    if (!stop) stop = end;
    char *equals = memchr(at, '=', (size_t)(stop - at));
    if (stop > at) {
      const char **pair = values->pairs + 2 * values->count++;
      pair[0] = at;
      pair[1] = equals ? equals + 1 : "";
      error = decode_value(at, (size_t)((equals ? equals : stop) - at));
      if (error && has_foreign) {
        values->count--;
        error = VESTRY_OK;
      } else if (!error && equals) {
        error = decode_value(equals + 1, (size_t)(stop - equals - 1));
        if (error && has_foreign) pair[1] = NULL, error = VESTRY_OK;
      }
    }
    at = stop + 1;
  }
  return error;
}

/* Read the fields and files of a form with parts (RFC 7578). */
static vestry_err read_parts(vsi_values *values, const vestry_request *req, const char *type) {
  vsi_parts parts, again;
  vsi_part part;
  size_t count = 0, len = 0;
  vestry_err error = vsi_parts_init(&parts, type, req->body);
  again = parts;
  while (!error && (error = vsi_parts_next(&parts, &part)) == VESTRY_OK) {
    if (vsi_part_is_file(&part)) continue;
    count++;
    len += part.name.len + part.value.len + 2;
  }
  char *text;
  if (error == VESTRY_NOT_FOUND) error = make_value_room(req, values, count, len + 1, &text);
  while (!error && vsi_parts_next(&again, &part) == VESTRY_OK) {
    if (vsi_part_is_file(&part)) continue;
    const char **pair = values->pairs + 2 * values->count++;
    pair[0] = text;
    size_t name_len = vsi_part_decode(part.name, text);
    text[name_len] = '\0';
    pair[1] = memcpy(text + name_len + 1, part.value.data, part.value.len);
    text[name_len + 1 + part.value.len] = '\0';
    if (!is_value_text(pair[0], name_len) || !is_value_text(pair[1], part.value.len)) error = VESTRY_MALFORMED;
    text += name_len + part.value.len + 2;
  }
  return error;
}

static bool is_multipart(const char *type) {
  return vsi_strncasecmp(type, "multipart/", 10) == 0;
}

static vestry_err read_form(vsi_values *values, const vestry_request *req) {
  const char *type = vestry_request_header(req, "Content-Type");
  if (!vsi_request_is_form(req)) return VESTRY_OK;
  if (is_multipart(type)) return read_parts(values, req, type);
  return read_encoded(values, req, req->body.data, req->body.len, false);
}

/* ---------------------------------------------------------------------------------------------------- the path ---- */

/* Copy the values that the parameters of the route's pattern have in the path, with their names. */
static vestry_err read_path(vsi_values *values, const vestry_request *req) {
  const vsi_visit *visit = req->own->visit;
  if (!visit) return VESTRY_OK;
  const vsi_captures *captures = &visit->captures;
  size_t len = 0;
  for (size_t i = 0; i < captures->count; i++) len += captures->values[i].len + 1;
  char *text;
  vestry_err error = make_value_room(req, values, captures->count, len, &text);
  for (size_t i = 0; i < captures->count && !error; i++) {
    const vestry_slice value = captures->values[i];
    values->pairs[2 * i] = visit->route->names[i];
    values->pairs[2 * i + 1] = memcpy(text, value.data, value.len);
    text[value.len] = '\0';
    text += value.len + 1;
    values->count++;
  }
  return error;
}

/* Compare two values by their names, and those of one name by their positions. */
static int compare_pairs(const void *left, const void *right, void *pairs) {
  const uint32_t a = *(const uint32_t *)left, b = *(const uint32_t *)right;
  const char *const *names = pairs;
  const int by_name = strcmp(names[2 * a], names[2 * b]);
  return by_name ? by_name : a < b ? -1 : a > b;
}

/* Sort the values. If one of a name is malformed, so are all of that name, because a handler reads them as a list. */
static void sort_values(vsi_values *values) {
  const char **pairs = values->pairs;
  for (uint32_t i = 0; i < values->count; i++) values->order[i] = i;
  if (values->count > 1) qsort_r(values->order, values->count, sizeof *values->order, compare_pairs, (void *)pairs);
  for (size_t i = 0, next; i < values->count; i = next) {
    const char *name = pairs[2 * values->order[i]];
    bool is_malformed = false;
    for (next = i; next < values->count && strcmp(pairs[2 * values->order[next]], name) == 0; next++)
      is_malformed |= !pairs[2 * values->order[next] + 1];
    for (size_t at = i; is_malformed && at < next; at++) pairs[2 * values->order[at] + 1] = NULL;
  }
}

vestry_err vsi_request_set_values(const vestry_request *asked, vestry_in in, vestry_slice texts, size_t count) {
  vsi_values *values = &asked->own->values[in];
  const vestry_host *host = asked->v->host;
  if (values->pairs) vsi_free(host, values->pairs);
  *values = (vsi_values){.is_read = true};
  if (!count) return VESTRY_OK;
  char *text;
  values->error = make_value_room(asked, values, count, texts.len, &text);
  if (values->error) return values->error;
  memcpy(text, texts.data, texts.len);
  for (size_t i = 0; i < 2 * count; i++) {
    size_t len = strlen(text);
    values->pairs[i] = text;
    text += len + 1;
  }
  values->count = count;
  sort_values(values);
  return VESTRY_OK;
}

/* ------------------------------------------------------------------------------------------------ for handlers ---- */

static vsi_values *values_of(const vestry_request *req, vestry_in in) {
  vsi_values *values = &req->own->values[in]; /* read once, by the request's only thread */
  if (values->is_read) return values;
  values->is_read = true;
  switch (in) {
  case VESTRY_IN_PATH: values->error = read_path(values, req); break;
  case VESTRY_IN_QUERY: values->error = read_encoded(values, req, req->query, strlen(req->query), true); break;
  case VESTRY_IN_FORM: values->error = read_form(values, req); break;
  }
  if (values->error) values->count = 0;
  sort_values(values);
  return values;
}

/* A value takes at least a byte, so a short form need not be read. */
bool vsi_request_has_too_many_fields(const vestry_request *req) {
  if (req->body.len < req->v->max_values_count) return false;
  return vsi_request_is_form(req) && values_of(req, VESTRY_IN_FORM)->error == VESTRY_TOO_LARGE;
}

/* Return the index-th pair of a name; NULL: there is none. */
static const char *const *find_pair(const vsi_values *values, const char *name, size_t index) {
  size_t from = 0, to = values->count; /* the first value whose name is not before this one is in [from, to] */
  while (from < to) {
    const size_t middle = from + (to - from) / 2;
    if (strcmp(values->pairs[2 * values->order[middle]], name) < 0)
      from = middle + 1;
    else
      to = middle;
  }
  if (index >= values->count - from) return NULL;
  const char *const *pair = values->pairs + 2 * (size_t)values->order[from + index];
  return strcmp(pair[0], name) == 0 ? pair : NULL;
}

/* OK | NOT_FOUND | MALFORMED | the error of the place */
static vestry_err find_value(const vestry_request *req, vestry_in in, const char *name, size_t index,
                             const char **ret_value) {
  if (!name || (unsigned)in >= VSI_IN_COUNT)
    return vsi_mistake(req->v->host, "vestry_request_get or vestry_request_value",
                       "name is NULL, or in is none of vestry_in");
  vsi_values *values = values_of(req, in);
  if (values->error) return values->error;
  const char *const *pair = find_pair(values, name, index);
  if (!pair) return VESTRY_NOT_FOUND;
  *ret_value = pair[1];
  return pair[1] ? VESTRY_OK : VESTRY_MALFORMED;
}

const char *vestry_request_value_at(const vestry_request *req, vestry_in in, const char *name, size_t index) {
  const char *value = NULL;
  return find_value(req, in, name, index, &value) ? NULL : value;
}

static vestry_err value_integer(const char *text, vestry_into into) {
  int64_t integer;
  if (!vsi_integer_read((vestry_slice){text, strlen(text)}, &integer)) return VESTRY_MALFORMED;
  if (integer < into.min || integer > into.max) return VESTRY_MALFORMED;
  *(int64_t *)into.variable = integer;
  return VESTRY_OK;
}

static vestry_err value_number(const vestry_request *req, const char *text, vestry_into into) {
  json_t *value = NULL;
  vestry_signals_error why;
  /* The parser of JSON does not depend on the locale, unlike strtod. */
  vestry_err error = vsi_json_parse(text, strlen(text), &req->v->signals, VSI_JSON_ROOT_ANY, &value, &why);
  if (!error) error = vsi_into_take(into, value);
  json_decref(value);
  return error;
}

static vestry_err read_boolean(const char *text, vestry_into into) {
  static const char *const words[] = {"false", "off", "0", "true", "on", "1"};
  for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
    if (strcmp(text, words[i]) != 0) continue;
    *(bool *)into.variable = i >= 3;
    return VESTRY_OK;
  }
  return VESTRY_MALFORMED;
}

vestry_err vestry_request_get(const vestry_request *req, vestry_in in, const char *name, vestry_into into) {
  const char *text;
  if (!into.variable) return vsi_mistake(req->v->host, "vestry_request_get", "into has no variable");
  vestry_err error = find_value(req, in, name, 0, &text);
  if (error) return error;
  switch (into.type) {
  case VESTRY_VALUE_INTEGER: return value_integer(text, into);
  case VESTRY_VALUE_NUMBER: return value_number(req, text, into);
  case VESTRY_VALUE_BOOLEAN: return read_boolean(text, into);
  case VESTRY_VALUE_STRING: *(const char **)into.variable = text; return VESTRY_OK;
  default: return vsi_mistake(req->v->host, "vestry_request_get", "into is of JSON, a list or an object");
  }
}

vestry_err vestry_request_file(const vestry_request *req, const char *name, vestry_upload *ret_file) {
  const char *type = vestry_request_header(req, "Content-Type");
  vsi_parts parts;
  vsi_part part;
  if (!name || !ret_file) return vsi_mistake(req->v->host, "vestry_request_file", "name or ret_file is NULL");
  if (!type || !is_multipart(type)) return VESTRY_NOT_FOUND;
  vestry_err error = vsi_parts_init(&parts, type, req->body);
  while (!error && (error = vsi_parts_next(&parts, &part)) == VESTRY_OK) {
    if (!vsi_part_is_file(&part) || !vsi_part_is_named(&part, name)) continue;
    const vestry_upload file = {
        .name = part.filename.data ? part.filename : part.encoded, .type = part.type, .bytes = part.value};
    if (ret_file) *ret_file = file;
    return VESTRY_OK;
  }
  return error;
}
