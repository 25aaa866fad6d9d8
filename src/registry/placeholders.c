/* SPDX-License-Identifier: MIT */
/* essay: placeholders in shared data */
/* One depth-first walk over a value replaces the placeholders, inner ones before outer ones. The value that a
 * placeholder returns takes its place and is not walked. Whether a list is a placeholder is decided by its head as
 * written, before the walk: a value that another placeholder returned never counts as a name.
 *
 * Effects belong to the caller, who may dispatch them again, so nothing is changed in place. A list or object is copied
 * when the first of its elements has changed; most walks copy nothing. */
#include "registry/context.h"

#include "registry/names.h"
#include "json/json.h"
#include "json/value.h"

/* The walk recurses as deep as values are nested, on stacks that servers make small: 256 levels should take a third of
 * 100 kB. So only one function recurses, and code that is rarely needed is kept out of its frame. */
#define OUT_OF_LINE __attribute__((noinline))

/* All functions below return OK, or an error that is recorded. */

static vestry_err fail(vestry_dispatch_context *context, const char *within, const char *name, vestry_err error) {
  vsi_context_record(context, name, within, error);
  return error;
}

/* Record a failure that no single placeholder caused: out of memory or nested too deep. */
static OUT_OF_LINE vestry_err fail_walk(vestry_dispatch_context *context, const char *within, vestry_err error,
                                        const char *detail) {
  return fail(context, within, within, vestry_context_fail(context, error, "%s", detail));
}

/* Put a changed element or member in its place; the first time, into a copy of the whole. member: NULL for an element.
 * Takes changed. Returns whether it succeeded. */
static OUT_OF_LINE bool put_changed(json_t *value, size_t index, void *member, json_t *changed, json_t **copy) {
  if (!*copy) *copy = vsi_json_copy(value);
  if (!*copy) json_decref(changed);
  int failed = !*copy   ? -1
               : member ? json_object_set_new_nocheck(*copy, json_object_iter_key(member), changed)
                        : json_array_set_new(*copy, index, changed);
  return !failed;
}

/* Return the placeholder at the head of a list; NULL: it is none. */
static const vsi_meaning *placeholder_of(const vestry_dispatch_context *context, const json_t *value) {
  const json_t *head = json_array_get(value, 0);
  if (!json_is_string(head)) return NULL;
  return vsi_names_replaced(context->v->registry, json_string_value(head), json_string_length(head));
}

static OUT_OF_LINE vestry_err unquote(vestry_dispatch_context *context, const char *within, json_t *list,
                                      json_t **ret_changed) {
  if (json_array_size(list) != 2)
    return fail(context, within, VESTRY_QUOTE,
                vestry_context_fail(context, VESTRY_INVALID, "only one value can be quoted"));
  *ret_changed = json_incref(json_array_get(list, 1));
  return VESTRY_OK;
}

/* Call a placeholder. changed: the list after inner placeholders were replaced; NULL: unchanged; taken. */
static OUT_OF_LINE vestry_err ask(vestry_dispatch_context *context, const char *within, const vsi_meaning *meaning,
                                  json_t *list, json_t *changed, json_t **ret_changed) {
  context->detail[0] = '\0';
  const json_t *args = vsi_context_args(context, changed ? changed : list);
  json_t *value = NULL;
  vestry_err error = args ? meaning->fn.placeholder(context->data, args, &value, meaning->ctx) : VESTRY_NO_MEMORY;
  if (error) {
    json_decref(value);
    json_decref(changed);
    return fail(context, within, json_string_value(json_array_get(list, 0)), error);
  }
  if (value) json_decref(changed);
  *ret_changed = value ? value : changed; /* without a value it stays, with inner placeholders replaced */
  return VESTRY_OK;
}

vestry_err vsi_placeholders_replace(vestry_dispatch_context *context, const char *within, json_t *value, unsigned depth,
                                    json_t **ret_changed) {
  *ret_changed = NULL;
  if (!json_is_array(value) && !json_is_object(value)) return VESTRY_OK;
  if (depth == VSI_JSON_MAX_DEPTH) return fail_walk(context, within, VESTRY_TOO_LARGE, "nested too deep");
  const vsi_meaning *meaning = placeholder_of(context, value);
  if (meaning && meaning->kind == VSI_KIND_QUOTE) return unquote(context, within, value, ret_changed);
  json_t *copy = NULL, *inside, *changed;
  vestry_err error = VESTRY_OK;
  const size_t count = json_array_size(value) + json_object_size(value); /* the other one is 0 */
  void *member = json_object_iter(value);                                /* NULL for a list */
  for (size_t i = 0; i < count && !error; i++) {
    inside = member ? json_object_iter_value(member) : json_array_get(value, i);
    error = vsi_placeholders_replace(context, within, inside, depth + 1, &changed);
    if (!error && changed && !put_changed(value, i, member, changed, &copy))
      error = fail_walk(context, within, VESTRY_NO_MEMORY, "");
    if (member) member = json_object_iter_next(value, member);
  }
  if (error) {
    json_decref(copy);
    return error;
  }
  if (meaning) return ask(context, within, meaning, value, copy, ret_changed);
  *ret_changed = copy;
  return VESTRY_OK;
}
