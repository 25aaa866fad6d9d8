/* SPDX-License-Identifier: MIT */
/* Actions (B9): their state, the effects that they return, the order of effects, and the limits of expansion. */
#include "registry/notes.h"

/* capability: B9 */
NOTED_CASE(b9_actions_are_expanded_depth_first) {
  vestry_dispatch_result result = {0};
  dispatch_text(w, "[[\"e\",1],[\"do\",[[\"do\",[[\"e\",2],[\"do\",[[\"e\",3]]]]],[\"e\",4]]],[\"e\",5]]", NULL,
                VESTRY_OK, &result);
  assert_string_equal(noted.text, "e[1] e[2] e[3] e[4] e[5] ");
  assert_int_equal(result.effects_count, 5);
  assert_int_equal(result.errors_count, 0);
  assert_int_equal(result.skipped_count, 0);
}

/* step, n → [["e", state.step + n]] */
static vestry_err add_step(const json_t *state, const json_t *args, json_t **ret_effects, void *ctx) {
  assert_true(json_is_object(state));
  json_int_t step = json_integer_value(json_object_get(state, "step"));
  *ret_effects = json_pack("[[s,I]]", "e", step + json_integer_value(json_array_get(args, 0)));
  return VESTRY_OK;
}

/* capability: B7 */
TEST_CASE(b9_state_is_the_signals_of_the_request) {
  site w;
  notes n;
  notes_begin(&w, &n);
  assert_int_equal(vestry_registry_action(vestry_parts_of(w.v)->registry, "add", add_step, NULL), VESTRY_OK);
  wire r = {.query = "datastar=%7B%22step%22%3A10%7D"};
  wire_plan(&w, &r, &(plan){.effects = "[[\"add\",1]]"});
  assert_string_equal(n.text, "e[11] ");
  wires_end(&w, &r);
}

NOTED_CASE(b9_state_without_request_is_the_dispatch_data) {
  assert_int_equal(vestry_registry_action(vestry_parts_of(w->v)->registry, "add", add_step, NULL), VESTRY_OK);
  json_t *data = json_of("{\"step\":20}");
  dispatch_text(w, "[[\"add\",1]]", &(vestry_dispatch_options){.data = data}, VESTRY_OK, NULL);
  dispatch_text(w, "[[\"add\",1]]", NULL, VESTRY_OK, NULL);
  assert_string_equal(noted.text, "e[21] e[1] ");
  json_decref(data);
}

/* capability: B9 */
NOTED_CASE(b9_action_may_return_no_effects) {
  vestry_dispatch_result result = {0};
  dispatch_text(w, "[[\"do\"],[\"do\",[]],[\"e\"]]", NULL, VESTRY_OK, &result);
  assert_string_equal(noted.text, "e[] ");
  assert_int_equal(result.effects_count, 1);
  assert_int_equal(result.errors_count, 0);
}

/* capability: B9 */
NOTED_CASE(b9_result_that_is_no_effect_list_is_refused) {
  static const char *const wrong[] = {"{}",          "\"e\"",          "1",       "null",
                                      "[\"e\",1]",   "[[\"e\"],[]]",   "[[1]]",   "[[[\"e\"]]]",
                                      "[[\"e\"],7]", "[[\"e\"],null]", "[[\"\"]]"};
  for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
    char effects[128];
    vestry_dispatch_result result = {0};
    snprintf(effects, sizeof effects, "[[\"do\",%s],[\"e\",9]]", wrong[i]);
    noted.text[0] = '\0';
    dispatch_text(w, effects, NULL, VESTRY_INVALID, &result);
    assert_string_equal(noted.text, "e[9] "); /* none of the action's effects ran, and the next effect did */
    assert_int_equal(result.errors_count, 1);
    assert_error(&result, 0, VESTRY_PHASE_ACTION, "do", NULL, VESTRY_INVALID,
                 "the action did not return a list of effects and actions");
  }
}

static vestry_err gives_and_fails(const json_t *state, const json_t *args, json_t **ret_effects, void *ctx) {
  *ret_effects = json_of("[[\"e\"]]");
  return VESTRY_EXISTS;
}

