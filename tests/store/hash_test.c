/* SPDX-License-Identifier: MIT */
/* The hash store beyond the contract: it refuses puts over its limits. */
#include <pthread.h>

#include "store/store.h"
#include "store/world.h"

static world w;

static vestry_err put(const char *scope, const vestry_key *key, vestry_keep_policy policy) {
  return world_put(&w, scope, key, world_value(&w), policy, 0, NULL);
}

/* capability: A1 */
static void full_store_refuses_new_entries(void **state) {
  world_open(&w, *state, &(vestry_store_options){.max_count = 3});
  for (size_t i = 0; i < 3; i++) assert_int_equal(put("s", VESTRY_KEY(i), VESTRY_KEEP_REPLACE), VESTRY_OK);
  value *late = world_value(&w);
  assert_int_equal(world_put(&w, "s", VESTRY_KEY(3), late, VESTRY_KEEP_REPLACE, 0, NULL), VESTRY_FULL);
  assert_int_equal(atomic_load(&late->refs), 1);
  assert_int_equal(put("s", VESTRY_KEY(1), VESTRY_KEEP_MANY), VESTRY_FULL);
  assert_int_equal(put("s", VESTRY_KEY(1), VESTRY_KEEP_REUSE), VESTRY_EXISTS);
  assert_int_equal(world_left(&w), 0);
  /* takes the place of the displaced value */
  assert_int_equal(put("s", VESTRY_KEY(1), VESTRY_KEEP_REPLACE), VESTRY_OK);
  assert_int_equal(world_put(&w, "s", VESTRY_KEY(1), world_value(&w), VESTRY_KEEP_MANY, 1, NULL), VESTRY_OK);
  assert_int_equal(world_left(&w), 2);
  const vestry_key *key = VESTRY_KEY(0);
  assert_int_equal(vestry_store_remove(w.store, world_scope("s"), key, VESTRY_CAUSE_REMOVED, NULL), VESTRY_OK);
  assert_int_equal(put("s", VESTRY_KEY(3), VESTRY_KEEP_REPLACE), VESTRY_OK);
  assert_int_equal(put("s", VESTRY_KEY(4), VESTRY_KEEP_REPLACE), VESTRY_FULL);
  assert_int_equal(world_stats(&w).live_count, 3);
  world_end(&w);
}

static void each_removal_frees_a_place(void **state) {
  world_open(&w, *state, &(vestry_store_options){.max_count = 4, .max_per_scope_count = 4});
  for (size_t round = 0; round < 30; round++) {
    vestry_put_result result = {0};
    for (size_t i = 0; i < 4; i++)
      assert_int_equal(world_put(&w, "s", VESTRY_KEY("many"), world_value(&w), VESTRY_KEEP_MANY, 0, &result),
                       VESTRY_OK);
    assert_int_equal(put("s", VESTRY_KEY("other"), VESTRY_KEEP_REPLACE), VESTRY_FULL);
    assert_true(vestry_store_remove_if(w.store, result.handle, VESTRY_CAUSE_HANGUP));
    assert_int_equal(put("s", VESTRY_KEY("other"), VESTRY_KEEP_REPLACE), VESTRY_OK);
    assert_int_equal(put("s", VESTRY_KEY("many"), VESTRY_KEEP_REPLACE), VESTRY_OK); /* three leave, one is put */
    assert_int_equal(world_stats(&w).live_count, 2);
    const vestry_key *key = VESTRY_KEY("many"), *other = VESTRY_KEY("other");
    assert_int_equal(vestry_store_remove(w.store, world_scope("s"), key, VESTRY_CAUSE_REMOVED, NULL), VESTRY_OK);
    assert_int_equal(vestry_store_remove(w.store, world_scope("s"), other, VESTRY_CAUSE_REMOVED, NULL), VESTRY_OK);
  }
  world_end(&w);
}

/* capability: A15 */
static void full_scope_refuses_new_entries(void **state) {
  world_open(&w, *state, &(vestry_store_options){.max_per_scope_count = 2});
  assert_int_equal(put("s", VESTRY_KEY(1), VESTRY_KEEP_REPLACE), VESTRY_OK);
  assert_int_equal(put("s", VESTRY_KEY(2), VESTRY_KEEP_REPLACE), VESTRY_OK);
  assert_int_equal(put("s", VESTRY_KEY(3), VESTRY_KEEP_REPLACE), VESTRY_LIMIT);
  assert_int_equal(put("s", VESTRY_KEY(2), VESTRY_KEEP_MANY), VESTRY_LIMIT);
  assert_int_equal(put("t", VESTRY_KEY(3), VESTRY_KEEP_REPLACE), VESTRY_OK);
  assert_int_equal(put("s", VESTRY_KEY(2), VESTRY_KEEP_REPLACE), VESTRY_OK);
  const vestry_key *key = VESTRY_KEY(1);
  assert_int_equal(vestry_store_remove(w.store, world_scope("s"), key, VESTRY_CAUSE_REMOVED, NULL), VESTRY_OK);
  assert_int_equal(put("s", VESTRY_KEY(3), VESTRY_KEEP_REPLACE), VESTRY_OK);
  assert_int_equal(put("s", VESTRY_KEY(4), VESTRY_KEEP_REPLACE), VESTRY_LIMIT);
  world_end(&w);
}

