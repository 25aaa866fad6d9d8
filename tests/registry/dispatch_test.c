/* SPDX-License-Identifier: MIT */
/* Dispatch: order, interceptors, failures, targets. */
#include "registry/notes.h"
#include "vestry/dispatch.h"

#define TICK "[\"patch-signals\", {\"n\": 1}]"

static vestry_err counting_effect(vestry_dispatch_context *context, const json_t *args, void *ctx) {
  notes *n = ctx;
  size_t count = vestry_context_info(context)->connections_count;
  note(n, "effect(%s,%zu) ", json_string_value(json_array_get(args, 0)), count);
  if (json_is_true(json_array_get(args, 1))) return vestry_context_fail(context, VESTRY_FAILED, "as %s told", "was");
  return VESTRY_OK;
}

static void begin_with_one(site *w, wire *r) {
  site_begin(w, (vestry_options){0});
  *r = (wire){0};
  wire_plan(w, r, &(plan){.keep = true, .key = "a"});
}

/* capability: B11 */
TEST_CASE(b11_interceptors_run_in_order_and_back) {
  site w;
  notes n = {""};
  noter a = {&n, "A", false}, b = {&n, "B", false}, c = {&n, "c", false}, d = {&n, "d", false};
  wire r;
  begin_with_one(&w, &r);
  intercept(&w, &c, VESTRY_PHASE_EFFECT);
  intercept(&w, &a, VESTRY_PHASE_DISPATCH);
  intercept(&w, &d, VESTRY_PHASE_EFFECT);
  intercept(&w, &b, VESTRY_PHASE_DISPATCH);
  assert_int_equal(vestry_registry_effect(vestry_parts_of(w.v)->registry, "e", counting_effect, &n), VESTRY_OK);
  json_t *effects = json_of("[[\"e\",\"1\"],[\"e\",\"2\"]]");
  vestry_dispatch_result result = {0};
  assert_int_equal(vestry_dispatch_with(w.v, effects, &(vestry_dispatch_options){.key = ROOM("a")}, &result),
                   VESTRY_OK);
  assert_string_equal(n.text, "A< B< c<e d<e effect(1,1) d>e c>e c<e d<e effect(2,1) d>e c>e B> A> ");
  assert_int_equal(result.effects_count, 2);
  assert_int_equal(result.errors_count, 0);
  json_decref(effects);
  wires_end(&w, &r);
}

/* capability: B11, B12 */
TEST_CASE(b11_b12_failures_are_recorded_and_other_effects_run) {
  site w;
  notes n = {""};
  noter a = {&n, "A", true}, c = {&n, "c", true}, d = {&n, "d", false};
  wire r;
  begin_with_one(&w, &r);
  intercept(&w, &a, VESTRY_PHASE_DISPATCH);
  intercept(&w, &c, VESTRY_PHASE_EFFECT);
  intercept(&w, &d, VESTRY_PHASE_EFFECT);
  assert_int_equal(vestry_registry_effect(vestry_parts_of(w.v)->registry, "e", counting_effect, &n), VESTRY_OK);
  json_t *effects = json_of("[[\"e\",\"1\",true],[\"e\",\"2\"]]");
  vestry_dispatch_result result = {0};
  assert_int_equal(vestry_dispatch_with(w.v, effects, &(vestry_dispatch_options){.key = ROOM("a")}, &result),
                   VESTRY_FAILED);
  assert_string_equal(n.text, "A< c<e d<e effect(1,1) d>e c>e c<e d<e effect(2,1) d>e c>e A> ");
  static const struct {
    vestry_phase phase;
    const char *name, *what;
    vestry_err error;
    const char *detail;
    bool is_after;
  } expected[] = {
      {VESTRY_PHASE_DISPATCH, "A", "", VESTRY_FAILED, "before A", false},
      {VESTRY_PHASE_EFFECT, "c", "e", VESTRY_FAILED, "before c", false},
      {VESTRY_PHASE_EFFECT, "e", "", VESTRY_FAILED, "as was told", false},
      {VESTRY_PHASE_EFFECT, "c", "e", VESTRY_NOT_FOUND, "", true},
      {VESTRY_PHASE_EFFECT, "c", "e", VESTRY_FAILED, "before c", false},
      {VESTRY_PHASE_EFFECT, "c", "e", VESTRY_NOT_FOUND, "", true},
      {VESTRY_PHASE_DISPATCH, "A", "", VESTRY_NOT_FOUND, "", true},
  };
  assert_int_equal(result.errors_count, 7);
  for (size_t i = 0; i < 7; i++) {
    assert_error(&result, i, expected[i].phase, expected[i].name, expected[i].what, expected[i].error,
                 expected[i].detail);
    assert_int_equal(result.errors[i].is_after, expected[i].is_after);
  }
  assert_int_equal(result.effects_count, 1);
  json_decref(effects);
  wires_end(&w, &r);
}

