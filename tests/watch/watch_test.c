/* SPDX-License-Identifier: MIT */
/* Watches: the times of their steps, backpressure and wakes. */
#include "watch/feed.h"

/* Two watches on one stream. */
static vestry_err two(const vestry_request *req, vestry_reply *reply, void *app) {
  feed *const *both = app;
  vestry_err error = feed_watch(reply, both[0]);
  return error ? error : feed_watch(reply, both[1]);
}

/* ------------------------------------------------------------------------------------------- times of steps ------- */

/* capability: E1 */
FEED_CASE(watch_ticks_without_drift) {
  wire r;
  feed f = feed_of(w, (vestry_watch){.every_ms = 100});
  feed_open(&r, &f);
  assert_steps_at(&f, 0);
  wire_assert_text(&r, "event: datastar-patch-signals\ndata: signals {\"n\":1}\n\n");
  site_pass_ms(w, 99);
  assert_int_equal(f.steps, 1);
  site_pass_ms(w, 1);
  site_pass_ms(w, 130); /* late: the next tick keeps its time */
  site_pass_ms(w, 70);
  assert_steps_at(&f, 0, 100, 230, 300);
  site_pass_ms(w, 1000); /* missed ticks are one step */
  site_pass_ms(w, 100);
  assert_steps_at(&f, 0, 100, 230, 300, 1300, 1400);
  vestry_watch_wake(f.watcher); /* between two ticks: the next tick keeps its time */
  site_pass_ms(w, 50);
  site_pass_ms(w, 50);
  assert_steps_at(&f, 0, 100, 230, 300, 1300, 1400, 1450, 1500);
  assert_int_equal(f.ends, 0);
  feed_close(w, &r);
  assert_int_equal(f.ends, 1);
  assert_int_equal(f.cause, VESTRY_CAUSE_HANGUP);
  site_pass_ms(w, 1000);
  assert_int_equal(f.steps, 8);
}

/* capability: E1 */
FEED_CASE(step_sets_the_time_of_the_next_step) {
  wire r;
  feed f = feed_of(w, (vestry_watch){.every_ms = 500});
  memcpy(f.says, (int[]){0, 0, 10, SAYS_TWICE, SAYS_NOTHING, SAYS_NEVER}, 6 * sizeof(int));
  f.says_count = 6;
  feed_open(&r, &f);
  assert_steps_at(&f, 0, 0, 0);
  for (int i = 0; i < 2000; i += 5) site_pass_ms(w, 5);
  assert_steps_at(&f, 0, 0, 0, 10, 80, 500); /* back on the tick; then never */
  vestry_watch_wake(f.watcher);
  site_settle(w);
  assert_int_equal(f.steps, 7);
  feed_close(w, &r);
  assert_int_equal(f.ends, 1);
}

FEED_CASE(watch_without_interval_waits_for_a_wake) {
  wire r;
  feed f = feed_of(w, (vestry_watch){0});
  feed_open(&r, &f);
  site_pass_ms(w, 1000000);
  assert_int_equal(f.steps, 1);
  feed_close(w, &r);
}

FEED_CASE(finish_ends_the_stream_cleanly) {
  wire r;
  feed f = feed_of(w, (vestry_watch){0});
  memcpy(f.says, (int[]){0, SAYS_FINISH}, 2 * sizeof(int));
  f.says_count = 2;
  feed_open(&r, &f);
  assert_int_equal(f.steps, 2);
  assert_int_equal(f.ends, 1);
  assert_int_equal(f.cause, VESTRY_CAUSE_CLOSED);
  assert_true(r.clean); /* and the events that it sent before are written */
  assert_int_equal(wire_count(&r, "signals {\"n\":"), 2);
  wire_finish(&r);
  assert_int_equal(feed_stats(w).ended_count, 1);
  assert_int_equal(feed_stats(w).steps_count, 2);
  assert_int_equal(feed_stats(w).errors_count, 0);
}

