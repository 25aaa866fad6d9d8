/* SPDX-License-Identifier: MIT */
/* An event loop of the application that steps a runtime when its descriptor is readable. Nothing sleeps: poll waits for
 * an event that must come, with a timeout that is far too long. */
#include "runtime/wake.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "runtime/latch.h"
#include "support/descriptors.h"
#include "support/patience.h"
#include "support/test.h"
#include "support/test_host.h"
#include "vestry/runtime.h"

enum { PATIENCE_MS = PATIENCE_S * 1000 };

typedef struct loop {
  test_host th;
  vestry_runtime *runtime;
  int descriptor;
} loop;

static uint64_t real_now_ns(void *ctx) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static void begin(loop *l, bool by_hand) {
  test_host_init(&l->th);
  if (!by_hand) l->th.host.now_ns = real_now_ns;
  vestry_runtime_options options = {.host = &l->th.host, .threads_count = VESTRY_THREADS_NONE};
  assert_int_equal(vestry_runtime_create(&options, &l->runtime), VESTRY_OK);
  assert_int_equal(vestry_runtime_descriptor(l->runtime, &l->descriptor), VESTRY_OK);
}

static void end(loop *l) {
  vestry_runtime_destroy(l->runtime);
  test_host_assert_clean(&l->th);
}

static bool wait_ms(loop *l, int ms) {
  struct pollfd at = {.fd = l->descriptor, .events = POLLIN};
  int count;
  while ((count = poll(&at, 1, ms)) < 0) assert_int_equal(errno, EINTR);
  return count == 1;
}

static void step(loop *l) {
  while (vestry_runtime_step(l->runtime)) continue;
}

static void rest(loop *l) {
  step(l);
  assert_false(wait_ms(l, 0));
}

/* ---------------------------------------------------------------------------------------------------- actors ---- */

typedef struct counter {
  vestry_actor *actor;
  size_t runs, received;
} counter;

static void count(vestry_actor *self, void *ctx) {
  counter *c = ctx;
  c->runs++;
  for (vestry_message *m; (m = vestry_actor_receive(self)) != NULL; c->received++) free(m);
}

static void count_begin(counter *c, loop *l) {
  *c = (counter){NULL, 0, 0};
  vestry_actor_options options = {.run = count, .ctx = c};
  assert_int_equal(vestry_actor_create(l->runtime, &options, &c->actor), VESTRY_OK);
}

#define LOOP_CASE(name) TEST_CASE_WITH(name, loop, l, begin(l, false), end(l))

LOOP_CASE(descriptor_is_readable_while_an_actor_is_ready) {
  counter c;
  count_begin(&c, l);
  rest(l);
  for (size_t i = 1; i < 5; i++) {
    vestry_actor_notify(c.actor);
    assert_true(wait_ms(l, 0));
    assert_true(wait_ms(l, 0)); /* no step has run */
    rest(l);
    assert_int_equal(c.runs, i);
  }
  vestry_actor_unref(c.actor);
  step(l);
}

TEST_CASE(descriptor_reports_actors_ready_before) {
  loop l;
  counter c;
  test_host_init(&l.th);
  vestry_runtime_options options = {.host = &l.th.host, .threads_count = VESTRY_THREADS_NONE};
  assert_int_equal(vestry_runtime_create(&options, &l.runtime), VESTRY_OK);
  count_begin(&c, &l);
  vestry_actor_notify(c.actor);
  int again;
  assert_int_equal(vestry_runtime_descriptor(l.runtime, &l.descriptor), VESTRY_OK);
  assert_int_equal(vestry_runtime_descriptor(l.runtime, &again), VESTRY_OK);
  assert_int_equal(again, l.descriptor);
  assert_true(wait_ms(&l, 0));
  rest(&l);
  assert_int_equal(c.runs, 1);
  vestry_actor_unref(c.actor);
  step(&l);
  end(&l);
}

enum { THREADS = 3, POSTS = 30000 };

static void *post(void *ctx) {
  for (size_t i = 0; i < POSTS; i++) {
    vestry_message *m = calloc(1, sizeof *m);
    assert_non_null(m);
    assert_int_equal(vestry_actor_post(((counter *)ctx)->actor, m), VESTRY_OK);
  }
  return NULL;
}

