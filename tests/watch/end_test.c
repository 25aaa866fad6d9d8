/* SPDX-License-Identifier: MIT */
/* A watch ends exactly once, for every cause and with failed allocations. */
#include "watch/feed.h"

/* -------------------------------------------------------------------------------------------------- the end ------- */

static vestry_err then_fails(const vestry_request *req, vestry_reply *reply, void *app) {
  (void)feed_handler(req, reply, app);
  return VESTRY_NOT_FOUND;
}

static vestry_err with_body(const vestry_request *req, vestry_reply *reply, void *app) {
  vestry_reply_body(reply, NULL, "<p>", 3);
  return feed_handler(req, reply, app);
}

static vestry_err auto_closed(const vestry_request *req, vestry_reply *reply, void *app) {
  vestry_reply_stream(reply, &(vestry_stream_options){.auto_close = true});
  return feed_handler(req, reply, app);
}

static vestry_err any_client(const vestry_request *req, vestry_reply *reply, void *app) {
  vestry_reply_any_client(reply);
  return feed_handler(req, reply, app);
}

static vestry_err refuse_it(vestry_dispatch_context *context, const json_t *effect, void *ctx) {
  return vestry_context_refuse(context, VESTRY_LIMIT);
}

/* capability: E1 */
TEST_CASE(watch_ends_once_for_every_cause) {
  static const struct {
    wire wire;
    vestry_handler_fn handler;
    int status, steps;
    vestry_cause cause; /* NONE: no stream */
    bool drains, destroys, refuses, removes;
  } cases[] = {
      {.wire = {.datastar = false}, .handler = feed_handler, .status = 204},
      {.wire = {.datastar = false}, .handler = with_body, .status = 200},
      {.wire = {.method = "HEAD", .datastar = true}, .handler = feed_handler, .status = 204},
      {.wire = {.method = "HEAD"}, .handler = any_client, .status = 204},
      {.wire = {.datastar = false}, .handler = any_client, .status = 200, .steps = 1, .cause = VESTRY_CAUSE_HANGUP},
      {.wire = {.datastar = true}, .handler = with_body, .status = 200, .steps = 1, .cause = VESTRY_CAUSE_HANGUP},
      {.wire = {.datastar = true}, .handler = then_fails, .status = 404},
      {.wire = {.datastar = true}, .handler = auto_closed, .status = 200, .cause = VESTRY_CAUSE_CLOSED},
      {.wire = {.datastar = true, .open_error = VESTRY_LIMIT}, .handler = feed_handler, .status = 503},
      {.wire = {.datastar = true, .open_io = VESTRY_IO_HANGUP}, .handler = feed_handler, .cause = VESTRY_CAUSE_HANGUP},
      {.wire = {.datastar = true}, .handler = feed_handler, .status = 200, .steps = 1, .cause = VESTRY_CAUSE_HANGUP},
      {.wire = {.datastar = true},
       .handler = feed_handler,
       .status = 200,
       .steps = 1,
       .cause = VESTRY_CAUSE_DRAIN,
       .drains = true},
      {.wire = {.datastar = true},
       .handler = feed_handler,
       .status = 200,
       .steps = 1,
       .cause = VESTRY_CAUSE_SHUTDOWN,
       .destroys = true},
      {.wire = {.datastar = true}, .handler = feed_handler, .status = 503, .refuses = true},
      {.wire = {.datastar = true},
       .handler = feed_keyed,
       .status = 200,
       .steps = 1,
       .cause = VESTRY_CAUSE_REMOVED,
       .removes = true},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    site w;
    wire r = cases[i].wire;
    site_begin(&w, (vestry_options){0});
    if (cases[i].refuses)
      vestry_registry_intercept(vestry_parts_of(w.v)->registry,
                                &(vestry_interceptor){.name = "no", .phase = VESTRY_PHASE_CONNECT, .after = refuse_it});
    feed f = feed_of(&w, (vestry_watch){.every_ms = 10});
    wire_request(&w, &r, cases[i].handler, &f);
    assert_int_equal(f.returns, VESTRY_OK);
    assert_int_equal(r.status, cases[i].status);
    assert_int_equal(f.steps, cases[i].steps);
    bool goes_on = r.connection && vestry_connection_is_open(r.connection);
    assert_int_equal(f.ends, !goes_on);
    if (cases[i].drains) vestry_drain(w.v, 0), site_settle(&w);
    if (cases[i].removes) {
      vestry_store_remove(vestry_parts_of(w.v)->store, NOWHERE, ROOM("a"), VESTRY_CAUSE_REMOVED, NULL);
      site_settle(&w);
    }
    if (goes_on && cases[i].cause == VESTRY_CAUSE_HANGUP) wire_hang_up(&w, &r), site_settle(&w);
    if (cases[i].destroys) assert_int_equal(f.ends, 0);
    bool has_stream = cases[i].cause != VESTRY_CAUSE_NONE;
    assert_int_equal(feed_stats(&w).begun_count, has_stream);
    site_close(&w);
    assert_int_equal(f.ends, 1);
    assert_int_equal(f.cause, cases[i].cause);
    wire_finish(&r);
    test_host_assert_clean(&w.th);
  }
}

