/* SPDX-License-Identifier: MIT */
/* vestry_timer: callbacks, periods, and the end of a timer. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "base/memory.h"
#include "runtime/deadline.h"
#include "runtime/latch.h"
#include "runtime/random.h"
#include "runtime/runtime.h"
#include "support/litmus.h"
#include "support/test.h"
#include "support/test_host.h"
#include "support/until.h"
#include "vestry/runtime.h"

enum { MS = 1000000 };

typedef struct bell {
  test_host th;
  vestry_runtime *runtime;
  vestry_timer *timer;
  long rung;
  uint64_t rung_at_ns;
  void (*also)(struct bell *);
} bell;

static void ring(vestry_timer *timer, void *ctx) {
  bell *b = ctx;
  assert_ptr_equal(timer, b->timer);
  b->rung++;
  b->rung_at_ns = b->th.now_ns;
  if (b->also) b->also(b);
}

static void bell_init(bell *b) {
  memset(b, 0, sizeof *b);
  test_host_init(&b->th);
  vestry_runtime_options options = {.host = &b->th.host, .threads_count = VESTRY_THREADS_NONE};
  assert_int_equal(vestry_runtime_create(&options, &b->runtime), VESTRY_OK);
  assert_int_equal(vestry_timer_create(b->runtime, ring, b, &b->timer), VESTRY_OK);
}

static void bell_finish(bell *b) {
  vestry_timer_destroy(b->timer);
  vestry_runtime_destroy(b->runtime);
  test_host_assert_clean(&b->th);
}

static void settle(bell *b) {
  while (vestry_runtime_step(b->runtime)) {
  }
}

static void advance(bell *b, uint64_t ms) {
  test_host_advance_ms(&b->th, ms);
  settle(b);
}

TEST_CASE(arguments_are_checked) {
  bell b;
  bell_init(&b);
  vestry_timer *const untouched = (vestry_timer *)&b;
  vestry_timer *timer = untouched;
  assert_int_equal(vestry_timer_create(NULL, ring, &b, &timer), VESTRY_INVALID);
  assert_int_equal(vestry_timer_create(b.runtime, NULL, &b, &timer), VESTRY_INVALID);
  assert_int_equal(vestry_timer_create(b.runtime, ring, &b, NULL), VESTRY_INVALID);
  vsi_runtime_close(b.runtime);
  assert_int_equal(vestry_timer_create(b.runtime, ring, &b, &timer), VESTRY_CLOSED);
  assert_ptr_equal(timer, untouched);
  vestry_timer_destroy(NULL);
  bell_finish(&b);
}

TEST_CASE(timer_without_period_fires_once) {
  bell b;
  bell_init(&b);
  advance(&b, 100); /* not set: no callback */
  assert_int_equal(vestry_timer_set(b.timer, 10, 0), VESTRY_OK);
  advance(&b, 9);
  assert_int_equal(b.rung, 0);
  advance(&b, 1);
  assert_int_equal(b.rung, 1);
  advance(&b, 1000);
  assert_int_equal(b.rung, 1);
  assert_int_equal(vestry_timer_set(b.timer, 0, 0), VESTRY_OK);
  settle(&b);
  assert_int_equal(b.rung, 2);
  assert_int_equal(vestry_timer_set(b.timer, VESTRY_NEVER_MS, 5), VESTRY_OK);
  advance(&b, UINT64_C(1) << 40);
  assert_int_equal(b.rung, 2);
  bell_finish(&b);
}

/* Late steps do not shift later deadlines: they are multiples of the period after the first deadline. */
TEST_CASE(periods_do_not_drift) {
  uint64_t seed = 5;
  bell b;
  bell_init(&b);
  uint64_t start_ns = b.th.now_ns;
  assert_int_equal(vestry_timer_set(b.timer, 3, 10), VESTRY_OK);
  for (long i = 0; i < 500; i++) {
    uint64_t due_ns = start_ns + (3 + 10 * (uint64_t)i) * MS;
    assert_true(next_deadline_ns(&b.runtime->ticker) == due_ns);
    atomic_store(&b.th.now_ns, due_ns - 1);
    settle(&b);
    assert_int_equal(b.rung, i);
    atomic_store(&b.th.now_ns, due_ns + random_below(&seed, 10 * MS)); /* up to just before the next one */
    settle(&b);
    assert_int_equal(b.rung, i + 1);
  }
  bell_finish(&b);
}