/* capability: B12 */
TEST_CASE(failures_beyond_the_error_records_are_counted) {
  site w;
  wire r;
  begin_with_one(&w, &r);
  json_t *effects = json_array();
  char name[200];
  memset(name, 'n', sizeof name - 1);
  name[sizeof name - 1] = '\0';
  for (int i = 0; i < 12; i++) json_array_append_new(effects, json_pack("[s]", name));
  vestry_dispatch_result result = {0};
  assert_int_equal(vestry_dispatch_with(w.v, effects, &(vestry_dispatch_options){.key = ROOM("a")}, &result),
                   VESTRY_NOT_FOUND);
  assert_int_equal(result.errors_count, 12);
  assert_int_equal(result.connections_count, 1); /* which distinguishes it from a dispatch without target */
  assert_int_equal(strlen(result.errors[7].name), sizeof result.errors[7].name - 1);
  json_decref(effects);
  wires_end(&w, &r);
}

/* ------------------------------------------------------------------------------------------------ where to -------- */

/* capability: B14 */
TEST_CASE(b14_dispatch_by_key_reaches_all_connections) {
  site w;
  wire wires[20];
  site_begin(&w, (vestry_options){0});
  for (size_t i = 0; i < 20; i++) {
    wires[i] = (wire){0};
    wire_plan(&w, &wires[i], &(plan){.key = "a", .keep = true, .policy = VESTRY_KEEP_MANY, .many_count = 20});
  }
  json_t *effects = json_of("[" TICK "]");
  vestry_dispatch_result result = {0};
  assert_int_equal(vestry_dispatch_with(w.v, effects, &(vestry_dispatch_options){.key = ROOM("a")}, &result),
                   VESTRY_OK);
  assert_int_equal(result.connections_count, 20);
  site_settle(&w);
  for (size_t i = 0; i < 20; i++) assert_int_equal(wire_count(&wires[i], "{\"n\":1}"), 1);
  json_decref(effects);
  wires_end_array(&w, wires, 20);
}

