/* SPDX-License-Identifier: MIT */
/* The contract with a failing allocator (style rule 23) and with many threads. */
#include <pthread.h>
#include <sched.h>

#include "runtime/random.h"
#include "store/contract.h"
#include "store/store.h"

#define KEY VESTRY_KEY("counter", 1)

static world w;

/* ------------------------------------------------------------------------------------ a failing allocator (23) ---- */

static void count_listed(const vestry_listed *listed, void *ctx) {
  ++*(size_t *)ctx;
}

static const store_kind *failing_kind;
static bool failing_after;

static size_t count_there(size_t keys_count) {
  size_t there = 0;
  for (size_t i = 0; i < keys_count; i++) there += world_get(&w, i % 2 ? "s" : "t", VESTRY_KEY("k", i), NULL, 1);
  return there;
}

static vestry_err put_failing(value *v, const char *scope, const vestry_key *key, vestry_keep_policy policy) {
  vestry_store_stats before = world_stats(&w);
  vestry_err error = world_put(&w, scope, key, v, policy, 0, NULL);
  if (error) { /* unchanged */
    vestry_store_stats after = world_stats(&w);
    assert_int_equal(after.put_count, before.put_count);
    assert_int_equal(after.removed_count, before.removed_count);
    assert_int_equal(atomic_load(&v->refs), 1 + atomic_load(&v->stays) - atomic_load(&v->closes));
  }
  return error;
}

static vestry_err use_everything(void) {
  enum { KEYS = 40 };
  static char data[600];
  value *v = world_value(&w);
  for (size_t i = 0; i < KEYS; i++) {
    vestry_err error = put_failing(v, i % 2 ? "s" : "t", VESTRY_KEY("k", i), VESTRY_KEEP_REPLACE);
    if (error) {
      assert_int_equal(count_there(KEYS), i);
      return error;
    }
  }
  assert_int_equal(count_there(KEYS), KEYS);
  for (size_t i = 0; i < 10; i++) {
    vestry_err error = put_failing(world_value(&w), "s", KEY, VESTRY_KEEP_MANY);
    if (error) return error;
  }
  vestry_err error = put_failing(v, "s", KEY, VESTRY_KEEP_REPLACE);
  if (error) {
    assert_int_equal(world_get(&w, "s", KEY, NULL, 32), 8);
    return error;
  }
  vestry_key long_key = vestry_key_bytes(data, sizeof data);
  error = put_failing(v, "s", &long_key, VESTRY_KEEP_REPLACE);
  if (error) return error;
  void *found[1];
  size_t room = 1;
  error = vestry_store_get(w.store, world_scope("s"), &long_key, found, &room);
  if (error) {
    assert_int_equal(room, 0);
    return error;
  }
  atomic_fetch_sub(&v->refs, 1);
  error = vestry_store_remove(w.store, world_scope("s"), &long_key, VESTRY_CAUSE_REMOVED, NULL);
  if (error) return error;
  size_t listed = 0;
  for (vestry_list_cursor cursor = {0}; !cursor.done;) {
    vestry_scope t = world_scope("t");
    error = vestry_store_list(w.store, &t, 8, &cursor, count_listed, &listed);
    if (error) return error;
  }
  assert_int_equal(listed, KEYS / 2);
  for (size_t i = 0; i < KEYS; i++) { /* removing a short key needs no allocation */
    const vestry_key *key = VESTRY_KEY("k", i);
    assert_int_equal(vestry_store_remove(w.store, world_scope(i % 2 ? "s" : "t"), key, VESTRY_CAUSE_REMOVED, NULL),
                     VESTRY_OK);
  }
  return VESTRY_OK;
}

static vestry_err fail_somewhere(test_host *th, void *ctx) {
  atomic_store(&th->fail_after, failing_after);
  vestry_err error = world_try_open(&w, th, failing_kind, &(vestry_store_options){.max_per_scope_count = 1000});
  if (error) return error;
  error = use_everything();
  world_finish(&w);
  return error;
}

static void failed_allocation_changes_nothing(void **state) {
  failing_kind = *state;
  /* The index of a built-in store grows only if it can: a table that stays small is slower, but correct. */
  bool tolerate = failing_kind == &world_hash || failing_kind == &world_lru;
  failing_after = false;
  test_host_fail_each(fail_somewhere, NULL, tolerate);
  failing_after = true;
  test_host_fail_each(fail_somewhere, NULL, tolerate);
}

/* ------------------------------------------------------------------------------------------------ many threads ---- */

enum { THREADS = 8, STEPS = 3000, KEYS_OF_THREADS = 48, VALUES_OF_THREADS = 200 };
static _Atomic(uint64_t) handles_of_threads[64];

