/* SPDX-License-Identifier: MIT */
/* Placeholders (B10): their arguments, their replacement, and placeholders that wait. */
#include "registry/notes.h"

/* Notes its call, and returns its first argument; null: no value. */
static vestry_err noting(const json_t *data, const json_t *args, json_t **ret_value, void *ctx) {
  note(ctx, "p");
  note_json(ctx, data);
  note_json(ctx, args);
  note(ctx, " ");
  json_t *value = json_array_get(args, 0);
  *ret_value = json_is_null(value) ? NULL : json_incref(value);
  return VESTRY_OK;
}

/* Returns [name, …]: a list headed by its argument. */
static vestry_err names_another(const json_t *data, const json_t *args, json_t **ret_value, void *ctx) {
  *ret_value = json_pack("[O,i]", json_array_get(args, 0), 5);
  return VESTRY_OK;
}

/* Returns an equal list. */
static vestry_err itself(const json_t *data, const json_t *args, json_t **ret_value, void *ctx) {
  *ret_value = json_pack("[s]", "itself");
  note(ctx, "i ");
  return VESTRY_OK;
}

static vestry_err fails(const json_t *data, const json_t *args, json_t **ret_value, void *ctx) {
  *ret_value = json_integer(json_integer_value(json_array_get(args, 0)));
  return VESTRY_TIMEOUT;
}

static void begin(site *w, notes *n) {
  notes_begin(w, n);
  assert_int_equal(vestry_registry_placeholder(vestry_parts_of(w->v)->registry, "p", noting, n), VESTRY_OK);
  assert_int_equal(vestry_registry_placeholder(vestry_parts_of(w->v)->registry, "name", names_another, NULL),
                   VESTRY_OK);
  assert_int_equal(vestry_registry_placeholder(vestry_parts_of(w->v)->registry, "itself", itself, n), VESTRY_OK);
  assert_int_equal(vestry_registry_placeholder(vestry_parts_of(w->v)->registry, "fails", fails, NULL), VESTRY_OK);
}

#define PLACED_CASE(name) TEST_CASE_WITH(name, site, w, begin(w, &noted), site_end(w))

/* Dispatch with the data {"x":1}, and compare the notes. */
static void check(const char *effects, const char *expected) {
  site w;
  notes n;
  begin(&w, &n);
  json_t *data = json_of("{\"x\":1}");
  dispatch_text(&w, effects, &(vestry_dispatch_options){.data = data}, VESTRY_OK, NULL);
  assert_string_equal(n.text, expected);
  json_decref(data);
  site_end(&w);
}

/* capability: B10 */
TEST_CASE(b10_a_list_headed_by_the_name_is_replaced) {
  check("[[\"e\",[\"data\",\"x\"]]]", "e[1] ");
  check("[[\"e\",{\"a\":[2,[\"data\",\"x\"]],\"b\":3},\"data\",[\"x\",\"data\"]]]",
        "e[{\"a\":[2,1],\"b\":3},\"data\",[\"x\",\"data\"]] ");
  check("[[\"e\",[\"p\",4]]]", "p{\"x\":1}[4] e[4] ");
  check("[[\"e\",[\"Data\",\"x\"],[[\"dat\"]],{\"data\":\"x\"},[]]]",
        "e[[\"Data\",\"x\"],[[\"dat\"]],{\"data\":\"x\"},[]] ");
}

/* capability: B10 */
TEST_CASE(b10_innermost_placeholder_is_replaced_first) {
  check("[[\"e\",[\"p\",[\"p\",[\"data\",\"x\"]]],{\"k\":[\"p\",{\"l\":[\"p\",2]}]}]]",
        "p{\"x\":1}[1] p{\"x\":1}[1] p{\"x\":1}[2] p{\"x\":1}[{\"l\":2}] e[1,{\"k\":{\"l\":2}}] ");
}