/* capability: E1 */
FEED_CASE(error_of_a_step_ends_and_logs_the_stream) {
  wire r;
  feed f = feed_of(w, (vestry_watch){.every_ms = 10});
  f.fails = VESTRY_NOT_FOUND;
  feed_open(&r, &f);
  assert_int_equal(f.steps, 1);
  assert_int_equal(f.ends, 1);
  assert_int_equal(f.cause, VESTRY_CAUSE_ERROR);
  assert_false(r.clean); /* the browser reconnects */
  assert_int_equal(w->th.log_lines, 1);
  assert_string_equal(
      w->th.last_log,
      "watch of connection 1: its step failed, so the stream is closed: no object has this name or key");
  assert_int_equal(feed_stats(w).errors_count, 1);
  wire_finish(&r);
  /* An error after the stream was closed is not reported. */
  feed g = feed_of(w, (vestry_watch){0});
  g.closes = true;
  g.fails = VESTRY_CLOSED;
  feed_open(&r, &g);
  assert_int_equal(g.ends, 1);
  assert_int_equal(g.cause, VESTRY_CAUSE_REMOVED);
  assert_int_equal(w->th.log_lines, 1);
  assert_int_equal(feed_stats(w).errors_count, 1);
  wire_finish(&r);
}

FEED_CASE(steps_keep_the_pause_between_them) {
  wire r;
  feed f = feed_of(w, (vestry_watch){.pause_ms = 100});
  feed_open(&r, &f);
  for (int i = 0; i < 30; i++) {
    vestry_watch_wake(f.watcher);
    site_pass_ms(w, 10);
  }
  assert_steps_at(&f, 0, 100, 200, 300);
  site_pass_ms(w, 1000); /* these wakes have been handled: no step is owed */
  assert_int_equal(f.steps, 4);
  vestry_watch_wake(f.watcher);
  site_settle(w);
  assert_int_equal(f.steps, 5); /* at once, because the pause is over */
  f.says[0] = 0;
  f.says_count = 1;
  vestry_watch_wake(f.watcher);
  site_pass_ms(w, 100);
  site_pass_ms(w, 99);
  assert_int_equal(f.steps, 6);
  site_pass_ms(w, 1);
  assert_int_equal(f.steps, 7);
  feed_close(w, &r);
}

typedef struct turns {
  const feed *f;
  int count;
} turns;

static void take_turn(vestry_actor *self, void *ctx) {
  turns *t = ctx;
  if (t->count++ < 40) vestry_actor_notify(self);
  assert_in_range(t->f->steps + 2, t->count, t->count + 4); /* the actors alternate */
}

/* capability: E1 */
FEED_CASE(immediate_steps_alternate_with_other_actors) {
  wire r = {.datastar = true};
  feed f = feed_of(w, (vestry_watch){0});
  f.sends = 0;
  f.says_count = SAYS_MOST; /* each step but the last requests the next one at once */
  f.says[SAYS_MOST - 1] = SAYS_NEVER;
  turns t = {&f, 0};
  vestry_actor *other;
  assert_int_equal(
      vestry_actor_create(vestry_parts_of(w->v)->runtime, &(vestry_actor_options){.run = take_turn, .ctx = &t}, &other),
      VESTRY_OK);
  assert_int_equal(wire_serve(w, &r, feed_handler, &f), VESTRY_OK);
  vestry_actor_notify(other);
  site_settle(w);
  assert_int_equal(f.steps, SAYS_MOST);
  assert_int_equal(t.count, 41);
  vestry_actor_unref(other);
  feed_close(w, &r);
}

/* --------------------------------------------------------------------------------------------- backpressure ------- */

/* Let the client block, or read again. */
static void block(site *w, wire *r, bool blocks) {
  r->write_io = blocks ? VESTRY_IO_WOULD_BLOCK : VESTRY_IO_OK;
  if (!blocks) vestry_connection_writable(r->connection);
  site_settle(w);
}