TEST_CASE(dispatch_refuses_invalid_calls) {
  site w;
  wire r;
  begin_with_one(&w, &r);
  json_t *effects = json_of("[" TICK "]"), *object = json_object();
  vestry_dispatch_result result = {0};
  assert_int_equal(vestry_dispatch(NULL, NOWHERE, ROOM("a"), &(const vestry_value){.type = VESTRY_VALUE_LIST}),
                   VESTRY_INVALID);
  assert_int_equal(vestry_dispatch(w.v, NOWHERE, NULL, &(const vestry_value){.type = VESTRY_VALUE_LIST}),
                   VESTRY_INVALID);
  assert_int_equal(vestry_dispatch(w.v, NOWHERE, NULL, VESTRY_LIST("tick")), VESTRY_INVALID);
  assert_int_equal(vestry_dispatch(w.v, NOWHERE, ROOM("a"), NULL), VESTRY_INVALID);
  assert_int_equal(vestry_dispatch(w.v, NOWHERE, ROOM("a"), VESTRY_OBJECT("a", 1)), VESTRY_INVALID);
  assert_int_equal(vestry_dispatch(w.v, NOWHERE, ROOM("a"), VESTRY_LIST("patch-signals", "\xff")), VESTRY_INVALID);
  assert_int_equal(vestry_dispatch(w.v, NOWHERE, ROOM("b"), VESTRY_LIST("patch-signals", VESTRY_OBJECT("n", 1))),
                   VESTRY_NOT_FOUND);
  assert_int_equal(vestry_dispatch(w.v, NOWHERE, ROOM("a"), VESTRY_LIST("patch-signals", VESTRY_OBJECT("one", 1))),
                   VESTRY_OK);
  assert_int_equal(vestry_dispatch(w.v, NOWHERE, ROOM("a"),
                                   VESTRY_LIST(VESTRY_LIST("patch-signals", VESTRY_OBJECT("two", 2.5)),
                                               VESTRY_LIST("patch-signals", VESTRY_OBJECT("three", "3")))),
                   VESTRY_OK);
  site_settle(&w);
  assert_int_equal(wire_count(&r, "{\"one\":1}"), 1);
  assert_int_equal(wire_count(&r, "{\"two\":2.5}"), 1);
  assert_int_equal(wire_count(&r, "{\"three\":\"3\"}"), 1);
  assert_int_equal(vestry_dispatch(w.v, NOWHERE, ROOM("a"), VESTRY_VALUES((json_t *)NULL)), VESTRY_INVALID);
  assert_int_equal(vestry_dispatch(w.v, NOWHERE, ROOM("a"), VESTRY_LIST((const char *)NULL)), VESTRY_INVALID);
  assert_int_equal(vestry_dispatch(w.v, NOWHERE, ROOM("a"), &(const vestry_value){.type = VESTRY_VALUE_OBJECT}),
                   VESTRY_INVALID);
  assert_int_equal(vestry_dispatch(w.v, NOWHERE, (const vestry_key[]){vestry_key_string(NULL)},
                                   &(const vestry_value){.type = VESTRY_VALUE_LIST}),
                   VESTRY_INVALID);
  assert_int_equal(vestry_dispatch_with(w.v, NULL, &(vestry_dispatch_options){.key = ROOM("a")}, &result),
                   VESTRY_INVALID);
  assert_int_equal(vestry_dispatch_with(w.v, object, &(vestry_dispatch_options){.key = ROOM("a")}, &result),
                   VESTRY_INVALID);
  assert_int_equal(vestry_dispatch_with(w.v, object, &(vestry_dispatch_options){.connection = r.connection}, &result),
                   VESTRY_INVALID);
  memset(&result, 0xff, sizeof result);
  assert_int_equal(vestry_dispatch_with(w.v, effects, &(vestry_dispatch_options){.key = ROOM("b")}, &result),
                   VESTRY_NOT_FOUND);
  assert_int_equal(result.connections_count, 0);
  assert_int_equal(result.errors_count, 0);
  assert_int_equal(vestry_dispatch_with(w.v, effects, &(vestry_dispatch_options){.key = ROOM("a")}, NULL), VESTRY_OK);
  vestry_connection_close(r.connection, VESTRY_CAUSE_HANGUP); /* still stored */
  assert_int_equal(vestry_dispatch_with(w.v, effects, &(vestry_dispatch_options){.key = ROOM("a")}, NULL),
                   VESTRY_NOT_FOUND);
  assert_int_equal(vestry_dispatch_with(w.v, effects, &(vestry_dispatch_options){.connection = r.connection}, NULL),
                   VESTRY_NOT_FOUND);
  vestry_close(w.v);
  assert_int_equal(vestry_dispatch_with(w.v, effects, &(vestry_dispatch_options){.key = ROOM("a")}, NULL),
                   VESTRY_CLOSED);
  assert_int_equal(vestry_dispatch_with(w.v, effects, &(vestry_dispatch_options){.connection = r.connection}, NULL),
                   VESTRY_CLOSED);
  json_decref(effects);
  json_decref(object);
  wires_end(&w, &r);
}

/* capability: B14 */
TEST_CASE(b14_dispatch_to_a_referenced_connection) {
  site w;
  site_begin(&w, (vestry_options){0});
  wire r = {0};
  wire_plan(&w, &r, &(plan){.auto_close = -1, .effects = "[" TICK "]"}); /* open, but under no key */
  json_t *effects = json_of("[" TICK "]");
  assert_int_equal(vestry_dispatch_with(w.v, effects, &(vestry_dispatch_options){.connection = r.connection}, NULL),
                   VESTRY_OK);
  site_settle(&w);
  assert_int_equal(wire_count(&r, "{\"n\":1}"), 2);
  json_decref(effects);
  wires_end(&w, &r);
}

