/* SPDX-License-Identifier: MIT */
/* vsi_timer: the wheel with a clock, stepped and with its thread. */
#include "runtime/actor.h"
#include "runtime/ticker.h"

#include <stdatomic.h>

#include "base/memory.h"
#include "runtime/deadline.h"
#include "runtime/latch.h"
#include "runtime/random.h"
#include "runtime/runtime.h"
#include "support/test.h"
#include "support/test_host.h"

enum { MS = 1000000 };

typedef struct clockwork {
  test_host th;
  vestry_runtime *runtime;
} clockwork;

static void clockwork_init(clockwork *c, uint32_t threads_count) {
  test_host_init(&c->th);
  c->runtime = NULL;
  vestry_runtime_options options = {.host = &c->th.host, .threads_count = threads_count};
  assert_int_equal(vestry_runtime_create(&options, &c->runtime), VESTRY_OK);
}

static void clockwork_finish(clockwork *c) {
  vestry_runtime_destroy(c->runtime);
  test_host_assert_clean(&c->th);
}

typedef struct bell {
  vsi_timer timer; /* first */
  clockwork *clock;
  long fired;
  uint64_t fired_at_ns;
  uint64_t rearm_ns; /* re-arm in the fire for this time later; 0: do not */
  struct bell *victim;
  bool closes;
} bell;

static void ring(vsi_timer *timer, vsi_notices *notices) {
  (void)notices;
  bell *a = (bell *)timer;
  a->fired++;
  a->fired_at_ns = a->clock->th.now_ns;
  assert_false(VSI_TIMER_IS_ARMED(timer));
  if (a->rearm_ns)
    assert_int_equal(vsi_ticker_arm(&a->clock->runtime->ticker, timer, a->fired_at_ns + a->rearm_ns - 1, 0, NULL),
                     VESTRY_OK);
  if (a->closes) vsi_runtime_close(a->clock->runtime);
  if (a->victim) assert_true(vsi_ticker_cancel(&a->clock->runtime->ticker, &a->victim->timer));
}

static void bell_init(bell *a, clockwork *c) {
  *a = (bell){.clock = c};
  vsi_timer_init(&a->timer, ring);
}

TEST_CASE(timer_fires_at_most_a_tick_late) {
  uint64_t seed = 11;
  clockwork c;
  clockwork_init(&c, VESTRY_THREADS_NONE);
  bell a;
  bell_init(&a, &c);
  for (long round = 1; round <= 2000; round++) {
    uint64_t due_ns = c.th.now_ns + random_below(&seed, 5 * MS);
    if (round % 5 == 0) due_ns += random_below(&seed, UINT64_C(1) << 45);
    assert_int_equal(vsi_ticker_arm(&c.runtime->ticker, &a.timer, due_ns, 0, NULL), VESTRY_OK);
    uint64_t deadline_ns = next_deadline_ns(&c.runtime->ticker);
    assert_true(deadline_ns >= due_ns || deadline_ns <= c.th.now_ns);
    assert_true(deadline_ns < due_ns + MS);
    if (due_ns > c.th.now_ns) {
      atomic_store(&c.th.now_ns, due_ns - 1);
      assert_false(vestry_runtime_step(c.runtime));
      assert_int_equal(a.fired, round - 1);
    }
    if (deadline_ns > c.th.now_ns + 1) {
      atomic_store(&c.th.now_ns, deadline_ns - 1);
      assert_false(vestry_runtime_step(c.runtime));
    }
    if (deadline_ns > c.th.now_ns) atomic_store(&c.th.now_ns, deadline_ns);
    assert_true(vestry_runtime_step(c.runtime));
    assert_int_equal(a.fired, round);
    assert_false(vestry_runtime_step(c.runtime));
    assert_true(next_deadline_ns(&c.runtime->ticker) == UINT64_MAX);
  }
  clockwork_finish(&c);
}

/* Timers of one period that are armed at different times come to fire together, none after its time, and none earlier
 * than its slack. */
