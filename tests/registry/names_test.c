#include "registry/names.h"

#include "support/test.h"
#include "support/test_host.h"

static vestry_err one(vestry_dispatch_context *context, const json_t *args, void *ctx) {
  (void)context, (void)args, (void)ctx;
  return VESTRY_OK;
}

static vestry_err two(vestry_dispatch_context *context, const json_t *args, void *ctx) {
  (void)context, (void)args, (void)ctx;
  return VESTRY_FAILED;
}

static vestry_err side(vestry_dispatch_context *context, const json_t *effect, void *ctx) {
  (void)context, (void)effect, (void)ctx;
  return VESTRY_OK;
}

static vestry_err set(vsi_names *names, vsi_kind kind, const char *name, vestry_effect_fn effect) {
  return vsi_names_set(names, name, &(vsi_entry){.kind = kind, .fn.effect = effect});
}

static void the_last_registered_wins(void **state) {
  (void)state;
  test_host th;
  test_host_init(&th);
  vsi_names names;
  vsi_names_init(&names, &th.host);
  assert_null(vsi_names_find(&names, VSI_KIND_EFFECT, "a"));
  assert_int_equal(set(&names, VSI_KIND_EFFECT, "a", one), VESTRY_OK);
  assert_true(vsi_names_find(&names, VSI_KIND_EFFECT, "a")->fn.effect == one);
  char name[] = "a"; /* copied: what it is set with may change */
  assert_int_equal(set(&names, VSI_KIND_EFFECT, name, two), VESTRY_OK);
  name[0] = 'b';
  assert_true(vsi_names_find(&names, VSI_KIND_EFFECT, "a")->fn.effect == two);
  assert_null(vsi_names_find(&names, VSI_KIND_EFFECT, "b"));
  assert_int_equal(names.used_count, 1);
  vsi_names_finish(&names);
  test_host_assert_clean(&th);
}

static void kinds_do_not_mix(void **state) {
  (void)state;
  vsi_names names;
  vsi_names_init(&names, vestry_host_default());
  assert_int_equal(set(&names, VSI_KIND_EFFECT, "a", one), VESTRY_OK);
  assert_null(vsi_names_find(&names, VSI_KIND_ACTION, "a"));
  assert_int_equal(set(&names, VSI_KIND_ACTION, "a", two), VESTRY_OK);
  assert_true(vsi_names_find(&names, VSI_KIND_EFFECT, "a")->fn.effect == one);
  assert_true(vsi_names_find(&names, VSI_KIND_ACTION, "a")->fn.effect == two);
  assert_null(vsi_names_find(&names, VSI_KIND_PLACEHOLDER, "a"));
  vsi_names_finish(&names);
}

static vestry_err fill(test_host *th, void *ctx) {
  (void)ctx;
  vsi_names names;
  vsi_names_init(&names, &th->host);
  vestry_err error = VESTRY_OK;
  int count = 0;
  for (; !error && count < 300; count++) {
    char name[32];
    snprintf(name, sizeof name, "effect-%d", count);
    error = set(&names, VSI_KIND_EFFECT, name, count % 2 ? one : two);
    if (error) count--;
  }
  for (int i = 0; i < 300; i++) { /* those that were set are there, and no others */
    char name[32];
    snprintf(name, sizeof name, "effect-%d", i);
    const vsi_entry *found = vsi_names_find(&names, VSI_KIND_EFFECT, name);
    assert_int_equal(found != NULL, i < count);
    if (found) assert_true(found->fn.effect == (i % 2 ? one : two));
  }
  for (int i = 0; !error && i < 10; i++)
    error = vsi_names_intercept(&names, &(vestry_interceptor){"x", VESTRY_PHASE_EFFECT, side, NULL, NULL});
  vsi_names_finish(&names);
  return error;
}

static void grows_and_survives_every_allocation_failure(void **state) {
  (void)state;
  test_host_fail_each(fill, NULL, false);
}

static void refuses_what_is_no_registration(void **state) {
  (void)state;
  vsi_names names;
  vsi_names_init(&names, vestry_host_default());
  assert_int_equal(set(&names, VSI_KIND_EFFECT, NULL, one), VESTRY_INVALID);
  assert_int_equal(set(&names, VSI_KIND_EFFECT, "", one), VESTRY_INVALID);
  const vestry_interceptor cases[] = {
      {NULL, VESTRY_PHASE_EFFECT, side, side, NULL},
      {"", VESTRY_PHASE_EFFECT, side, side, NULL},
      {"x", (vestry_phase)99, side, side, NULL},
      {"x", VESTRY_PHASE_EFFECT, NULL, NULL, NULL},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
    assert_int_equal(vsi_names_intercept(&names, &cases[i]), VESTRY_INVALID);
  assert_int_equal(names.interceptors_count, 0);
  vsi_names_finish(&names);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(the_last_registered_wins),
      cmocka_unit_test(kinds_do_not_mix),
      cmocka_unit_test(grows_and_survives_every_allocation_failure),
      cmocka_unit_test(refuses_what_is_no_registration),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
