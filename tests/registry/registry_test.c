/* SPDX-License-Identifier: MIT */
/* The registry of an instance, which several parts of a program fill (B8). */
#include "registry/notes.h"

static vestry_err says_one(vestry_dispatch_context *context, const json_t *args, void *ctx) {
  note(ctx, "one ");
  return VESTRY_OK;
}

static vestry_err says_two(vestry_dispatch_context *context, const json_t *args, void *ctx) {
  note(ctx, "two ");
  return VESTRY_OK;
}

static vestry_err seven(const json_t *data, const json_t *args, json_t **ret_value, void *ctx) {
  *ret_value = json_integer(7);
  return VESTRY_OK;
}

/* capability: B8 */
SITE_CASE(b8_registry_adds_effects_actions_and_interceptors) {
  notes n = {""};
  noter a = {&n, "a", false};
  vestry_registry *plugin = vestry_parts_of(w->v)->registry;
  assert_int_equal(vestry_registry_effect(plugin, "e", noting_effect, &n), VESTRY_OK);
  assert_int_equal(vestry_registry_action(plugin, "do", listed_action, NULL), VESTRY_OK);
  assert_int_equal(vestry_registry_placeholder(plugin, "seven", seven, NULL), VESTRY_OK);
  vestry_interceptor interceptor = {"a", VESTRY_PHASE_EFFECT, note_before, note_after, &a};
  assert_int_equal(vestry_registry_intercept(plugin, &interceptor), VESTRY_OK);
  dispatch_text(w, "[[\"do\",[[\"e\",[\"seven\"]]]]]", NULL, VESTRY_OK, NULL);
  assert_string_equal(n.text, "a<e e[7] a>e ");
}

/* capability: B8 */
SITE_CASE(b8_later_names_win_and_interceptors_append) {
  notes n = {""};
  noter a = {&n, "a", false}, b = {&n, "b", false}, c = {&n, "c", false};
  vestry_registry *first = vestry_parts_of(w->v)->registry, *second = first;
  assert_int_equal(vestry_registry_effect(first, "x", says_one, &n), VESTRY_OK);
  assert_int_equal(vestry_registry_effect(first, "y", says_one, &n), VESTRY_OK);
  assert_int_equal(vestry_registry_action(first, "z", listed_action, NULL), VESTRY_OK);
  assert_int_equal(vestry_registry_effect(second, "x", says_two, &n), VESTRY_OK);
  assert_int_equal(vestry_registry_effect(second, "z", says_two, &n), VESTRY_OK); /* also over an action */
  assert_int_equal(vestry_registry_effect(second, "patch-signals", says_two, &n), VESTRY_OK);
  vestry_interceptor of_a = {"a", VESTRY_PHASE_DISPATCH, note_before, note_after, &a}, of_b = of_a;
  of_b.name = "b";
  of_b.ctx = &b;
  assert_int_equal(vestry_registry_intercept(first, &of_a), VESTRY_OK);
  assert_int_equal(vestry_registry_intercept(second, &of_b), VESTRY_OK);
  intercept(w, &c, VESTRY_PHASE_DISPATCH);
  dispatch_text(w, "[[\"x\"],[\"y\"],[\"z\"],[\"patch-signals\"]]", NULL, VESTRY_OK, NULL);
  assert_string_equal(n.text, "a< b< c< two one two two c> b> a> ");
  n.text[0] = '\0';
  assert_int_equal(vestry_registry_effect(vestry_parts_of(w->v)->registry, "y", says_two, &n),
                   VESTRY_OK); /* the short form, later still */
  dispatch_text(w, "[[\"y\"]]", NULL, VESTRY_OK, NULL);
  assert_string_equal(n.text, "a< b< c< two c> b> a> ");
}

SITE_CASE(invalid_registrations_are_refused) {
  vestry_registry *registry = vestry_parts_of(w->v)->registry;
  vestry_interceptor interceptor = {"", VESTRY_PHASE_EFFECT, note_before, NULL, NULL};
  assert_int_equal(vestry_registry_effect(NULL, "a", noting_effect, NULL), VESTRY_INVALID);
  assert_int_equal(vestry_registry_effect(registry, NULL, noting_effect, NULL), VESTRY_INVALID);
  assert_int_equal(vestry_registry_effect(registry, "", noting_effect, NULL), VESTRY_INVALID);
  assert_int_equal(vestry_registry_effect(registry, "a", NULL, NULL), VESTRY_INVALID);
  assert_int_equal(vestry_registry_action(registry, "a", NULL, NULL), VESTRY_INVALID);
  assert_int_equal(vestry_registry_action(NULL, "a", listed_action, NULL), VESTRY_INVALID);
  assert_int_equal(vestry_registry_placeholder(registry, "a", NULL, NULL), VESTRY_INVALID);
  assert_int_equal(vestry_registry_placeholder(NULL, "a", seven, NULL), VESTRY_INVALID);
  assert_int_equal(vestry_registry_intercept(registry, &interceptor), VESTRY_INVALID);
  assert_int_equal(vestry_registry_intercept(registry, NULL), VESTRY_INVALID);
  assert_null(vestry_parts_of(NULL));
}