TEST_CASE(timers_with_slack_fire_together) {
  enum { BELLS = 600, PERIOD_MS = 3000, ROUNDS = 5 };
  const uint64_t period_ns = PERIOD_MS * (uint64_t)MS, slack_ns = period_ns / 16;
  uint64_t seed = 7;
  clockwork c;
  clockwork_init(&c, VESTRY_THREADS_NONE);
  vsi_ticker *ticker = &c.runtime->ticker;
  static bell bells[BELLS];
  static uint64_t due_ns[BELLS];
  for (int i = 0; i < BELLS; i++) {
    bell_init(&bells[i], &c);
    due_ns[i] = c.th.now_ns + period_ns + random_below(&seed, PERIOD_MS) * MS;
    assert_int_equal(vsi_ticker_arm(ticker, &bells[i].timer, due_ns[i], slack_ns, NULL), VESTRY_OK);
  }
  long fires = 0, wakes = 0;
  while (fires < ROUNDS * BELLS) {
    atomic_store(&c.th.now_ns, next_deadline_ns(&c.runtime->ticker));
    assert_true(vestry_runtime_step(c.runtime));
    wakes++;
    for (int i = 0; i < BELLS; i++) {
      if (bells[i].fired_at_ns != c.th.now_ns) continue;
      assert_true(c.th.now_ns <= due_ns[i] && due_ns[i] - c.th.now_ns <= slack_ns);
      fires++;
      due_ns[i] = c.th.now_ns + period_ns;
      assert_int_equal(vsi_ticker_arm(ticker, &bells[i].timer, due_ns[i], slack_ns, NULL), VESTRY_OK);
    }
  }
  assert_true(wakes <= ROUNDS * 32); /* separately, they would be some hundreds in each period */
  for (int i = 0; i < BELLS; i++) assert_true(vsi_ticker_cancel(ticker, &bells[i].timer));
  clockwork_finish(&c);
}

/* As the streams of pages that change at random: when its timer fires, each stream was written some time ago. */
TEST_CASE(timers_of_different_times_fire_in_few_groups) {
  enum { BELLS = 400, PERIOD_MS = 15000, SLACKS = 16, ROUNDS = 10 };
  const uint64_t period_ns = PERIOD_MS * (uint64_t)MS, slack_ns = period_ns / SLACKS;
  uint64_t seed = 11;
  clockwork c;
  clockwork_init(&c, VESTRY_THREADS_NONE);
  vsi_ticker *ticker = &c.runtime->ticker;
  static bell bells[BELLS];
  static uint64_t due_ns[BELLS];
  const uint64_t begun_ns = c.th.now_ns;
  for (int i = 0; i < BELLS; i++) {
    bell_init(&bells[i], &c);
    due_ns[i] = begun_ns + period_ns - random_below(&seed, PERIOD_MS / 2) * MS;
    assert_int_equal(vsi_ticker_arm(ticker, &bells[i].timer, due_ns[i], slack_ns, NULL), VESTRY_OK);
  }
  unsigned wakes = 0;
  for (; c.th.now_ns < begun_ns + ROUNDS * period_ns; wakes++) {
    atomic_store(&c.th.now_ns, next_deadline_ns(&c.runtime->ticker));
    assert_true(vestry_runtime_step(c.runtime));
    for (int i = 0; i < BELLS; i++) {
      if (bells[i].fired_at_ns != c.th.now_ns) continue;
      assert_true(c.th.now_ns <= due_ns[i] && due_ns[i] - c.th.now_ns <= slack_ns);
      due_ns[i] = c.th.now_ns + period_ns - random_below(&seed, PERIOD_MS / 2) * MS;
      assert_int_equal(vsi_ticker_arm(ticker, &bells[i].timer, due_ns[i], slack_ns, NULL), VESTRY_OK);
    }
  }
  assert_true(wakes <= ROUNDS * SLACKS * 2);
  for (int i = 0; i < BELLS; i++) assert_true(vsi_ticker_cancel(ticker, &bells[i].timer));
  clockwork_finish(&c);
}