/* An event that one connection has no room for reaches the others. */
/* capability: C12 */
TEST_CASE(full_connection_does_not_stop_the_others) {
  site w;
  wire full = {.dedicated = true}, open = {0};
  site_begin(&w, (vestry_options){0});
  plan p = {.key = "a",
            .keep = true,
            .policy = VESTRY_KEEP_MANY,
            .stream = {.max_queued_count = 1, .full = VESTRY_FULL_DROP}};
  wire_plan(&w, &full, &p);
  p.stream.max_queued_count = 10;
  wire_plan(&w, &open, &p);
  json_t *effects = json_of("[" TICK "," TICK "]");
  vestry_dispatch_result result = {0};
  assert_int_equal(vestry_dispatch_with(w.v, effects, &(vestry_dispatch_options){.key = ROOM("a")}, &result),
                   VESTRY_FULL);
  assert_int_equal(result.effects_count, 1);
  assert_int_equal(result.errors_count, 1);
  site_settle(&w);
  assert_int_equal(wire_count(&open, "{\"n\":1}"), 2);
  vestry_connection_run(full.connection);
  assert_int_equal(wire_count(&full, "{\"n\":1}"), 1);
  json_decref(effects);
  vestry_connection_close(full.connection, VESTRY_CAUSE_CLOSED);
  vestry_connection_run(full.connection);
  wires_end(&w, &full, &open);
}

/* ------------------------------------------------------------------------------------------- inside effects ------- */

static vestry_err dispatch_more(vestry_dispatch_context *context, const json_t *args, void *ctx) {
  json_int_t depth = json_integer_value(json_array_get(args, 0));
  vestry_connection *connection = vestry_context_info(context)->connections[0];
  json_t *effects = depth ? json_pack("[[s,I]]", "more", depth - 1) : json_pack("[[s,{s:i}]]", "patch-signals", "n", 1);
  vestry_err error = vestry_dispatch_with(vestry_context_info(context)->v, effects,
                                          &(vestry_dispatch_options){.connection = connection}, NULL);
  json_decref(effects);
  return error;
}

TEST_CASE(effects_may_dispatch) {
  site w;
  wire r;
  begin_with_one(&w, &r);
  assert_int_equal(vestry_registry_effect(vestry_parts_of(w.v)->registry, "more", dispatch_more, NULL), VESTRY_OK);
  assert_int_equal(vestry_dispatch(w.v, NOWHERE, ROOM("a"), VESTRY_LIST("more", VESTRY_DISPATCH_MAX_NESTING - 2)),
                   VESTRY_OK);
  site_settle(&w);
  assert_int_equal(wire_count(&r, "{\"n\":1}"), 1);
  wires_end(&w, &r);
}

static vestry_err check_context(vestry_dispatch_context *context, const json_t *args, void *ctx) {
  site *w = ctx;
  assert_ptr_equal(vestry_context_info(context)->v, w->v);
  const vestry_request *req = vestry_context_info(context)->request;
  vestry_scope scope = vestry_context_info(context)->scope;
  bool from_request = json_is_true(json_array_get(args, 0));
  assert_int_equal(req != NULL, from_request);
  if (req) assert_string_equal(req->path, "/room");
  assert_int_equal(scope.len, 3);
  assert_memory_equal(scope.data, "ann", 3);
  /* Functions that only the CONNECT phase may call. */
  vestry_connection *connection = vestry_context_info(context)->connections[0];
  assert_int_equal(vestry_context_info(context)->connections_count, 1);
  assert_null(vestry_context_info(context)->reply);
  assert_null(vestry_context_info(context)->opened);
  assert_int_equal(vestry_context_target(context, connection), VESTRY_INVALID);
  assert_int_equal(vestry_context_refuse(context, VESTRY_FAILED), VESTRY_INVALID);
  return VESTRY_OK;
}

static vestry_err always_ann(const vestry_request *req, vestry_reply *reply, char *buffer, size_t *ret_len, void *ctx) {
  memcpy(buffer, "ann", 3);
  *ret_len = 3;
  return VESTRY_OK;
}

TEST_CASE(context_has_request_scope_and_reply) {
  site w;
  site_begin(&w, (vestry_options){.scope = always_ann});
  assert_int_equal(vestry_registry_effect(vestry_parts_of(w.v)->registry, "check", check_context, &w), VESTRY_OK);
  wire r = {.path = "/room"}, again = {.path = "/room"};
  wire_plan(&w, &r, &(plan){.keep = true, .key = "a", .effects = "[[\"check\",true]]"});
  wire_plan(&w, &again, &(plan){.key = "a", .effects = "[[\"check\",true]]"});
  assert_int_equal(vestry_dispatch(w.v, (vestry_scope){"ann", 3}, ROOM("a"), VESTRY_LIST("check", VESTRY_FALSE)),
                   VESTRY_OK);
  assert_int_equal(atomic_load(&w.th.log_lines), 6); /* two of each of the three calls of check_context */
  wires_end(&w, &r, &again);
}

