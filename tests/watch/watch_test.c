/* SPDX-License-Identifier: MIT */
/* Watches: when steps are called, what slows and what wakes them, and an end that comes once, whatever happens. */
#include "serve/world.h"
#include "vestry/bus.h"
#include "vestry/drain.h"
#include "vestry/registry.h"
#include "vestry/watch.h"

enum { SAYS_MOST = 41, SAYS_NOTHING = -1, SAYS_FINISH = -2, SAYS_NEVER = -3, SAYS_TWICE = -4 };

/* A watch, what its steps say, and what must hold of them. */
typedef struct feed {
  world *w;
  vestry_watch watch;
  vestry_err returns;  /* by the handler's call; INVALID stands until it was made */
  int says[SAYS_MOST]; /* by the steps, one after the other: SAYS_…, or milliseconds. The last for all that follow */
  int says_count;
  int sends;        /* events a step */
  vestry_err fails; /* what the steps return */
  bool wakes_itself, closes, tries;
  bool listens; /* the first step subscribes to the topic "t" */

  int steps, ends;
  uint64_t at_ms[64]; /* when */
  vestry_cause cause;
  vestry_watcher *watcher;
  bool is_inside;
} feed;

static vestry_err step(vestry_watcher *watcher, vestry_connection *connection, void *ctx) {
  feed *f = ctx;
  assert_int_equal(f->ends, 0);
  assert_false(f->is_inside);
  f->is_inside = true;
  assert_int_equal(vestry_watch_is_first(watcher), f->steps == 0);
  if (f->steps < 64) f->at_ms[f->steps] = atomic_load(&f->w->th.now_ns) / 1000000 - 1000;
  f->watcher = watcher;
  int says = f->says_count ? f->says[f->steps < f->says_count ? f->steps : f->says_count - 1] : SAYS_NOTHING;
  f->steps++;
  vestry_err error = VESTRY_OK;
  if (f->listens && f->steps == 1) error = vestry_watch_subscribe(watcher, NOWHERE, VESTRY_KEY("t"));
  for (int i = 0; i < f->sends && !error; i++)
    error = vestry_connection_patch_signals(connection, VESTRY_OBJECT("n", f->steps), NULL);
  if (f->tries) error = VESTRY_OK;
  if (f->wakes_itself && f->steps == 1) vestry_watch_wake(watcher), vestry_watch_wake(watcher);
  if (f->closes) vestry_connection_close(connection, VESTRY_CAUSE_REMOVED);
  if (says == SAYS_TWICE) vestry_watch_wait(watcher, 1), vestry_watch_wait(watcher, 70);
  if (says == SAYS_FINISH) vestry_watch_finish(watcher);
  if (says == SAYS_NEVER) vestry_watch_wait(watcher, VESTRY_NEVER_MS);
  if (says >= 0) vestry_watch_wait(watcher, (uint64_t)says);
  f->is_inside = false;
  return error ? error : f->fails;
}

static void end(vestry_cause cause, void *ctx) {
  feed *f = ctx;
  assert_false(f->is_inside);
  f->ends++;
  f->cause = cause;
}

static feed feed_of(world *w, vestry_watch watch) {
  feed f = {.w = w, .watch = watch, .returns = VESTRY_INVALID, .sends = 1};
  f.watch.step = step;
  f.watch.end = end;
  return f;
}

static vestry_err watch_one(vestry_reply *reply, feed *f) {
  f->watch.ctx = f;
  return f->returns = vestry_reply_watch(reply, &f->watch);
}

static vestry_err handler(const vestry_request *req, vestry_reply *reply, void *app) {
  (void)req;
  return watch_one(reply, app);
}

/* Two watches of one stream. */
static vestry_err two(const vestry_request *req, vestry_reply *reply, void *app) {
  feed *const *both = app;
  (void)req;
  vestry_err error = watch_one(reply, both[0]);
  return error ? error : watch_one(reply, both[1]);
}

static void open_watch(wire *r, feed *f) {
  *r = (wire){.datastar = true};
  wire_request(f->w, r, handler, f);
}

static void pass_ms(world *w, uint64_t ms) {
  test_host_advance_ms(&w->th, ms);
  world_settle(w);
}

static void close_watch(world *w, wire *r) {
  wire_hang_up(w, r);
  world_settle(w);
  wire_finish(r);
}

