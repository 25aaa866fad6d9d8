/* SPDX-License-Identifier: MIT */
/* Registries: their contents and composition (B8). */
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

static vestry_registry *registry_of(const vestry_host *host) {
  vestry_registry *registry;
  assert_int_equal(vestry_registry_create(host, &registry), VESTRY_OK);
  return registry;
}

/* capability: B8 */
static void b8_registry_adds_effects_actions_and_interceptors(void **state) {
  site w;
  notes n = {""};
  noter a = {&n, "a", false};
  site_begin(&w, (vestry_options){0});
  vestry_registry *plugin = registry_of(&w.th.host);
  assert_int_equal(vestry_registry_effect(plugin, "e", noting_effect, &n), VESTRY_OK);
  assert_int_equal(vestry_registry_action(plugin, "do", listed_action, NULL), VESTRY_OK);
  assert_int_equal(vestry_registry_placeholder(plugin, "seven", seven, NULL), VESTRY_OK);
  vestry_interceptor interceptor = {"a", VESTRY_PHASE_EFFECT, note_before, note_after, &a};
  assert_int_equal(vestry_registry_intercept(plugin, &interceptor), VESTRY_OK);
  assert_int_equal(vestry_registry_add(vestry_parts_of(w.v)->registry, plugin), VESTRY_OK);
  vestry_registry_destroy(plugin); /* the instance keeps the names that were added */
  dispatch_text(&w, "[[\"do\",[[\"e\",[\"seven\"]]]]]", NULL, VESTRY_OK, NULL);
  assert_string_equal(n.text, "a<e e[7] a>e ");
  site_end(&w);
}

/* capability: B8 */
static void b8_later_names_win_and_interceptors_append(void **state) {
  site w;
  notes n = {""};
  noter a = {&n, "a", false}, b = {&n, "b", false}, c = {&n, "c", false};
  site_begin(&w, (vestry_options){0});
  vestry_registry *first = registry_of(NULL), *second = registry_of(NULL);
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
  assert_int_equal(vestry_registry_add(vestry_parts_of(w.v)->registry, first), VESTRY_OK);
  assert_int_equal(vestry_registry_add(vestry_parts_of(w.v)->registry, second), VESTRY_OK);
  intercept(&w, &c, VESTRY_PHASE_DISPATCH);
  dispatch_text(&w, "[[\"x\"],[\"y\"],[\"z\"],[\"patch-signals\"]]", NULL, VESTRY_OK, NULL);
  assert_string_equal(n.text, "a< b< c< two one two two c> b> a> ");
  n.text[0] = '\0';
  assert_int_equal(vestry_registry_effect(vestry_parts_of(w.v)->registry, "y", says_two, &n),
                   VESTRY_OK); /* the short form, later still */
  dispatch_text(&w, "[[\"y\"]]", NULL, VESTRY_OK, NULL);
  assert_string_equal(n.text, "a< b< c< two c> b> a> ");
  vestry_registry_destroy(first);
  vestry_registry_destroy(second);
  site_end(&w);
}

/* capability: B8 */
static void b8_registries_can_be_nested_and_shared(void **state) {
  site one, two;
  notes n = {""};
  noter a = {&n, "a", false};
  site_begin(&one, (vestry_options){0});
  site_begin(&two, (vestry_options){0});
  vestry_registry *part = registry_of(NULL), *whole = registry_of(NULL);
  assert_int_equal(vestry_registry_effect(part, "x", says_two, &n), VESTRY_OK);
  vestry_interceptor interceptor = {"a", VESTRY_PHASE_DISPATCH, note_before, NULL, &a};
  assert_int_equal(vestry_registry_intercept(part, &interceptor), VESTRY_OK);
  assert_int_equal(vestry_registry_effect(whole, "x", says_one, &n), VESTRY_OK);
  assert_int_equal(vestry_registry_effect(whole, "y", says_one, &n), VESTRY_OK);
  assert_int_equal(vestry_registry_add(whole, part), VESTRY_OK);
  assert_int_equal(vestry_registry_effect(part, "y", says_two, &n), VESTRY_OK); /* later: whole has its own copy */
  /* interceptors are appended again, names stay the same */
  assert_int_equal(vestry_registry_add(part, part), VESTRY_OK);
  assert_int_equal(vestry_registry_add(vestry_parts_of(one.v)->registry, whole), VESTRY_OK);
  assert_int_equal(vestry_registry_add(vestry_parts_of(two.v)->registry, whole), VESTRY_OK);
  vestry_registry_destroy(whole);
  dispatch_text(&one, "[[\"x\"],[\"y\"]]", NULL, VESTRY_OK, NULL);
  dispatch_text(&two, "[[\"y\"]]", NULL, VESTRY_OK, NULL);
  assert_string_equal(n.text, "a< two one a< one ");
  assert_int_equal(vestry_registry_add(vestry_parts_of(two.v)->registry, part), VESTRY_OK);
  n.text[0] = '\0';
  dispatch_text(&two, "[[\"y\"]]", NULL, VESTRY_OK, NULL);
  assert_string_equal(n.text, "a< a< a< two ");
  vestry_registry_destroy(part);
  site_close(&one);
  site_end(&two);
}