/* capability: E1 */
FEED_CASE(blocked_client_delays_only_its_own_watch) {
  wire slow, quick;
  feed f = feed_of(w, (vestry_watch){.every_ms = 10}), g = feed_of(w, (vestry_watch){.every_ms = 10});
  feed_open(&slow, &f);
  feed_open(&quick, &g);
  block(w, &slow, true);
  for (int i = 0; i < 100; i++) site_pass_ms(w, 10);
  assert_int_equal(f.steps, 2); /* the event of the second step is not written */
  assert_int_equal(g.steps, 101);
  vestry_watch_wake(f.watcher); /* has no effect */
  site_settle(w);
  assert_int_equal(f.steps, 2);
  /* Events of other senders neither delay nor hasten it. */
  assert_int_equal(vestry_connection_patch_signals(slow.connection, VESTRY_OBJECT("n", 0), NULL), VESTRY_OK);
  site_settle(w);
  assert_int_equal(f.steps, 2);
  block(w, &slow, false);
  assert_int_equal(f.steps, 3); /* one step for all missed ticks */
  block(w, &slow, true);
  site_pass_ms(w, 10);
  site_pass_ms(w, 10);
  assert_int_equal(f.steps, 4);
  feed_close(w, &slow); /* while it is blocked */
  assert_int_equal(f.ends, 1);
  feed_close(w, &quick);
}

FEED_CASE(ahead_count_allows_unwritten_events) {
  wire r;
  feed f = feed_of(w, (vestry_watch){.every_ms = 10, .ahead_count = 5});
  f.sends = 2;
  feed_open(&r, &f);
  block(w, &r, true);
  for (int i = 0; i < 20; i++) site_pass_ms(w, 10);
  assert_int_equal(f.steps, 4); /* 2 and 4 queued events: continue; 6: wait */
  block(w, &r, false);
  assert_int_equal(f.steps, 5);
  feed_close(w, &r);
}

static vestry_err after_effects(const vestry_request *req, vestry_reply *reply, void *app) {
  vestry_reply_patch_signals(reply, VESTRY_OBJECT("first", 1));
  return feed_handler(req, reply, app);
}

FEED_CASE(effects_of_the_reply_precede_the_first_step) {
  wire r = {.datastar = true, .write_io = VESTRY_IO_WOULD_BLOCK};
  feed f = feed_of(w, (vestry_watch){0});
  wire_request(w, &r, after_effects, &f);
  assert_int_equal(f.steps, 0);
  block(w, &r, false);
  wire_assert_text(&r, "event: datastar-patch-signals\ndata: signals {\"first\":1}\n\n"
                       "event: datastar-patch-signals\ndata: signals {\"n\":1}\n\n");
  feed_close(w, &r);
}

TEST_CASE(superseded_and_dropped_events_count_as_written) {
  for (size_t i = 0; i < 2; i++) {
    site w;
    wire r;
    site_begin(&w, (vestry_options){.connection =
                                        &(vestry_connection_options){.full = VESTRY_FULL_DROP, .max_queued_count = 4}});
    feed f = feed_of(&w, (vestry_watch){.every_ms = 10});
    f.sends = 4; /* three are superfluous */
    f.state = i ? "n" : NULL;
    f.tries = true;
    feed_open(&r, &f);
    block(&w, &r, true);
    for (int n = 0; n < 10; n++) site_pass_ms(&w, 10);
    assert_int_equal(f.steps, 2);
    block(&w, &r, false);
    for (int n = 0; n < 10; n++) site_pass_ms(&w, 10);
    assert_int_equal(f.steps, 13);
    feed_close(&w, &r);
    feed_finish(&w);
  }
}