NOTED_CASE(b9_b12_errors_name_the_effect_and_its_action) {
  assert_int_equal(vestry_registry_action(vestry_parts_of(w->v)->registry, "broken", gives_and_fails, NULL), VESTRY_OK);
  vestry_dispatch_result result = {0};
  dispatch_text(w, "[[\"do\",[[\"broken\"],[\"fail\"],[\"nobody\"],[\"e\"]]],[\"fail\"]]", NULL, VESTRY_EXISTS,
                &result);
  assert_string_equal(noted.text, "f[] e[] f[] ");
  assert_int_equal(result.errors_count, 4);
  assert_error(&result, 0, VESTRY_PHASE_ACTION, "broken", "do", VESTRY_EXISTS, NULL);
  assert_error(&result, 1, VESTRY_PHASE_EFFECT, "fail", "do", VESTRY_FAILED, "as told");
  assert_error(&result, 2, VESTRY_PHASE_EFFECT, "nobody", "do", VESTRY_NOT_FOUND,
               "no effect of this name is registered");
  assert_error(&result, 3, VESTRY_PHASE_EFFECT, "fail", NULL, VESTRY_FAILED, "as told");
}

/* capability: B11 */
NOTED_CASE(b11_interceptors_wrap_actions) {
  noter a = {&noted, "a", false}, b = {&noted, "b", true}, c = {&noted, "c", false};
  intercept(w, &a, VESTRY_PHASE_ACTION);
  intercept(w, &b, VESTRY_PHASE_ACTION);
  intercept(w, &c, VESTRY_PHASE_EFFECT);
  vestry_dispatch_result result = {0};
  dispatch_text(w, "[[\"do\",[[\"do\",[[\"e\",1]]],[\"e\",2]]]]", NULL, VESTRY_FAILED, &result);
  assert_string_equal(noted.text, "a<do b<do a<do b<do c<e e[1] c>e b>do a>do c<e e[2] c>e b>do a>do ");
  assert_int_equal(result.errors_count, 4);
  assert_error(&result, 0, VESTRY_PHASE_ACTION, "b", "do", VESTRY_FAILED, "before b");
  assert_error(&result, 3, VESTRY_PHASE_ACTION, "b", "do", VESTRY_NOT_FOUND, NULL);
  assert_false(result.errors[1].is_after);
  assert_true(result.errors[2].is_after);
}

/* --------------------------------------------------------------------------------------------------- where it ends */

/* n → n times itself with n - 1, then an effect */
static vestry_err countdown(const json_t *state, const json_t *args, json_t **ret_effects, void *ctx) {
  json_int_t left = json_integer_value(json_array_get(args, 0));
  *ret_effects = left ? json_pack("[[s,I],[s,I]]", "countdown", left - 1, "e", left) : NULL;
  return VESTRY_OK;
}

/* capability: B9 */
NOTED_CASE(b9_action_depth_is_limited) {
  assert_int_equal(vestry_registry_action(vestry_parts_of(w->v)->registry, "countdown", countdown, NULL), VESTRY_OK);
  char effects[64];
  vestry_dispatch_result result = {0};
  snprintf(effects, sizeof effects, "[[\"countdown\",%d]]", VESTRY_ACTIONS_MAX_DEPTH - 1);
  dispatch_text(w, effects, NULL, VESTRY_OK, &result);
  assert_int_equal(result.effects_count, VESTRY_ACTIONS_MAX_DEPTH - 1);
  noted.text[0] = '\0';
  snprintf(effects, sizeof effects, "[[\"countdown\",%d],[\"e\",0]]", VESTRY_ACTIONS_MAX_DEPTH + 5);
  dispatch_text(w, effects, NULL, VESTRY_LIMIT, &result);
  assert_int_equal(result.errors_count, 1);
  assert_error(&result, 0, VESTRY_PHASE_ACTION, "countdown", "countdown", VESTRY_LIMIT,
               "actions are nested deeper than 32");
  assert_int_equal(result.effects_count, VESTRY_ACTIONS_MAX_DEPTH + 1); /* the effect beside the refused action ran */
}

static vestry_err doubles(const json_t *state, const json_t *args, json_t **ret_effects, void *ctx) {
  (*(unsigned *)ctx)++;
  *ret_effects = json_pack("[[s],[s]]", "doubles", "doubles");
  return VESTRY_OK;
}