static vestry_stats stats_of(world *w) {
  vestry_stats stats = {0};
  vestry_stats_get(w->v, &stats);
  assert_true(stats.watches_begun_count == stats.watches_live_count + stats.watches_ended_count);
  return stats;
}

static void finish(world *w) {
  world_settle(w);
  assert_int_equal(stats_of(w).watches_live_count, 0); /* every test closes its streams */
  world_end(w);
  test_host_assert_clean(&w->th);
}

static void assert_times(const feed *f, int count, const uint64_t *ms) {
  assert_int_equal(f->steps, count);
  for (int i = 0; i < count; i++) assert_int_equal(f->at_ms[i], ms[i]);
}
#define assert_steps_at(f, ...)                                                                                        \
  assert_times(f, sizeof((uint64_t[]){__VA_ARGS__}) / sizeof(uint64_t), (uint64_t[]){__VA_ARGS__})

/* ------------------------------------------------------------------------------------------------ when ------------ */

static void a_clock_ticks_without_drift(void **state) {
  (void)state;
  world w;
  wire r;
  world_begin(&w, (vestry_options){0});
  feed f = feed_of(&w, (vestry_watch){.every_ms = 100});
  open_watch(&r, &f);
  assert_steps_at(&f, 0);
  wire_assert_text(&r, "event: datastar-patch-signals\ndata: signals {\"n\":1}\n\n");
  pass_ms(&w, 99);
  assert_int_equal(f.steps, 1);
  pass_ms(&w, 1);
  pass_ms(&w, 130); /* late: the next beat stays where it is */
  pass_ms(&w, 70);
  assert_steps_at(&f, 0, 100, 230, 300);
  pass_ms(&w, 1000); /* beats that were missed are one step */
  pass_ms(&w, 100);
  assert_steps_at(&f, 0, 100, 230, 300, 1300, 1400);
  vestry_watch_wake(f.watcher); /* between two beats: the next beat stays */
  pass_ms(&w, 50);
  pass_ms(&w, 50);
  assert_steps_at(&f, 0, 100, 230, 300, 1300, 1400, 1450, 1500);
  assert_int_equal(f.ends, 0);
  close_watch(&w, &r);
  assert_int_equal(f.ends, 1);
  assert_int_equal(f.cause, VESTRY_CAUSE_HANGUP);
  pass_ms(&w, 1000);
  assert_int_equal(f.steps, 8);
  finish(&w);
}

static void steps_say_when(void **state) {
  (void)state;
  world w;
  wire r;
  world_begin(&w, (vestry_options){0});
  feed f = feed_of(&w, (vestry_watch){.every_ms = 500});
  memcpy(f.says, (int[]){0, 0, 10, SAYS_TWICE, SAYS_NOTHING, SAYS_NEVER}, 6 * sizeof(int));
  f.says_count = 6;
  open_watch(&r, &f);
  assert_steps_at(&f, 0, 0, 0);
  for (int i = 0; i < 2000; i += 5) pass_ms(&w, 5);
  assert_steps_at(&f, 0, 0, 0, 10, 80, 500); /* back on the beat; then never */
  vestry_watch_wake(f.watcher);
  world_settle(&w);
  assert_int_equal(f.steps, 7);
  close_watch(&w, &r);
  assert_int_equal(f.ends, 1);
  finish(&w);
}

static void a_step_that_says_nothing_waits_to_be_woken(void **state) {
  (void)state;
  world w;
  wire r;
  world_begin(&w, (vestry_options){0});
  feed f = feed_of(&w, (vestry_watch){0});
  open_watch(&r, &f);
  pass_ms(&w, 1000000);
  assert_int_equal(f.steps, 1);
  close_watch(&w, &r);
  finish(&w);
}

static void a_step_finishes(void **state) {
  (void)state;
  world w;
  wire r;
  world_begin(&w, (vestry_options){0});
  feed f = feed_of(&w, (vestry_watch){0});
  memcpy(f.says, (int[]){0, SAYS_FINISH}, 2 * sizeof(int));
  f.says_count = 2;
  open_watch(&r, &f);
  assert_int_equal(f.steps, 2);
  assert_int_equal(f.ends, 1);
  assert_int_equal(f.cause, VESTRY_CAUSE_CLOSED);
  assert_true(r.clean); /* and what it sent before is written */
  assert_int_equal(wire_count(&r, "signals {\"n\":"), 2);
  wire_finish(&r);
  assert_int_equal(stats_of(&w).watches_ended_count, 1);
  assert_int_equal(stats_of(&w).watch_steps_count, 2);
  assert_int_equal(stats_of(&w).watch_errors_count, 0);
  finish(&w);
}