TEST_CASE(step_that_fills_the_queue_ends_with_full) {
  site w;
  wire r;
  site_begin(&w, (vestry_options){.connection = &(vestry_connection_options){.max_queued_count = 3}});
  feed f = feed_of(&w, (vestry_watch){0});
  f.sends = 4;
  feed_open(&r, &f);
  assert_int_equal(f.ends, 1);
  assert_int_equal(f.cause, VESTRY_CAUSE_FULL);
  assert_int_equal(feed_stats(&w).errors_count, 0); /* the cause of the stream is reported */
  wire_finish(&r);
  feed_finish(&w);
}

/* ---------------------------------------------------------------------------------------------------- wakes ------- */

/* capability: E1 */
TEST_CASE(wakes_are_coalesced_and_none_is_lost) {
  site w;
  wire r;
  site_begin(&w, (vestry_options){0});
  feed f = feed_of(&w, (vestry_watch){0});
  f.wakes_itself = true; /* twice, in the first step */
  feed_open(&r, &f);
  assert_int_equal(f.steps, 2);
  for (int i = 0; i < 5; i++) vestry_watch_wake(f.watcher);
  site_settle(&w);
  assert_int_equal(f.steps, 3);
  for (int i = 0; i < 5; i++) {
    vestry_watch_wake(f.watcher);
    site_settle(&w);
  }
  assert_int_equal(f.steps, 8);
  block(&w, &r, true);
  vestry_watch_wake(f.watcher);
  site_settle(&w);
  for (int i = 0; i < 5; i++) vestry_watch_wake(f.watcher);
  site_settle(&w);
  assert_int_equal(f.steps, 9);
  block(&w, &r, false);
  assert_int_equal(f.steps, 10);
  wire_hang_up(&w, &r);
  vestry_watch_wake(f.watcher); /* the connection is closing */
  site_settle(&w);
  vestry_watch_wake(f.watcher); /* it has ended; the test holds a reference to the connection */
  site_settle(&w);
  assert_int_equal(f.steps, 10);
  site_close(&w);
  vestry_watch_wake(f.watcher); /* the instance has ended, too */
  vestry_connection_wake(r.connection);
  wire_finish(&r);
  test_host_assert_clean(&w.th);
}

FEED_CASE(watch_is_woken_by_connection_effect_and_bus) {
  wire r = {.datastar = true}, s = {.datastar = true}, other = {.datastar = true};
  feed f = feed_of(w, (vestry_watch){0}), g = feed_of(w, (vestry_watch){0});
  f.listens = true;
  wire_request(w, &r, feed_keyed, &f); /* under the same key, each with its own stream */
  wire_request(w, &s, feed_keyed, &g);
  wire_plan(w, &other, &(plan){.key = "b", .keep = true});
  assert_int_equal(f.steps + g.steps, 2);
  vestry_connection_wake(r.connection);
  vestry_connection_wake(other.connection); /* a stream without a watch */
  site_settle(w);
  assert_int_equal(f.steps, 2);
  assert_int_equal(g.steps, 1);
  assert_int_equal(vestry_dispatch(w->v, NOWHERE, ROOM("a"), VESTRY_LIST("wake")), VESTRY_OK);
  assert_int_equal(vestry_dispatch(w->v, NOWHERE, ROOM("b"), VESTRY_LIST("wake")), VESTRY_OK);
  assert_int_equal(vestry_dispatch(w->v, NOWHERE, ROOM("b"), VESTRY_LIST("wake", 1)), VESTRY_INVALID);
  site_settle(w);
  assert_int_equal(f.steps, 3);
  assert_int_equal(g.steps, 2);
  for (int i = 0; i < 3; i++)
    assert_int_equal(vestry_publish(w->v, NOWHERE, VESTRY_KEY("t"), NULL, 0, NULL), VESTRY_OK);
  site_settle(w);
  assert_int_equal(f.steps, 4);
  assert_int_equal(g.steps, 2);
  feed_close(w, &r);
  size_t called;
  assert_int_equal(vestry_publish(w->v, NOWHERE, VESTRY_KEY("t"), NULL, 0, &called), VESTRY_NOT_FOUND);
  assert_int_equal(called, 0); /* the subscription has ended with its stream */
  feed_close(w, &s);
  feed_close(w, &other);
}

