/* SPDX-License-Identifier: MIT */
/* F6: how an instance behaves while it drains its streams. tests/serve/drain_evenly_test.c measures the
 * distribution. */
#include "vestry/drain.h"

#include "runtime/deadline.h"
#include "runtime/runtime.h"
#include "serve/wire.h"

enum { STREAMS = 4 };

static void open_streams(site *w, wire r[STREAMS]) {
  static const char *const keys[STREAMS] = {"a", "b", "c", "d"};
  memset(r, 0, STREAMS * sizeof *r);
  for (int i = 0; i < STREAMS; i++) wire_plan(w, &r[i], &(plan){.key = keys[i], .keep = true, .auto_close = -1});
}

static void finish_streams(wire r[STREAMS]) {
  for (int i = 0; i < STREAMS; i++) wire_finish(&r[i]);
}

static vestry_stats stats_of(site *w) {
  vestry_stats stats = {0};
  vestry_stats_get(w->v, &stats);
  return stats;
}

/* capability: F6 */
TEST_CASE(f6_drain_ends_streams_one_by_one_with_retry_hints) {
  site w;
  wire r[STREAMS];
  site_begin(&w, (vestry_options){0});
  open_streams(&w, r);
  assert_false(stats_of(&w).drain_has_begun);
  assert_int_equal(vestry_drain_wait(w.v, 0), VESTRY_INVALID);
  assert_int_equal(vestry_drain(w.v, 4000), VESTRY_OK);
  assert_int_equal(vestry_drain(w.v, 4000), VESTRY_EXISTS);
  for (int gone = 0; gone <= STREAMS; gone++) {
    if (gone) site_pass_ms(&w, 1000);
    vestry_stats stats = stats_of(&w);
    assert_true(stats.drain_has_begun);
    assert_int_equal(stats.drain_elapsed_ms, gone * 1000);
    assert_int_equal(stats.drain_streams_count, STREAMS);
    assert_int_equal(stats.drain_sent_count, gone);
    assert_int_equal(stats.open_count, STREAMS - gone);
    assert_int_equal(vestry_drain_wait(w.v, 0), gone < STREAMS ? VESTRY_TIMEOUT : VESTRY_OK);
    for (int i = 0; i < STREAMS; i++) assert_int_equal(r[i].ends, i < gone);
  }
  for (int i = 0; i < STREAMS; i++) {
    unsigned retry_ms = 0;
    assert_int_equal(sscanf(r[i].text, "retry: %u\n\n", &retry_ms), 1);
    uint64_t back_ms = (uint64_t)(i + 1) * 1000 + retry_ms; /* since the drain began */
    assert_in_range(back_ms, 4000 + 2000, 4000 + 2000 + 4000);
    assert_false(r[i].clean);
    assert_int_equal(r[i].cause, VESTRY_CAUSE_DRAIN);
    for (int j = 0; j < i; j++) assert_string_not_equal(r[i].text, r[j].text);
  }
  vestry_stats all = {0};
  vestry_stats_get(w.v, &all);
  assert_int_equal(all.closed_by_cause[VESTRY_CAUSE_DRAIN], STREAMS);
  assert_int_equal(store_stats_of(w.v).removed_by_cause[VESTRY_CAUSE_DRAIN], STREAMS);
  /* The timer has nothing to do; the only timer left is the store's expiry. */
  assert_true(next_deadline_ns(&vestry_parts_of(w.v)->runtime->ticker) > atomic_load(&w.th.now_ns) + 1000000000);
  wires_end_array(&w, r, STREAMS);
}

/* capability: F6 */
TEST_CASE(f6_drain_refuses_new_streams_and_serves_other_requests) {
  site w;
  wire r[STREAMS], late = {0}, known = {0}, plain = {0};
  site_begin(&w, (vestry_options){.bounds = &(vestry_bounds){.retry_after_s = 3}});
  open_streams(&w, r);
  assert_int_equal(vestry_drain(w.v, 4000), VESTRY_OK);
  site_pass_ms(&w, 1500);
  wire_plan(&w, &late, &(plan){.key = "new", .keep = true, .auto_close = -1});
  assert_int_equal(late.status, 503);
  assert_int_equal(late.opens, 0);
  assert_true(wire_has_header(&late, "Retry-After: 6")); /* the remaining 2.5 s, and the usual 3 */
  wire_plan(&w, &known, &(plan){.key = "d", .effects = "[[\"patch-signals\", {\"n\": 1}]]"});
  assert_int_equal(known.status, 204);
  assert_int_equal(wire_count(&r[3], "signals {\"n\":1}"), 1);
  wire_request(&w, &plain, planned, &(plan){.body = "<p>"});
  assert_int_equal(plain.status, 200);
  site_pass_ms(&w, 2500);
  assert_int_equal(stats_of(&w).open_count, 0);
  vestry_stats all = {0};
  vestry_stats_get(w.v, &all);
  assert_int_equal(all.rejected_count, 1);
  site_close(&w);
  finish_streams(r);
  wire_finish(&late);
  wire_finish(&known);
  wire_finish(&plain);
}

