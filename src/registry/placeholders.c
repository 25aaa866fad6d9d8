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

typedef struct walk {
  vestry_dispatch_context *context;
  vestry_phase phase;
  const char *within; /* name of the effect or action */
} walk;

/* The walk recurses as deep as values are nested, on stacks that servers make small: 256 levels should take a third of
 * 100 kB. So only one function recurses, and code that is rarely needed is kept out of its frame. */
#define OUT_OF_LINE __attribute__((noinline))

/* All functions below return OK, or an error that is recorded. */

static vestry_err fail(walk *w, const char *name, vestry_err error) {
  vsi_context_record(w->context, &(vsi_failure){.phase = w->phase, .name = name, .what = w->within, .error = error});
  return error;
}

/* Record a failure that no single placeholder caused: out of memory or nested too deep. */
static OUT_OF_LINE vestry_err fail_walk(walk *w, vestry_err error, const char *detail) {
  vestry_context_fail(w->context, error, "%s", detail);
  return fail(w, w->within, error);
}

/* A position in a list or object. */
typedef struct place {
  size_t index;
  void *member;
} place;

static place first_place(json_t *value) {
  return (place){0, json_object_iter(value)}; /* NULL for an array */
}

static json_t *at_place(const json_t *value, const place *at) {
  return at->member ? json_object_iter_value(at->member) : json_array_get(value, at->index);
}

static void next_place(json_t *value, place *at) {
  if (at->member) at->member = json_object_iter_next(value, at->member);
  at->index++; /* harmless for an object */
}

/* Put a changed element or member in its place; the first time, into a copy of the whole. Takes changed. */
static OUT_OF_LINE vestry_err put_changed(walk *w, json_t *value, const place *at, json_t *changed, json_t **copy) {
  if (!*copy) *copy = vsi_json_copy(value);
  if (!*copy) json_decref(changed);
  int failed = !*copy       ? -1
               : at->member ? json_object_set_new_nocheck(*copy, json_object_iter_key(at->member), changed)
                            : json_array_set_new(*copy, at->index, changed);
  return failed ? fail_walk(w, VESTRY_NO_MEMORY, "") : VESTRY_OK;
}

/* Return the placeholder at the head of a list; NULL: it is none. */
static const vsi_meaning *placeholder_of(const walk *w, const json_t *value) {
  const json_t *head = json_array_get(value, 0);
  if (!json_is_string(head)) return NULL;
  return vsi_names_replaced(w->context->v->registry, json_string_value(head), json_string_length(head));
}

static OUT_OF_LINE vestry_err unquote(walk *w, json_t *list, json_t **ret_changed) {
  w->context->detail[0] = '\0';
  if (json_array_size(list) != 2)
    return fail(w, VESTRY_QUOTE, vestry_context_fail(w->context, VESTRY_INVALID, "only one value can be quoted"));
  *ret_changed = json_incref(json_array_get(list, 1));
  return VESTRY_OK;
}

/* Call a placeholder. changed: the list after inner placeholders were replaced; NULL: unchanged; taken. */
static OUT_OF_LINE vestry_err ask(walk *w, const vsi_meaning *meaning, json_t *list, json_t *changed,
                                  json_t **ret_changed) {
  vestry_dispatch_context *context = w->context;
  const char *name = json_string_value(json_array_get(list, 0));
  context->detail[0] = '\0';
  const json_t *args = vsi_context_args(context, changed ? changed : list);
  json_t *value = NULL;
  vestry_err error = args ? meaning->fn.placeholder(context->data, args, &value, meaning->ctx) : VESTRY_NO_MEMORY;
  if (error) {
    json_decref(value);
    json_decref(changed);
    return fail(w, name, error);
  }
  if (value) json_decref(changed);
  *ret_changed = value ? value : changed; /* without a value it stays, with inner placeholders replaced */
  return VESTRY_OK;
}

/* Replace placeholders in a value. ret_changed: a new reference; NULL: nothing has changed. */
static vestry_err replace(walk *w, json_t *value, unsigned depth, json_t **ret_changed) {
  *ret_changed = NULL;
  if (!json_is_array(value) && !json_is_object(value)) return VESTRY_OK;
  if (depth == VSI_JSON_MAX_DEPTH) return fail_walk(w, VESTRY_TOO_LARGE, "nested too deep");
  const vsi_meaning *meaning = placeholder_of(w, value);
  if (meaning && meaning->kind == VSI_KIND_QUOTE) return unquote(w, value, ret_changed);
  json_t *copy = NULL, *inside, *changed;
  vestry_err error = VESTRY_OK;
  for (place at = first_place(value); !error && (inside = at_place(value, &at)); next_place(value, &at)) {
    error = replace(w, inside, depth + 1, &changed);
    if (!error && changed) error = put_changed(w, value, &at, changed, &copy);
  }
  if (error) {
    json_decref(copy);
    return error;
  }
  if (meaning) return ask(w, meaning, value, copy, ret_changed);
  *ret_changed = copy;
  return VESTRY_OK;
}

bool vsi_placeholders_replace(vestry_dispatch_context *context, vestry_phase phase, json_t *entry,
                              json_t **ret_replaced) {
  walk w = {context, phase, json_string_value(json_array_get(entry, 0))};
  json_t *changed;
  if (replace(&w, entry, 0, &changed)) return false;
  *ret_replaced = changed ? changed : json_incref(entry);
  return true;
}