TEST_CASE(missed_periods_call_back_once) {
  bell b;
  bell_init(&b);
  uint64_t start_ns = b.th.now_ns;
  assert_int_equal(vestry_timer_set(b.timer, 10, 10), VESTRY_OK);
  advance(&b, 57); /* five periods */
  assert_int_equal(b.rung, 1);
  assert_true(next_deadline_ns(&b.runtime->ticker) == start_ns + 60 * MS);
  advance(&b, 3);
  assert_int_equal(b.rung, 2);
  advance(&b, UINT64_C(300) * 365 * 86400 * 1000); /* three hundred years of periods */
  assert_int_equal(b.rung, 3);
  bell_finish(&b);
}

static void do_nothing(vestry_actor *self, void *ctx) {}

/* Three actors are queued before the callback, and a period passes with each. */
TEST_CASE(periods_missed_before_the_callback_call_back_once) {
  bell b;
  bell_init(&b);
  vestry_actor *before[3] = {NULL};
  for (int i = 0; i < 3; i++) {
    vestry_actor_options options = {.run = do_nothing};
    assert_int_equal(vestry_actor_create(b.runtime, &options, &before[i]), VESTRY_OK);
    vestry_actor_notify(before[i]);
  }
  vestry_timer_set(b.timer, 10, 10);
  for (int i = 0; i < 3; i++) {
    test_host_advance_ms(&b.th, 10);
    assert_true(vestry_runtime_step(b.runtime));
    assert_int_equal(b.rung, 0);
    vestry_actor_unref(before[i]);
  }
  settle(&b);
  assert_int_equal(b.rung, 1);
  advance(&b, 10);
  assert_int_equal(b.rung, 2);
  bell_finish(&b);
}

TEST_CASE(set_replaces_the_earlier_setting) {
  bell b;
  bell_init(&b);
  vestry_timer_set(b.timer, 10, 10);
  vestry_timer_set(b.timer, 25, 0);
  advance(&b, 24);
  assert_int_equal(b.rung, 0);
  advance(&b, 1);
  assert_int_equal(b.rung, 1);
  advance(&b, 100);
  assert_int_equal(b.rung, 1);
  bell_finish(&b);
}

TEST_CASE(cancel_stops_the_timer) {
  bell b;
  bell_init(&b);
  vestry_timer_set(b.timer, VESTRY_NEVER_MS, 0);
  vestry_timer_set(b.timer, 10, 10);
  advance(&b, 10);
  vestry_timer_set(b.timer, VESTRY_NEVER_MS, 0);
  vestry_timer_set(b.timer, VESTRY_NEVER_MS, 0);
  assert_true(next_deadline_ns(&b.runtime->ticker) == UINT64_MAX);
  advance(&b, 100);
  assert_int_equal(b.rung, 1);
  vestry_timer_set(b.timer, 10, 0);
  advance(&b, 10);
  assert_int_equal(b.rung, 2);
  bell_finish(&b);
}

/* Between the fire and the callback, other actors run. One of them cancels, sets or destroys the timer: the callback
 * that has not begun must not run, and a new deadline must not be early. */
typedef struct meddler {
  bell *bell;
  int action;
} meddler;

static void meddle(vestry_actor *self, void *ctx) {
  meddler *m = ctx;
  switch (m->action) {
  case 0: vestry_timer_set(m->bell->timer, VESTRY_NEVER_MS, 0); break;
  case 1: assert_int_equal(vestry_timer_set(m->bell->timer, 50, 0), VESTRY_OK); break;
  default: vestry_timer_destroy(m->bell->timer); m->bell->timer = NULL;
  }
}

TEST_CASE(pending_callback_can_be_cancelled) {
  for (int action = 0; action < 3; action++) {
    bell b;
    bell_init(&b);
    meddler m = {&b, action};
    vestry_actor *actor = NULL;
    assert_int_equal(vestry_actor_create(b.runtime, &(vestry_actor_options){.run = meddle, .ctx = &m}, &actor),
                     VESTRY_OK);
    vestry_timer_set(b.timer, 10, 10);
    test_host_advance_ms(&b.th, 10);
    vestry_actor_notify(actor);                  /* ready before the fire: its run comes first */
    assert_true(vestry_runtime_step(b.runtime)); /* fires, and runs the meddler */
    settle(&b);
    assert_int_equal(b.rung, 0);
    if (action == 1) {
      advance(&b, 49);
      assert_int_equal(b.rung, 0);
      advance(&b, 1);
      assert_int_equal(b.rung, 1);
    }
    advance(&b, 1000);
    assert_int_equal(b.rung, action == 1);
    vestry_actor_unref(actor);
    bell_finish(&b);
  }
}