/* --------------------------------------------------------------------------------------------- connecting --------- */

typedef struct connecting {
  site *w;
  vestry_connection *found;   /* set as target before; NULL: none */
  vestry_connection *instead; /* set as target after */
  vestry_err refuse_before, refuse_after;
  int befores, afters, opened;
} connecting;

static vestry_err connect_before(vestry_dispatch_context *context, const json_t *effect, void *ctx) {
  connecting *c = ctx;
  assert_null(effect);
  assert_non_null(vestry_context_info(context)->reply);
  assert_non_null(vestry_context_info(context)->request);
  assert_null(vestry_context_info(context)->opened);
  c->befores++;
  if (c->found) return vestry_context_target(context, c->found);
  if (c->refuse_before) return vestry_context_refuse(context, c->refuse_before);
  return VESTRY_OK;
}

static vestry_err connect_after(vestry_dispatch_context *context, const json_t *effect, void *ctx) {
  connecting *c = ctx;
  c->afters++;
  if (vestry_context_info(context)->opened) c->opened++;
  if (c->instead) return vestry_context_target(context, c->instead);
  if (c->refuse_after) {
    assert_int_equal(vestry_context_refuse(context, VESTRY_OK), VESTRY_INVALID);
    assert_int_equal(vestry_context_refuse(context, c->refuse_after), VESTRY_OK);
    assert_int_equal(vestry_context_refuse(context, VESTRY_FAILED), VESTRY_OK); /* the first refusal counts */
    assert_null(vestry_context_info(context)->opened);
  }
  return VESTRY_OK;
}

static void connect_with(site *w, connecting *c) {
  site_begin(w, (vestry_options){0});
  c->w = w;
  assert_int_equal(vestry_registry_intercept(
                       vestry_parts_of(w->v)->registry,
                       &(vestry_interceptor){"connecting", VESTRY_PHASE_CONNECT, connect_before, connect_after, c}),
                   VESTRY_OK);
}

/* capability: B3 */
TEST_CASE(connect_interceptor_may_select_a_connection) {
  site w;
  connecting c = {0};
  connect_with(&w, &c);
  wire r = {0}, later = {0}, dead = {0};
  wire_plan(&w, &r, &(plan){.auto_close = -1, .effects = "[" TICK "]"});
  assert_int_equal(c.opened, 1);
  c.found = r.connection;
  wire_plan(&w, &later, &(plan){.effects = "[" TICK "]"});
  assert_int_equal(later.status, 204);
  assert_int_equal(wire_count(&r, "{\"n\":1}"), 2);
  wire_hang_up(&w, &r);
  wire_plan(&w, &dead, &(plan){.effects = "[" TICK "]"}); /* a closed connection is ignored */
  assert_int_equal(wire_count(&dead, "{\"n\":1}"), 1);
  assert_int_equal(c.befores, 3);
  assert_int_equal(c.afters, 3);
  assert_non_null(strstr(w.th.last_log, "connecting: CLOSED"));
  wires_end(&w, &r, &later, &dead);
}

TEST_CASE(connect_interceptor_may_refuse) {
  for (int after = 0; after < 2; after++) {
    site w;
    connecting c = {0};
    connect_with(&w, &c);
    *(after ? &c.refuse_after : &c.refuse_before) = VESTRY_NOT_FOUND;
    wire r = {.dedicated = true};
    wire_plan(&w, &r, &(plan){.keep = true, .key = "a", .effects = "[" TICK "]"});
    assert_int_equal(r.status, 404);
    assert_int_equal(r.opens, after);
    assert_int_equal(r.ends, after);
    assert_int_equal(c.afters, 1);
    vestry_stats stats = {0};
    vestry_stats_get(w.v, &stats);
    assert_int_equal(store_stats_of(w.v).put_count, 0);
    assert_int_equal(stats.accepted_count, 0);
    wires_end(&w, &r);
  }
}

