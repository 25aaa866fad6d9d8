/* SPDX-License-Identifier: MIT */
/* Nested and late dispatch (B13): the lifetime of the kept state, data added for one call, and threads. */
#include <pthread.h>

#include "registry/notes.h"

/* Dispatches its second argument with the first as data, and notes the result. */
static vestry_err nest(vestry_dispatch_context *context, const json_t *args, void *ctx) {
  json_t *data = json_array_get(args, 0), *results = json_array();
  vestry_dispatch_result result = {0};
  vestry_dispatch_options options = {.data = json_is_object(data) ? data : NULL, .results = results};
  vestry_err error = vestry_context_dispatch(context, json_array_get(args, 1), &options, &result);
  if (!error || error == VESTRY_FAILED)
    note(ctx, "(%s:%u,%u,%zu) ", vestry_err_name(error), result.effects_count, result.errors_count,
         json_array_size(results));
  json_decref(results);
  return error == VESTRY_FAILED ? VESTRY_OK : error;
}

static void begin_nesting(site *w, notes *n) {
  notes_begin(w, n);
  assert_int_equal(vestry_registry_effect(vestry_parts_of(w->v)->registry, "nest", nest, n), VESTRY_OK);
}

#define NESTED_CASE(name) TEST_CASE_WITH(name, site, w, begin_nesting(w, &noted), site_end(w))

/* capability: B13 */
NESTED_CASE(b13_nested_data_is_added_for_that_call_only) {
  json_t *data = json_of("{\"x\":1,\"y\":2}"), *same = json_deep_copy(data);
  dispatch_text(w,
                "[[\"nest\",{\"y\":3,\"z\":4},[[\"e\",[\"vestry/quote\",0]],[\"e\",[\"data\",\"z\"]]]],"
                "[\"e\",[\"data\",\"x\"],[\"data\",\"y\"],[\"data\",\"z\"]]]",
                &(vestry_dispatch_options){.data = data}, VESTRY_OK, NULL);
  assert_string_equal(noted.text, "e[0] e[4] (OK:2,0,2) e[1,2,[\"data\",\"z\"]] ");
  assert_true(json_equal(data, same));
  json_decref(data);
  json_decref(same);
}

/* The nested dispatch that brings the data replaces a waiting placeholder; existing data stays, or is overridden. */
/* capability: B10 */
NESTED_CASE(b10_b13_nested_dispatch_replaces_waiting_placeholder) {
  json_t *data = json_of("{\"x\":1}");
  dispatch_text(w, "[[\"nest\",{\"id\":8},[[\"e\",[\"data\",\"id\"],[\"data\",\"x\"]]]]]",
                &(vestry_dispatch_options){.data = data}, VESTRY_OK, NULL);
  assert_string_equal(noted.text, "e[8,1] (OK:1,0,1) ");
  json_decref(data);
}

static vestry_err state_action(const json_t *state, const json_t *args, json_t **ret_effects, void *ctx) {
  *ret_effects = json_pack("[[s,O]]", "e", state);
  return VESTRY_OK;
}

static vestry_err note_data(vestry_dispatch_context *context, const json_t *args, void *ctx) {
  note_json(ctx, vestry_context_info(context)->data);
  note_json(ctx, vestry_context_info(context)->state);
  note(ctx, " ");
  return VESTRY_OK;
}

/* The state is that of the outermost dispatch; nested data is merged over outer data, level by level. */
/* capability: B13 */
NESTED_CASE(b13_nested_data_is_merged_and_state_is_unchanged) {
  assert_int_equal(vestry_registry_action(vestry_parts_of(w->v)->registry, "state", state_action, NULL), VESTRY_OK);
  assert_int_equal(vestry_registry_effect(vestry_parts_of(w->v)->registry, "show", note_data, &noted), VESTRY_OK);
  json_t *data = json_of("{\"x\":1}");
  dispatch_text(w, "[[\"nest\",{\"y\":2},[[\"nest\",{\"x\":3},[[\"show\"],[\"state\"]]],[\"show\"]]],[\"show\"]]",
                &(vestry_dispatch_options){.data = data}, VESTRY_OK, NULL);
  assert_string_equal(noted.text,
                      "{\"x\":3,\"y\":2}{\"x\":1} e[{\"x\":1}] (OK:2,0,2) {\"x\":1,\"y\":2}{\"x\":1} (OK:2,0,2) "
                      "{\"x\":1}{\"x\":1} ");
  json_decref(data);
}

