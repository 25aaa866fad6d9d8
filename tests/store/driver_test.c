/* SPDX-License-Identifier: MIT */
#include <pthread.h>
#include <time.h>

#include "runtime/deadline.h"
#include "runtime/runtime.h"
#include "store/store.h"
#include "store/world.h"
#include "support/litmus.h"

#define MS UINT64_C(1000000)

static world w;
static vestry_runtime *runtime;

/* A stepped runtime with the world's clock. */
static vestry_runtime *stepped(test_host *th) {
  vestry_runtime *made = NULL;
  vestry_runtime_options options = {.host = &th->host, .threads_count = VESTRY_THREADS_NONE};
  vestry_err error = vestry_runtime_create(&options, &made);
  assert_true(error == VESTRY_OK || error == VESTRY_NO_MEMORY);
  return made;
}

static void open_driven(const store_kind *kind, const vestry_store_options *options) {
  world_open(&w, kind, options);
  runtime = stepped(w.th);
  assert_int_equal(vestry_store_drive(w.store, runtime), VESTRY_OK);
}

static void end_driven(void) {
  assert_int_equal(vestry_store_drive(w.store, NULL), VESTRY_OK);
  world_finish(&w);
  vestry_runtime_destroy(runtime);
  test_host_assert_clean(w.th);
}

static uint64_t now_ns(void) {
  return atomic_load(&w.th->now_ns);
}

static void advance_ms(uint64_t ms) {
  test_host_advance_ms(w.th, ms);
  while (vestry_runtime_step(runtime)) continue;
}

/* The driver sleeps until this deadline, rounded up to the runtime's tick. */
static void assert_sleeps_until(uint64_t deadline_ns) {
  uint64_t armed_ns = next_deadline_ns(&runtime->ticker);
  if (deadline_ns == UINT64_MAX)
    assert_true(armed_ns == UINT64_MAX);
  else
    assert_in_range(armed_ns, deadline_ns, deadline_ns + 2 * MS);
}

/* capability: A3 */
static void driver_expires_values_without_traffic(void **state) {
  open_driven(*state, &(vestry_store_options){.idle_ms = 100});
  assert_sleeps_until(UINT64_MAX);
  uint64_t start = now_ns();
  value *first = world_new(&w, VESTRY_KEY(1), NULL);
  assert_sleeps_until(start + 100 * MS);
  advance_ms(40);
  value *second = world_new(&w, VESTRY_KEY(2), NULL);
  assert_sleeps_until(start + 100 * MS);
  advance_ms(59);
  assert_int_equal(world_left(&w), 0);
  advance_ms(3); /* the timer's tick: never early, and at most slightly late */
  assert_int_equal(world_left(&w), 1);
  assert_int_equal(atomic_load(&first->cause), VESTRY_CAUSE_IDLE);
  assert_sleeps_until(start + 140 * MS);
  advance_ms(40);
  assert_int_equal(world_left(&w), 1);
  assert_int_equal(atomic_load(&second->cause), VESTRY_CAUSE_IDLE);
  assert_sleeps_until(UINT64_MAX);
  world_new(&w, VESTRY_KEY(3), NULL); /* the driver sleeps without a deadline, and the put wakes it */
  assert_sleeps_until(now_ns() + 100 * MS);
  end_driven();
}

/* capability: A3 */
static void use_postpones_the_idle_deadline(void **state) {
  open_driven(*state, &(vestry_store_options){.idle_ms = 100, .lifetime_ms = 250});
  uint64_t start = now_ns();
  world_new(&w, VESTRY_KEY(1), NULL);
  for (uint64_t ms = 60; ms <= 240; ms += 60) {
    advance_ms(60);
    assert_non_null(world_one(&w, VESTRY_KEY(1)));
  }
  assert_int_equal(world_left(&w), 0);
  assert_sleeps_until(start + 250 * MS);
  advance_ms(13);
  assert_int_equal(world_left(&w), 1);
  assert_int_equal(w.exits[0].cause, VESTRY_CAUSE_EXPIRED);
  end_driven();
}

static void values_put_before_the_driver_expire(void **state) {
  world_open(&w, *state, &(vestry_store_options){.idle_ms = 100});
  world_new(&w, VESTRY_KEY(1), NULL);
  runtime = stepped(w.th);
  test_host_advance_ms(w.th, 500); /* long due */
  assert_int_equal(vestry_store_drive(w.store, runtime), VESTRY_OK);
  advance_ms(2);
  assert_int_equal(world_left(&w), 1);
  end_driven();
}

static void driver_of_a_store_without_expiry_sleeps(void **state) {
  open_driven(&world_hash, NULL);
  world_new(&w, VESTRY_KEY(1), NULL);
  assert_sleeps_until(UINT64_MAX);
  end_driven();
}