static void set_again_inside(bell *b) {
  if (b->rung < 3) assert_int_equal(vestry_timer_set(b->timer, 20, 0), VESTRY_OK);
}

static void cancel_inside(bell *b) {
  if (b->rung == 3) vestry_timer_set(b->timer, VESTRY_NEVER_MS, 0);
}

static void destroy_inside(bell *b) {
  if (b->rung < 3) return;
  vestry_timer_destroy(b->timer);
  b->timer = NULL;
}

TEST_CASE(callback_may_set_cancel_or_destroy_its_timer) {
  void (*const actions[])(bell *) = {set_again_inside, cancel_inside, destroy_inside};
  for (int i = 0; i < 3; i++) {
    bell b;
    bell_init(&b);
    b.also = actions[i];
    uint64_t start_ns = b.th.now_ns;
    vestry_timer_set(b.timer, 20, i == 0 ? 0 : 20);
    for (int n = 0; n < 200; n++) advance(&b, 1);
    assert_int_equal(b.rung, 3);
    assert_true(b.rung_at_ns == start_ns + 60 * MS);
    assert_true(next_deadline_ns(&b.runtime->ticker) == UINT64_MAX);
    bell_finish(&b);
  }
}

static void step_late(bell *b) {
  if (b->rung > 1) return;
  test_host_advance_ms(&b->th, 50); /* due again */
  assert_false(vestry_runtime_step(b->runtime));
  assert_int_equal(b->rung, 1);
}

TEST_CASE(step_in_a_callback_does_not_call_it_again) {
  bell b;
  bell_init(&b);
  b.also = step_late;
  assert_int_equal(vestry_timer_set(b.timer, 10, 10), VESTRY_OK);
  advance(&b, 10);
  assert_int_equal(b.rung, 2);
  bell_finish(&b);
}

TEST_CASE(closed_runtime_runs_no_timer) {
  bell b;
  bell_init(&b);
  vestry_timer_set(b.timer, 10, 10);
  vsi_runtime_close(b.runtime);
  assert_int_equal(vestry_timer_set(b.timer, 1, 0), VESTRY_CLOSED);
  advance(&b, 100);
  vestry_runtime_stop(b.runtime);
  assert_int_equal(b.rung, 0);
  vestry_timer_set(b.timer, VESTRY_NEVER_MS, 0);
  bell_finish(&b);
}

static vestry_err create_timer(test_host *th, void *ctx) {
  bell b = {.runtime = NULL};
  vestry_runtime_options options = {.host = &th->host, .threads_count = VESTRY_THREADS_NONE};
  vestry_err error = vestry_runtime_create(&options, &b.runtime);
  if (error != VESTRY_OK) return error;
  error = vestry_timer_create(b.runtime, ring, &b, &b.timer);
  if (error == VESTRY_OK) {
    assert_int_equal(vestry_timer_set(b.timer, 1, 1), VESTRY_OK); /* allocates nothing */
    test_host_advance_ms(th, 1);
    while (vestry_runtime_step(b.runtime)) {
    }
    assert_int_equal(b.rung, 1);
  } else {
    assert_null(b.timer);
  }
  vestry_timer_destroy(b.timer);
  vestry_runtime_destroy(b.runtime);
  return error;
}

TEST_CASE(timer_creation_survives_every_allocation_failure) {
  test_host_fail_each(create_timer, NULL, false);
}

/* With threads. */

/* A host whose clock blocks one thread: when vestry_timer_set, which holds the timer's lock, reads the time, it waits
 * until it is released. */
typedef struct slow_clock {
  bell bell; /* its test_host provides the clock */
  vestry_host host;
  latch asked, released;
  uint64_t delay_ms;
} slow_clock;

static _Thread_local bool on_slow_thread;

static uint64_t slow_now_ns(void *ctx) {
  slow_clock *s = (slow_clock *)ctx; /* the test_host is the first member of all */
  if (on_slow_thread) {
    latch_add(&s->asked);
    latch_wait(&s->released, 1);
  }
  return atomic_load(&s->bell.th.now_ns);
}

