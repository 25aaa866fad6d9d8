/* SPDX-License-Identifier: MIT */
#include "watch/feed.h"

vestry_err feed_step(vestry_watcher *watcher, vestry_connection *connection, void *ctx) {
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
    error = vestry_connection_patch_signals(connection, VESTRY_OBJECT("n", f->steps),
                                            &(vestry_signals_options){.state = f->state});
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

static void feed_end(vestry_cause cause, void *ctx) {
  feed *f = ctx;
  assert_false(f->is_inside);
  f->ends++;
  f->cause = cause;
}

feed feed_of(site *w, vestry_watch watch) {
  feed f = {.w = w, .watch = watch, .returns = VESTRY_INVALID, .sends = 1};
  f.watch.step = feed_step;
  f.watch.end = feed_end;
  return f;
}

vestry_err feed_watch(vestry_reply *reply, feed *f) {
  f->watch.ctx = f;
  return f->returns = vestry_reply_watch(reply, &f->watch);
}

vestry_err feed_handler(const vestry_request *req, vestry_reply *reply, void *app) {
  return feed_watch(reply, app);
}

vestry_err feed_keyed(const vestry_request *req, vestry_reply *reply, void *app) {
  vestry_reply_key(reply, ROOM("a"));
  return feed_handler(req, reply, app);
}

void feed_open(wire *r, feed *f) {
  *r = (wire){.datastar = true};
  wire_request(f->w, r, feed_handler, f);
}

void feed_close(site *w, wire *r) {
  wire_hang_up(w, r);
  site_settle(w);
  wire_finish(r);
}

vestry_watch_stats feed_stats(site *w) {
  vestry_watch_stats stats = {0};
  vestry_watch_stats_get(w->v, &stats);
  assert_true(stats.begun_count == stats.live_count + stats.ended_count);
  return stats;
}

void feed_finish(site *w) {
  site_settle(w);
  assert_int_equal(feed_stats(w).live_count, 0); /* every test closes its streams */
  site_end(w);
}

void feed_assert_times(const feed *f, int count, const uint64_t *ms) {
  assert_int_equal(f->steps, count);
  for (int i = 0; i < count; i++) assert_int_equal(f->at_ms[i], ms[i]);
}