/* capability: A1 */
static void hash_store_expires_nothing(void **state) {
  world_open(&w, *state, &(vestry_store_options){.idle_ms = 1, .lifetime_ms = 1});
  value *v = world_new(&w, VESTRY_KEY(1), NULL);
  test_host_advance_ms(w.th, 1000000);
  assert_int_equal(vsi_store_tick(w.store), UINT64_MAX);
  assert_ptr_equal(world_one(&w, VESTRY_KEY(1)), v);
  world_end(&w);
}

/* Several threads compete for the last places: exactly as many puts succeed as there are places. */
enum { THREADS = 6, ROUNDS = 60, BOUND = 10 };
static pthread_barrier_t barrier;
static _Atomic(size_t) accepted;

static void *fill_up(void *ctx) {
  value *v = ctx;
  for (size_t round = 0; round < ROUNDS; round++) {
    pthread_barrier_wait(&barrier);
    for (size_t i = 0; i < BOUND; i++) {
      vestry_err error = world_put(&w, "s", VESTRY_KEY(v->number, i), v, VESTRY_KEEP_REPLACE, 0, NULL);
      assert_true(error == VESTRY_OK || error == VESTRY_FULL);
      if (!error) atomic_fetch_add(&accepted, 1);
    }
    pthread_barrier_wait(&barrier);
    for (size_t i = 0; i < BOUND; i++) {
      const vestry_key *key = VESTRY_KEY(v->number, i);
      vestry_store_remove(w.store, world_scope("s"), key, VESTRY_CAUSE_REMOVED, NULL);
    }
  }
  return NULL;
}

static void concurrent_puts_never_exceed_the_limit(void **state) {
  world_open(&w, *state, &(vestry_store_options){.max_count = BOUND});
  atomic_store(&accepted, 0);
  pthread_barrier_init(&barrier, NULL, THREADS);
  pthread_t threads[THREADS];
  for (size_t i = 0; i < THREADS; i++) world_value(&w);
  for (size_t i = 0; i < THREADS; i++) assert_int_equal(pthread_create(&threads[i], NULL, fill_up, &w.values[i]), 0);
  for (size_t i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
  pthread_barrier_destroy(&barrier);
  assert_int_equal(atomic_load(&accepted), ROUNDS * BOUND);
  assert_int_equal(world_stats(&w).live_count, 0);
  world_end(&w);
}

/* A scope with one free place: one thread replaces an entry in it, another takes the last place. Neither blocks the
 * other. */
static void *replace_often(void *ctx) {
  value **pair = ctx;
  for (size_t i = 0; i < 4000; i++)
    assert_int_equal(world_put(&w, "s", VESTRY_KEY("replaced"), pair[i % 2], VESTRY_KEEP_REPLACE, 0, NULL), VESTRY_OK);
  return NULL;
}

static void replacing_takes_no_extra_place(void **state) {
  world_open(&w, *state, &(vestry_store_options){.max_count = 2, .max_per_scope_count = 2});
  value *pair[2] = {world_value(&w), world_value(&w)}, *v = world_value(&w);
  assert_int_equal(world_put(&w, "s", VESTRY_KEY("replaced"), pair[1], VESTRY_KEEP_REPLACE, 0, NULL), VESTRY_OK);
  pthread_t thread;
  assert_int_equal(pthread_create(&thread, NULL, replace_often, pair), 0);
  for (size_t i = 0; i < 4000; i++) {
    vestry_put_result result = {0};
    assert_int_equal(world_put(&w, "s", VESTRY_KEY("last", i % 5), v, VESTRY_KEEP_REJECT, 0, &result), VESTRY_OK);
    assert_true(vestry_store_remove_if(w.store, result.handle, VESTRY_CAUSE_REMOVED));
  }
  pthread_join(thread, NULL);
  world_end(&w);
}

#define TESTS(kind)                                                                                                    \
  WORLD_TEST(full_store_refuses_new_entries, kind), WORLD_TEST(each_removal_frees_a_place, kind),                      \
      WORLD_TEST(full_scope_refuses_new_entries, kind), WORLD_TEST(hash_store_expires_nothing, kind),                  \
      WORLD_TEST(concurrent_puts_never_exceed_the_limit, kind), WORLD_TEST(replacing_takes_no_extra_place, kind)

int main(void) {
  const struct CMUnitTest tests[] = {TESTS(world_hash), TESTS(world_naive_hash)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