static void an_error_ends_the_stream(void **state) {
  (void)state;
  world w;
  wire r;
  world_begin(&w, (vestry_options){0});
  feed f = feed_of(&w, (vestry_watch){.every_ms = 10});
  f.fails = VESTRY_NOT_FOUND;
  open_watch(&r, &f);
  assert_int_equal(f.steps, 1);
  assert_int_equal(f.ends, 1);
  assert_int_equal(f.cause, VESTRY_CAUSE_ERROR);
  assert_false(r.clean); /* the browser comes back */
  assert_int_equal(w.th.log_lines, 1);
  assert_string_equal(w.th.last_log, "a watch of connection 1: nothing goes by that name or key");
  assert_int_equal(stats_of(&w).watch_errors_count, 1);
  wire_finish(&r);
  /* What fails because the stream was closed meanwhile is no news. */
  feed g = feed_of(&w, (vestry_watch){0});
  g.closes = true;
  g.fails = VESTRY_CLOSED;
  open_watch(&r, &g);
  assert_int_equal(g.ends, 1);
  assert_int_equal(g.cause, VESTRY_CAUSE_REMOVED);
  assert_int_equal(w.th.log_lines, 1);
  assert_int_equal(stats_of(&w).watch_errors_count, 1);
  wire_finish(&r);
  finish(&w);
}

static void a_pause_is_kept(void **state) {
  (void)state;
  world w;
  wire r;
  world_begin(&w, (vestry_options){0});
  feed f = feed_of(&w, (vestry_watch){.pause_ms = 100});
  open_watch(&r, &f);
  for (int i = 0; i < 30; i++) {
    vestry_watch_wake(f.watcher);
    pass_ms(&w, 10);
  }
  assert_steps_at(&f, 0, 100, 200, 300);
  pass_ms(&w, 1000); /* the wakes before are served: no step is owed */
  assert_int_equal(f.steps, 4);
  vestry_watch_wake(f.watcher);
  world_settle(&w);
  assert_int_equal(f.steps, 5); /* at once: the pause is over */
  f.says[0] = 0;
  f.says_count = 1;
  vestry_watch_wake(f.watcher);
  pass_ms(&w, 100);
  pass_ms(&w, 99);
  assert_int_equal(f.steps, 6);
  pass_ms(&w, 1);
  assert_int_equal(f.steps, 7);
  close_watch(&w, &r);
  finish(&w);
}

typedef struct turns {
  const feed *f;
  int count;
} turns;

static void take_turn(vestry_actor *self, void *ctx) {
  turns *t = ctx;
  if (t->count++ < 40) vestry_actor_notify(self);
  assert_in_range(t->f->steps + 2, t->count, t->count + 4); /* a turn each */
}

static void at_once_is_fair(void **state) {
  (void)state;
  world w;
  wire r = {.datastar = true};
  world_begin(&w, (vestry_options){0});
  feed f = feed_of(&w, (vestry_watch){0});
  f.sends = 0;
  f.says_count = SAYS_MOST; /* all but the last: at once */
  f.says[SAYS_MOST - 1] = SAYS_NEVER;
  turns t = {&f, 0};
  vestry_actor *other;
  assert_int_equal(
      vestry_actor_create(vestry_parts_of(w.v)->runtime, &(vestry_actor_options){.run = take_turn, .ctx = &t}, &other),
      VESTRY_OK);
  assert_int_equal(wire_serve(&w, &r, handler, &f), VESTRY_OK);
  vestry_actor_notify(other);
  world_settle(&w);
  assert_int_equal(f.steps, SAYS_MOST);
  assert_int_equal(t.count, 41);
  vestry_actor_unref(other);
  close_watch(&w, &r);
  finish(&w);
}

/* ---------------------------------------------------------------------------------------------- pacing ------------ */

/* The far end takes nothing, or everything again. */
static void block(world *w, wire *r, bool blocks) {
  r->write_io = blocks ? VESTRY_IO_WOULD_BLOCK : VESTRY_IO_OK;
  if (!blocks) vestry_connection_writable(r->connection);
  world_settle(w);
}