static void *set_slowly(void *argument) {
  slow_clock *s = argument;
  on_slow_thread = true;
  vestry_err error = vestry_timer_set(s->bell.timer, s->delay_ms, 0);
  return error == VESTRY_OK ? s : NULL;
}

static void *step_once(void *argument) {
  vestry_runtime_step(argument);
  return NULL;
}

/* The timer has left the wheel to fire, and only then is it set again, for later or for now. The running fire must not
 * make the new deadline early, and a deadline that is due calls back once. */
TEST_CASE(running_fire_respects_a_new_deadline) {
  for (uint64_t delay_ms = 0; delay_ms <= 50; delay_ms += 50) {
    slow_clock s = {.delay_ms = delay_ms};
    bell *b = &s.bell;
    latch_init(&s.asked);
    latch_init(&s.released);
    test_host_init(&b->th);
    s.host = b->th.host;
    s.host.now_ns = slow_now_ns;
    vestry_runtime_options options = {.host = &s.host, .threads_count = VESTRY_THREADS_NONE};
    assert_int_equal(vestry_runtime_create(&options, &b->runtime), VESTRY_OK);
    assert_int_equal(vestry_timer_create(b->runtime, ring, b, &b->timer), VESTRY_OK);
    assert_int_equal(vestry_timer_set(b->timer, 10, 0), VESTRY_OK);
    test_host_advance_ms(&b->th, 10);

    pthread_t setter, stepper;
    void *set = NULL;
    assert_int_equal(pthread_create(&setter, NULL, set_slowly, &s), 0);
    latch_wait(&s.asked, 1);
    assert_int_equal(pthread_create(&stepper, NULL, step_once, b->runtime), 0);
    WAIT_WHILE(next_deadline_ns(&b->runtime->ticker) != UINT64_MAX); /* it has left the wheel */
    latch_add(&s.released);
    pthread_join(setter, &set);
    assert_non_null(set);
    pthread_join(stepper, NULL);
    settle(b);
    assert_int_equal(b->rung, delay_ms == 0);
    advance(b, 49);
    assert_int_equal(b->rung, delay_ms == 0);
    advance(b, 1);
    assert_int_equal(b->rung, 1);
    advance(b, 1000);
    assert_int_equal(b->rung, 1);
    bell_finish(b);
    latch_finish(&s.asked);
    latch_finish(&s.released);
  }
}

static vestry_runtime *threaded(uint32_t threads_count) {
  vestry_runtime *runtime = NULL;
  vestry_runtime_options options = {.threads_count = threads_count};
  assert_int_equal(vestry_runtime_create(&options, &runtime), VESTRY_OK);
  return runtime;
}

/* A context on the heap that is freed directly after the timer, so that a sanitizer detects a later or still running
 * callback. */
typedef struct mortal {
  _Atomic(int) inside;
  _Atomic(long) overlaps;
  latch rung;
  long calls;  /* plain: only one callback runs at a time, and destroy waits for it */
  bool leaves; /* plain: written at the end of the callback */
} mortal;

static mortal *mortal_create(void) {
  mortal *m = calloc(1, sizeof *m);
  assert_non_null(m);
  latch_init(&m->rung);
  return m;
}

static void mortal_destroy(mortal *m) {
  latch_finish(&m->rung);
  free(m);
}

static void ring_mortal(vestry_timer *timer, void *ctx) {
  mortal *m = ctx;
  if (atomic_fetch_add(&m->inside, 1) != 0) atomic_fetch_add(&m->overlaps, 1);
  m->leaves = false;
  m->calls++;
  latch_add(&m->rung);
  litmus_dally(20000); /* give the destroyer time to arrive */
  m->leaves = true;
  atomic_fetch_sub(&m->inside, 1);
}

TEST_CASE(destroy_waits_for_a_running_callback) {
  vestry_runtime *runtime = threaded(3);
  for (int round = 0; round < 200; round++) {
    mortal *m = mortal_create();
    vestry_timer *timer = NULL;
    assert_int_equal(vestry_timer_create(runtime, ring_mortal, m, &timer), VESTRY_OK);
    assert_int_equal(vestry_timer_set(timer, 0, 1), VESTRY_OK);
    latch_wait(&m->rung, round % 3 == 0 ? 2 : 1); /* the callback is running, or has just ended */
    vestry_timer_destroy(timer);
    assert_true(m->leaves);
    assert_int_equal(m->overlaps, 0);
    mortal_destroy(m);
  }
  vestry_runtime_destroy(runtime);
}