static vestry_err wrong(const vestry_request *req, vestry_reply *reply, void *app) {
  feed *f = app;
  assert_int_equal(vestry_reply_watch(reply, NULL), VESTRY_INVALID);
  f->watch.ctx = f;
  f->watch.step = NULL;
  assert_int_equal(vestry_reply_watch(reply, &f->watch), VESTRY_INVALID);
  f->watch.step = feed_step;
  return VESTRY_OK;
}

FEED_CASE(invalid_watch_is_refused) {
  wire r = {.datastar = true};
  feed f = feed_of(w, (vestry_watch){0});
  wire_request(w, &r, wrong, &f);
  assert_int_equal(r.status, 204);
  assert_int_equal(f.ends, 0); /* the reply never accepted it */
  wire_finish(&r);
}

/* --------------------------------------------------------------------------------------------------- memory ------- */

typedef struct attempt {
  int ends, steps;
} attempt;

/* Open and end a stream with a topic, while one allocation fails. */
static vestry_err survive(site *w, attempt *ret) {
  wire r = {.datastar = true};
  feed f = feed_of(w, (vestry_watch){.every_ms = 10});
  f.listens = true;
  (void)wire_serve(w, &r, feed_keyed, &f);
  site_settle(w);
  site_pass_ms(w, 10);
  bool failed = test_host_has_failed(&w->th);
  if (r.connection) wire_hang_up(w, &r);
  site_settle(w);
  *ret = (attempt){f.ends, f.steps};
  wire_finish(&r);
  return failed ? VESTRY_NO_MEMORY : VESTRY_OK;
}

/* capability: E1 */
TEST_CASE(watch_ends_once_after_failed_allocation) {
  int without_steps = 0, cut = 0;
  for (long number = 0;; number++) {
    site w;
    attempt a;
    site_begin(&w, (vestry_options){0});
    atomic_store(&w.th.fail_at, number);
    bool failed = survive(&w, &a) == VESTRY_NO_MEMORY;
    assert_int_equal(a.ends, 1);
    assert_int_equal(feed_stats(&w).live_count, 0);
    without_steps += failed && !a.steps;
    cut += failed && a.steps == 1;
    site_end(&w);
    if (failed) continue;
    assert_int_equal(a.steps, 2);
    break;
  }
  assert_true(without_steps > 0 && cut > 0);
}

static vestry_err measured(const vestry_request *req, vestry_reply *reply, void *app) {
  feed *f = app;
  long before = atomic_load(&f->w->th.allocations);
  vestry_err error = feed_handler(req, reply, app);
  assert_int_equal(atomic_load(&f->w->th.allocations) - before, 1);
  return error;
}

FEED_CASE(watch_needs_one_allocation_and_steps_none) {
  wire r = {.datastar = true}, first = {.method = "HEAD"};
  feed f = feed_of(w, (vestry_watch){.every_ms = 10}), before_it = f;
  f.sends = 0;
  /* the first watch of an instance allocates the counters of watches */
  wire_request(w, &first, feed_handler, &before_it);
  wire_finish(&first);
  wire_request(w, &r, measured, &f);
  long before = atomic_load(&w->th.allocations);
  for (int i = 0; i < 10; i++) {
    site_pass_ms(w, 10);
    vestry_watch_wake(f.watcher);
    site_settle(w);
  }
  assert_int_equal(f.steps, 21);
  assert_int_equal(atomic_load(&w->th.allocations), before); /* steps allocate nothing */
  feed_close(w, &r);
}