static void who_does_not_read_slows_his_own_watch(void **state) {
  (void)state;
  world w;
  wire slow, quick;
  world_begin(&w, (vestry_options){0});
  feed f = feed_of(&w, (vestry_watch){.every_ms = 10}), g = feed_of(&w, (vestry_watch){.every_ms = 10});
  open_watch(&slow, &f);
  open_watch(&quick, &g);
  block(&w, &slow, true);
  for (int i = 0; i < 100; i++) pass_ms(&w, 10);
  assert_int_equal(f.steps, 2); /* what the second one sent is not written */
  assert_int_equal(g.steps, 101);
  vestry_watch_wake(f.watcher); /* does not help */
  world_settle(&w);
  assert_int_equal(f.steps, 2);
  /* What others send does not hold it up, nor hurry it. */
  assert_int_equal(vestry_connection_patch_signals(slow.connection, VESTRY_OBJECT("n", 0), NULL), VESTRY_OK);
  world_settle(&w);
  assert_int_equal(f.steps, 2);
  block(&w, &slow, false);
  assert_int_equal(f.steps, 3); /* one for all that it missed */
  block(&w, &slow, true);
  pass_ms(&w, 10);
  pass_ms(&w, 10);
  assert_int_equal(f.steps, 4);
  close_watch(&w, &slow); /* in the middle of it */
  assert_int_equal(f.ends, 1);
  close_watch(&w, &quick);
  finish(&w);
}

static void some_may_wait_if_it_says_so(void **state) {
  (void)state;
  world w;
  wire r;
  world_begin(&w, (vestry_options){0});
  feed f = feed_of(&w, (vestry_watch){.every_ms = 10, .ahead_count = 5});
  f.sends = 2;
  open_watch(&r, &f);
  block(&w, &r, true);
  for (int i = 0; i < 20; i++) pass_ms(&w, 10);
  assert_int_equal(f.steps, 4); /* 2 and 4 wait: go on; 6: not */
  block(&w, &r, false);
  assert_int_equal(f.steps, 5);
  close_watch(&w, &r);
  finish(&w);
}

static vestry_err after_effects(const vestry_request *req, vestry_reply *reply, void *app) {
  vestry_reply_patch_signals(reply, VESTRY_OBJECT("first", 1));
  return handler(req, reply, app);
}

static void what_the_reply_sends_comes_first(void **state) {
  (void)state;
  world w;
  wire r = {.datastar = true, .write_io = VESTRY_IO_WOULD_BLOCK};
  world_begin(&w, (vestry_options){0});
  feed f = feed_of(&w, (vestry_watch){0});
  wire_request(&w, &r, after_effects, &f);
  assert_int_equal(f.steps, 0);
  block(&w, &r, false);
  wire_assert_text(&r, "event: datastar-patch-signals\ndata: signals {\"first\":1}\n\n"
                       "event: datastar-patch-signals\ndata: signals {\"n\":1}\n\n");
  close_watch(&w, &r);
  finish(&w);
}

static void conflated_and_dropped_events_are_done_with(void **state) {
  (void)state;
  static const vestry_full_policy policies[] = {VESTRY_FULL_CONFLATE, VESTRY_FULL_DROP};
  for (size_t i = 0; i < 2; i++) {
    world w;
    wire r;
    world_begin(
        &w, (vestry_options){.connection = &(vestry_connection_options){.full = policies[i], .max_queued_count = 4}});
    feed f = feed_of(&w, (vestry_watch){.every_ms = 10});
    f.sends = 4; /* of which three are superfluous */
    f.tries = true;
    open_watch(&r, &f);
    block(&w, &r, true);
    for (int n = 0; n < 10; n++) pass_ms(&w, 10);
    assert_int_equal(f.steps, 2);
    block(&w, &r, false);
    for (int n = 0; n < 10; n++) pass_ms(&w, 10);
    assert_int_equal(f.steps, 13);
    close_watch(&w, &r);
    finish(&w);
  }
}

static void a_step_that_fills_the_queue_is_told(void **state) {
  (void)state;
  world w;
  wire r;
  world_begin(&w, (vestry_options){.connection = &(vestry_connection_options){.max_queued_count = 3}});
  feed f = feed_of(&w, (vestry_watch){0});
  f.sends = 4;
  open_watch(&r, &f);
  assert_int_equal(f.ends, 1);
  assert_int_equal(f.cause, VESTRY_CAUSE_FULL);
  assert_int_equal(stats_of(&w).watch_errors_count, 0); /* the stream's own cause counts */
  wire_finish(&r);
  finish(&w);
}

