/* SPDX-License-Identifier: MIT */
#include "registry/names.h"

#include "support/test.h"
#include "support/test_host.h"

static vestry_err one(vestry_dispatch_context *context, const json_t *args, void *ctx) {
  return VESTRY_OK;
}

static vestry_err two(vestry_dispatch_context *context, const json_t *args, void *ctx) {
  return VESTRY_FAILED;
}

static vestry_err act(const json_t *state, const json_t *args, json_t **ret_effects, void *ctx) {
  return VESTRY_OK;
}

static vestry_err stand_in(const json_t *data, const json_t *args, json_t **ret_value, void *ctx) {
  return VESTRY_OK;
}

static vestry_err side(vestry_dispatch_context *context, const json_t *effect, void *ctx) {
  return VESTRY_OK;
}

static vestry_err set(vestry_registry *names, const char *name, vestry_effect_fn effect) {
  return vestry_registry_effect(names, name, effect, NULL);
}

static vestry_registry *create(void) {
  vestry_registry *names = NULL;
  assert_int_equal(vsi_registry_create(vestry_host_default(), &names), VESTRY_OK);
  return names;
}

static vestry_err intercept(vestry_registry *names, const char *name) {
  return vestry_registry_intercept(names, &(vestry_interceptor){name, VESTRY_PHASE_EFFECT, side, NULL, NULL});
}

static const vsi_meaning *performed(const vestry_registry *names, const char *name) {
  return vsi_names_performed(names, name, strlen(name));
}

static const vsi_meaning *replaced(const vestry_registry *names, const char *name) {
  return vsi_names_replaced(names, name, strlen(name));
}

TEST_CASE(last_registration_of_a_name_wins) {
  vestry_registry *names = create();
  assert_null(performed(names, "a"));
  assert_int_equal(set(names, "a", one), VESTRY_OK);
  assert_true(performed(names, "a")->fn.effect == one);
  char name[] = "a"; /* the name is copied, so its buffer may change */
  assert_int_equal(set(names, name, two), VESTRY_OK);
  name[0] = 'b';
  assert_true(performed(names, "a")->fn.effect == two);
  assert_null(performed(names, "b"));
  assert_int_equal(names->map.count, 1);
  vsi_registry_destroy(names);
}

/* The name of an entry is either an effect or an action; a placeholder may have the same name. */
TEST_CASE(action_replaces_effect_of_the_same_name) {
  vestry_registry *names = create();
  assert_int_equal(set(names, "a", one), VESTRY_OK);
  assert_null(replaced(names, "a"));
  assert_int_equal(vestry_registry_placeholder(names, "a", stand_in, NULL), VESTRY_OK);
  assert_true(performed(names, "a")->fn.effect == one);
  assert_int_equal(vestry_registry_action(names, "a", act, NULL), VESTRY_OK);
  assert_int_equal(performed(names, "a")->kind, VSI_KIND_ACTION);
  assert_true(performed(names, "a")->fn.action == act);
  assert_true(replaced(names, "a")->fn.placeholder == stand_in);
  assert_int_equal(set(names, "a", two), VESTRY_OK);
  assert_int_equal(performed(names, "a")->kind, VSI_KIND_EFFECT);
  assert_int_equal(vestry_registry_placeholder(names, "b", stand_in, NULL), VESTRY_OK);
  assert_null(performed(names, "b"));
  assert_int_equal(names->map.count, 2);
  vsi_registry_destroy(names);
}

/* Names of all lengths around the word size that differ in one byte only: each is found with its own function. */
TEST_CASE(similar_names_are_distinct) {
  vestry_registry *names = create();
  char name[VSI_NAME_MAX_BYTES + 2];
  for (int odd = 0; odd < 2; odd++)
    for (size_t len = 1; len <= 40; len++)
      for (size_t at = 0; at < len; at++) {
        memset(name, 'a', len);
        name[len] = '\0';
        name[at] = odd ? 'c' : 'b';
        assert_int_equal(set(names, name, odd ? two : one), VESTRY_OK);
      }
  for (int odd = 0; odd < 2; odd++)
    for (size_t len = 1; len <= 40; len++)
      for (size_t at = 0; at < len; at++) {
        memset(name, 'a', sizeof name); /* bytes after the name are not part of it */
        name[at] = odd ? 'c' : 'b';
        const vsi_meaning *found = vsi_names_performed(names, name, len);
        assert_non_null(found);
        assert_true(found->fn.effect == (odd ? two : one));
        name[at] = 'd';
        assert_null(vsi_names_performed(names, name, len));
      }
  assert_null(vsi_names_performed(names, "b", 0));
  assert_null(vsi_names_performed(names, "b\0", 2));
  memset(name, 'a', sizeof name);
  name[VSI_NAME_MAX_BYTES + 1] = '\0';
  assert_int_equal(set(names, name, one), VESTRY_INVALID);
  assert_null(vsi_names_performed(names, name, VSI_NAME_MAX_BYTES + 1));
  name[VSI_NAME_MAX_BYTES] = '\0';
  assert_int_equal(set(names, name, one), VESTRY_OK);
  assert_non_null(vsi_names_performed(names, name, VSI_NAME_MAX_BYTES));
  vsi_registry_destroy(names);
}

static vestry_err fill(test_host *th, void *ctx) {
  vestry_registry *names;
  vestry_err error = vsi_registry_create(&th->host, &names);
  int count = 0;
  if (error) return error;
  for (; !error && count < 300; count++) {
    char name[32];
    snprintf(name, sizeof name, "effect-%d", count);
    error = set(names, name, count % 2 ? one : two);
    if (error) count--;
  }
  for (int i = 0; i < 300; i++) { /* exactly the names that were set are found */
    char name[32];
    snprintf(name, sizeof name, "effect-%d", i);
    const vsi_meaning *found = performed(names, name);
    assert_int_equal(found != NULL, i < count);
    if (found) assert_true(found->fn.effect == (i % 2 ? one : two));
  }
  for (int i = 0; !error && i < 10; i++) error = intercept(names, "x");
  vsi_registry_destroy(names);
  return error;
}

TEST_CASE(growing_survives_every_allocation_failure) {
  test_host_fail_each(fill, NULL, false);
}

TEST_CASE(invalid_registrations_are_refused) {
  vestry_registry *names = create();
  assert_int_equal(set(names, NULL, one), VESTRY_INVALID);
  assert_int_equal(set(names, "", one), VESTRY_INVALID);
  const vestry_interceptor cases[] = {
      {NULL, VESTRY_PHASE_EFFECT, side, side, NULL},
      {"", VESTRY_PHASE_EFFECT, side, side, NULL},
      {"x", (vestry_phase)99, side, side, NULL},
      {"x", VESTRY_PHASE_EFFECT, NULL, NULL, NULL},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
    assert_int_equal(vestry_registry_intercept(names, &cases[i]), VESTRY_INVALID);
  for (size_t i = 0; i < VSI_PHASES; i++) assert_int_equal(names->phases[i].count, 0);
  vsi_registry_destroy(names);
}