static void one_step(uint64_t r) {
  const vestry_key *key = VESTRY_KEY("k", r % KEYS_OF_THREADS);
  const char *scope = r >> 10 & 1 ? "s" : "t";
  value *v = &w.values[(r >> 12) % VALUES_OF_THREADS];
  _Atomic(uint64_t) *handle = &handles_of_threads[(r >> 24) % 64];
  vestry_put_result result = {0};
  switch ((r >> 32) % 16) {
  case 0: vestry_store_remove(w.store, world_scope(scope), key, VESTRY_CAUSE_REMOVED, NULL); return;
  case 1:
  case 2: vestry_store_remove_if(w.store, atomic_load(handle), VESTRY_CAUSE_HANGUP); return;
  case 3: vsi_store_tick(w.store); return;
  case 4: test_host_advance_ms(w.th, 1); return;
  case 5: world_listed(&w, NULL); return;
  case 6:
  case 7:
  case 8:
  case 9: world_get(&w, scope, key, NULL, 4); return;
  default:
    if (!world_put(&w, scope, key, v, (vestry_keep_policy)((r >> 40) % 4), 3, &result))
      atomic_store(handle, result.handle);
  }
}

static void meddle_at_times(world *at, const vestry_purged *purged) {
  static _Thread_local unsigned depth;
  if (depth == 2) return;
  depth++;
  uint64_t seed = purged->handle + (uint64_t)purged->cause;
  one_step(random_next(&seed));
  depth--;
}

static void *run_steps(void *seed) {
  uint64_t state = *(uint64_t *)seed;
  for (size_t i = 0; i < STEPS; i++) one_step(random_next(&state));
  return NULL;
}

/* capability: A10 */
static void threads_remove_each_entry_exactly_once(void **state) {
  world_open(&w, *state,
             &(vestry_store_options){.max_count = 60, .max_per_scope_count = 40, .idle_ms = 40, .lifetime_ms = 150});
  for (size_t i = 0; i < VALUES_OF_THREADS; i++) world_value(&w);
  for (size_t i = 0; i < 64; i++) atomic_store(&handles_of_threads[i], 0);
  w.on_purge = meddle_at_times;
  pthread_t threads[THREADS];
  uint64_t seeds[THREADS];
  for (size_t i = 0; i < THREADS; i++) {
    seeds[i] = 1000 + i;
    assert_int_equal(pthread_create(&threads[i], NULL, run_steps, &seeds[i]), 0);
  }
  for (size_t i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
  vestry_store_stats stats = world_stats(&w);
  assert_int_equal(stats.put_count, stats.live_count + stats.removed_count);
  assert_true(stats.live_count <= 60);
  size_t held = 0;
  for (size_t i = 0; i < w.values_count; i++)
    held += (size_t)(atomic_load(&w.values[i].stays) - atomic_load(&w.values[i].closes));
  assert_int_equal(stats.live_count, held); /* live by the values' own count */
  assert_in_range(world_listed(&w, NULL), 0, held);
  w.on_purge = NULL;
  world_end(&w); /* each value: as many purges and closes as puts, and all references released */
}

/* A13: the protocol in the comment of vestry_store_put, with the end of a value and its put racing. */
static _Atomic(size_t) putting, ending; /* the value that each thread has reached */

static void meet(_Atomic(size_t) *mine, _Atomic(size_t) *other, size_t at) {
  atomic_store(mine, at);
  while (atomic_load(other) < at) sched_yield();
}

static void *end_values(void *ctx) {
  for (size_t i = 0; i < w.values_count; i++) {
    value *v = &w.values[i];
    meet(&ending, &putting, i + 1);
    atomic_store(&v->ended, true);
    vestry_store_remove_if(w.store, atomic_load(&v->handle), VESTRY_CAUSE_HANGUP);
  }
  return NULL;
}

/* capability: A6, A13 */
static void ended_value_does_not_stay_stored(void **state) {
  world_open(&w, *state, NULL);
  for (size_t i = 0; i < 1000; i++) world_value(&w);
  atomic_store(&putting, 0);
  atomic_store(&ending, 0);
  pthread_t thread;
  assert_int_equal(pthread_create(&thread, NULL, end_values, NULL), 0);
  for (size_t i = 0; i < w.values_count; i++) {
    value *v = &w.values[i];
    meet(&putting, &ending, i + 1);
    vestry_put_result result = {0};
    assert_int_equal(world_put(&w, "s", VESTRY_KEY("k", i), v, VESTRY_KEEP_REPLACE, 0, &result), VESTRY_OK);
    atomic_store(&v->handle, result.handle);
    if (atomic_load(&v->ended)) vestry_store_remove_if(w.store, result.handle, VESTRY_CAUSE_HANGUP);
  }
  pthread_join(thread, NULL);
  assert_int_equal(world_stats(&w).live_count, 0);
  assert_int_equal(world_stats(&w).removed_by_cause[VESTRY_CAUSE_HANGUP], w.values_count);
  world_end(&w);
}

#define TEST(function) cmocka_unit_test_prestate(function, (void *)kind)

int store_contract_run_faults(const store_kind *kind) {
  const struct CMUnitTest tests[] = {
      TEST(failed_allocation_changes_nothing),
      TEST(threads_remove_each_entry_exactly_once),
      TEST(ended_value_does_not_stay_stored),
  };
  return cmocka_run_group_tests_name(kind->type, tests, NULL, NULL);
}