NESTED_CASE(b13_nested_failures_are_not_counted_outside) {
  noter a = {&noted, "a", false};
  intercept(w, &a, VESTRY_PHASE_DISPATCH);
  vestry_dispatch_result result = {0};
  dispatch_text(w, "[[\"nest\",0,[[\"fail\",1],[\"e\",2]]],[\"e\",3]]", NULL, VESTRY_OK, &result);
  assert_string_equal(noted.text, "a< a< f[1] e[2] a> (FAILED:1,1,1) e[3] a> ");
  assert_int_equal(result.effects_count, 2);
  assert_int_equal(result.errors_count, 0);
}

static vestry_err nests_itself(vestry_dispatch_context *context, const json_t *args, void *ctx) {
  note(ctx, "n ");
  json_t *effects = json_of("[[\"self\"]]");
  vestry_err error = vestry_context_dispatch(context, effects, NULL, NULL);
  json_decref(effects);
  return error;
}

/* capability: B13 */
NOTED_CASE(b13_nesting_depth_is_limited) {
  assert_int_equal(vestry_registry_effect(vestry_parts_of(w->v)->registry, "self", nests_itself, &noted), VESTRY_OK);
  vestry_dispatch_result result = {0};
  dispatch_text(w, "[[\"self\"],[\"e\"]]", NULL, VESTRY_LIMIT, &result);
  assert_string_equal(noted.text, "n n n n n n n n n e[] ");
  assert_int_equal(VESTRY_DISPATCH_MAX_NESTING, 8);
  assert_error(&result, 0, VESTRY_PHASE_EFFECT, "self", NULL, VESTRY_LIMIT, NULL);
}

/* The same through a new dispatch by key: both share one depth limit, and one count of actions. */
static vestry_err dispatches_its_key(vestry_dispatch_context *context, const json_t *args, void *ctx) {
  note(ctx, "k ");
  const vestry_dispatch_info *info = vestry_context_info(context);
  return vestry_dispatch(info->v, info->scope, VESTRY_KEY("own"), VESTRY_LIST("key"));
}

static vestry_err keeps_own(const vestry_request *req, vestry_reply *reply, void *app) {
  vestry_reply_key(reply, VESTRY_KEY("own"));
  return vestry_reply_keep(reply, VESTRY_KEEP_MANY, 0);
}

/* capability: P5 */
NOTED_CASE(recursive_dispatch_by_key_reaches_the_limit) {
  const vestry_scope everybody = {0};
  vestry_memory_exchange *stream = NULL;
  const vestry_memory_call call = {.method = "GET", .path = "/", .datastar = true};
  assert_int_equal(vestry_memory_request(w->v, &call, keeps_own, NULL, &stream), VESTRY_OK);
  vestry_memory_settle(w->v);
  assert_int_equal(vestry_registry_effect(vestry_parts_of(w->v)->registry, "key", dispatches_its_key, &noted),
                   VESTRY_OK);
  for (int i = 0; i < 2; i++) { /* running dispatches are counted, and finished ones are not */
    noted.text[0] = '\0';
    assert_int_equal(vestry_dispatch(w->v, everybody, VESTRY_KEY("own"), VESTRY_LIST("key")), VESTRY_LIMIT);
    assert_string_equal(noted.text, "k k k k k k k k k ");
  }
  assert_non_null(strstr(w->th.last_log, "own key"));
  vestry_memory_destroy(stream);
}

/* Each call dispatches itself four times; the limit counts all of them together. */
static vestry_err nests_twice(vestry_dispatch_context *context, const json_t *args, void *ctx) {
  ++*(unsigned *)ctx;
  json_t *effects = json_of("[[\"twice\"],[\"twice\"],[\"twice\"],[\"twice\"]]");
  vestry_dispatch_result result = {0};
  vestry_err error = vestry_context_dispatch(context, effects, NULL, &result);
  json_decref(effects);
  return error;
}