TEST_CASE(connect_interceptor_may_abandon_the_new_stream) {
  site w;
  connecting c = {0};
  connect_with(&w, &c);
  wire other = {0}, r = {0};
  wire_plan(&w, &other, &(plan){.auto_close = -1, .effects = "[" TICK "]"});
  c.instead = other.connection;
  wire_plan(&w, &r, &(plan){.keep = true, .key = "a", .effects = "[" TICK "]"});
  assert_int_equal(r.status, 204);
  assert_int_equal(r.opens, 1);
  assert_int_equal(r.ends, 1);
  assert_int_equal(wire_count(&other, "{\"n\":1}"), 2);
  vestry_stats stats = {0};
  vestry_stats_get(w.v, &stats);
  /* the registration's interceptor runs later and finds no new stream */
  assert_int_equal(store_stats_of(w.v).put_count, 0);
  wires_end(&w, &other, &r);
}

/* --------------------------------------------------------------------------------------------------- memory ------- */

static bool dispatch_failing(long number) {
  static const char long_key[] =
      "a key that does not fit into the room that stores have on their stack for keys, since it is longer than the two "
      "hundred and fifty-six bytes which they spend on it, so that they must ask for memory to look it up, which can "
      "fail, and then nothing is dispatched";
  site w;
  site_begin(&w, (vestry_options){.connection = &(vestry_connection_options){.heartbeat_ms = VESTRY_NEVER_MS}});
  wire wires[10];
  for (size_t i = 0; i < 10; i++) {
    wires[i] = (wire){0};
    wire_plan(&w, &wires[i], &(plan){.key = long_key, .keep = true, .policy = VESTRY_KEEP_MANY, .many_count = 10});
  }
  json_t *effects = json_of("[[\"patch-elements-seq\",[\"a\",\"b\"]]," TICK "]");
  test_host_fail_in(&w.th, number);
  vestry_dispatch_result result = {0};
  vestry_err error = vestry_dispatch_with(w.v, effects, &(vestry_dispatch_options){.key = ROOM(long_key)}, &result);
  bool failed = test_host_has_failed(&w.th);
  assert_int_equal(error, failed ? VESTRY_NO_MEMORY : VESTRY_OK);
  if (failed && result.connections_count) assert_int_equal(result.errors_count, 1);
  site_settle(&w);
  size_t received = 0;
  for (size_t i = 0; i < 10; i++) received += wire_count(&wires[i], "event: ");
  if (!failed) assert_int_equal(received, 20);
  /* At most one event is missing, or one event for one connection. */
  if (failed && result.connections_count) assert_in_range(received, 10, 19);
  if (failed && !result.connections_count) assert_int_equal(received, 0);
  json_decref(effects);
  site_close(&w);
  for (size_t i = 0; i < 10; i++) wire_finish(&wires[i]);
  test_host_assert_clean(&w.th);
  return failed;
}

/* ------------------------------------------------------------------------------------- a reply's shorthands ------ */

static vestry_err patch_both(const vestry_request *req, vestry_reply *reply, void *app) {
  vestry_reply_key(reply, ROOM("a"));
  vestry_reply_patch_signals(reply, VESTRY_OBJECT("n", 1, "quoted", VESTRY_LIST("data", "x")));
  vestry_reply_effect(reply, VESTRY_LIST("e", "between"));
  return vestry_reply_patch_elements(reply, "<p id=\"p\">1</p>");
}

#define BOTH                                                                                                           \
  "event: datastar-patch-signals\ndata: signals {\"n\":1,\"quoted\":[\"data\",\"x\"]}\n\n"                             \
  "event: datastar-patch-elements\ndata: elements <p id=\"p\">1</p>\n\n"

/* Let a reply patch a stored stream, and compare its text. meddle: called before; NULL: none. */
static void patch_stored(notes *n, void (*meddle)(site *w, notes *n, noter *o), noter *o, const char *expected) {
  site w;
  wire r;
  begin_with_one(&w, &r);
  register_all(&w, n);
  if (meddle) meddle(&w, n, o);
  wire post = {.method = "POST", .datastar = true, .body = "{}", .body_len = 2};
  wire_request(&w, &post, patch_both, NULL);
  assert_int_equal(post.status, 204);
  wire_assert_text(&r, expected);
  wires_end(&w, &r, &post);
}

static void watch_effects(site *w, notes *n, noter *o) {
  intercept(w, o, VESTRY_PHASE_EFFECT);
}

