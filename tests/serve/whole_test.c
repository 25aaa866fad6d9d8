/* SPDX-License-Identifier: MIT */
/* From a request to the bytes, through a complete adapter: the counter of the introduction, and an abandoned stream. */
#include "support/test.h"
#include "support/test_host.h"
#include "vestry/registry.h"
#include "vestry/testing/memory.h"

typedef struct counter {
  vestry *v;
  vestry_timer *timer;
  int64_t count;
  vestry_err last;
} counter;

typedef struct house {
  test_host th;
  vestry *v;
  counter counter;
} house;

static vestry_err by_session(const vestry_request *req, vestry_reply *reply, char *buffer, size_t *ret_len, void *ctx) {
  char session[64];
  vestry_err error = vestry_request_cookie(req, "session", session, sizeof session);
  if (error) return error;
  *ret_len = strlen(session);
  memcpy(buffer, session, *ret_len);
  return VESTRY_OK;
}

static void tick(vestry_timer *timer, void *ctx) {
  counter *c = ctx;
  c->last = vestry_dispatch(c->v, (vestry_scope){"ann", 3}, VESTRY_KEY("counter", 1),
                            VESTRY_LIST("patch-signals", VESTRY_OBJECT("counter", ++c->count)));
}

static vestry_err start_timer(vestry_dispatch_context *context, const json_t *args, void *ctx) {
  return vestry_timer_set(((counter *)ctx)->timer, 1000, 1000);
}

static vestry_err stop_timer(vestry_dispatch_context *context, const json_t *args, void *ctx) {
  vestry_timer_set(((counter *)ctx)->timer, VESTRY_NEVER_MS, 0);
  return VESTRY_OK;
}

static vestry_err page(const vestry_request *req, vestry_reply *reply, void *app) {
  return vestry_reply_body(reply, NULL, "<p data-text=\"$counter\"></p>", 28);
}

static vestry_err start(const vestry_request *req, vestry_reply *reply, void *app) {
  vestry_reply_key(reply, VESTRY_KEY("counter", 1));
  vestry_reply_keep(reply, VESTRY_KEEP_REPLACE, 0);
  return vestry_reply_effect(reply, VESTRY_LIST("counter/start"));
}

static vestry_err jump(const vestry_request *req, vestry_reply *reply, void *app) {
  counter *c = app;
  json_t *by = json_object_get(req->signals, "by");
  if (!json_is_integer(by)) return VESTRY_MALFORMED;
  vestry_reply_key(reply, VESTRY_KEY("counter", 1));
  c->count += json_integer_value(by);
  return vestry_reply_patch_signals(reply, VESTRY_OBJECT("counter", c->count));
}

static void house_begin(house *h) {
  memset(h, 0, sizeof *h);
  test_host_init(&h->th);
  assert_int_equal(
      vestry_create(&(vestry_options){.host = &h->th.host, .threads_count = VESTRY_THREADS_NONE, .scope = by_session},
                    &h->v),
      VESTRY_OK);
  h->counter.v = h->v;
  assert_int_equal(vestry_timer_create(vestry_parts_of(h->v)->runtime, tick, &h->counter, &h->counter.timer),
                   VESTRY_OK);
  assert_int_equal(vestry_registry_effect(vestry_parts_of(h->v)->registry, "counter/start", start_timer, &h->counter),
                   VESTRY_OK);
  assert_int_equal(vestry_registry_effect(vestry_parts_of(h->v)->registry, "sse-closed", stop_timer, &h->counter),
                   VESTRY_OK);
}

static void house_end(house *h) {
  assert_int_equal(vestry_stop(h->v, 0), VESTRY_OK);
  vestry_timer_destroy(h->counter.timer); /* the ends of streams during the stop have cancelled the timer */
  vestry_stats stats = {0};
  vestry_stats_get(h->v, &stats);
  assert_int_equal(stats.open_count, 0);
  assert_int_equal(stats.opened_count, stats.closed_count);
  vestry_store_stats store = {0};
  vestry_store_stats_get(vestry_parts_of(h->v)->store, &store);
  assert_int_equal(store.live_count, 0);
  assert_int_equal(store.put_count, store.removed_count);
  assert_int_equal(stats.accepted_count, stats.written_count + stats.discarded_count);
  vestry_destroy(h->v);
  test_host_assert_clean(&h->th);
}

static vestry_memory_exchange *ask(house *h, vestry_memory_call call, vestry_handler_fn handler) {
  const vestry_header cookie = {"Cookie", "theme=dark; session=ann"};
  call.headers = &cookie;
  call.headers_count = 1;
  vestry_memory_exchange *exchange;
  assert_int_equal(vestry_memory_request(h->v, &call, handler, &h->counter, &exchange), VESTRY_OK);
  vestry_memory_settle(h->v);
  return exchange;
}

