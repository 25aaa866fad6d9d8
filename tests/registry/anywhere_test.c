/* SPDX-License-Identifier: MIT */
/* Dispatch outside of requests: its targets, data and results (B12, B14). */
#include "registry/notes.h"

/* capability: B14 */
TEST_CASE(b14_dispatch_by_key_by_connection_or_without_target) {
  site w;
  notes n;
  notes_begin(&w, &n);
  wire kept = {0}, held = {0};
  wire_plan(&w, &kept, &(plan){.keep = true, .key = "a"});
  wire_plan(&w, &held, &(plan){.auto_close = -1, .effects = "[[\"e\",0]]"});
  static const char tick[] = "[[\"patch-signals\",{\"n\":1}]]";
  const vestry_key *key = ROOM("a"), *other = ROOM("b");
  vestry_dispatch_result result = {0};
  dispatch_text(&w, tick, &(vestry_dispatch_options){.key = key}, VESTRY_OK, &result);
  assert_int_equal(result.connections_count, 1);
  dispatch_text(&w, tick, &(vestry_dispatch_options){.connection = held.connection}, VESTRY_OK, &result);
  assert_int_equal(result.connections_count, 1);
  site_settle(&w);
  assert_int_equal(wire_count(&kept, "{\"n\":1}"), 1);
  assert_int_equal(wire_count(&held, "{\"n\":1}"), 1);
  dispatch_text(&w, tick, &(vestry_dispatch_options){.key = other}, VESTRY_NOT_FOUND, &result);
  assert_int_equal(result.errors_count, 0);
  /* Without a target, effects run, but there is no connection to send to. */
  dispatch_text(&w, "[[\"e\",1],[\"patch-signals\",{}],[\"e\",2]]", NULL, VESTRY_CLOSED, &result);
  assert_string_equal(n.text, "e[0] e[1] e[2] ");
  assert_int_equal(result.connections_count, 0);
  assert_int_equal(result.effects_count, 2);
  wire_hang_up(&w, &held);
  dispatch_text(&w, tick, &(vestry_dispatch_options){.connection = held.connection}, VESTRY_NOT_FOUND, NULL);
  vestry_close(w.v);
  dispatch_text(&w, "[[\"e\"]]", NULL, VESTRY_CLOSED, NULL);
  wires_end(&w, &kept, &held);
}

TEST_CASE(invalid_dispatch_options_are_refused) {
  site w;
  notes n;
  notes_begin(&w, &n);
  wire r = {0};
  wire_plan(&w, &r, &(plan){.keep = true, .key = "a"});
  const vestry_key *key = ROOM("a"), none = vestry_key_string(NULL);
  json_t *array = json_array(), *object = json_object();
  const vestry_dispatch_options wrong[] = {
      {.key = key, .connection = r.connection},
      {.key = &none},
      {.data = array},
      {.results = object},
  };
  for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
    assert_int_equal(vestry_dispatch_with(w.v, array, &wrong[i], NULL), VESTRY_INVALID);
  assert_int_equal(vestry_dispatch_with(w.v, object, NULL, NULL), VESTRY_INVALID);
  assert_int_equal(vestry_dispatch_with(w.v, NULL, NULL, NULL), VESTRY_INVALID);
  assert_int_equal(vestry_dispatch_with(NULL, array, NULL, NULL), VESTRY_INVALID);
  assert_int_equal(vestry_dispatch_with(w.v, array, NULL, NULL), VESTRY_OK);
  json_decref(array);
  json_decref(object);
  wires_end(&w, &r);
}

/* ------------------------------------------------------------------------------------------ results and errors ---- */

static vestry_err gives_twice(vestry_dispatch_context *context, const json_t *args, void *ctx) {
  assert_int_equal(vestry_context_return(context, json_string("first")), VESTRY_OK);
  assert_int_equal(vestry_context_return(context, NULL), VESTRY_NO_MEMORY);
  assert_null(vestry_context_info(context)->value); /* this is for interceptors */
  return vestry_context_return(context, json_string("second"));
}

/* capability: B12 */
NOTED_CASE(b12_results_are_collected) {
  assert_int_equal(vestry_registry_effect(vestry_parts_of(w->v)->registry, "twice", gives_twice, NULL), VESTRY_OK);
  json_t *results = json_of("[\"before\"]"), *data = json_of("{\"x\":[7]}");
  vestry_dispatch_result result = {0};
  dispatch_text(w,
                "[[\"give\",[\"data\",\"x\"]],[\"e\"],[\"fail\"],[\"give\",null],[\"do\",[[\"give\",2],[\"twice\"]]]]",
                &(vestry_dispatch_options){.results = results, .data = data}, VESTRY_FAILED, &result);
  noted.text[0] = '\0';
  note_json(&noted, results);
  assert_string_equal(noted.text,
                      "[\"before\",{\"effect\":[\"give\",[7]],\"value\":[7]},{\"effect\":[\"e\"],\"value\":null},"
                      "{\"effect\":[\"give\",2],\"value\":2},{\"effect\":[\"twice\"],\"value\":\"second\"}]");
  assert_int_equal(result.effects_count, 4);
  assert_int_equal(result.errors_count, 2);
  assert_error(&result, 0, VESTRY_PHASE_EFFECT, "fail", NULL, VESTRY_FAILED, "as told");
  assert_error(&result, 1, VESTRY_PHASE_EFFECT, "give", NULL, VESTRY_FAILED, NULL);
  json_decref(results);
  json_decref(data);
}