TEST_CASE(arming_again_moves_the_timer) {
  clockwork c;
  clockwork_init(&c, VESTRY_THREADS_NONE);
  bell a;
  bell_init(&a, &c);
  uint64_t now_ns = c.th.now_ns;
  bool was_armed = true;
  assert_int_equal(vsi_ticker_arm(&c.runtime->ticker, &a.timer, now_ns + 10 * MS, 0, &was_armed), VESTRY_OK);
  assert_false(was_armed);
  assert_int_equal(vsi_ticker_arm(&c.runtime->ticker, &a.timer, now_ns + 30 * MS, 0, &was_armed), VESTRY_OK);
  assert_true(was_armed);
  test_host_advance_ms(&c.th, 29);
  assert_false(vestry_runtime_step(c.runtime));
  assert_int_equal(vsi_ticker_arm(&c.runtime->ticker, &a.timer, now_ns + 29 * MS, 0, &was_armed), VESTRY_OK);
  assert_true(was_armed);
  assert_true(vestry_runtime_step(c.runtime));
  assert_int_equal(a.fired, 1);
  assert_int_equal(vsi_ticker_arm(&c.runtime->ticker, &a.timer, 0, 0, &was_armed), VESTRY_OK); /* long ago: next step */
  assert_false(was_armed);
  assert_true(vestry_runtime_step(c.runtime));
  assert_int_equal(a.fired, 2);
  clockwork_finish(&c);
}

TEST_CASE(cancel_returns_whether_it_was_in_time) {
  clockwork c;
  clockwork_init(&c, VESTRY_THREADS_NONE);
  bell a, b;
  bell_init(&a, &c);
  bell_init(&b, &c);
  assert_false(vsi_ticker_cancel(&c.runtime->ticker, &a.timer));
  vsi_ticker_arm(&c.runtime->ticker, &a.timer, c.th.now_ns + 5 * MS, 0, NULL);
  assert_true(vsi_ticker_cancel(&c.runtime->ticker, &a.timer));
  assert_false(vsi_ticker_cancel(&c.runtime->ticker, &a.timer));
  assert_true(next_deadline_ns(&c.runtime->ticker) == UINT64_MAX);
  /* Both are due at once: the fire of the first can still cancel the second. */
  a.victim = &b;
  vsi_ticker_arm(&c.runtime->ticker, &a.timer, c.th.now_ns + 5 * MS, 0, NULL);
  vsi_ticker_arm(&c.runtime->ticker, &b.timer, c.th.now_ns + 5 * MS, 0, NULL);
  test_host_advance_ms(&c.th, 100);
  assert_true(vestry_runtime_step(c.runtime));
  assert_int_equal(a.fired, 1);
  assert_int_equal(b.fired, 0);
  clockwork_finish(&c);
}

/* A timer that re-arms itself for now must not keep a step from ending. */
TEST_CASE(timer_rearmed_in_its_fire_waits_for_the_next_step) {
  clockwork c;
  clockwork_init(&c, VESTRY_THREADS_NONE);
  bell a;
  bell_init(&a, &c);
  a.rearm_ns = 1;
  vsi_ticker_arm(&c.runtime->ticker, &a.timer, 0, 0, NULL);
  for (int i = 1; i <= 5; i++) {
    assert_true(vestry_runtime_step(c.runtime));
    assert_int_equal(a.fired, i);
    assert_true(next_deadline_ns(&c.runtime->ticker) <= c.th.now_ns);
  }
  assert_true(vsi_ticker_cancel(&c.runtime->ticker, &a.timer));
  clockwork_finish(&c);
}

TEST_CASE(clock_jump_fires_all_timers_in_order) {
  clockwork c;
  clockwork_init(&c, VESTRY_THREADS_NONE);
  bell a[20];
  for (int i = 0; i < 20; i++) {
    bell_init(&a[i], &c);
    vsi_ticker_arm(&c.runtime->ticker, &a[i].timer, c.th.now_ns + ((uint64_t)MS << i), 0, NULL);
  }
  atomic_fetch_add(&c.th.now_ns, UINT64_C(400) * 365 * 86400 * 1000 * MS); /* 400 years */
  assert_true(vestry_runtime_step(c.runtime));
  for (int i = 0; i < 20; i++) assert_int_equal(a[i].fired, 1);
  assert_false(vestry_runtime_step(c.runtime));
  /* Back by a year: nothing fires until the clock has caught up. */
  uint64_t far_ns = c.th.now_ns;
  vsi_ticker_arm(&c.runtime->ticker, &a[0].timer, far_ns + 10 * MS, 0, NULL);
  atomic_store(&c.th.now_ns, far_ns - UINT64_C(365) * 86400 * 1000 * MS);
  assert_false(vestry_runtime_step(c.runtime));
  atomic_store(&c.th.now_ns, far_ns + 11 * MS);
  assert_true(vestry_runtime_step(c.runtime));
  assert_int_equal(a[0].fired, 2);
  clockwork_finish(&c);
}