static void second_driver_is_refused(void **state) {
  open_driven(&world_lru, &(vestry_store_options){.idle_ms = 100});
  assert_int_equal(vestry_store_drive(w.store, runtime), VESTRY_EXISTS);
  assert_int_equal(vestry_store_drive(NULL, runtime), VESTRY_INVALID);
  world_new(&w, VESTRY_KEY(1), NULL);
  assert_int_equal(vestry_store_drive(w.store, NULL), VESTRY_OK);
  assert_sleeps_until(UINT64_MAX);
  advance_ms(500);
  world_new(&w, VESTRY_KEY(2), NULL);
  assert_sleeps_until(UINT64_MAX);
  assert_int_equal(world_left(&w), 0); /* there is no driver */
  assert_int_equal(vestry_store_drive(w.store, runtime), VESTRY_OK);
  advance_ms(2); /* long due */
  assert_int_equal(world_left(&w), 1);
  assert_sleeps_until(now_ns() - 2 * MS + 100 * MS);
  end_driven();
}

static void closed_runtime_expires_nothing(void **state) {
  world_open(&w, &world_lru, &(vestry_store_options){.idle_ms = 100});
  runtime = stepped(w.th);
  world_new(&w, VESTRY_KEY(1), NULL);
  vsi_runtime_close(runtime);
  assert_int_equal(vestry_store_drive(w.store, runtime), VESTRY_CLOSED);
  end_driven();
  open_driven(&world_lru, &(vestry_store_options){.idle_ms = 100});
  vsi_runtime_close(runtime);
  world_new(&w, VESTRY_KEY(1), NULL); /* the driver cannot be woken, but the put succeeds */
  advance_ms(500);
  assert_int_equal(world_left(&w), 0);
  end_driven();
}

static vestry_err create_and_destroy(test_host *th, void *ctx) {
  vestry_err error = world_try_open(&w, th, &world_lru, NULL);
  if (error) return error;
  runtime = stepped(th);
  error = runtime ? vestry_store_drive(w.store, runtime) : VESTRY_NO_MEMORY;
  assert_int_equal(vestry_store_drive(w.store, NULL), VESTRY_OK);
  world_finish(&w);
  vestry_runtime_destroy(runtime);
  return error;
}

static void failed_creation_of_a_driver_leaks_nothing(void **state) {
  test_host_fail_each(create_and_destroy, NULL, false);
}

/* A store whose deadlines the test sets, for a case that the built-in stores never have: a put with an earlier deadline
 * than all others. */
static uint64_t fake_deadline_ns, deadline_after_put_ns;
static size_t fake_ticks;

static vestry_err fake_create(const vestry_store_options *options, vestry_store_exit *exit, void *ctx, void **ret) {
  *ret = ctx;
  return VESTRY_OK;
}
static vestry_err fake_put(void *self, const vestry_scoped_key *key, void *v, vestry_keep_policy policy, size_t many,
                           vestry_put_result *ret) {
  fake_deadline_ns = deadline_after_put_ns;
  *ret = (vestry_put_result){.handle = 1, .refreshed = true};
  return VESTRY_OK;
}
static vestry_err fake_with(void *self, const vestry_scoped_key *key, vestry_with_fn fn, void *ctx) {
  return VESTRY_NOT_FOUND;
}
static size_t fake_remove(void *self, const vestry_scoped_key *key, const void *v, vestry_cause cause) {
  return 0;
}
static bool fake_remove_if(void *self, vestry_handle handle, vestry_cause cause) {
  return false;
}
static size_t fake_clear(void *self, const vestry_scope *scope, vestry_cause cause) {
  return 0;
}
static vestry_err fake_list(void *self, const vestry_scope *scope, size_t page, vestry_list_cursor *cursor,
                            vestry_list_fn fn, void *ctx) {
  cursor->done = true;
  return VESTRY_OK;
}
static void fake_destroy(void *self) {}
static void fake_tick(void *self) {
  fake_ticks++;
  fake_deadline_ns = UINT64_MAX;
}
static uint64_t fake_next_deadline_ns(void *self) {
  return fake_deadline_ns;
}

static void fake_value(void *v) {}
static void fake_close(void *v, vestry_cause cause) {}