static void wake_before_it_opens(vestry_connection *connection, void *ctx) {
  vestry_connection_wake(connection);
}

static vestry_err with_hooks(const vestry_request *req, vestry_reply *reply, void *app) {
  vestry_reply_stream(reply,
                      &(vestry_stream_options){.hooks = &(vestry_connection_hooks){.on_open = wake_before_it_opens}});
  return feed_handler(req, reply, app);
}

FEED_CASE(wake_before_open_is_merged_into_the_first_step) {
  wire r = {.datastar = true};
  feed f = feed_of(w, (vestry_watch){0});
  wire_request(w, &r, with_hooks, &f);
  assert_int_equal(f.steps, 1);
  feed_close(w, &r);
}

/* -------------------------------------------------------------------------------- several watches, and keys ------- */

static vestry_err too_many(const vestry_request *req, vestry_reply *reply, void *app) {
  for (int i = 0; i < VESTRY_REPLY_WATCHES_MAX; i++) assert_int_equal(feed_watch(reply, app), VESTRY_OK);
  return feed_watch(reply, app);
}

FEED_CASE(stream_has_several_watches_up_to_the_limit) {
  wire r = {.datastar = true};
  feed f = feed_of(w, (vestry_watch){.every_ms = 10}), g = feed_of(w, (vestry_watch){.every_ms = 30});
  g.says[3] = SAYS_FINISH;
  g.says[0] = g.says[1] = g.says[2] = SAYS_NOTHING;
  g.says_count = 4;
  wire_request(w, &r, two, &(feed *[]){&f, &g});
  assert_int_equal(feed_stats(w).live_count, 2);
  for (int i = 0; i < 8; i++) site_pass_ms(w, 10);
  assert_int_equal(f.steps, 9);
  assert_int_equal(g.steps, 3);
  vestry_connection_wake(r.connection);
  site_settle(w);
  assert_int_equal(f.ends, 1); /* the other watch has finished the stream */
  assert_int_equal(g.ends, 1);
  wire_finish(&r);
  f = feed_of(w, (vestry_watch){0});
  wire s = {.datastar = true};
  wire_request(w, &s, too_many, &f);
  assert_int_equal(f.returns, VESTRY_LIMIT);
  assert_int_equal(s.status, 503);
  assert_int_equal(f.ends, VESTRY_REPLY_WATCHES_MAX + 1);
  wire_finish(&s);
  assert_int_equal(feed_stats(w).begun_count, 2);
}

static vestry_err reused(const vestry_request *req, vestry_reply *reply, void *app) {
  vestry_reply_keep(reply, VESTRY_KEEP_REUSE, 0);
  return feed_keyed(req, reply, app);
}

FEED_CASE(watches_under_one_key_keep_their_streams) {
  wire r = {.datastar = true}, s = {.datastar = true}, t = {.datastar = true};
  feed f = feed_of(w, (vestry_watch){0}), g = f, h = f;
  wire_request(w, &r, feed_keyed, &f);
  wire_request(w, &s, feed_keyed, &g);
  assert_non_null(s.connection);
  wire_request(w, &t, reused, &h); /* this policy sends to the stored stream, so its watch gets no stream */
  assert_null(t.connection);
  assert_int_equal(t.status, 204);
  assert_int_equal(h.ends, 1);
  assert_int_equal(h.cause, VESTRY_CAUSE_NONE);
  assert_int_equal(h.steps, 0);
  vestry_dispatch(w->v, NOWHERE, ROOM("a"), VESTRY_LIST("patch-signals", VESTRY_OBJECT("x", 1)));
  site_settle(w);
  assert_int_equal(wire_count(&r, "\"x\""), 1);
  assert_int_equal(wire_count(&s, "\"x\""), 1);
  feed_close(w, &r);
  feed_close(w, &s);
  wire_finish(&t);
}