static void take_signals(site *w, notes *n, noter *o) {
  assert_int_equal(vestry_registry_effect(vestry_parts_of(w->v)->registry, "patch-signals", noting_effect, n),
                   VESTRY_OK);
}

/* The shorthands are events before the dispatch. Interceptors, and an effect of the application with the same name, see
 * them nevertheless. */
/* capability: B11 */
TEST_CASE(b11_interceptors_see_reply_shorthands) {
  notes n = {""};
  noter o = {&n, "o", false};
  patch_stored(&n, NULL, NULL, BOTH);
  assert_string_equal(n.text, "e[\"between\"] ");
  n = (notes){""};
  patch_stored(&n, watch_effects, &o, BOTH);
  assert_string_equal(n.text,
                      "o<patch-signals o>patch-signals o<e e[\"between\"] o>e o<patch-elements o>patch-elements ");
  n = (notes){""};
  patch_stored(&n, take_signals, NULL, "event: datastar-patch-elements\ndata: elements <p id=\"p\">1</p>\n\n");
  assert_string_equal(n.text, "e[{\"n\":1,\"quoted\":[\"data\",\"x\"]}] e[\"between\"] ");
}

/* Some values become events without JSON. The stream gets the same text, and the caller the same error. */
TEST_CASE(values_are_dispatched_like_json) {
  static const char invalid[] = "\xff";
  const vestry_value *const values[] = {
      VESTRY_LIST("patch-signals", VESTRY_OBJECT("a", 1, "b", VESTRY_OBJECT("c", "\"x\"\n", "d", 1.5))),
      VESTRY_LIST("patch-signals", VESTRY_OBJECT("a", VESTRY_LIST(1, 2, VESTRY_OBJECT("b", VESTRY_TRUE)))),
      VESTRY_LIST("patch-signals", VESTRY_OBJECT("a", VESTRY_LIST("x", "y"))),
      VESTRY_LIST("patch-signals", VESTRY_OBJECT("a", VESTRY_LIST("vestry/quote", VESTRY_LIST("data", "x")))),
      VESTRY_LIST("patch-signals", VESTRY_OBJECT("a", VESTRY_OBJECT("b", VESTRY_LIST("data", "x")))),
      VESTRY_LIST("patch-signals", "{\"a\": 1}"),
      VESTRY_LIST("patch-signals", VESTRY_OBJECT("a", 1), VESTRY_OBJECT("onlyIfMissing", VESTRY_TRUE)),
      VESTRY_LIST("patch-signals", VESTRY_OBJECT("a", invalid)),
      VESTRY_LIST("patch-signals", 1),
      VESTRY_LIST("patch-elements", "<p id=\"p\">1</p>\n<p id=\"q\"></p>"),
      VESTRY_LIST("patch-elements", invalid),
      VESTRY_LIST("patch-elements", ""),
      VESTRY_LIST("unknown", VESTRY_OBJECT("a", 1)),
      VESTRY_LIST(VESTRY_LIST("patch-signals", VESTRY_OBJECT("a", 1)), VESTRY_LIST("patch-elements", "<p id=\"p\">"))};
  for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
    char *texts[2];
    vestry_err errors[2], without[2];
    for (int is_json = 0; is_json < 2; is_json++) {
      site w;
      wire r;
      notes n = {""};
      noter o = {&n, "o", false};
      begin_with_one(&w, &r);
      register_all(&w, &n);
      if (is_json) intercept(&w, &o, VESTRY_PHASE_EFFECT); /* it sees the list of each effect */
      errors[is_json] = vestry_dispatch(w.v, (vestry_scope){0}, ROOM("a"), values[i]);
      without[is_json] = vestry_dispatch(w.v, (vestry_scope){0}, ROOM("b"), values[i]); /* no stream */
      site_settle(&w);
      texts[is_json] = strdup(r.text ? r.text : "");
      wires_end(&w, &r);
    }
    assert_int_equal(errors[0], errors[1]);
    assert_int_equal(without[0], without[1]);
    assert_string_equal(texts[0], texts[1]);
    free(texts[0]);
    free(texts[1]);
  }
}

TEST_CASE(dispatching_survives_every_allocation_failure) {
  long number = 0;
  while (dispatch_failing(number)) number++;
  assert_true(number > 10);
}