/* capability: B10 */
TEST_CASE(b10_replacement_is_not_expanded_again) {
  check("[[\"e\",[\"name\",\"data\"]]]", "e[[\"data\",5]] ");
  check("[[\"e\",[\"p\",[\"name\",\"data\"]]]]", "p{\"x\":1}[[\"data\",5]] e[[\"data\",5]] ");
  /* A replacement does not become the name of a placeholder either. */
  check("[[\"e\",[[\"p\",\"data\"],\"x\"]]]", "p{\"x\":1}[\"data\"] e[[\"data\",\"x\"]] ");
}

/* capability: B10 */
TEST_CASE(b10_placeholder_without_value_waits) {
  check("[[\"e\",[\"itself\"]]]", "i e[[\"itself\"]] ");
  check("[[\"e\",[\"p\",null]]]", "p{\"x\":1}[null] e[[\"p\",null]] "); /* no value: the same */
  check("[[\"e\",[\"data\",\"y\"]]]", "e[[\"data\",\"y\"]] ");
  /* The waiting placeholder has its inner placeholders replaced. */
  check("[[\"e\",[\"data\",[\"p\",\"z\"]]]]", "p{\"x\":1}[\"z\"] e[[\"data\",\"z\"]] ");
}

/* The placeholders in an action's arguments are replaced before the action runs; those in its result, when each
 * resulting effect runs. */
TEST_CASE(b10_placeholders_of_actions_are_replaced) {
  check("[[\"do\",[[\"e\",[\"data\",\"x\"]]]]]", "e[1] ");
  check("[[\"do\",[\"vestry/quote\",[[\"e\",[\"p\",2]],[\"e\",[\"p\",3]]]]]]",
        "p{\"x\":1}[2] e[2] p{\"x\":1}[3] e[3] ");
  check("[[\"p\",[\"e\",1]]]", "p{\"x\":1}[[\"e\",1]] e[1] "); /* an entry that is a placeholder */
}

TEST_CASE(quoted_lists_are_not_expanded) {
  check("[[\"e\",[\"vestry/quote\",[\"p\",[\"fails\"]]]]]", "e[[\"p\",[\"fails\"]]] ");
  check("[[\"e\",[\"p\",[\"vestry/quote\",[\"fails\"]]]]]", "p{\"x\":1}[[\"fails\"]] e[[\"fails\"]] ");
  check("[[\"e\",[\"vestry/quote\",[\"vestry/quote\",1]]]]", "e[[\"vestry/quote\",1]] ");
}

PLACED_CASE(b10_b12_failed_placeholder_stops_its_effect_only) {
  noter a = {&noted, "a", false};
  intercept(w, &a, VESTRY_PHASE_ACTION);
  vestry_dispatch_result result = {0};
  dispatch_text(w,
                "[[\"e\",[\"p\",1],{\"k\":[[\"p\",2],[\"fails\",3]]}],[\"do\",[[\"e\",[\"fails\"]]]],"
                "[\"e\",[\"vestry/quote\"]],[\"e\",[\"vestry/quote\",1,2]],[\"p\",7],[\"e\",4]]",
                NULL, VESTRY_TIMEOUT, &result);
  assert_string_equal(noted.text, "p{}[1] p{}[2] p{}[7] e[4] ");
  assert_int_equal(result.errors_count, 5);
  assert_error(&result, 0, VESTRY_PHASE_EFFECT, "fails", "e", VESTRY_TIMEOUT, NULL);
  assert_error(&result, 1, VESTRY_PHASE_ACTION, "fails", "do", VESTRY_TIMEOUT, NULL);
  assert_error(&result, 2, VESTRY_PHASE_EFFECT, "vestry/quote", "e", VESTRY_INVALID, "only one value can be quoted");
  assert_error(&result, 3, VESTRY_PHASE_EFFECT, "vestry/quote", "e", VESTRY_INVALID, "only one value can be quoted");
  assert_error(&result, 4, VESTRY_PHASE_EFFECT, "", NULL, VESTRY_INVALID,
               "an effect must be an array that begins with its name");
}