/* capability: B12 */
NOTED_CASE(b12_fail_fast_skips_the_remaining_effects) {
  noter a = {&noted, "a", false}, b = {&noted, "b", false}, c = {&noted, "c", false};
  intercept(w, &a, VESTRY_PHASE_DISPATCH);
  intercept(w, &b, VESTRY_PHASE_ACTION);
  intercept(w, &c, VESTRY_PHASE_EFFECT);
  static const char effects[] = "[[\"e\",1],[\"do\",[[\"fail\",2],[\"e\",3]]],[\"e\",4],[\"e\",5]]";
  vestry_dispatch_options fail_fast = {.fail_fast = true};
  vestry_dispatch_result result = {0};
  dispatch_text(w, effects, &fail_fast, VESTRY_FAILED, &result);
  assert_string_equal(noted.text, "a< c<e e[1] c>e b<do c<fail f[2] c>fail b>do a> "); /* afters run nevertheless */
  assert_int_equal(result.effects_count, 1);
  assert_int_equal(result.errors_count, 1);
  assert_int_equal(result.skipped_count, 3);
  noted.text[0] = '\0';
  dispatch_text(w, effects, NULL, VESTRY_FAILED, &result); /* without fail_fast, the rest runs */
  assert_int_equal(result.effects_count, 4);
  assert_int_equal(result.skipped_count, 0);
}

/* With fail_fast, an interceptor that fails acts as a gate. */
TEST_CASE(b11_b12_failing_interceptor_stops_a_fail_fast_dispatch) {
  static const struct {
    vestry_phase phase;
    const char *effects, *slow, *fast;
    uint32_t skipped_count;
  } cases[] = {
      {VESTRY_PHASE_DISPATCH, "[[\"e\",1],[\"e\",2]]", "g< e[1] e[2] g> ", "g< g> ", 2},
      {VESTRY_PHASE_ACTION, "[[\"do\",[[\"e\",1]]],[\"e\",2]]", "g<do e[1] g>do e[2] ", "g<do g>do ", 2},
      {VESTRY_PHASE_EFFECT, "[[\"e\",1],[\"e\",2]]", "g<e e[1] g>e g<e e[2] g>e ", "g<e g>e ", 2},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
    for (int fast = 0; fast < 2; fast++) {
      site w;
      notes n;
      notes_begin(&w, &n);
      noter gate = {&n, "g", true};
      intercept(&w, &gate, cases[i].phase);
      vestry_dispatch_result result = {0};
      dispatch_text(&w, cases[i].effects, &(vestry_dispatch_options){.fail_fast = fast}, VESTRY_FAILED, &result);
      assert_string_equal(n.text, fast ? cases[i].fast : cases[i].slow);
      assert_int_equal(result.skipped_count, fast ? cases[i].skipped_count : 0);
      assert_error(&result, 0, cases[i].phase, "g", i == 0 ? NULL : i == 1 ? "do" : "e", VESTRY_FAILED, "before g");
      site_end(&w);
    }
}

static vestry_err fast_handler(const vestry_request *req, vestry_reply *reply, void *app) {
  vestry_err error = vestry_reply_effect(reply, VESTRY_LIST("fail"));
  if (!error) error = vestry_reply_effect(reply, VESTRY_LIST("e", 1));
  vestry_reply_stream(reply, &(vestry_stream_options){.fail_fast = app != NULL});
  return error;
}

/* capability: B12 */
TEST_CASE(b12_reply_can_fail_fast) {
  for (int fast = 0; fast < 2; fast++) {
    site w;
    notes n;
    notes_begin(&w, &n);
    wire r = {.datastar = true};
    wire_request(&w, &r, fast_handler, fast ? &n : NULL);
    assert_string_equal(n.text, fast ? "f[] " : "f[] e[1] ");
    assert_string_equal(w.th.last_log, "dispatch for a reply: effect fail: FAILED: as told");
    wires_end(&w, &r);
  }
}

/* The results that an interceptor sees before and after its effect. */
static vestry_err look(vestry_dispatch_context *context, const json_t *effect, void *ctx) {
  const vestry_dispatch_result *result = vestry_context_info(context)->result;
  note(ctx, "%s:%u,%u ", json_string_value(json_array_get(effect, 0)), result->effects_count, result->errors_count);
  if (vestry_context_info(context)->value) note_json(ctx, vestry_context_info(context)->value);
  assert_int_equal(vestry_context_return(context, json_null()), VESTRY_INVALID); /* this is for effects */
  note(ctx, " ");
  return VESTRY_OK;
}

/* capability: B11 */
NOTED_CASE(b11_b12_interceptors_see_results_and_errors) {
  assert_int_equal(vestry_registry_intercept(vestry_parts_of(w->v)->registry,
                                             &(vestry_interceptor){"l", VESTRY_PHASE_EFFECT, look, look, &noted}),
                   VESTRY_OK);
  dispatch_text(w, "[[\"give\",1],[\"give\",null],[\"give\",2]]", NULL, VESTRY_FAILED, NULL);
  assert_string_equal(noted.text, "give:0,0  give:1,0 1 give:1,0  give:1,1  give:1,1  give:2,1 2 ");
}