/* -------------------------------------------------------------------------------------------------- wakes --------- */

static void wakes_are_coalesced_and_none_is_lost(void **state) {
  (void)state;
  world w;
  wire r;
  world_begin(&w, (vestry_options){0});
  feed f = feed_of(&w, (vestry_watch){0});
  f.wakes_itself = true; /* in the first step: twice */
  open_watch(&r, &f);
  assert_int_equal(f.steps, 2);
  for (int i = 0; i < 5; i++) vestry_watch_wake(f.watcher);
  world_settle(&w);
  assert_int_equal(f.steps, 3);
  for (int i = 0; i < 5; i++) {
    vestry_watch_wake(f.watcher);
    world_settle(&w);
  }
  assert_int_equal(f.steps, 8);
  block(&w, &r, true);
  vestry_watch_wake(f.watcher);
  world_settle(&w);
  for (int i = 0; i < 5; i++) vestry_watch_wake(f.watcher);
  world_settle(&w);
  assert_int_equal(f.steps, 9);
  block(&w, &r, false);
  assert_int_equal(f.steps, 10);
  wire_hang_up(&w, &r);
  vestry_watch_wake(f.watcher); /* it is closing */
  world_settle(&w);
  vestry_watch_wake(f.watcher); /* it has ended; the test holds a reference to the connection */
  world_settle(&w);
  assert_int_equal(f.steps, 10);
  world_end(&w);
  vestry_watch_wake(f.watcher); /* and so has the instance */
  vestry_connection_wake(r.connection);
  wire_finish(&r);
  test_host_assert_clean(&w.th);
}

static vestry_err keyed(const vestry_request *req, vestry_reply *reply, void *app) {
  vestry_reply_key(reply, ROOM("a"));
  return handler(req, reply, app);
}

static void they_are_woken_by_connection_effect_and_bus(void **state) {
  (void)state;
  world w;
  wire r = {.datastar = true}, s = {.datastar = true}, other = {.datastar = true};
  world_begin(&w, (vestry_options){0});
  feed f = feed_of(&w, (vestry_watch){0}), g = feed_of(&w, (vestry_watch){0});
  f.listens = true;
  wire_request(&w, &r, keyed, &f); /* under the same key, each its own stream */
  wire_request(&w, &s, keyed, &g);
  wire_plan(&w, &other, &(plan){.key = "b", .keep = true});
  assert_int_equal(f.steps + g.steps, 2);
  vestry_connection_wake(r.connection);
  vestry_connection_wake(other.connection); /* it has none */
  world_settle(&w);
  assert_int_equal(f.steps, 2);
  assert_int_equal(g.steps, 1);
  assert_int_equal(vestry_dispatch(w.v, NOWHERE, ROOM("a"), VESTRY_LIST("wake")), VESTRY_OK);
  assert_int_equal(vestry_dispatch(w.v, NOWHERE, ROOM("b"), VESTRY_LIST("wake")), VESTRY_OK);
  assert_int_equal(vestry_dispatch(w.v, NOWHERE, ROOM("b"), VESTRY_LIST("wake", 1)), VESTRY_INVALID);
  world_settle(&w);
  assert_int_equal(f.steps, 3);
  assert_int_equal(g.steps, 2);
  for (int i = 0; i < 3; i++) assert_int_equal(vestry_publish(w.v, NOWHERE, VESTRY_KEY("t"), NULL, 0, NULL), VESTRY_OK);
  world_settle(&w);
  assert_int_equal(f.steps, 4);
  assert_int_equal(g.steps, 2);
  close_watch(&w, &r);
  size_t called;
  assert_int_equal(vestry_publish(w.v, NOWHERE, VESTRY_KEY("t"), NULL, 0, &called), VESTRY_NOT_FOUND);
  assert_int_equal(called, 0); /* the subscription has ended with its stream */
  close_watch(&w, &s);
  close_watch(&w, &other);
  finish(&w);
}

static void wake_before_it_opens(vestry_connection *connection, void *ctx) {
  (void)ctx;
  vestry_connection_wake(connection);
}