NOTED_CASE(b13_effect_limit_includes_nested_dispatches) {
  unsigned count = 0;
  assert_int_equal(vestry_registry_effect(vestry_parts_of(w->v)->registry, "twice", nests_twice, &count), VESTRY_OK);
  vestry_dispatch_result result = {0};
  dispatch_text(w, "[[\"twice\"],[\"e\"]]", NULL, VESTRY_LIMIT, &result);
  assert_int_equal(count, VESTRY_DISPATCH_MAX_COUNT + 1);
  assert_string_equal(noted.text, "e[] ");
}

/* A nested dispatch sends to the connections of the reply; if all have closed, the request gets 503. */
static vestry_err close_then_nest(vestry_dispatch_context *context, const json_t *args, void *ctx) {
  vestry_connection *const *connections = vestry_context_info(context)->connections;
  size_t count = vestry_context_info(context)->connections_count;
  assert_int_equal(count, 1);
  vestry_connection_close(connections[0], VESTRY_CAUSE_HANGUP);
  return vestry_context_dispatch(context, json_array_get(args, 0), NULL, NULL);
}

TEST_CASE(b13_nested_dispatch_opens_no_stream) {
  site w;
  notes n;
  notes_begin(&w, &n);
  assert_int_equal(vestry_registry_effect(vestry_parts_of(w.v)->registry, "close", close_then_nest, NULL), VESTRY_OK);
  wire stored = {0}, fresh = {0};
  wire_plan(&w, &stored, &(plan){.keep = true, .key = "a"});
  wire_plan(&w, &fresh, &(plan){.key = "a", .effects = "[[\"close\",[[\"patch-signals\",{\"n\":1}]]]]"});
  assert_int_equal(fresh.status, 503);
  assert_int_equal(fresh.opens, 0);
  wires_end(&w, &stored, &fresh);
}

/* -------------------------------------------------------------------------------------------------------- late ---- */

typedef struct keeper {
  site *w;
  notes *n;
  vestry_dispatch_handle *handle;
} keeper;

static vestry_err keep(vestry_dispatch_context *context, const json_t *args, void *ctx) {
  return vestry_context_keep(context, &((keeper *)ctx)->handle);
}

static void later(keeper *k, const char *effects, const char *data, vestry_err expected) {
  json_t *list = json_of(effects), *more = data ? json_of(data) : NULL;
  vestry_dispatch_result result = {0};
  assert_int_equal(vestry_dispatch_later(k->handle, list, &(vestry_dispatch_options){.data = more}, &result), expected);
  json_decref(list);
  json_decref(more);
}

static vestry_err by_user(const vestry_request *req, vestry_reply *reply, char *buffer, size_t *ret_len, void *ctx) {
  memcpy(buffer, "ann", 3);
  *ret_len = 3;
  return VESTRY_OK;
}

static vestry_err check_late(vestry_dispatch_context *context, const json_t *args, void *ctx) {
  keeper *k = ctx;
  assert_null(vestry_context_info(context)->request); /* the request has ended */
  assert_ptr_equal(vestry_context_info(context)->v, k->w->v);
  vestry_scope scope = vestry_context_info(context)->scope;
  assert_int_equal(scope.len, 3);
  assert_memory_equal(scope.data, "ann", 3);
  note(k->n, "checked ");
  return VESTRY_OK;
}