TEST_CASE(timer_at_the_maximum_never_fires) {
  clockwork c;
  clockwork_init(&c, VESTRY_THREADS_NONE);
  bell a;
  bell_init(&a, &c);
  vsi_ticker_arm(&c.runtime->ticker, &a.timer, UINT64_MAX, 0, NULL);
  assert_true(next_deadline_ns(&c.runtime->ticker) == UINT64_MAX);
  atomic_store(&c.th.now_ns, UINT64_MAX);
  assert_false(vestry_runtime_step(c.runtime));
  assert_true(vsi_ticker_cancel(&c.runtime->ticker, &a.timer));
  clockwork_finish(&c);
}

TEST_CASE(close_fires_no_timer_and_refuses_arming) {
  clockwork c;
  clockwork_init(&c, VESTRY_THREADS_NONE);
  bell a, b;
  bell_init(&a, &c);
  bell_init(&b, &c);
  vsi_ticker_arm(&c.runtime->ticker, &a.timer, c.th.now_ns, 0, NULL);
  vsi_runtime_close(c.runtime);
  assert_true(next_deadline_ns(&c.runtime->ticker) == UINT64_MAX);
  assert_false(vestry_runtime_step(c.runtime));
  bool untouched = true;
  assert_int_equal(vsi_ticker_arm(&c.runtime->ticker, &b.timer, 0, 0, &untouched), VESTRY_CLOSED);
  assert_true(untouched);
  assert_false(VSI_TIMER_IS_ARMED(&b.timer));
  assert_int_equal(vsi_ticker_arm(&c.runtime->ticker, &a.timer, 0, 0, &untouched), VESTRY_CLOSED);
  vestry_runtime_stop(c.runtime);
  assert_int_equal(a.fired, 0);
  assert_true(vsi_ticker_cancel(&c.runtime->ticker, &a.timer));
  assert_false(vsi_ticker_cancel(&c.runtime->ticker, &a.timer));
  clockwork_finish(&c);
}

TEST_CASE(close_in_a_fire_leaves_other_timers_unfired) {
  clockwork c;
  clockwork_init(&c, VESTRY_THREADS_NONE);
  bell a, b;
  bell_init(&a, &c);
  bell_init(&b, &c);
  a.closes = true;
  vsi_ticker_arm(&c.runtime->ticker, &a.timer, c.th.now_ns, 0, NULL);
  vsi_ticker_arm(&c.runtime->ticker, &b.timer, c.th.now_ns, 0, NULL);
  assert_true(vestry_runtime_step(c.runtime));
  assert_false(vestry_runtime_step(c.runtime));
  assert_int_equal(a.fired, 1);
  assert_int_equal(b.fired, 0);
  assert_true(vsi_ticker_cancel(&c.runtime->ticker, &b.timer));
  clockwork_finish(&c);
}

/* With the thread and the real clock. */

typedef struct real_alarm {
  vsi_timer timer; /* first */
  latch *latch;
  uint64_t due_ns;
  _Atomic(long) early, fired;
  _Atomic(long) holds; /* references that an owner would hold for armings: the fire drops one */
} real_alarm;

static void ring_real(vsi_timer *timer, vsi_notices *notices) {
  (void)notices;
  real_alarm *a = (real_alarm *)timer;
  if (vsi_now_ns(vestry_host_default()) < a->due_ns) atomic_fetch_add(&a->early, 1);
  atomic_fetch_add(&a->fired, 1);
  atomic_fetch_sub(&a->holds, 1);
  if (a->latch) latch_add(a->latch);
}

static vestry_runtime *real_runtime(void) {
  vestry_runtime *runtime = NULL;
  assert_int_equal(vestry_runtime_create(&(vestry_runtime_options){.threads_count = 1}, &runtime), VESTRY_OK);
  return runtime;
}