static vestry_err with_hooks(const vestry_request *req, vestry_reply *reply, void *app) {
  vestry_reply_stream(reply,
                      &(vestry_stream_options){.hooks = &(vestry_connection_hooks){.on_open = wake_before_it_opens}});
  return handler(req, reply, app);
}

static void a_wake_before_the_first_step_is_the_first_step(void **state) {
  (void)state;
  world w;
  wire r = {.datastar = true};
  world_begin(&w, (vestry_options){0});
  feed f = feed_of(&w, (vestry_watch){0});
  wire_request(&w, &r, with_hooks, &f);
  assert_int_equal(f.steps, 1);
  close_watch(&w, &r);
  finish(&w);
}

/* -------------------------------------------------------------------------------------- several, and keys --------- */

static vestry_err too_many(const vestry_request *req, vestry_reply *reply, void *app) {
  (void)req;
  for (int i = 0; i < VESTRY_REPLY_WATCHES_MAX; i++) assert_int_equal(watch_one(reply, app), VESTRY_OK);
  return watch_one(reply, app);
}

static void a_stream_has_several(void **state) {
  (void)state;
  world w;
  wire r = {.datastar = true};
  world_begin(&w, (vestry_options){0});
  feed f = feed_of(&w, (vestry_watch){.every_ms = 10}), g = feed_of(&w, (vestry_watch){.every_ms = 30});
  g.says[3] = SAYS_FINISH;
  g.says[0] = g.says[1] = g.says[2] = SAYS_NOTHING;
  g.says_count = 4;
  wire_request(&w, &r, two, &(feed *[]){&f, &g});
  assert_int_equal(stats_of(&w).watches_live_count, 2);
  for (int i = 0; i < 8; i++) pass_ms(&w, 10);
  assert_int_equal(f.steps, 9);
  assert_int_equal(g.steps, 3);
  vestry_connection_wake(r.connection);
  world_settle(&w);
  assert_int_equal(f.ends, 1); /* the other one has finished the stream */
  assert_int_equal(g.ends, 1);
  wire_finish(&r);
  f = feed_of(&w, (vestry_watch){0});
  wire s = {.datastar = true};
  wire_request(&w, &s, too_many, &f);
  assert_int_equal(f.returns, VESTRY_LIMIT);
  assert_int_equal(s.status, 503);
  assert_int_equal(f.ends, VESTRY_REPLY_WATCHES_MAX + 1);
  wire_finish(&s);
  assert_int_equal(stats_of(&w).watches_begun_count, 2);
  finish(&w);
}

static vestry_err reused(const vestry_request *req, vestry_reply *reply, void *app) {
  vestry_reply_keep(reply, VESTRY_KEEP_REUSE, 0);
  return keyed(req, reply, app);
}

static void under_a_key_it_is_kept_beside_others(void **state) {
  (void)state;
  world w;
  wire r = {.datastar = true}, s = {.datastar = true}, t = {.datastar = true};
  world_begin(&w, (vestry_options){0});
  feed f = feed_of(&w, (vestry_watch){0}), g = f, h = f;
  wire_request(&w, &r, keyed, &f);
  wire_request(&w, &s, keyed, &g);
  assert_non_null(s.connection);
  wire_request(&w, &t, reused, &h); /* whoever says otherwise gets it: its watch has no stream */
  assert_null(t.connection);
  assert_int_equal(t.status, 204);
  assert_int_equal(h.ends, 1);
  assert_int_equal(h.cause, VESTRY_CAUSE_NONE);
  assert_int_equal(h.steps, 0);
  vestry_dispatch(w.v, NOWHERE, ROOM("a"), VESTRY_LIST("patch-signals", VESTRY_OBJECT("x", 1)));
  world_settle(&w);
  assert_int_equal(wire_count(&r, "\"x\""), 1);
  assert_int_equal(wire_count(&s, "\"x\""), 1);
  close_watch(&w, &r);
  close_watch(&w, &s);
  wire_finish(&t);
  finish(&w);
}

/* ------------------------------------------------------------------------------------------------- the end -------- */

static vestry_err then_fails(const vestry_request *req, vestry_reply *reply, void *app) {
  (void)handler(req, reply, app);
  return VESTRY_NOT_FOUND;
}

static vestry_err with_body(const vestry_request *req, vestry_reply *reply, void *app) {
  vestry_reply_body(reply, NULL, "<p>", 3);
  return handler(req, reply, app);
}