static void assert_received(vestry_memory_exchange *exchange, const char *expected) {
  vestry_slice bytes = vestry_memory_look(exchange).received;
  assert_int_equal(bytes.len, strlen(expected));
  assert_memory_equal(bytes.data, expected, bytes.len);
}

#define COUNTED(n) "event: datastar-patch-signals\ndata: signals {\"counter\":" #n "}\n\n"

/* capability: B14, F8 */
TEST_CASE(counter_streams_until_hang_up) {
  house h;
  house_begin(&h);
  vestry_memory_exchange *plain = ask(&h, (vestry_memory_call){.path = "/"}, page);
  assert_int_equal(vestry_memory_look(plain).status, 200);
  assert_string_equal(vestry_memory_header(plain, "content-type", 0), "text/html; charset=utf-8");

  vestry_memory_exchange *stream = ask(&h, (vestry_memory_call){.method = "PUT", .datastar = true}, start);
  assert_int_equal(vestry_memory_look(stream).status, 200);
  assert_string_equal(vestry_memory_header(stream, "content-type", 0), "text/event-stream");
  assert_string_equal(vestry_memory_header(stream, "cache-control", 0), "no-cache, no-transform");
  assert_string_equal(vestry_memory_header(stream, "x-accel-buffering", 0), "no");
  test_host_advance_ms(&h.th, 1001);
  vestry_memory_settle(h.v);
  assert_received(stream, COUNTED(1));

  vestry_memory_call jump_by_ten = {.method = "POST", .datastar = true, .body = "{\"by\":10}", .body_len = 9};
  vestry_memory_exchange *jumped = ask(&h, jump_by_ten, jump);
  assert_int_equal(vestry_memory_look(jumped).status, 204);
  assert_received(stream, COUNTED(1) COUNTED(11));
  vestry_memory_call bad = {.method = "POST", .datastar = true, .body = "{\"by\":[]}", .body_len = 9};
  vestry_memory_exchange *refused = ask(&h, bad, jump);
  assert_int_equal(vestry_memory_look(refused).status, 400);

  vestry_memory_mode_set(stream, VESTRY_MEMORY_HANGS_UP);
  vestry_memory_settle(h.v);
  test_host_advance_ms(&h.th, 5000);
  vestry_memory_settle(h.v);
  assert_int_equal(h.counter.count, 11); /* the timer has stopped with the stream */

  vestry_memory_exchange *again = ask(&h, (vestry_memory_call){.method = "PUT", .datastar = true}, start);
  test_host_advance_ms(&h.th, 1001);
  vestry_memory_settle(h.v);
  assert_received(again, COUNTED(12));
  vestry_memory_destroy(plain);
  vestry_memory_destroy(stream);
  vestry_memory_destroy(jumped);
  vestry_memory_destroy(refused);
  vestry_memory_destroy(again);
  house_end(&h);
}

/* Another connection is found after the stream was opened: the stream is abandoned, and the request is answered. */
static vestry_err prefer(vestry_dispatch_context *context, const json_t *effect, void *ctx) {
  vestry_connection *preferred = *(vestry_connection **)ctx;
  return preferred && vestry_context_info(context)->opened ? vestry_context_target(context, preferred) : VESTRY_OK;
}

TEST_CASE(request_of_an_abandoned_stream_gets_204) {
  house h;
  house_begin(&h);
  vestry_connection *preferred = NULL;
  assert_int_equal(
      vestry_registry_intercept(vestry_parts_of(h.v)->registry,
                                &(vestry_interceptor){"prefer", VESTRY_PHASE_CONNECT, NULL, prefer, &preferred}),
      VESTRY_OK);
  vestry_memory_exchange *first = ask(&h, (vestry_memory_call){.method = "PUT", .datastar = true}, start);
  preferred = vestry_memory_look(first).connection;
  vestry_memory_exchange *second = ask(&h, (vestry_memory_call){.method = "PUT", .datastar = true}, start);
  assert_int_equal(vestry_memory_look(second).status, 204);
  assert_null(vestry_memory_look(second).connection);
  assert_null(vestry_memory_header(second, "content-type", 0)); /* nothing is left of the stream's head */
  assert_received(second, "");
  assert_false(vestry_memory_look(first).ended);
  vestry_memory_destroy(first);
  vestry_memory_destroy(second);
  house_end(&h);
}

TEST_CASE(adapter_without_room_gets_503) {
  house h;
  house_begin(&h);
  vestry_memory_exchange *stream = ask(&h, (vestry_memory_call){.datastar = true, .no_room = true}, start);
  assert_int_equal(vestry_memory_look(stream).status, 503);
  assert_string_equal(vestry_memory_header(stream, "Retry-After", 0), "2");
  vestry_memory_destroy(stream);
  house_end(&h);
}