/* capability: B13 */
TEST_CASE(b13_late_dispatch_has_scope_data_and_state) {
  site w;
  notes n = {""};
  keeper k = {&w, &n, NULL};
  site_begin(&w, (vestry_options){.scope = by_user});
  register_all(&w, &n);
  assert_int_equal(vestry_registry_effect(vestry_parts_of(w.v)->registry, "keep", keep, &k), VESTRY_OK);
  assert_int_equal(vestry_registry_effect(vestry_parts_of(w.v)->registry, "check", check_late, &k), VESTRY_OK);
  assert_int_equal(vestry_registry_effect(vestry_parts_of(w.v)->registry, "show", note_data, &n), VESTRY_OK);
  wire r = {.query = "datastar=%7B%22x%22%3A9%7D"};
  wire_plan(&w, &r, &(plan){.keep = true, .key = "a", .effects = "[[\"keep\"]]"});
  assert_non_null(k.handle);
  later(&k, "[[\"check\"],[\"e\",[\"data\",\"x\"],[\"data\",\"id\"]],[\"patch-signals\",{\"id\":[\"data\",\"id\"]}]]",
        "{\"id\":3}", VESTRY_OK);
  later(&k, "[[\"show\"]]", "{\"x\":4}", VESTRY_OK);
  later(&k, "[[\"show\"]]", NULL, VESTRY_OK); /* the added data was for that call only */
  assert_string_equal(n.text, "checked e[9,3] {\"x\":4}{\"x\":9} {\"x\":9}{\"x\":9} ");
  site_settle(&w);
  assert_int_equal(wire_count(&r, "{\"id\":3}"), 1);
  wire_hang_up(&w, &r);
  later(&k, "[[\"e\"]]", NULL, VESTRY_NOT_FOUND);
  vestry_close(w.v);
  later(&k, "[[\"e\"]]", NULL, VESTRY_CLOSED);
  site_close(&w);
  assert_null(vestry_dispatch_handle_unref(k.handle)); /* the instance is gone */
  assert_null(vestry_dispatch_handle_unref(NULL));
  wire_finish(&r);
  test_host_assert_clean(&w.th);
}

/* A handle kept inside a nested dispatch has its data, and those of its connections that are still open. */
TEST_CASE(b13_late_dispatch_keeps_nested_data) {
  site w;
  notes n;
  keeper k = {&w, &n, NULL};
  begin_nesting(&w, &n);
  assert_int_equal(vestry_registry_effect(vestry_parts_of(w.v)->registry, "keep", keep, &k), VESTRY_OK);
  wire wires[3];
  for (size_t i = 0; i < 3; i++) {
    wires[i] = (wire){0};
    wire_plan(&w, &wires[i], &(plan){.key = "a", .keep = true, .policy = VESTRY_KEEP_MANY});
  }
  json_t *data = json_of("{\"x\":1}");
  const vestry_key *key = ROOM("a");
  dispatch_text(&w, "[[\"nest\",{\"y\":2},[[\"keep\"]]]]", &(vestry_dispatch_options){.data = data, .key = key},
                VESTRY_OK, NULL);
  json_decref(data);
  n.text[0] = '\0';
  wire_hang_up(&w, &wires[1]);
  later(&k, "[[\"e\",[\"data\",\"x\"],[\"data\",\"y\"]],[\"patch-signals\",{\"n\":1}]]", NULL, VESTRY_OK);
  assert_string_equal(n.text, "e[1,2] ");
  site_settle(&w);
  for (size_t i = 0; i < 3; i++) assert_int_equal(wire_count(&wires[i], "{\"n\":1}"), i == 1 ? 0 : 1);
  vestry_dispatch_handle_unref(k.handle);
  wires_end_array(&w, wires, 3);
}

static vestry_err misuse_connect(vestry_dispatch_context *context, const json_t *effect, void *ctx) {
  vestry_dispatch_handle *handle = NULL;
  json_t *effects = json_array();
  assert_int_equal(vestry_context_keep(context, &handle), VESTRY_INVALID);
  assert_int_equal(vestry_context_dispatch(context, effects, NULL, NULL), VESTRY_INVALID);
  assert_null(handle);
  json_decref(effects);
  ++*(int *)ctx;
  return VESTRY_OK;
}

static vestry_err misuse(vestry_dispatch_context *context, const json_t *args, void *ctx) {
  keeper *k = ctx;
  json_t *effects = json_array(), *object = json_object();
  const vestry_key *key = ROOM("a");
  vestry_dispatch_handle *handle;
  assert_int_equal(vestry_context_keep(context, NULL), VESTRY_INVALID);
  assert_int_equal(vestry_context_keep(context, &handle), VESTRY_OK);
  const vestry_dispatch_options wrong[] = {
      {.key = key},        {.connection = vestry_context_info(context)->connections[0]},
      {.scope = {"x", 1}}, {.data = effects},
      {.results = object},
  };
  for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
    assert_int_equal(vestry_context_dispatch(context, effects, &wrong[i], NULL), VESTRY_INVALID);
    assert_int_equal(vestry_dispatch_later(handle, effects, &wrong[i], NULL), VESTRY_INVALID);
  }
  assert_int_equal(vestry_context_dispatch(context, object, NULL, NULL), VESTRY_INVALID);
  assert_int_equal(vestry_dispatch_later(handle, object, NULL, NULL), VESTRY_INVALID);
  assert_int_equal(vestry_dispatch_later(NULL, effects, NULL, NULL), VESTRY_INVALID);
  json_decref(effects);
  json_decref(object);
  vestry_dispatch_handle_unref(handle);
  note(k->n, "done");
  return VESTRY_OK;
}

