/* SPDX-License-Identifier: MIT */
#include "store/history.h"

#include <pthread.h>
#include <sched.h>

#include "runtime/random.h"
#include "support/test.h"

/* ---------------------------------------------------------------------------------------- the checker, checked ---- */

static bool possible(const linear_op *ops, size_t count) {
  linear_states states = {.values = {0}, .count = 1};
  return linear_is_possible(ops, count, &states);
}
#define POSSIBLE(...)                                                                                                  \
  possible((const linear_op[]){__VA_ARGS__}, sizeof((const linear_op[]){__VA_ARGS__}) / sizeof(linear_op))
#define PUT(from, to, v, old)                                                                                          \
  { LINEAR_PUT, true, from, to, v, old, 0 }
#define PUT_NEW(from, to, v, ok)                                                                                       \
  { LINEAR_PUT_NEW, ok, from, to, v, 0, 0 }
#define GET(from, to, v)                                                                                               \
  { LINEAR_GET, false, from, to, v, 0, 0 }
#define REMOVE(from, to, old)                                                                                          \
  { LINEAR_REMOVE, false, from, to, 0, old, 0 }
#define REMOVE_IF(from, to, v, ok)                                                                                     \
  { LINEAR_REMOVE_IF, ok, from, to, v, 0, 0 }
#define LEAVE(from, to, v)                                                                                             \
  { LINEAR_LEAVE, false, from, to, v, 0, 0 }

static void checker_accepts_and_refuses_known_histories(void **state) {
  assert_true(POSSIBLE(PUT(1, 2, 7, 0), GET(3, 4, 7)));
  assert_false(POSSIBLE(PUT(1, 2, 7, 0), GET(3, 4, 0)));                  /* lost */
  assert_true(POSSIBLE(PUT(1, 4, 7, 0), GET(2, 3, 0)));                   /* not yet */
  assert_false(POSSIBLE(GET(1, 2, 7), PUT(3, 4, 7, 0)));                  /* read before it was written */
  assert_true(POSSIBLE(PUT(1, 9, 7, 0), GET(2, 3, 7), GET(4, 5, 7)));     /* effective, but not returned */
  assert_false(POSSIBLE(PUT(1, 9, 7, 0), GET(2, 3, 7), GET(4, 5, 0)));    /* visible and then invisible */
  assert_true(POSSIBLE(PUT(1, 4, 7, 8), PUT(2, 3, 8, 0), GET(5, 6, 7)));  /* in the order of what they took */
  assert_false(POSSIBLE(PUT(1, 4, 7, 8), PUT(2, 3, 8, 0), GET(5, 6, 8))); /* and in no other order */
  assert_false(POSSIBLE(PUT(1, 4, 7, 0), PUT(2, 3, 8, 0)));               /* two puts cannot both displace nothing */
  assert_true(POSSIBLE(PUT(1, 2, 7, 0), REMOVE(3, 6, 7), GET(4, 5, 7), GET(7, 8, 0)));
  assert_false(POSSIBLE(PUT(1, 2, 7, 0), REMOVE(3, 4, 7), REMOVE(5, 6, 7))); /* removed twice */
  assert_false(POSSIBLE(PUT(1, 2, 7, 0), REMOVE(3, 4, 0)));
  assert_true(POSSIBLE(PUT_NEW(1, 4, 7, true), PUT_NEW(2, 3, 8, false)));
  assert_false(POSSIBLE(PUT_NEW(1, 4, 7, true), PUT_NEW(2, 3, 8, true)));
  assert_false(POSSIBLE(PUT_NEW(1, 2, 7, false)));
  assert_true(POSSIBLE(PUT(1, 2, 7, 0), PUT(3, 6, 8, 7), REMOVE_IF(4, 5, 7, false), GET(7, 8, 8)));
  assert_false(POSSIBLE(PUT(1, 2, 7, 0), PUT(3, 4, 8, 7), REMOVE_IF(5, 6, 7, true))); /* the successor stays */
  assert_false(POSSIBLE(PUT(1, 2, 7, 0), REMOVE_IF(3, 4, 7, false), GET(5, 6, 7)));   /* it was stored */
  assert_true(POSSIBLE(PUT(1, 2, 7, 0), LEAVE(3, 6, 7), GET(4, 5, 7), PUT(7, 8, 9, 0)));
  assert_false(POSSIBLE(PUT(1, 2, 7, 0), LEAVE(3, 4, 7), PUT(5, 6, 9, 7))); /* evicted and replaced */
  assert_false(POSSIBLE(GET(1, 2, 3)));
}

static void checker_continues_from_the_states_of_a_window(void **state) {
  linear_states states = {.values = {0}, .count = 1};
  const linear_op first[] = {PUT(1, 4, 7, 0), REMOVE(2, 3, 0)}, second[] = {GET(5, 6, 7)};
  assert_true(linear_is_possible(first, 2, &states));
  assert_int_equal(states.count, 1);
  assert_true(linear_is_possible(second, 1, &states));
  const linear_op unknown[] = {PUT_NEW(7, 8, 9, false), REMOVE_IF(7, 8, 7, false)};
  assert_false(linear_is_possible(unknown, 2, &states)); /* 7 is stored, so it can be removed */
}

