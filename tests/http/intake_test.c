/* SPDX-License-Identifier: MIT */
/* Counters of refused requests, and the budget for the bodies of all active requests. */
#include <string.h>

#include "serve/wire.h"

static vestry_stats stats_of(const site *w) {
  vestry_stats stats = {0};
  vestry_stats_get(w->v, &stats);
  return stats;
}

SITE_CASE(refusals_are_counted) {
  for (int i = 1; i < VESTRY_REFUSAL_COUNT; i++)
    for (int n = 0; n < i; n++) vestry_reject(w->v, (vestry_refusal)i);
  vestry_reject(w->v, VESTRY_REFUSAL_NONE);
  vestry_reject(w->v, VESTRY_REFUSAL_COUNT);
  vestry_reject(w->v, (vestry_refusal)-1);
  vestry_stats stats = stats_of(w);
  for (int i = 0; i < VESTRY_REFUSAL_COUNT; i++) assert_int_equal(stats.refused_by_reason[i], i);
}

TEST_CASE(request_bytes_are_limited) {
  site w;
  site_begin(&w, (vestry_options){.bounds = &(vestry_bounds){.max_request_bytes = 1000}});
  assert_true(vestry_request_bytes_take(w.v, 600));
  assert_false(vestry_request_bytes_take(w.v, 401));
  assert_true(vestry_request_bytes_take(w.v, 400));
  assert_false(vestry_request_bytes_take(w.v, 1));
  assert_true(vestry_request_bytes_take(w.v, 0));
  assert_false(vestry_request_bytes_take(w.v, SIZE_MAX));
  vestry_request_bytes_give(w.v, 600);
  assert_int_equal(stats_of(&w).request_bytes, 400);
  assert_int_equal(stats_of(&w).request_peak_bytes, 1000);
  vestry_request_bytes_give(w.v, 400);
  site_end(&w);
  site_begin(&w, (vestry_options){.bounds = &(vestry_bounds){.max_request_bytes = SIZE_MAX}});
  assert_true(vestry_request_bytes_take(w.v, SIZE_MAX / 2));
  vestry_request_bytes_give(w.v, SIZE_MAX / 2);
  site_end(&w);
  site_begin(&w, (vestry_options){0});
  assert_true(vestry_request_bytes_take(w.v, (size_t)256 << 20));
  assert_false(vestry_request_bytes_take(w.v, 1));
  vestry_request_bytes_give(w.v, (size_t)256 << 20);
  site_end(&w);
}

TEST_CASE(request_bytes_above_seven_eighths_are_excess) {
  site w;
  site_begin(&w, (vestry_options){.bounds = &(vestry_bounds){.max_request_bytes = 1000}});
  assert_int_equal(vestry_request_bytes_excess(w.v), 0);
  assert_true(vestry_request_bytes_take(w.v, 875));
  assert_int_equal(vestry_request_bytes_excess(w.v), 0);
  assert_true(vestry_request_bytes_take(w.v, 25));
  assert_int_equal(vestry_request_bytes_excess(w.v), 25);
  vestry_request_bytes_give(w.v, 900);
  assert_int_equal(vestry_request_bytes_excess(w.v), 0);
  site_end(&w);
}

/* The counters that the handler saw, and another request that arrived while its body was held. */
typedef struct seen {
  site *w;
  int calls;
  uint64_t held;
  wire *other; /* NULL: none */
} seen;

static vestry_err look(const vestry_request *req, vestry_reply *reply, void *app) {
  seen *s = app;
  s->calls++;
  s->held = stats_of(s->w).request_bytes;
  if (s->other) {
    wire *other = s->other;
    s->other = NULL;
    assert_int_equal(wire_serve(s->w, other, look, s), VESTRY_OK);
  }
  return VESTRY_OK;
}

TEST_CASE(held_bodies_are_counted) {
  static char body[50000];
  memset(body, 'x', sizeof body);
  site w;
  site_begin(&w, (vestry_options){0});
  seen s = {.w = &w};
  wire r = {.method = "POST", .body = body, .body_len = sizeof body};
  wire_request(&w, &r, look, &s);
  assert_int_equal(r.status, 204);
  assert_in_range(s.held, sizeof body, 2 * 65536);
  assert_int_equal(stats_of(&w).request_bytes, 0);
  assert_int_equal(stats_of(&w).request_peak_bytes, s.held);
  wire_finish(&r);
  site_end(&w);
}

/* Two bodies would fit, because a body has at most 7/16 of the budget. So other requests hold a part of it. */
TEST_CASE(body_over_the_budget_gets_503) {
  enum { BOUND = 150000, OTHERS = 60000 };
  static char body[50000];
  memset(body, 'x', sizeof body);
  for (int announced = 0; announced >= -1; announced--) {
    site w;
    site_begin(&w, (vestry_options){.bounds = &(vestry_bounds){.max_request_bytes = BOUND}});
    assert_true(vestry_request_bytes_take(w.v, OTHERS));
    wire second = {.method = "POST", .body = body, .body_len = sizeof body, .announced = announced};
    wire small = {.method = "POST", .body = body, .body_len = 100};
    seen s = {.w = &w, .other = &second};
    wire first = {.method = "POST", .body = body, .body_len = sizeof body, .announced = announced};
    wire_request(&w, &first, look, &s);
    assert_int_equal(first.status, 204);
    assert_int_equal(second.status, 503);
    assert_true(wire_has_header(&second, "Retry-After: 2"));
    assert_int_equal(s.calls, 1);
    wire_request(&w, &small, look, &s); /* there is room again */
    assert_int_equal(small.status, 204);
    vestry_request_bytes_give(w.v, OTHERS);
    vestry_stats stats = stats_of(&w);
    assert_int_equal(stats.refused_by_reason[VESTRY_REFUSAL_BUDGET], 1);
    assert_int_equal(stats.rejected_count, 1);
    assert_int_equal(stats.request_bytes, 0);
    assert_true(stats.request_peak_bytes <= BOUND);
    wires_end(&w, &first, &second, &small);
  }
}

TEST_CASE(slow_body_gets_408_and_counts_as_deadline) {
  site w;
  site_begin(&w, (vestry_options){0});
  seen s = {.w = &w};
  wire late = {.method = "POST", .body = "x", .body_len = 1, .announced = 5, .read_error = VESTRY_TIMEOUT};
  wire broken = {.method = "POST", .body = "x", .body_len = 1, .announced = 5, .read_error = VESTRY_IO};
  wire_request(&w, &late, look, &s);
  wire_request(&w, &broken, look, &s);
  assert_int_equal(late.status, 408);
  assert_int_equal(broken.status, 400);
  assert_int_equal(stats_of(&w).refused_by_reason[VESTRY_REFUSAL_DEADLINE], 1);
  wires_end(&w, &late, &broken);
}