TEST_CASE(invalid_nested_and_late_calls_are_refused) {
  site w;
  notes n;
  keeper k = {&w, &n, NULL};
  notes_begin(&w, &n);
  int count = 0;
  assert_int_equal(vestry_registry_effect(vestry_parts_of(w.v)->registry, "misuse", misuse, &k), VESTRY_OK);
  assert_int_equal(vestry_registry_intercept(
                       vestry_parts_of(w.v)->registry,
                       &(vestry_interceptor){"m", VESTRY_PHASE_CONNECT, misuse_connect, misuse_connect, &count}),
                   VESTRY_OK);
  wire r = {0};
  wire_plan(&w, &r, &(plan){.effects = "[[\"misuse\"]]"});
  assert_string_equal(n.text, "done");
  assert_int_equal(count, 2);
  wires_end(&w, &r);
}

static bool keeping_fails(long number) {
  site w;
  notes n;
  keeper k = {&w, &n, NULL};
  notes_begin(&w, &n);
  assert_int_equal(vestry_registry_effect(vestry_parts_of(w.v)->registry, "keep", keep, &k), VESTRY_OK);
  wire wires[10];
  for (size_t i = 0; i < 10; i++) {
    wires[i] = (wire){0};
    wire_plan(&w, &wires[i], &(plan){.key = "a", .keep = true, .policy = VESTRY_KEEP_MANY, .many_count = 10});
  }
  const vestry_key *key = ROOM("a");
  json_t *effects = json_of("[[\"keep\"]]"), *tick = json_of("[[\"e\"]]");
  test_host_fail_in(&w.th, number);
  vestry_err error = vestry_dispatch_with(w.v, effects, &(vestry_dispatch_options){.key = key}, NULL);
  if (!error) error = vestry_dispatch_later(k.handle, tick, NULL, NULL);
  bool failed = test_host_has_failed(&w.th);
  assert_int_equal(error, failed ? VESTRY_NO_MEMORY : VESTRY_OK);
  assert_string_equal(n.text, failed ? "" : "e[] ");
  vestry_dispatch_handle_unref(k.handle);
  json_decref(effects);
  json_decref(tick);
  site_close(&w);
  for (size_t i = 0; i < 10; i++) wire_finish(&wires[i]);
  test_host_assert_clean(&w.th);
  return failed;
}

TEST_CASE(keeping_survives_every_allocation_failure) {
  long number = 0;
  while (keeping_fails(number)) number++;
  assert_true(number >= 3); /* lookup, handle, and the late lookup */
}

static vestry_err nest_plainly(vestry_dispatch_context *context, const json_t *args, void *ctx) {
  vestry_dispatch_options options = {.data = json_array_get(args, 0)};
  return vestry_context_dispatch(context, json_array_get(args, 1), &options, NULL);
}

static vestry_err see_all(vestry_dispatch_context *context, const json_t *args, void *ctx) {
  return json_object_size(vestry_context_info(context)->data) == 20 ? VESTRY_OK : VESTRY_FAILED;
}

