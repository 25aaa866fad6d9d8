/* SPDX-License-Identifier: MIT */
/* The data that a handler attaches to its stream is destroyed exactly once; serving survives allocation failures. */
#include "serve/wire.h"
#include "vestry/registry.h"

#define TICK "[\"patch-signals\", {\"n\": 1}]"

/* -------------------------------------------------------------------------------------------- data of a stream ---- */

/* The data is destroyed once, and no hook or effect receives it afterwards. */
typedef struct datum {
  _Atomic(int) destroyed;
  int given, opened, closed, dispatched;
} datum;

static void datum_destroy(void *data) {
  atomic_fetch_add(&((datum *)data)->destroyed, 1);
}

static datum *datum_of(vestry_connection *connection) {
  datum *d = vestry_connection_data(connection);
  assert_int_equal(atomic_load(&d->destroyed), 0);
  return d;
}

static void datum_opened(vestry_connection *connection, void *ctx) {
  datum_of(connection)->opened++;
}

static void datum_closed(vestry_connection *connection, vestry_cause cause, void *ctx) {
  datum_of(connection)->closed++;
}

static vestry_err datum_dispatched(vestry_dispatch_context *context, const json_t *args, void *ctx) {
  vestry_connection *const *connections = vestry_context_info(context)->connections;
  size_t count = vestry_context_info(context)->connections_count;
  for (size_t i = 0; i < count; i++) datum_of(connections[i])->dispatched++;
  return VESTRY_OK;
}

/* capability: K1 */
TEST_CASE(data_lives_until_the_last_reference_to_its_stream) {
  for (int with_hooks = 0; with_hooks < 2; with_hooks++) {
    site w;
    site_begin(&w, (vestry_options){0});
    assert_int_equal(vestry_registry_effect(vestry_parts_of(w.v)->registry, "note", datum_dispatched, NULL), VESTRY_OK);
    datum d = {0};
    plan p = {.key = "a", .keep = true, .effects = "[[\"note\"]]", .data = &d, .destroy = datum_destroy};
    if (with_hooks) p.hooks = (vestry_connection_hooks){.on_open = datum_opened, .on_close = datum_closed};
    wire r = {0}, none = {0};
    wire_plan(&w, &r, &p);
    wire_plan(&w, &none, &(plan){.key = "b", .keep = true});
    assert_null(vestry_connection_data(none.connection));
    assert_int_equal(vestry_dispatch(w.v, NOWHERE, ROOM("a"), VESTRY_LIST("note")), VESTRY_OK);
    wire_hang_up(&w, &r);
    assert_int_equal(d.dispatched, 2);
    assert_int_equal(d.opened, with_hooks);
    assert_int_equal(d.closed, with_hooks);
    assert_ptr_equal(datum_of(r.connection), &d); /* the stream has ended, but is referenced */
    site_close(&w);
    assert_int_equal(atomic_load(&d.destroyed), 0); /* also after the end of the instance */
    wire_finish(&r);
    wire_finish(&none);
    assert_int_equal(atomic_load(&d.destroyed), 1);
    test_host_assert_clean(&w.th);
  }
}

/* capability: K1 */
TEST_CASE(data_without_a_stream_is_destroyed_with_the_answer) {
  const plan keep = {.key = "a", .keep = true};
  const struct {
    plan reply;
    bool is_plain;
    int status;
  } cases[] = {
      {{.key = "a", .effects = "[" TICK "]"}, false, 204},
      {{.key = "a", .keep = true, .policy = VESTRY_KEEP_REUSE}, false, 204},
      {{.key = "a", .keep = true, .policy = VESTRY_KEEP_REJECT}, false, 409},
      {{.error = VESTRY_NOT_FOUND}, false, 404},
      {{.error = VESTRY_NO_MEMORY}, false, 500},
      {{.body = "text"}, true, 200},
      {{.status = 422, .body = "text"}, false, 422},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    site w;
    site_begin(&w, (vestry_options){0});
    wire first = {0}, r = {.datastar = !cases[i].is_plain};
    wire_plan(&w, &first, &keep);
    datum d = {0};
    plan p = cases[i].reply;
    p.data = &d;
    p.destroy = datum_destroy;
    wire_request(&w, &r, planned, &p);
    assert_int_equal(r.status, cases[i].status);
    assert_int_equal(atomic_load(&d.destroyed), 1);
    site_close(&w);
    wire_finish(&r);
    wire_finish(&first);
    assert_int_equal(atomic_load(&d.destroyed), 1);
  }
}