/* Most histories of many concurrent operations are possible in very many ways; the checker must not try them all. */
static void checker_is_fast_on_many_concurrent_operations(void **state) {
  linear_op ops[LINEAR_OPS];
  linear_states states = {.values = {0}, .count = 1};
  for (size_t i = 0; i < LINEAR_OPS; i++) ops[i] = (linear_op)GET(1, 1000, 0);
  ops[40] = (linear_op)PUT(1, 1000, 5, 0);
  for (size_t i = 41; i < 52; i++) ops[i] = (linear_op)GET(i, i + 400, 5);
  for (size_t i = 0; i < 30; i++) ops[i].returned = 10 + i;
  assert_true(linear_is_possible(ops, 52, &states));
}

/* ------------------------------------------------------------------------------------------ recorded histories ---- */

enum { THREADS = 4, OPS_A_WINDOW = 48, WINDOWS = 200 };

static linear *under_test;
static pthread_barrier_t barrier;
static _Atomic(uint64_t) round_seed;
static _Atomic(bool) over;
static _Atomic(size_t) arrived;

static void one_op(uint64_t r, size_t thread) {
  size_t key = r % LINEAR_KEYS;
  switch ((r >> 8) % 16) {
  case 0:
  case 1: linear_remove(under_test, thread, key); break;
  case 2:
  case 3: linear_remove_if(under_test, thread, key, (r >> 16) % 3); break;
  case 4: linear_put(under_test, thread, key, VESTRY_KEEP_REJECT); break;
  case 5: linear_tick(under_test, thread); break;
  case 6: test_host_advance_ms(linear_host(under_test), (r >> 16) % 3); break;
  case 7:
  case 8:
  case 9: linear_get(under_test, thread, key); break;
  case 10:
  case 11: linear_with(under_test, thread, key); break;
  default: linear_put(under_test, thread, key, VESTRY_KEEP_REPLACE);
  }
}

static void *run(void *ctx) {
  size_t thread = *(size_t *)ctx;
  for (;;) {
    pthread_barrier_wait(&barrier);
    if (atomic_load(&over)) return NULL;
    atomic_fetch_add(&arrived, 1); /* a barrier lets them go one after the other */
    while (atomic_load(&arrived) % THREADS) sched_yield();
    uint64_t random = atomic_load(&round_seed) * 1000 + thread;
    for (size_t i = 0; i < OPS_A_WINDOW; i++) one_op(random_next(&random), thread);
    pthread_barrier_wait(&barrier);
  }
}

static void record_and_check(const char *type, vestry_store_options options) {
  under_test = linear_open(type, options);
  pthread_barrier_init(&barrier, NULL, THREADS + 1);
  atomic_store(&over, false);
  atomic_store(&arrived, 0);
  pthread_t threads[THREADS];
  size_t numbers[THREADS], wrong = 0;
  for (size_t i = 0; i < THREADS; i++) {
    numbers[i] = i;
    assert_int_equal(pthread_create(&threads[i], NULL, run, &numbers[i]), 0);
  }
  for (uint64_t window = 1; window <= WINDOWS && !wrong; window++) {
    atomic_store(&round_seed, window);
    pthread_barrier_wait(&barrier);
    pthread_barrier_wait(&barrier);
    if (linear_check(under_test)) continue;
    print_message("in window %llu\n", (unsigned long long)window);
    wrong++;
  }
  atomic_store(&over, true);
  pthread_barrier_wait(&barrier);
  for (size_t i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
  pthread_barrier_destroy(&barrier);
  assert_int_equal(wrong, 0);
  linear_end(under_test);
}

/* capability: A1 */
static void hash_store_is_linearizable(void **state) {
  record_and_check("hash", (vestry_store_options){0});
}

static void lru_store_is_linearizable(void **state) {
  record_and_check("lru", (vestry_store_options){.max_count = 100});
}

static void evicting_lru_store_is_linearizable(void **state) {
  record_and_check("lru", (vestry_store_options){.max_count = 3});
}

static void expiring_lru_store_is_linearizable(void **state) {
  record_and_check("lru", (vestry_store_options){.max_count = 4, .idle_ms = 5, .lifetime_ms = 9});
}

static void lru_store_with_scope_limit_is_linearizable(void **state) {
  record_and_check("lru", (vestry_store_options){.max_count = 10, .max_per_scope_count = 2});
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(checker_accepts_and_refuses_known_histories),
      cmocka_unit_test(checker_continues_from_the_states_of_a_window),
      cmocka_unit_test(checker_is_fast_on_many_concurrent_operations),
      cmocka_unit_test(hash_store_is_linearizable),
      cmocka_unit_test(lru_store_is_linearizable),
      cmocka_unit_test(evicting_lru_store_is_linearizable),
      cmocka_unit_test(expiring_lru_store_is_linearizable),
      cmocka_unit_test(lru_store_with_scope_limit_is_linearizable),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