/* Data that cannot be merged completely is not used in part. */
TEST_CASE(merging_survives_every_allocation_failure) {
  bool failed = true;
  long number = 0;
  for (; failed; number++) {
    site w;
    notes n;
    notes_begin(&w, &n);
    assert_int_equal(vestry_registry_effect(vestry_parts_of(w.v)->registry, "nest", nest_plainly, NULL), VESTRY_OK);
    assert_int_equal(vestry_registry_effect(vestry_parts_of(w.v)->registry, "see", see_all, NULL), VESTRY_OK);
    json_t *data = json_object(), *more = json_object();
    for (int i = 0; i < 20; i++) {
      char name[8];
      snprintf(name, sizeof name, "%d", i);
      json_object_set_new(i < 12 ? data : more, name, json_null());
    }
    json_t *effects = json_pack("[[s,o,[[s]]]]", "nest", more, "see");
    json_fail_begin(number);
    vestry_err error = vestry_dispatch_with(w.v, effects, &(vestry_dispatch_options){.data = data}, NULL);
    failed = json_fail_end();
    assert_int_equal(error, failed ? VESTRY_NO_MEMORY : VESTRY_OK);
    json_decref(effects);
    json_decref(data);
    site_end(&w);
  }
  assert_true(number > 20);
}

/* ------------------------------------------------------------------------------------------------------- stack ---- */

/* Servers use small stacks. civetweb's have 100 kB, some of which the callers of vestry and its callees use. Sanitizers
 * make frames several times as large. */
enum { STACK_BYTES = TEST_UNDER_TSAN || TEST_UNDER_ASAN ? 2 << 20 : 80 << 10 };

static json_t *deepest; /* with a placeholder at the bottom */

/* n → itself with n - 1; 0: another nested dispatch, and the deepest value possible */
static vestry_err go_down(const json_t *state, const json_t *args, json_t **ret_effects, void *ctx) {
  json_int_t left = json_integer_value(json_array_get(args, 0));
  *ret_effects = left ? json_pack("[[s,I]]", "down", left - 1) : json_pack("[[s],[s,O]]", "again", "take", deepest);
  return VESTRY_OK;
}

static vestry_err again(vestry_dispatch_context *context, const json_t *args, void *ctx) {
  json_t *effects =
      json_pack("[[s,i]]", "down", VESTRY_ACTIONS_MAX_DEPTH / VESTRY_DISPATCH_MAX_NESTING - 1); /* all that remain */
  vestry_err error = vestry_context_dispatch(context, effects, NULL, NULL);
  json_decref(effects);
  return error == VESTRY_LIMIT ? VESTRY_OK : error;
}

static vestry_err take(vestry_dispatch_context *context, const json_t *args, void *ctx) {
  json_t *bottom = json_array_get(args, 0);
  while (json_is_array(bottom)) bottom = json_array_get(bottom, 0);
  assert_int_equal(json_integer_value(bottom), 5);
  ++*(int *)ctx;
  json_t *signals = json_pack("{s:O}", "k", json_array_get(json_array_get(args, 0), 0)); /* as deep as can be sent */
  json_t *effects = json_pack("[[s,[s,o]]]", "patch-signals", VESTRY_QUOTE, signals);
  vestry_err error = vestry_dispatch_with(vestry_context_info(context)->v, effects, NULL, NULL); /* without a target */
  json_decref(effects);
  return error == VESTRY_CLOSED ? VESTRY_OK : error;
}

static void *dispatch_deepest(void *argument) {
  site *w = argument;
  json_t *data = json_of("{\"id\":5}");
  dispatch_text(w, "[[\"again\"]]", &(vestry_dispatch_options){.data = data}, VESTRY_OK, NULL);
  json_decref(data);
  return NULL;
}

NOTED_CASE(b13_deepest_dispatch_fits_a_small_stack) {
  int count = 0;
  assert_int_equal(vestry_registry_action(vestry_parts_of(w->v)->registry, "down", go_down, NULL), VESTRY_OK);
  assert_int_equal(vestry_registry_effect(vestry_parts_of(w->v)->registry, "again", again, NULL), VESTRY_OK);
  assert_int_equal(vestry_registry_effect(vestry_parts_of(w->v)->registry, "take", take, &count), VESTRY_OK);
  deepest = json_of("[\"data\",\"id\"]");
  for (int i = 0; i < 254; i++) deepest = json_pack("[o]", deepest);
  pthread_attr_t attributes;
  pthread_t thread;
  pthread_attr_init(&attributes);
  assert_int_equal(pthread_attr_setstacksize(&attributes, test_stack_bytes(STACK_BYTES)), 0);
  assert_int_equal(pthread_create(&thread, &attributes, dispatch_deepest, w), 0);
  pthread_join(thread, NULL);
  pthread_attr_destroy(&attributes);
  assert_int_equal(count, VESTRY_DISPATCH_MAX_NESTING);
  json_decref(deepest);
}