static vestry_err count_effect(vestry_dispatch_context *context, const json_t *args, void *ctx) {
  (*(unsigned *)ctx)++;
  return VESTRY_OK;
}

/* Within the depth limit, a tree of actions can have 2^32 leaves. */
/* capability: B9 */
NOTED_CASE(b9_count_of_resulting_effects_is_limited) {
  unsigned count = 0;
  assert_int_equal(vestry_registry_action(vestry_parts_of(w->v)->registry, "doubles", doubles, &count), VESTRY_OK);
  assert_int_equal(vestry_registry_effect(vestry_parts_of(w->v)->registry, "count", count_effect, &count), VESTRY_OK);
  json_t *many = json_array(), *effects;
  for (int i = 0; i < VESTRY_DISPATCH_MAX_COUNT + 1; i++) json_array_append_new(many, json_pack("[s]", "count"));
  vestry_dispatch_result result = {0};
  /* the dispatched list itself has no limit */
  assert_int_equal(vestry_dispatch_with(w->v, many, NULL, &result), VESTRY_OK);
  assert_int_equal(count, VESTRY_DISPATCH_MAX_COUNT + 1);
  assert_int_equal(result.effects_count, VESTRY_DISPATCH_MAX_COUNT + 1);
  count = 0;
  effects = json_pack("[[s,O],[s],[s,[[s]]]]", "do", many, "count", "do", "count");
  assert_int_equal(vestry_dispatch_with(w->v, effects, NULL, &result), VESTRY_LIMIT);
  /* the maximum number of resulting effects, and the one after the action */
  assert_int_equal(count, VESTRY_DISPATCH_MAX_COUNT + 1);
  assert_int_equal(result.skipped_count, 1);
  assert_int_equal(result.errors_count, 2);
  assert_error(&result, 0, VESTRY_PHASE_ACTION, "count", "do", VESTRY_LIMIT,
               "one dispatch expands to more than 10000 effects and actions");
  assert_error(&result, 1, VESTRY_PHASE_ACTION, "do", NULL, VESTRY_LIMIT,
               "one dispatch expands to more than 10000 effects and actions");
  json_decref(effects);
  json_decref(many);
  count = 0;
  dispatch_text(w, "[[\"doubles\"],[\"e\"]]", NULL, VESTRY_LIMIT, &result);
  assert_string_equal(noted.text, "e[] ");
  /* calls of the action; the others are too deep */
  assert_in_range(count, VESTRY_DISPATCH_MAX_COUNT / 4, VESTRY_DISPATCH_MAX_COUNT);
  /* its own errors, and that the limit was reached */
  assert_int_equal(count + result.errors_count, VESTRY_DISPATCH_MAX_COUNT + 2);
  assert_int_equal(result.effects_count, 1);
}

NOTED_CASE(dispatch_does_not_change_its_effects) {
  json_t *data = json_of("{\"x\":[1]}"), *effects = json_of("[[\"do\",[[\"e\",[\"data\",\"x\"]]]]]"),
         *copy = json_deep_copy(effects);
  for (int i = 0; i < 2; i++)
    assert_int_equal(vestry_dispatch_with(w->v, effects, &(vestry_dispatch_options){.data = data}, NULL), VESTRY_OK);
  assert_string_equal(noted.text, "e[[1]] e[[1]] ");
  assert_true(json_equal(effects, copy));
  json_decref(copy);
  json_decref(effects);
  json_decref(data);
}

static json_t *kept_args[3];

static vestry_err keep_args(vestry_dispatch_context *context, const json_t *args, void *ctx) {
  size_t *count = ctx;
  kept_args[(*count)++] = json_incref((json_t *)args);
  return VESTRY_OK;
}

NOTED_CASE(effects_may_keep_their_arguments) {
  size_t count = 0;
  assert_int_equal(vestry_registry_effect(vestry_parts_of(w->v)->registry, "keep", keep_args, &count), VESTRY_OK);
  dispatch_text(w, "[[\"e\",0],[\"keep\",1],[\"keep\",2,3],[\"keep\"],[\"e\",4]]", NULL, VESTRY_OK, NULL);
  for (size_t i = 0; i < 3; i++) {
    note_json(&noted, kept_args[i]);
    json_decref(kept_args[i]);
  }
  assert_string_equal(noted.text, "e[0] e[4] [1][2,3][]");
}