TEST_CASE(thread_fires_timers_in_time_order) {
  vestry_runtime *runtime = real_runtime();
  latch l;
  latch_init(&l);
  real_alarm a = {.latch = &l}, hour = {.latch = &l};
  vsi_timer_init(&a.timer, ring_real);
  vsi_timer_init(&hour.timer, ring_real);
  uint64_t now_ns = vsi_now_ns(vestry_host_default());
  vsi_ticker_arm(&runtime->ticker, &hour.timer, now_ns + UINT64_C(3600000) * MS, 0, NULL);
  for (unsigned long i = 1; i <= 20; i++) { /* each time the thread sleeps for the hour and must be woken */
    a.due_ns = vsi_now_ns(vestry_host_default()) + i % 3 * MS;
    vsi_ticker_arm(&runtime->ticker, &a.timer, a.due_ns, 0, NULL);
    latch_wait(&l, i);
  }
  assert_int_equal(a.fired, 20);
  assert_int_equal(a.early, 0);
  assert_true(vsi_ticker_cancel(&runtime->ticker, &hour.timer));
  assert_int_equal(hour.fired, 0);
  vestry_runtime_destroy(runtime);
  latch_finish(&l);
}

enum { RACERS = 3, ALARMS = 8, RACES = 4000 };

typedef struct racer {
  vestry_runtime *runtime;
  real_alarm *alarms;
  uint64_t seed;
} racer;

/* An owner's references: one for each arming, dropped by a cancel in time or by the fire. */
static void *race(void *argument) {
  racer *r = argument;
  for (int i = 0; i < RACES; i++) {
    real_alarm *a = &r->alarms[random_below(&r->seed, ALARMS)];
    if (random_below(&r->seed, 3)) {
      bool was_armed = false;
      atomic_fetch_add(&a->holds, 1);
      uint64_t due_ns = vsi_now_ns(vestry_host_default()) + random_below(&r->seed, 2 * MS);
      vestry_err error = vsi_ticker_arm(&r->runtime->ticker, &a->timer, due_ns, 0, &was_armed);
      if (error != VESTRY_OK || was_armed) atomic_fetch_sub(&a->holds, 1);
    } else if (vsi_ticker_cancel(&r->runtime->ticker, &a->timer)) {
      atomic_fetch_sub(&a->holds, 1);
    }
  }
  return NULL;
}

TEST_CASE(arming_is_fired_moved_or_cancelled_once) {
  vestry_runtime *runtime = real_runtime();
  static real_alarm alarms[ALARMS];
  memset(alarms, 0, sizeof alarms);
  for (int i = 0; i < ALARMS; i++) vsi_timer_init(&alarms[i].timer, ring_real);
  pthread_t threads[RACERS];
  racer racers[RACERS];
  for (unsigned i = 0; i < RACERS; i++) {
    racers[i] = (racer){runtime, alarms, 100 + i};
    assert_int_equal(pthread_create(&threads[i], NULL, race, &racers[i]), 0);
  }
  for (int i = 0; i < RACERS; i++) pthread_join(threads[i], NULL);
  vestry_runtime_stop(runtime);
  for (int i = 0; i < ALARMS; i++) {
    if (vsi_ticker_cancel(&runtime->ticker, &alarms[i].timer)) atomic_fetch_sub(&alarms[i].holds, 1);
    assert_int_equal(alarms[i].holds, 0);
  }
  vestry_runtime_destroy(runtime);
}

typedef struct tally {
  vsi_timer timer; /* first */
  latch *latch;
} tally;

static void count(vsi_timer *timer, vsi_notices *notices) {
  (void)notices;
  latch_add(((tally *)timer)->latch);
}

/* The host's own clock, advanced by the test while the thread runs: the thread fires by that clock at its next
 * check. */
TEST_CASE(thread_uses_the_clock_of_the_host) {
  clockwork c;
  clockwork_init(&c, 1);
  latch l;
  latch_init(&l);
  tally a = {.latch = &l}, b = {.latch = &l};
  vsi_timer_init(&a.timer, count);
  vsi_timer_init(&b.timer, count);
  vsi_ticker_arm(&c.runtime->ticker, &a.timer, c.th.now_ns + UINT64_C(3600000) * MS, 0, NULL);
  vsi_ticker_arm(&c.runtime->ticker, &b.timer, c.th.now_ns + 1 * MS, 0, NULL); /* lets the thread check every tick */
  test_host_advance_ms(&c.th, 3600000);
  latch_wait(&l, 2);
  clockwork_finish(&c);
  latch_finish(&l);
}