/* ----------------------------------------------------------------------------------------------------- threads ---- */

enum { THREADS = 4, LATE_COUNT = 500 };

typedef struct crowd {
  vestry_dispatch_handle *handle; /* of all threads */
  pthread_barrier_t begin;
  _Atomic(unsigned) performed;
} crowd;

static vestry_err count_up(vestry_dispatch_context *context, const json_t *args, void *ctx) {
  crowd *c = ctx;
  assert_int_equal(json_integer_value(json_array_get(args, 0)), 5);
  assert_int_equal(json_integer_value(json_object_get(vestry_context_info(context)->state, "x")), 9);
  atomic_fetch_add(&c->performed, 1);
  vestry_dispatch_handle *again; /* the same again, from inside */
  assert_int_equal(vestry_context_keep(context, &again), VESTRY_OK);
  vestry_dispatch_handle_unref(again);
  return VESTRY_OK;
}

static void *dispatch_late(void *argument) {
  crowd *c = argument;
  json_t *effects = json_of("[[\"count\",[\"data\",\"id\"]],[\"patch-signals\",{\"id\":[\"data\",\"id\"]}]]");
  json_t *data = json_of("{\"id\":5}");
  pthread_barrier_wait(&c->begin);
  for (int i = 0; i < LATE_COUNT; i++) {
    vestry_err error = vestry_dispatch_later(c->handle, effects, &(vestry_dispatch_options){.data = data}, NULL);
    if (error) break; /* the stream has ended, in the second half of the test */
  }
  json_decref(effects);
  json_decref(data);
  return NULL;
}

/* Several threads share one handle and its data while the pool writes, and while the stream ends. */
/* capability: B13 */
TEST_CASE(b13_threads_share_a_late_dispatch_handle) {
  for (int ending = 0; ending < 2; ending++) {
    site w;
    keeper k = {&w, NULL, NULL};
    crowd c = {.handle = NULL};
    site_begin(&w, (vestry_options){.threads_count = 2,
                                    .connection = &(vestry_connection_options){.max_queued_count = 10000}});
    assert_int_equal(vestry_registry_effect(vestry_parts_of(w.v)->registry, "keep", keep, &k), VESTRY_OK);
    assert_int_equal(vestry_registry_effect(vestry_parts_of(w.v)->registry, "count", count_up, &c), VESTRY_OK);
    assert_int_equal(vestry_registry_placeholder(vestry_parts_of(w.v)->registry, "data", data_placeholder, NULL),
                     VESTRY_OK);
    wire r = {.datastar = true, .query = "datastar=%7B%22x%22%3A9%7D"};
    plan p = {.keep = true, .key = "a", .effects = "[[\"keep\"]]"};
    assert_int_equal(wire_serve(&w, &r, planned, &p), VESTRY_OK);
    c.handle = k.handle;
    pthread_barrier_init(&c.begin, NULL, THREADS + 1);
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++) assert_int_equal(pthread_create(&threads[i], NULL, dispatch_late, &c), 0);
    pthread_barrier_wait(&c.begin);
    if (ending) vestry_connection_close(r.connection, VESTRY_CAUSE_HANGUP);
    for (int i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
    vestry_dispatch_handle_unref(c.handle);
    if (!ending) assert_int_equal(atomic_load(&c.performed), THREADS * LATE_COUNT);
    vestry_connection_close(r.connection, VESTRY_CAUSE_CLOSED); /* cleanly: after the queued events */
    assert_int_equal(vestry_stop(w.v, 60000), VESTRY_OK);
    if (!ending) assert_int_equal(wire_count(&r, "{\"id\":5}"), THREADS * LATE_COUNT);
    site_check_stopped(w.v);
    vestry_destroy(w.v);
    wire_finish(&r);
    pthread_barrier_destroy(&c.begin);
    test_host_assert_clean(&w.th);
  }
}