static vestry_err auto_closed(const vestry_request *req, vestry_reply *reply, void *app) {
  vestry_reply_auto_close(reply, true);
  return handler(req, reply, app);
}

static vestry_err any_client(const vestry_request *req, vestry_reply *reply, void *app) {
  vestry_reply_any_client(reply);
  return handler(req, reply, app);
}

static vestry_err refuse_it(vestry_dispatch_context *context, const json_t *effect, void *ctx) {
  (void)effect, (void)ctx;
  return vestry_context_refuse(context, VESTRY_LIMIT);
}

static void the_end_comes_once_whatever_happens(void **state) {
  (void)state;
  static const struct {
    wire wire;
    vestry_handler_fn handler;
    int status, steps;
    vestry_cause cause; /* NONE: no stream */
    bool drains, destroys, refuses, removes;
  } cases[] = {
      {.wire = {.datastar = false}, .handler = handler, .status = 204},
      {.wire = {.datastar = false}, .handler = with_body, .status = 200},
      {.wire = {.method = "HEAD", .datastar = true}, .handler = handler, .status = 204},
      {.wire = {.method = "HEAD"}, .handler = any_client, .status = 204},
      {.wire = {.datastar = false}, .handler = any_client, .status = 200, .steps = 1, .cause = VESTRY_CAUSE_HANGUP},
      {.wire = {.datastar = true}, .handler = with_body, .status = 200, .steps = 1, .cause = VESTRY_CAUSE_HANGUP},
      {.wire = {.datastar = true}, .handler = then_fails, .status = 404},
      {.wire = {.datastar = true}, .handler = auto_closed, .status = 200, .cause = VESTRY_CAUSE_CLOSED},
      {.wire = {.datastar = true, .open_error = VESTRY_LIMIT}, .handler = handler, .status = 503},
      {.wire = {.datastar = true, .open_io = VESTRY_IO_HANGUP}, .handler = handler, .cause = VESTRY_CAUSE_HANGUP},
      {.wire = {.datastar = true}, .handler = handler, .status = 200, .steps = 1, .cause = VESTRY_CAUSE_HANGUP},
      {.wire = {.datastar = true},
       .handler = handler,
       .status = 200,
       .steps = 1,
       .cause = VESTRY_CAUSE_DRAIN,
       .drains = true},
      {.wire = {.datastar = true},
       .handler = handler,
       .status = 200,
       .steps = 1,
       .cause = VESTRY_CAUSE_SHUTDOWN,
       .destroys = true},
      {.wire = {.datastar = true}, .handler = handler, .status = 503, .refuses = true},
      {.wire = {.datastar = true},
       .handler = keyed,
       .status = 200,
       .steps = 1,
       .cause = VESTRY_CAUSE_REMOVED,
       .removes = true},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    world w;
    wire r = cases[i].wire;
    world_begin(&w, (vestry_options){0});
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
    if (cases[i].drains) vestry_drain(w.v, 0), world_settle(&w);
    if (cases[i].removes) {
      vestry_store_remove(vestry_parts_of(w.v)->store, NOWHERE, ROOM("a"), VESTRY_CAUSE_REMOVED, NULL);
      world_settle(&w);
    }
    if (goes_on && cases[i].cause == VESTRY_CAUSE_HANGUP) wire_hang_up(&w, &r), world_settle(&w);
    if (cases[i].destroys) assert_int_equal(f.ends, 0);
    bool has_stream = cases[i].cause != VESTRY_CAUSE_NONE;
    assert_int_equal(stats_of(&w).watches_begun_count, has_stream);
    world_end(&w);
    assert_int_equal(f.ends, 1);
    assert_int_equal(f.cause, cases[i].cause);
    wire_finish(&r);
    test_host_assert_clean(&w.th);
  }
}

static vestry_err wrong(const vestry_request *req, vestry_reply *reply, void *app) {
  feed *f = app;
  (void)req;
  assert_int_equal(vestry_reply_watch(reply, NULL), VESTRY_INVALID);
  f->watch.ctx = f;
  f->watch.step = NULL;
  assert_int_equal(vestry_reply_watch(reply, &f->watch), VESTRY_INVALID);
  f->watch.step = step;
  f->watch.size = 4;
  assert_int_equal(vestry_reply_watch(reply, &f->watch), VESTRY_INVALID);
  return VESTRY_OK;
}