static void end_it(vestry_timer *timer, void *ctx) {
  latch *gone = ctx;
  vestry_timer_destroy(timer);
  latch_add(gone);
}

TEST_CASE(callback_may_destroy_its_timer_under_threads) {
  vestry_runtime *runtime = threaded(2);
  latch gone;
  latch_init(&gone);
  enum { COUNT = 300 };
  for (int i = 0; i < COUNT; i++) {
    vestry_timer *timer = NULL;
    assert_int_equal(vestry_timer_create(runtime, end_it, &gone, &timer), VESTRY_OK);
    assert_int_equal(vestry_timer_set(timer, (uint64_t)(i % 3), 1), VESTRY_OK);
  }
  latch_wait(&gone, COUNT);
  vestry_runtime_destroy(runtime);
  assert_int_equal(gone.count, COUNT); /* each callback was the last */
  latch_finish(&gone);
}

/* Several threads set and cancel one timer while it fires. */
enum { RACERS = 3, RACES = 2000 };

typedef struct racer {
  vestry_timer *timer;
  uint64_t seed;
} racer;

static void *race(void *argument) {
  racer *r = argument;
  for (int i = 0; i < RACES; i++) {
    switch (random_below(&r->seed, 3)) {
    case 0: vestry_timer_set(r->timer, VESTRY_NEVER_MS, 0); break;
    case 1: vestry_timer_set(r->timer, 0, 0); break;
    default: vestry_timer_set(r->timer, random_below(&r->seed, 2), 1);
    }
  }
  return NULL;
}

static void ring_quick(vestry_timer *timer, void *ctx) {
  mortal *m = ctx;
  if (atomic_fetch_add(&m->inside, 1) != 0) atomic_fetch_add(&m->overlaps, 1);
  m->calls++;
  atomic_fetch_sub(&m->inside, 1);
  latch_add(&m->rung);
}

TEST_CASE(set_and_cancel_race_with_the_callback) {
  vestry_runtime *runtime = threaded(4);
  mortal *m = mortal_create();
  vestry_timer *timer = NULL;
  assert_int_equal(vestry_timer_create(runtime, ring_quick, m, &timer), VESTRY_OK);
  pthread_t threads[RACERS];
  racer racers[RACERS];
  for (unsigned i = 0; i < RACERS; i++) {
    racers[i] = (racer){timer, i + 1};
    assert_int_equal(pthread_create(&threads[i], NULL, race, &racers[i]), 0);
  }
  for (int i = 0; i < RACERS; i++) pthread_join(threads[i], NULL);
  /* It still works: whatever state the race left, a period that is set now calls back repeatedly. */
  pthread_mutex_lock(&m->rung.lock);
  unsigned long before = m->rung.count;
  pthread_mutex_unlock(&m->rung.lock);
  assert_int_equal(vestry_timer_set(timer, 0, 1), VESTRY_OK);
  latch_wait(&m->rung, before + 3);
  vestry_timer_destroy(timer);
  assert_int_equal(m->overlaps, 0);
  assert_true(m->calls >= 3);
  mortal_destroy(m);
  vestry_runtime_destroy(runtime);
}

static void count(vestry_timer *timer, void *ctx) {
  latch_add(ctx);
}

/* A stop comes between fire and callback: a fired timer may still call back, but not after the stop. */
TEST_CASE(no_callback_runs_after_stop) {
  for (int round = 0; round < 50; round++) {
    vestry_runtime *runtime = threaded(2);
    latch rung;
    latch_init(&rung);
    vestry_timer *timers[4] = {NULL};
    for (int i = 0; i < 4; i++) {
      assert_int_equal(vestry_timer_create(runtime, count, &rung, &timers[i]), VESTRY_OK);
      assert_int_equal(vestry_timer_set(timers[i], 0, 1), VESTRY_OK);
    }
    latch_wait(&rung, (unsigned long)(round % 6));
    vestry_runtime_stop(runtime);
    unsigned long at_stop = rung.count;
    for (int i = 0; i < 4; i++) vestry_timer_destroy(timers[i]);
    vestry_runtime_destroy(runtime);
    assert_int_equal(rung.count, at_stop);
    latch_finish(&rung);
  }
}