static void invalid_registrations_are_refused(void **state) {
  site w;
  site_begin(&w, (vestry_options){0});
  vestry_registry *registry = registry_of(NULL);
  vestry_interceptor interceptor = {"", VESTRY_PHASE_EFFECT, note_before, NULL, NULL};
  assert_int_equal(vestry_registry_create(NULL, NULL), VESTRY_INVALID);
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
  assert_int_equal(vestry_registry_add(registry, NULL), VESTRY_INVALID);
  assert_int_equal(vestry_registry_add(NULL, registry), VESTRY_INVALID);
  assert_int_equal(vestry_registry_add(vestry_parts_of(w.v)->registry, NULL), VESTRY_INVALID);
  assert_null(vestry_parts_of(NULL));
  assert_int_equal(vestry_registry_effect(NULL, "a", noting_effect, NULL), VESTRY_INVALID);
  assert_int_equal(vestry_registry_action(NULL, "a", listed_action, NULL), VESTRY_INVALID);
  assert_int_equal(vestry_registry_action(vestry_parts_of(w.v)->registry, "a", NULL, NULL), VESTRY_INVALID);
  assert_int_equal(vestry_registry_placeholder(NULL, "a", seven, NULL), VESTRY_INVALID);
  assert_int_equal(vestry_registry_placeholder(vestry_parts_of(w.v)->registry, "a", NULL, NULL), VESTRY_INVALID);
  assert_int_equal(vestry_registry_intercept(vestry_parts_of(w.v)->registry, NULL), VESTRY_INVALID);
  vestry_registry_destroy(registry);
  vestry_registry_destroy(NULL);
  site_end(&w);
}

static vestry_err build(test_host *th, void *ctx) {
  notes n = {""};
  noter a = {&n, "a", false};
  vestry_interceptor interceptor = {"a", VESTRY_PHASE_ACTION, note_before, NULL, &a};
  vestry_registry *one = NULL, *two = NULL;
  vestry_err error = vestry_registry_create(&th->host, &one);
  if (!error) error = vestry_registry_create(&th->host, &two);
  if (!error) error = vestry_registry_effect(one, "e", says_one, &n);
  if (!error) error = vestry_registry_effect(two, "e", says_two, &n);
  if (!error) error = vestry_registry_action(two, "do", listed_action, &n);
  if (!error) error = vestry_registry_placeholder(two, "seven", seven, &n);
  if (!error) error = vestry_registry_intercept(two, &interceptor);
  if (!error) error = vestry_registry_add(one, two);
  vestry_registry_destroy(one);
  vestry_registry_destroy(two);
  return error;
}

static void building_survives_every_allocation_failure(void **state) {
  test_host_fail_each(build, NULL, false);
}

/* An instance without memory for a registry is unchanged. */
static void failed_add_leaves_the_registry_unchanged(void **state) {
  notes n = {""};
  vestry_registry *registry = registry_of(NULL);
  assert_int_equal(vestry_registry_effect(registry, "e", says_two, &n), VESTRY_OK);
  assert_int_equal(vestry_registry_effect(registry, "f", says_two, &n), VESTRY_OK);
  bool failed = true;
  for (long number = 0; failed; number++) {
    site w;
    n.text[0] = '\0';
    site_begin(&w, (vestry_options){0});
    assert_int_equal(vestry_registry_effect(vestry_parts_of(w.v)->registry, "e", says_one, &n), VESTRY_OK);
    test_host_fail_in(&w.th, number);
    vestry_err error = vestry_registry_add(vestry_parts_of(w.v)->registry, registry);
    failed = test_host_has_failed(&w.th);
    assert_int_equal(error, failed ? VESTRY_NO_MEMORY : VESTRY_OK);
    dispatch_text(&w, "[[\"e\"]]", NULL, VESTRY_OK, NULL);
    assert_string_equal(n.text, failed ? "one " : "two ");
    dispatch_text(&w, "[[\"f\"]]", NULL, failed ? VESTRY_NOT_FOUND : VESTRY_OK, NULL);
    site_end(&w);
  }
  vestry_registry_destroy(registry);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(b8_registry_adds_effects_actions_and_interceptors),
      cmocka_unit_test(b8_later_names_win_and_interceptors_append),
      cmocka_unit_test(b8_registries_can_be_nested_and_shared),
      cmocka_unit_test(invalid_registrations_are_refused),
      cmocka_unit_test(building_survives_every_allocation_failure),
      cmocka_unit_test(failed_add_leaves_the_registry_unchanged),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