static void earlier_deadline_wakes_the_driver_earlier(void **state) {
  static const vestry_store_ops ops = {
      .type = "fake",
      .create = fake_create,
      .destroy = fake_destroy,
      .put = fake_put,
      .with = fake_with,
      .remove = fake_remove,
      .remove_if = fake_remove_if,
      .clear = fake_clear,
      .list = fake_list,
      .tick = fake_tick,
      .next_deadline_ns = fake_next_deadline_ns,
  };
  test_host_init(&w.own_host);
  w.th = &w.own_host;
  vestry_store_options options = {.types = &(vestry_store_type){&ops, NULL},
                                  .types_count = 1,
                                  .host = &w.th->host,
                                  .value =
                                      &(vestry_value_ops){.ref = fake_value, .unref = fake_value, .close = fake_close}};
  vestry_store *store;
  assert_int_equal(vestry_store_create("fake", &options, &store), VESTRY_OK);
  fake_deadline_ns = now_ns() + 900 * MS;
  fake_ticks = 0;
  runtime = stepped(w.th);
  assert_int_equal(vestry_store_drive(store, runtime), VESTRY_OK);
  assert_sleeps_until(now_ns() + 900 * MS);
  vestry_key key = *VESTRY_KEY(1);
  uint64_t earlier = now_ns() + 50 * MS;
  deadline_after_put_ns = earlier;
  assert_int_equal(vestry_store_put(store, world_scope("s"), &key, &key, VESTRY_KEEP_REPLACE, 0, NULL), VESTRY_OK);
  assert_sleeps_until(earlier);
  /* later: the driver is not woken, and reads the deadline at its next tick */
  deadline_after_put_ns = now_ns() + 500 * MS;
  assert_int_equal(vestry_store_put(store, world_scope("s"), &key, &key, VESTRY_KEEP_REPLACE, 0, NULL), VESTRY_OK);
  assert_sleeps_until(earlier);
  advance_ms(52);
  assert_int_equal(fake_ticks, 1);
  assert_sleeps_until(UINT64_MAX);
  uint64_t start = now_ns();
  deadline_after_put_ns = start + 50 * MS + 1; /* between two milliseconds: not before the deadline */
  assert_int_equal(vestry_store_put(store, world_scope("s"), &key, &key, VESTRY_KEEP_REPLACE, 0, NULL), VESTRY_OK);
  while (now_ns() < start + 50 * MS) advance_ms(1);
  assert_int_equal(fake_ticks, 1);
  advance_ms(3);
  assert_int_equal(fake_ticks, 2);
  deadline_after_put_ns = now_ns() - 1; /* in the past: at once */
  assert_int_equal(vestry_store_put(store, world_scope("s"), &key, &key, VESTRY_KEEP_REPLACE, 0, NULL), VESTRY_OK);
  advance_ms(2);
  assert_int_equal(fake_ticks, 3);
  assert_int_equal(vestry_store_drive(store, NULL), VESTRY_OK);
  vestry_store_destroy(store);
  vestry_runtime_destroy(runtime);
  test_host_assert_clean(w.th);
}

/* With threads and the real clock: several threads put while the driver expires, and no deadline is missed. */
enum { THREADS = 4, PUTS = 200 };
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t all_left = PTHREAD_COND_INITIALIZER;
static size_t left_count;

static void count_left(const vestry_purged *purged, void *ctx) {
  assert_int_equal(purged->cause, VESTRY_CAUSE_IDLE);
  pthread_mutex_lock(&lock);
  if (++left_count % PUTS == 0) pthread_cond_broadcast(&all_left);
  pthread_mutex_unlock(&lock);
}

static void wait_for_left(size_t count) {
  struct timespec until;
  clock_gettime(CLOCK_REALTIME, &until);
  until.tv_sec += 60; /* only for a failing test */
  pthread_mutex_lock(&lock);
  while (left_count < count) assert_int_equal(pthread_cond_timedwait(&all_left, &lock, &until), 0);
  pthread_mutex_unlock(&lock);
}

typedef struct putter {
  vestry_store *store;
  size_t number;
} putter;

static void *put_some(void *ctx) {
  const putter *p = ctx;
  for (size_t i = 0; i < PUTS; i++) {
    const vestry_key *key = VESTRY_KEY(p->number, i);
    assert_int_equal(vestry_store_put(p->store, world_scope("s"), key, ctx, VESTRY_KEEP_REPLACE, 0, NULL), VESTRY_OK);
  }
  return NULL;
}