/* The stream of a request whose handler starts the drain did not exist when the drain began. */
static vestry_err draining(const vestry_request *req, vestry_reply *reply, void *app) {
  site *w = app;
  assert_int_equal(vestry_drain(w->v, 0), VESTRY_OK);
  return planned(req, reply, &(plan){.key = "new", .keep = true, .auto_close = -1});
}

/* capability: F6 */
TEST_CASE(f6_drain_without_window_ends_all_at_once) {
  site w;
  wire r[STREAMS], late = {.datastar = true};
  site_begin(&w, (vestry_options){0});
  open_streams(&w, r);
  wire_request(&w, &late, draining, &w);
  assert_int_equal(late.status, 503);
  assert_int_equal(stats_of(&w).open_count, 0);
  for (int i = 0; i < STREAMS; i++) {
    unsigned retry_ms = 0;
    assert_int_equal(sscanf(r[i].text, "retry: %u\n\n", &retry_ms), 1);
    assert_in_range(retry_ms, 2000, 3000);
  }
  site_close(&w);
  finish_streams(r);
  wire_finish(&late);
}

/* capability: F6 */
TEST_CASE(f6_hang_ups_shorten_the_drain) {
  site w;
  wire r[STREAMS];
  site_begin(&w, (vestry_options){0});
  open_streams(&w, r);
  assert_int_equal(vestry_drain(w.v, 4000), VESTRY_OK);
  site_pass_ms(&w, 1000);
  wire_hang_up(&w, &r[1]);
  wire_hang_up(&w, &r[3]);
  assert_int_equal(stats_of(&w).open_count, 1);
  site_pass_ms(&w, 1000);
  assert_int_equal(stats_of(&w).open_count, 0);
  assert_int_equal(stats_of(&w).drain_sent_count, 2);
  wires_end_array(&w, r, STREAMS);
}

TEST_CASE(f6_stop_aborts_the_remaining_streams) {
  site w;
  wire r[STREAMS];
  site_begin(&w, (vestry_options){0});
  open_streams(&w, r);
  assert_int_equal(vestry_drain(w.v, 4000), VESTRY_OK);
  site_pass_ms(&w, 1000);
  assert_int_equal(vestry_stop(w.v, 0), VESTRY_OK);
  for (int i = 0; i < STREAMS; i++) assert_int_equal(r[i].cause, i ? VESTRY_CAUSE_SHUTDOWN : VESTRY_CAUSE_DRAIN);
  site_pass_ms(&w, 5000);
  assert_int_equal(stats_of(&w).drain_sent_count, 1);
  wires_end_array(&w, r, STREAMS);
}

TEST_CASE(f6_drain_refuses_invalid_arguments) {
  site w;
  site_begin(&w, (vestry_options){0});
  assert_int_equal(vestry_drain(NULL, 1), VESTRY_INVALID);
  assert_int_equal(vestry_drain(w.v, VESTRY_DRAIN_MAX_MS + 1), VESTRY_INVALID);
  assert_string_equal(w.th.last_log, "vestry_drain: window_ms is 86400001, but must be from 0 to 86400000");
  assert_int_equal(vestry_drain_wait(w.v, 0), VESTRY_INVALID);
  assert_string_equal(w.th.last_log, "vestry_drain_wait: call vestry_drain first");
  vestry_close(w.v);
  assert_int_equal(vestry_drain(w.v, 1), VESTRY_CLOSED);
  assert_false(stats_of(&w).drain_has_begun);
  site_end(&w);
}

TEST_CASE(f6_drain_without_memory_does_not_begin) {
  bool begun = false;
  for (long n = 0; !begun; n++) {
    site w;
    wire r[STREAMS];
    site_begin(&w, (vestry_options){0});
    open_streams(&w, r);
    test_host_fail_in(&w.th, n);
    vestry_err error = vestry_drain(w.v, 0);
    test_host_fail_no_more(&w.th);
    site_settle(&w);
    begun = error == VESTRY_OK;
    assert_int_equal(error, begun ? VESTRY_OK : VESTRY_NO_MEMORY);
    assert_int_equal(stats_of(&w).drain_has_begun, begun);
    assert_true(begun || n < 10);
    vestry_stats all = {0};
    vestry_stats_get(w.v, &all);
    assert_int_equal(all.open_count, begun ? 0 : STREAMS);
    wires_end_array(&w, r, STREAMS);
  }
}