/* The loop never waits while a post is pending. */
/* capability: K15 */
LOOP_CASE(posts_of_threads_wake_the_loop) {
  counter c;
  count_begin(&c, l);
  pthread_t threads[THREADS];
  for (size_t i = 0; i < THREADS; i++) assert_int_equal(pthread_create(&threads[i], NULL, post, &c), 0);
  while (c.received < (size_t)THREADS * POSTS) {
    assert_true(wait_ms(l, PATIENCE_MS));
    step(l);
  }
  for (size_t i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
  rest(l);
  vestry_actor_unref(c.actor);
  step(l);
}

/* A notifying thread is stopped between its exchange and its write while the loop steps. */
TEST_CASE(late_write_is_read_by_the_next_step) {
  vsi_wake wake;
  assert_int_equal(vsi_wake_init(&wake), VESTRY_OK);
  loop l = {.descriptor = wake.descriptor};
  vsi_wake_clear(&wake);
  assert_false(wait_ms(&l, 0));
  for (size_t round = 0; round < 3; round++) {
    assert_false(atomic_exchange(&wake.is_ready, true));
    vsi_wake_clear(&wake);
    vsi_wake_signal(&wake); /* another thread relies on the pending write */
    vsi_wake_clear(&wake);
    assert_int_equal(eventfd_write(wake.event, 1), 0);
    assert_true(wait_ms(&l, 0));
    vsi_wake_clear(&wake);
    assert_false(wait_ms(&l, 0));
    vsi_wake_signal(&wake);
    assert_true(wait_ms(&l, 0));
    vsi_wake_clear(&wake);
    assert_false(wait_ms(&l, 0));
  }
  vsi_wake_finish(&wake);
}

/* ---------------------------------------------------------------------------------------------------- timers ---- */

typedef struct bell {
  vestry_timer *timer;
  size_t fired;
  uint64_t due_ns, fired_at_ns;
} bell;

static void ring(vestry_timer *timer, void *ctx) {
  bell *a = ctx;
  a->fired++;
  a->fired_at_ns = real_now_ns(NULL);
}

static void bell_begin(bell *a, loop *l) {
  *a = (bell){NULL, 0, 0, 0};
  assert_int_equal(vestry_timer_create(l->runtime, ring, a, &a->timer), VESTRY_OK);
}

static void bell_set(bell *a, uint64_t ms, uint64_t period_ms) {
  a->due_ns = real_now_ns(NULL) + ms * 1000000;
  assert_int_equal(vestry_timer_set(a->timer, ms, period_ms), VESTRY_OK);
}

/* capability: K15 */
LOOP_CASE(descriptor_is_readable_when_a_timer_is_due) {
  bell a, late;
  bell_begin(&a, l);
  bell_begin(&late, l);
  rest(l);
  bell_set(&late, 600000, 0);
  for (size_t i = 1; i < 6; i++) {
    bell_set(&a, 3 * i, 0);
    step(l);
    while (a.fired < i) {
      assert_true(wait_ms(l, PATIENCE_MS));
      step(l);
    }
    assert_true(a.fired_at_ns >= a.due_ns);
    rest(l);
  }
  bell_set(&a, 1, 1); /* repeatedly */
  for (size_t before = a.fired; a.fired < before + 5; step(l)) assert_true(wait_ms(l, PATIENCE_MS));
  vestry_timer_set(a.timer, VESTRY_NEVER_MS, 0);
  rest(l);
  bell_set(&a, 0, 0); /* at once */
  while (!wait_ms(l, PATIENCE_MS)) fail();
  vestry_timer_destroy(a.timer);
  assert_int_equal(late.fired, 0);
  vestry_timer_destroy(late.timer);
  rest(l);
}

typedef struct setter {
  bell *bell;
  latch begun;
} setter;

static void *set_soon(void *ctx) {
  setter *s = ctx;
  latch_wait(&s->begun, 1);
  bell_set(s->bell, 5, 0);
  return NULL;
}

/* A loop that waits for a late timer is woken if another thread sets an earlier one. */
LOOP_CASE(earlier_timer_of_another_thread_wakes_the_loop) {
  bell soon, late;
  bell_begin(&soon, l);
  bell_begin(&late, l);
  bell_set(&late, 600000, 0);
  rest(l);
  setter s = {.bell = &soon};
  latch_init(&s.begun);
  pthread_t thread;
  assert_int_equal(pthread_create(&thread, NULL, set_soon, &s), 0);
  latch_add(&s.begun);
  while (!soon.fired) {
    assert_true(wait_ms(l, PATIENCE_MS));
    step(l);
  }
  pthread_join(thread, NULL);
  latch_finish(&s.begun);
  vestry_timer_destroy(soon.timer);
  vestry_timer_destroy(late.timer);
}

/* A stopped clock keeps the loop from busy waiting: real time passes between two checks. */
TEST_CASE(stopped_clock_causes_no_busy_loop) {
  loop l;
  bell a;
  begin(&l, true);
  bell_begin(&a, &l);
  assert_int_equal(vestry_timer_set(a.timer, 1, 0), VESTRY_OK);
  uint64_t before_ns = real_now_ns(NULL);
  for (size_t i = 0; i < 10; i++) {
    assert_true(wait_ms(&l, PATIENCE_MS));
    step(&l);
  }
  assert_true(real_now_ns(NULL) - before_ns >= 8 * UINT64_C(1000000));
  assert_int_equal(a.fired, 0);
  test_host_advance_ms(&l.th, 5);
  step(&l);
  assert_int_equal(a.fired, 1);
  vestry_timer_destroy(a.timer);
  rest(&l);
  end(&l);
}

/* -------------------------------------------------------------------------------------------------- refusals ---- */

TEST_CASE(runtime_with_threads_has_no_descriptor) {
  vestry_runtime *runtime;
  int descriptor = -7;
  assert_int_equal(vestry_runtime_create(&(vestry_runtime_options){.threads_count = 1}, &runtime), VESTRY_OK);
  assert_int_equal(vestry_runtime_descriptor(runtime, &descriptor), VESTRY_INVALID);
  assert_int_equal(descriptor, -7);
  vestry_runtime_destroy(runtime);
}

TEST_CASE(descriptor_limit_is_reported) {
  struct rlimit before, none;
  assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
  const int next = descriptors_lowest_free();
  for (rlim_t left = 0; left <= 3; left++) {
    loop l;
    test_host_init(&l.th);
    vestry_runtime_options options = {.host = &l.th.host, .threads_count = VESTRY_THREADS_NONE};
    assert_int_equal(vestry_runtime_create(&options, &l.runtime), VESTRY_OK);
    none = before;
    none.rlim_cur = (rlim_t)next + left;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    vestry_err error = vestry_runtime_descriptor(l.runtime, &l.descriptor);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    assert_int_equal(error, left < 3 ? VESTRY_IO : VESTRY_OK);
    assert_int_equal(atomic_load(&l.th.log_lines), left < 3);
    end(&l);
    assert_true(descriptors_lowest_free() <= next); /* no descriptor leaked */
  }
}