static vestry_err two_data(const vestry_request *req, vestry_reply *reply, void *app) {
  datum *data = app;
  vestry_reply_stream(reply, &(vestry_stream_options){.data = &data[0], .destroy = datum_destroy});
  vestry_reply_stream(reply, &(vestry_stream_options){.data = &data[1], .destroy = datum_destroy});
  assert_int_equal(atomic_load(&data[0].destroyed), 1);
  return vestry_reply_keep(reply, VESTRY_KEEP_REPLACE, 0);
}

/* capability: K1 */
TEST_CASE(a_stream_keeps_the_last_data_set) {
  site w;
  site_begin(&w, (vestry_options){0});
  datum data[2] = {0};
  wire r = {.datastar = true};
  wire_request(&w, &r, two_data, data);
  assert_ptr_equal(datum_of(r.connection), &data[1]);
  site_close(&w);
  wire_finish(&r);
  assert_int_equal(atomic_load(&data[0].destroyed), 1);
  assert_int_equal(atomic_load(&data[1].destroyed), 1);
}

/* ------------------------------------------------------------------------------------------------- memory --------- */

typedef struct memory_case {
  plan reply;
  wire request;
  bool is_second; /* the key has a stream already */
} memory_case;

static vestry_err planned_with_data(const vestry_request *req, vestry_reply *reply, void *app) {
  ((datum *)((const plan *)app)->data)->given++;
  return planned(req, reply, app);
}

/* Serve with allocation number `number` failing; false: none failed. After each failure the request is answered or
 * its stream runs, the error is reported, and the counters add up. */
static bool serve_failing(const memory_case *c, long number) {
  site w;
  site_begin(&w, (vestry_options){.connection = &(vestry_connection_options){.heartbeat_ms = VESTRY_NEVER_MS}});
  wire first = {0}, r = c->request;
  datum d = {0};
  plan reply = c->reply;
  reply.data = &d;
  reply.destroy = datum_destroy;
  if (c->is_second) wire_plan(&w, &first, &(plan){.keep = true, .key = "a"});
  test_host_fail_in(&w.th, number);
  r.datastar = true;
  assert_int_equal(wire_serve(&w, &r, planned_with_data, &reply), VESTRY_OK);
  site_settle(&w);
  bool failed = test_host_has_failed(&w.th);
  bool reported = atomic_load(&w.th.log_lines) > 0;
  assert_int_equal(reported, failed);
  if (!failed && !r.responds) assert_int_equal(wire_count(&r, "event: "), 1);
  if (!failed && r.responds) assert_in_range(r.status, 200, 204);
  site_close(&w);
  wire_finish(&r);
  if (c->is_second) wire_finish(&first);
  assert_int_equal(atomic_load(&d.destroyed), d.given); /* once, if the handler ran */
  test_host_assert_clean(&w.th);
  return failed;
}

/* capability: F8 */
TEST_CASE(serving_survives_every_allocation_failure) {
  static const char long_key[] =
      "a key that does not fit into the room that stores have on their stack for keys, since it is longer than the two "
      "hundred and fifty-six bytes which they spend on it, so that they must ask for memory to look it up, which can "
      "fail, and then the request must be refused rather than served";
  memory_case cases[] = {
      {.reply = {.keep = true, .key = "a", .effects = "[" TICK "]", .header = {"X-A", "b"}}, .request = {0}},
      {.reply = {.keep = true, .key = long_key, .policy = VESTRY_KEEP_MANY, .effects = "[" TICK "]"}, .request = {0}},
      {.reply = {.keep = true, .key = long_key, .policy = VESTRY_KEEP_REUSE, .effects = "[" TICK "]"}, .request = {0}},
      {.reply = {.effects = "[[\"patch-elements-seq\",[\"<p>a</p>\",\"<p>b</p>\"]]]"}, .request = {0}},
      {.reply = {.key = "a", .effects = "[" TICK "]"}, .is_second = true},
      {.reply = {.key = "a", .keep = true, .effects = "[" TICK "]"}, .is_second = true},
      {.reply = {.key = "a", .keep = true, .policy = VESTRY_KEEP_MANY, .effects = "[" TICK "]"}, .is_second = true},
      {.reply = {.body = "text", .header = {"X-A", "b"}},
       .request = {.method = "POST", .body = "{\"a\":[1,2,3]}", .body_len = 13}},
      {.reply = {.body = "text"}, .request = {.query = "datastar=%7B%22a%22%3A1%7D"}},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    long number = 0;
    while (serve_failing(&cases[i], number)) number++;
    assert_true(number > 0);
  }
}