static void what_is_no_watch_is_refused(void **state) {
  (void)state;
  world w;
  wire r = {.datastar = true};
  world_begin(&w, (vestry_options){0});
  feed f = feed_of(&w, (vestry_watch){0});
  wire_request(&w, &r, wrong, &f);
  assert_int_equal(r.status, 204);
  assert_int_equal(f.ends, 0); /* it was never vestry's */
  wire_finish(&r);
  finish(&w);
}

/* ------------------------------------------------------------------------------------------------- memory --------- */

typedef struct attempt {
  int ends, steps;
} attempt;

/* A stream from its beginning to its end, with a topic, while one allocation fails. */
static vestry_err survive(world *w, attempt *ret) {
  wire r = {.datastar = true};
  feed f = feed_of(w, (vestry_watch){.every_ms = 10});
  f.listens = true;
  (void)wire_serve(w, &r, keyed, &f);
  world_settle(w);
  pass_ms(w, 10);
  bool failed = test_host_has_failed(&w->th);
  if (r.connection) wire_hang_up(w, &r);
  world_settle(w);
  *ret = (attempt){f.ends, f.steps};
  wire_finish(&r);
  return failed ? VESTRY_NO_MEMORY : VESTRY_OK;
}

static void without_memory_the_end_comes_too(void **state) {
  (void)state;
  int without_steps = 0, cut = 0;
  for (long number = 0;; number++) {
    world w;
    attempt a;
    world_begin(&w, (vestry_options){0});
    atomic_store(&w.th.fail_at, number);
    bool failed = survive(&w, &a) == VESTRY_NO_MEMORY;
    assert_int_equal(a.ends, 1);
    assert_int_equal(stats_of(&w).watches_live_count, 0);
    without_steps += failed && !a.steps;
    cut += failed && a.steps == 1;
    world_end(&w);
    test_host_assert_clean(&w.th);
    if (failed) continue;
    assert_int_equal(a.steps, 2);
    break;
  }
  assert_true(without_steps > 0 && cut > 0);
}

static vestry_err measured(const vestry_request *req, vestry_reply *reply, void *app) {
  feed *f = app;
  long before = atomic_load(&f->w->th.allocations);
  vestry_err error = handler(req, reply, app);
  assert_int_equal(atomic_load(&f->w->th.allocations) - before, 1);
  return error;
}

static void a_watch_is_one_allocation(void **state) {
  (void)state;
  world w;
  wire r = {.datastar = true};
  world_begin(&w, (vestry_options){0});
  feed f = feed_of(&w, (vestry_watch){.every_ms = 10});
  f.sends = 0;
  wire_request(&w, &r, measured, &f);
  long before = atomic_load(&w.th.allocations);
  for (int i = 0; i < 10; i++) {
    pass_ms(&w, 10);
    vestry_watch_wake(f.watcher);
    world_settle(&w);
  }
  assert_int_equal(f.steps, 21);
  assert_int_equal(atomic_load(&w.th.allocations), before); /* steps need none of their own */
  close_watch(&w, &r);
  finish(&w);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_clock_ticks_without_drift),
      cmocka_unit_test(steps_say_when),
      cmocka_unit_test(a_step_that_says_nothing_waits_to_be_woken),
      cmocka_unit_test(a_step_finishes),
      cmocka_unit_test(an_error_ends_the_stream),
      cmocka_unit_test(a_pause_is_kept),
      cmocka_unit_test(at_once_is_fair),
      cmocka_unit_test(who_does_not_read_slows_his_own_watch),
      cmocka_unit_test(some_may_wait_if_it_says_so),
      cmocka_unit_test(what_the_reply_sends_comes_first),
      cmocka_unit_test(conflated_and_dropped_events_are_done_with),
      cmocka_unit_test(a_step_that_fills_the_queue_is_told),
      cmocka_unit_test(wakes_are_coalesced_and_none_is_lost),
      cmocka_unit_test(they_are_woken_by_connection_effect_and_bus),
      cmocka_unit_test(a_wake_before_the_first_step_is_the_first_step),
      cmocka_unit_test(a_stream_has_several),
      cmocka_unit_test(under_a_key_it_is_kept_beside_others),
      cmocka_unit_test(the_end_comes_once_whatever_happens),
      cmocka_unit_test(what_is_no_watch_is_refused),
      cmocka_unit_test(without_memory_the_end_comes_too),
      cmocka_unit_test(a_watch_is_one_allocation),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
