/* SPDX-License-Identifier: MIT */
#include "registry/notes.h"

#include <stdlib.h>

void note(notes *n, const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  size_t len = strlen(n->text);
  vsnprintf(n->text + len, sizeof n->text - len, format, arguments);
  va_end(arguments);
}

void note_json(notes *n, const json_t *value) {
  char *text = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY | JSON_SORT_KEYS);
  note(n, "%s", text);
  free(text);
}

vestry_err noting_effect(vestry_dispatch_context *context, const json_t *args, void *ctx) {
  note(ctx, "e");
  note_json(ctx, args);
  note(ctx, " ");
  return VESTRY_OK;
}

vestry_err failing_effect(vestry_dispatch_context *context, const json_t *args, void *ctx) {
  note(ctx, "f");
  note_json(ctx, args);
  note(ctx, " ");
  return vestry_context_fail(context, VESTRY_FAILED, "as %s", "told");
}

vestry_err giving_effect(vestry_dispatch_context *context, const json_t *args, void *ctx) {
  json_t *value = json_array_get(args, 0);
  vestry_err error = vestry_context_return(context, json_incref(value));
  return json_is_null(value) ? VESTRY_FAILED : error;
}

vestry_err listed_action(const json_t *state, const json_t *args, json_t **ret_effects, void *ctx) {
  *ret_effects = json_incref(json_array_get(args, 0));
  return VESTRY_OK;
}

vestry_err data_placeholder(const json_t *data, const json_t *args, json_t **ret_value, void *ctx) {
  *ret_value = json_incref(json_object_get(data, json_string_value(json_array_get(args, 0))));
  return VESTRY_OK;
}

vestry_err note_before(vestry_dispatch_context *context, const json_t *effect, void *ctx) {
  noter *o = ctx;
  note(o->n, "%s<%s ", o->name, effect ? json_string_value(json_array_get(effect, 0)) : "");
  if (o->fails) return vestry_context_fail(context, VESTRY_FAILED, "before %s", o->name);
  return VESTRY_OK;
}

vestry_err note_after(vestry_dispatch_context *context, const json_t *effect, void *ctx) {
  noter *o = ctx;
  note(o->n, "%s>%s ", o->name, effect ? json_string_value(json_array_get(effect, 0)) : "");
  return o->fails ? VESTRY_NOT_FOUND : VESTRY_OK;
}

void intercept(site *w, noter *o, vestry_phase phase) {
  assert_int_equal(vestry_registry_intercept(vestry_parts_of(w->v)->registry,
                                             &(vestry_interceptor){o->name, phase, note_before, note_after, o}),
                   VESTRY_OK);
}

void register_all(site *w, notes *n) {
  assert_int_equal(vestry_registry_effect(vestry_parts_of(w->v)->registry, "e", noting_effect, n), VESTRY_OK);
  assert_int_equal(vestry_registry_effect(vestry_parts_of(w->v)->registry, "fail", failing_effect, n), VESTRY_OK);
  assert_int_equal(vestry_registry_effect(vestry_parts_of(w->v)->registry, "give", giving_effect, n), VESTRY_OK);
  assert_int_equal(vestry_registry_action(vestry_parts_of(w->v)->registry, "do", listed_action, NULL), VESTRY_OK);
  assert_int_equal(vestry_registry_placeholder(vestry_parts_of(w->v)->registry, "data", data_placeholder, NULL),
                   VESTRY_OK);
}

notes noted;

void notes_begin(site *w, notes *n) {
  site_begin(w, (vestry_options){0});
  n->text[0] = '\0';
  register_all(w, n);
}

json_t *json_of(const char *text) {
  json_t *value = json_loads(text, JSON_DECODE_ANY, NULL);
  assert_non_null(value);
  return value;
}

void dispatch_text(site *w, const char *effects, const vestry_dispatch_options *options, vestry_err expected,
                   vestry_dispatch_result *ret_result) {
  json_t *list = json_of(effects);
  assert_int_equal(vestry_dispatch_with(w->v, list, options, ret_result), expected);
  json_decref(list);
}

static long json_allocations, json_fail_at; /* one thread */
static json_malloc_t json_malloc;
static json_free_t json_free;

static void *failing_malloc(size_t size) {
  return json_allocations++ == json_fail_at ? NULL : malloc(size);
}

void json_fail_begin(long number) {
  json_get_alloc_funcs(&json_malloc, &json_free);
  json_set_alloc_funcs(failing_malloc, free);
  json_allocations = 0;
  json_fail_at = number;
}

bool json_fail_end(void) {
  json_set_alloc_funcs(json_malloc, json_free);
  return json_allocations > json_fail_at;
}

void assert_error(const vestry_dispatch_result *result, size_t index, vestry_phase phase, const char *name,
                  const char *what, vestry_err error, const char *detail) {
  const vestry_dispatch_error *record = &result->errors[index];
  assert_true(index < result->errors_count);
  assert_int_equal(record->phase, phase);
  assert_string_equal(record->name, name);
  assert_string_equal(record->what, what ? what : "");
  assert_int_equal(record->error, error);
  assert_string_equal(record->detail, detail ? detail : "");
}