TEST_CASE(b10_signals_of_the_request_are_the_data) {
  site w;
  notes n;
  begin(&w, &n);
  wire r = {.query = "datastar=%7B%22x%22%3A9%7D"};
  wire_plan(&w, &r, &(plan){.effects = "[[\"e\",[\"data\",\"x\"]]]"});
  assert_string_equal(n.text, "e[9] ");
  wires_end(&w, &r);
}

/* Signals from a client name no placeholders if a handler sends them back. */
static vestry_err echo(const vestry_request *req, vestry_reply *reply, void *app) {
  return vestry_reply_patch_signals(reply, VESTRY_VALUES(req->signals));
}

/* capability: B10 */
TEST_CASE(client_signals_cannot_name_placeholders) {
  site w;
  notes n;
  begin(&w, &n);
  wire r = {.datastar = true, .query = "datastar=%7B%22x%22%3A%5B%22p%22%2C1%5D%7D"};
  wire_request(&w, &r, echo, NULL);
  assert_string_equal(n.text, "");
  assert_int_equal(wire_count(&r, "{\"x\":[\"p\",1]}"), 1);
  wires_end(&w, &r);
}

static json_t *nest(int depth, json_t *inside) {
  while (depth--) {
    json_t *around = depth % 2 ? json_object() : json_array();
    if (depth % 2)
      json_object_set_new(around, "k", inside);
    else
      json_array_append_new(around, inside);
    inside = around;
  }
  return inside;
}

PLACED_CASE(depth_of_arguments_is_limited) {
  for (int too_deep = 0; too_deep < 2; too_deep++) {
    json_t *inside = nest(254 + too_deep, json_of("[\"data\",\"x\"]"));
    json_t *effects = json_pack("[[s,o]]", "vestry/none", inside);
    assert_int_equal(vestry_registry_effect(vestry_parts_of(w->v)->registry, "vestry/none", giving_effect, NULL),
                     VESTRY_OK);
    vestry_dispatch_result result = {0};
    vestry_err error = vestry_dispatch_with(w->v, effects, NULL, &result);
    assert_int_equal(error, too_deep ? VESTRY_TOO_LARGE : VESTRY_OK);
    if (too_deep)
      assert_error(&result, 0, VESTRY_PHASE_EFFECT, "vestry/none", "vestry/none", VESTRY_TOO_LARGE, "nested too deep");
    json_decref(effects);
  }
}

/* ------------------------------------------------------------------------------------------------------ memory ---- */

TEST_CASE(b10_expansion_survives_every_allocation_failure) {
  bool failed = true;
  long number = 0;
  for (; failed; number++) {
    site w;
    notes n;
    begin(&w, &n);
    json_t *data = json_of("{\"x\":1}");
    json_t *effects = json_of("[[\"do\",[[\"give\",{\"a\":[\"data\",\"x\"]},[\"data\",\"x\"]]]]]");
    json_t *results = json_array();
    vestry_dispatch_options options = {.data = data, .results = results};
    vestry_dispatch_result result = {0};
    json_fail_begin(number);
    vestry_err error = vestry_dispatch_with(w.v, effects, &options, &result);
    failed = json_fail_end();
    assert_int_equal(error, failed ? VESTRY_NO_MEMORY : VESTRY_OK);
    assert_int_equal(result.errors_count, failed ? 1 : 0);
    assert_int_equal(json_array_size(results), failed ? 0 : 1);
    json_t *value = json_object_get(json_array_get(results, 0), "value");
    if (!failed) assert_int_equal(json_integer_value(json_object_get(value, "a")), 1);
    json_decref(results);
    json_decref(effects);
    json_decref(data);
    site_end(&w);
  }
  assert_true(number > 8); /* no allocation failed in the last round */
}