static void driver_expires_values_put_by_threads(void **state) {
  vestry_store_options options = {.value =
                                      &(vestry_value_ops){.ref = fake_value, .unref = fake_value, .close = fake_close},
                                  .purge = count_left,
                                  .idle_ms = 1,
                                  .max_count = 100000};
  vestry_store *store;
  assert_int_equal(vestry_store_create("lru", &options, &store), VESTRY_OK);
  assert_int_equal(vestry_runtime_create(&(vestry_runtime_options){.threads_count = 2}, &runtime), VESTRY_OK);
  assert_int_equal(vestry_store_drive(store, runtime), VESTRY_OK);
  left_count = 0;
  for (size_t round = 1; round <= 5; round++) {
    pthread_t threads[THREADS];
    putter putters[THREADS];
    for (size_t i = 0; i < THREADS; i++) {
      putters[i] = (putter){store, i};
      assert_int_equal(pthread_create(&threads[i], NULL, put_some, &putters[i]), 0);
    }
    for (size_t i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
    wait_for_left(round * THREADS * PUTS); /* including the last ones, without further traffic */
  }
  assert_int_equal(vestry_store_drive(store, NULL), VESTRY_OK);
  vestry_store_destroy(store);
  vestry_runtime_destroy(runtime);
}

/* ---- a put during the creation of the driver --------------------------------------------------------------------- */

/* This race depends on the processor, so sanitizers do not detect it, and with them the test takes minutes. */
enum { ARRIVALS = TEST_UNDER_TSAN ? 10000 : 300000 };
enum { PUT_JITTER = 127, DRIVER_JITTER = 509 }; /* primes, so that all pairs occur */

/* Two threads that only these two counters synchronize, while one puts and the other creates a driver. */
typedef struct arrival {
  vestry_store *store;
  _Atomic(int) asked, put;
} arrival;

static void *put_at_each_arrival(void *ctx) {
  arrival *a = ctx;
  const vestry_key *key = VESTRY_KEY(1);
  for (int round = 1; litmus_wait(&a->asked, round); round++) {
    litmus_dally(round % PUT_JITTER);
    assert_int_equal(vestry_store_put(a->store, world_scope("s"), key, a, VESTRY_KEEP_REPLACE, 0, NULL), VESTRY_OK);
    atomic_store_explicit(&a->put, round, memory_order_release);
  }
  return NULL;
}

static void put_during_creation_of_the_driver_expires(void **state) {
  static arrival a;
  test_host_init(&w.own_host);
  w.th = &w.own_host;
  runtime = stepped(w.th);
  vestry_store_options options = {.host = &w.th->host,
                                  .value =
                                      &(vestry_value_ops){.ref = fake_value, .unref = fake_value, .close = fake_close},
                                  .idle_ms = 1000,
                                  .max_count = 100000};
  assert_int_equal(vestry_store_create("lru", &options, &a.store), VESTRY_OK);
  pthread_t thread;
  assert_int_equal(pthread_create(&thread, NULL, put_at_each_arrival, &a), 0);
  const vestry_key *key = VESTRY_KEY(1);
  struct timespec since;
  clock_gettime(CLOCK_MONOTONIC, &since);
  for (int round = 1; litmus_goes_on(round, ARRIVALS, &since); round++) {
    atomic_store_explicit(&a.asked, round, memory_order_release);
    litmus_dally(round % DRIVER_JITTER);
    assert_int_equal(vestry_store_drive(a.store, runtime), VESTRY_OK);
    litmus_wait(&a.put, round);
    assert_true(next_deadline_ns(&runtime->ticker) != UINT64_MAX); /* the driver will check it when it is idle */
    assert_int_equal(vestry_store_drive(a.store, NULL), VESTRY_OK);
    assert_int_equal(vestry_store_remove(a.store, world_scope("s"), key, VESTRY_CAUSE_CLOSED, NULL), VESTRY_OK);
    assert_true(vsi_store_tick(a.store) == UINT64_MAX); /* so that the next put has a new deadline */
  }
  atomic_store_explicit(&a.asked, LITMUS_OVER, memory_order_release);
  pthread_join(thread, NULL);
  vestry_store_destroy(a.store);
  vestry_runtime_destroy(runtime);
  test_host_assert_clean(w.th);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      WORLD_TEST(driver_expires_values_without_traffic, world_lru),
      WORLD_TEST(driver_expires_values_without_traffic, world_naive_lru),
      WORLD_TEST(use_postpones_the_idle_deadline, world_lru),
      WORLD_TEST(use_postpones_the_idle_deadline, world_naive_lru),
      WORLD_TEST(values_put_before_the_driver_expire, world_lru),
      cmocka_unit_test(driver_of_a_store_without_expiry_sleeps),
      cmocka_unit_test(second_driver_is_refused),
      cmocka_unit_test(closed_runtime_expires_nothing),
      cmocka_unit_test(failed_creation_of_a_driver_leaks_nothing),
      cmocka_unit_test(earlier_deadline_wakes_the_driver_earlier),
      cmocka_unit_test(driver_expires_values_put_by_threads),
      cmocka_unit_test(put_during_creation_of_the_driver_expires),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
