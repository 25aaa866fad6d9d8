/* SPDX-License-Identifier: MIT */
/* Properties of the built-in stores that need several shards, several threads, or access to their internals. */
#include "store/table.h"

#include <pthread.h>
#include <sched.h>
#include <stdlib.h>

#include "runtime/random.h"
#include "store/invariants.h"
#include "store/world.h"

#define KEY VESTRY_KEY("counter", 1)

static world w;

static vsi_table *table(void) {
  assert_non_null(invariants_table(w.store));
  return invariants_table(w.store);
}

/* ------------------------------------------------------------------------------------------------- references ---- */

/* The store drops its reference at once when a value leaves, even after a lookup. */
static void leaving_value_is_released_at_once(void **state) {
  world_open(&w, *state, NULL);
  vestry_handle handle;
  value *v = world_new(&w, KEY, &handle);
  assert_ptr_equal(world_one(&w, KEY), v);
  assert_true(vestry_store_remove_if(w.store, handle, VESTRY_CAUSE_HANGUP));
  assert_int_equal(atomic_load(&v->refs), 1);
  v = world_new(&w, KEY, NULL);
  world_new(&w, KEY, NULL);
  assert_int_equal(atomic_load(&v->refs), 1);
  world_end(&w);
}

static void look_at(void *v, void *ctx) {
  value ***at = ctx;
  *(*at)++ = v;
}

static void with_visits_all_values_newest_first(void **state) {
  world_open(&w, *state, NULL);
  value *v[3], *seen[3], **at = seen;
  for (size_t i = 0; i < 3; i++) {
    v[i] = world_value(&w);
    assert_int_equal(world_put(&w, "s", KEY, v[i], VESTRY_KEEP_MANY, 0, NULL), VESTRY_OK);
  }
  const vestry_key *key = KEY, *other = VESTRY_KEY("counter", 2);
  assert_int_equal(vestry_store_with(w.store, world_scope("s"), key, look_at, &at), VESTRY_OK);
  assert_ptr_equal(at, seen + 3);
  for (size_t i = 0; i < 3; i++) assert_ptr_equal(seen[i], v[2 - i]);
  assert_int_equal(vestry_store_with(w.store, world_scope("s"), other, look_at, &at), VESTRY_NOT_FOUND);
  assert_int_equal(vestry_store_with(w.store, world_scope("s"), key, NULL, NULL), VESTRY_INVALID);
  assert_int_equal(world_stats(&w).hits_count, 1);
  assert_int_equal(world_stats(&w).misses_count, 1);
  world_end(&w);
}

static void remove_if_accepts_any_number_as_handle(void **state) {
  world_open(&w, *state, NULL);
  enum { COUNT = 300 };
  vestry_handle handles[COUNT];
  for (size_t i = 0; i < COUNT; i++) world_new(&w, VESTRY_KEY(i), &handles[i]);
  uint64_t random = 3;
  for (size_t i = 0; i < 20000; i++) {
    vestry_handle handle = random_next(&random) >> random_below(&random, 64);
    if (i % 2) handle = handles[i % COUNT] ^ (UINT64_C(1) << random_below(&random, 64));
    bool known = false;
    for (size_t k = 0; k < COUNT; k++) known |= handles[k] == handle;
    if (!known) assert_false(vestry_store_remove_if(w.store, handle, VESTRY_CAUSE_HANGUP));
  }
  assert_int_equal(world_left(&w), 0);
  world_end(&w);
}

/* -------------------------------------------------------------------------------------------- scopes and hooks ---- */

/* A put owns the scope's last place while it looks for a victim. A hook that needs this place must not wait for the
 * put. */
static void put_into_the_same_scope(world *at, const vestry_purged *purged) {
  if (purged->cause != VESTRY_CAUSE_SIZE || at->ctx) return;
  at->ctx = at; /* once */
  assert_int_equal(world_put(at, "narrow", VESTRY_KEY("hook"), &at->values[1], VESTRY_KEEP_REPLACE, 0, NULL),
                   VESTRY_OK);
}

static void hook_may_put_into_the_full_scope_of_its_caller(void **state) {
  enum { COUNT = 4096 }; /* several shards: the victim is in another one */
  world_open(&w, *state, &(vestry_store_options){.max_count = COUNT, .max_per_scope_count = 1});
  assert_true(table()->shards_count > 1);
  for (size_t i = 0; i < 3; i++) world_value(&w);
  char scope[16];
  for (size_t i = 0; i < COUNT; i++) {
    snprintf(scope, sizeof scope, "%zu", i);
    assert_int_equal(world_put(&w, scope, VESTRY_KEY(i), &w.values[0], VESTRY_KEEP_REPLACE, 0, NULL), VESTRY_OK);
    if (i % 64 == 0) test_host_advance_ms(w.th, 200); /* so that the oldest entry is often in another shard */
  }
  w.on_purge = put_into_the_same_scope;
  for (size_t i = 0; i < 20; i++) {
    w.ctx = NULL;
    assert_int_equal(world_put(&w, "narrow", VESTRY_KEY(i), &w.values[2], VESTRY_KEEP_REPLACE, 0, NULL), VESTRY_OK);
    const vestry_key *key = VESTRY_KEY(i);
    vestry_store_remove(w.store, world_scope("narrow"), key, VESTRY_CAUSE_REMOVED, NULL);
    key = VESTRY_KEY("hook");
    vestry_store_remove(w.store, world_scope("narrow"), key, VESTRY_CAUSE_REMOVED, NULL);
    snprintf(scope, sizeof scope, "%zu", COUNT + i);
    assert_int_equal(world_put(&w, scope, VESTRY_KEY(i), &w.values[0], VESTRY_KEEP_REPLACE, 0, NULL), VESTRY_OK);
    assert_in_range(world_stats(&w).live_count, COUNT - 3, COUNT);
  }
  w.on_purge = NULL;
  world_end(&w);
}

/* ---------------------------------------------------------------------------------------------------- threads ---- */

enum { THREADS = 6 };
static _Atomic(bool) stop;
static pthread_barrier_t barrier;

static void run_threads(size_t count, void *(*run)(void *ctx)) {
  pthread_t threads[256];
  size_t numbers[256];
  assert_true(count <= 256);
  pthread_barrier_init(&barrier, NULL, (unsigned)count);
  for (size_t i = 0; i < count; i++) {
    numbers[i] = i;
    assert_int_equal(pthread_create(&threads[i], NULL, run, &numbers[i]), 0);
  }
  for (size_t i = 0; i < count; i++) {
    void *failed;
    pthread_join(threads[i], &failed);
    assert_null(failed);
  }
  pthread_barrier_destroy(&barrier);
}

/* A full store stays full, and never holds one entry more, whichever threads put. */
enum { BOUND = 2048, PUTS = 2500 };

static void *put_new_keys(void *ctx) {
  size_t number = *(size_t *)ctx;
  for (size_t i = 0; i < PUTS; i++) {
    world_put(&w, "s", VESTRY_KEY(number, i), &w.values[number], VESTRY_KEEP_REPLACE, 0, NULL);
    if (i % 256 == 0) test_host_advance_ms(w.th, 100);
  }
  return NULL;
}

static void *put_and_watch(void *ctx) {
  if (*(size_t *)ctx > 0) return put_new_keys(ctx);
  size_t wrong = 0;
  for (size_t i = 0; i < 20000; i++) wrong += atomic_load(&table()->count) != BOUND;
  return wrong ? ctx : NULL;
}

/* capability: A5 */
static void concurrent_puts_keep_the_store_exactly_full(void **state) {
  world_open(&w, *state, &(vestry_store_options){.max_count = BOUND});
  assert_true(table()->shards_count > 1);
  for (size_t i = 0; i <= THREADS; i++) world_value(&w);
  for (size_t i = 0; i < BOUND; i++) {
    assert_int_equal(world_put(&w, "s", VESTRY_KEY("first", i), &w.values[0], VESTRY_KEEP_REPLACE, 0, NULL), VESTRY_OK);
    assert_int_equal(world_left(&w), 0); /* no entry leaves while there is room */
  }
  run_threads(THREADS, put_and_watch);
  assert_int_equal(world_stats(&w).live_count, BOUND);
  assert_int_equal(world_stats(&w).removed_by_cause[VESTRY_CAUSE_SIZE], (THREADS - 1) * PUTS);
  world_end(&w);
}

/* If the oldest entries of several shards are of one tick, the put's own shard provides the victim, so one lock
 * suffices. */
static uint32_t shard_of(const vestry_key *key) {
  vsi_scoped_key scoped;
  assert_int_equal(vsi_scoped_key_init(&scoped, &w.store->exit.hash, &w.th->host, world_scope("s"), key), VESTRY_OK);
  vsi_scoped_key_finish(&scoped);
  return vsi_table_shard(table(), scoped.key->hash)->number;
}

static void equally_old_victims_come_from_the_own_shard(void **state) {
  for (uint64_t later = 0; later < 8; later++) {
    world_open(&w, *state, &(vestry_store_options){.max_count = BOUND});
    test_host_advance_ms(w.th, later * 1000);
    world_value(&w);
    for (size_t i = 0; i < BOUND; i++)
      assert_int_equal(world_put(&w, "s", VESTRY_KEY(i), &w.values[0], VESTRY_KEEP_REPLACE, 0, NULL), VESTRY_OK);
    for (size_t i = BOUND; i < BOUND + 50; i++) {
      world_left(&w);
      assert_int_equal(world_put(&w, "s", VESTRY_KEY(i), &w.values[0], VESTRY_KEEP_REPLACE, 0, NULL), VESTRY_OK);
      size_t victim = strtoul(w.exits[0].key + 1, NULL, 10); /* [number] */
      assert_int_equal(shard_of(VESTRY_KEY(victim)), shard_of(VESTRY_KEY(i)));
    }
    world_end(&w);
  }
}

/* A lookup never misses a key whose value is replaced repeatedly. */
static void look(void *v, void *ctx) {
  ++*(size_t *)ctx;
}

static void *look_for_the_key(void *ctx) {
  size_t missed = 0, number = *(size_t *)ctx;
  pthread_barrier_wait(&barrier);
  if (number == 0) {
    for (size_t i = 0; i < 6000; i++) {
      vestry_keep_policy policy = i % 5 == 0 ? VESTRY_KEEP_MANY : VESTRY_KEEP_REPLACE;
      world_put(&w, "s", KEY, &w.values[i % 7], policy, 3, NULL);
      test_host_advance_ms(w.th, 12); /* the previous entry in its slot was born longer ago than a lifetime */
      if (i % 97 == 0) vsi_store_tick(w.store);
    }
    atomic_store(&stop, true);
    return NULL;
  }
  const vestry_key *key = KEY;
  while (!atomic_load(&stop)) {
    size_t seen = 0;
    missed += world_get(&w, "s", KEY, NULL, 4) == 0;
    missed += vestry_store_with(w.store, world_scope("s"), key, look, &seen) != VESTRY_OK;
    missed += seen == 0;
  }
  return missed ? ctx : NULL;
}

static void key_under_replacement_is_always_found(void **state) {
  world_open(&w, *state, &(vestry_store_options){.lifetime_ms = 20, .max_count = 100});
  for (size_t i = 0; i < 7; i++) world_value(&w);
  assert_int_equal(world_put(&w, "s", KEY, &w.values[6], VESTRY_KEEP_REPLACE, 0, NULL), VESTRY_OK);
  atomic_store(&stop, false);
  run_threads(4, look_for_the_key);
  world_end(&w);
}

static _Atomic(size_t) refused;

static void *put_until_closed(void *ctx) {
  size_t number = *(size_t *)ctx;
  pthread_barrier_wait(&barrier);
  for (size_t i = 0;; i++) {
    if (number == 0 && i == 300) vsi_store_close(w.store);
    vestry_err error = world_put(&w, "s", VESTRY_KEY(number, i % 900), &w.values[number], VESTRY_KEEP_REPLACE, 0, NULL);
    if (error != VESTRY_CLOSED) continue;
    atomic_fetch_add(&refused, 1);
    return NULL;
  }
}

static void store_may_be_closed_during_puts(void **state) {
  for (size_t round = 0; round < 8; round++) {
    world_open(&w, *state, &(vestry_store_options){.max_count = round % 2 ? 2048 : 0});
    for (size_t i = 0; i < THREADS; i++) world_value(&w);
    atomic_store(&refused, 0);
    run_threads(THREADS, put_until_closed);
    assert_int_equal(atomic_load(&refused), THREADS);
    assert_int_equal(world_stats(&w).live_count, 0);
    world_end(&w);
  }
}

/* Far more threads than processors, with hooks that use the store. */
enum { MANY_THREADS = 150, MANY_STEPS = 12 };

static void note_it(void *v, void *ctx) {
  assert_true(atomic_load(&((value *)v)->refs) > 1);
}

static void put_in_a_hook(world *at, const vestry_purged *purged) {
  static _Thread_local unsigned depth;
  if (depth == 2) return;
  depth++;
  world_put(at, "s", VESTRY_KEY(purged->handle % 8), &at->values[purged->handle % 50], VESTRY_KEEP_MANY, 2, NULL);
  const vestry_key *key = VESTRY_KEY("own", purged->handle % MANY_THREADS);
  vestry_store_remove(at->store, world_scope("s"), key, VESTRY_CAUSE_REMOVED, NULL);
  depth--;
}

static void *use_concurrently(void *ctx) {
  size_t number = *(size_t *)ctx;
  pthread_barrier_wait(&barrier);
  for (size_t i = 0; i < MANY_STEPS; i++) {
    const vestry_key *key = VESTRY_KEY((number + i) % 8);
    vestry_store_with(w.store, world_scope("s"), key, note_it, ctx);
    world_put(&w, "s", VESTRY_KEY("own", number), &w.values[number % 50], VESTRY_KEEP_REPLACE, 0, NULL);
    sched_yield(); /* so that many threads are here at once */
    if (i % 4 == 0) vestry_store_remove(w.store, world_scope("s"), key, VESTRY_CAUSE_REMOVED, NULL);
    world_put(&w, "s", key, &w.values[number % 50], VESTRY_KEEP_REUSE, 0, NULL);
    if (i == 6) vsi_store_tick(w.store);
  }
  return NULL;
}

static void many_threads_make_progress(void **state) {
  world_open(&w, *state, &(vestry_store_options){.max_count = 40});
  for (size_t i = 0; i < 50; i++) world_value(&w);
  for (size_t i = 0; i < 8; i++)
    assert_int_equal(world_put(&w, "s", VESTRY_KEY(i), &w.values[i], VESTRY_KEEP_REPLACE, 0, NULL), VESTRY_OK);
  w.on_purge = put_in_a_hook;
  run_threads(MANY_THREADS, use_concurrently);
  w.on_purge = NULL;
  world_end(&w);
}

/* A store of several shards frees the memory of its index when it becomes empty. */
static void emptied_store_frees_its_index(void **state) {
  world_open(&w, *state, &(vestry_store_options){.max_count = 100000});
  value *v = world_value(&w);
  long before = atomic_load(&w.th->live);
  for (size_t i = 0; i < 20000; i++)
    assert_int_equal(world_put(&w, "s", VESTRY_KEY(i), v, VESTRY_KEEP_REPLACE, 0, NULL), VESTRY_OK);
  uint32_t full = vsi_index_count(table()->shards[0].in);
  for (size_t i = 0; i < 20000; i++) {
    const vestry_key *key = VESTRY_KEY(i);
    assert_int_equal(vestry_store_remove(w.store, world_scope("s"), key, VESTRY_CAUSE_REMOVED, NULL), VESTRY_OK);
  }
  assert_int_equal(atomic_load(&w.th->live), before);
  assert_true(full >= 30);
  for (uint32_t i = 0; i < table()->shards_count; i++) assert_int_equal(vsi_index_count(table()->shards[i].in), 1);
  world_end(&w);
}

/* A full store in use allocates nothing: a new entry takes the victim's place. */
static void a_full_store_allocates_nothing(void **state) {
  world_open(&w, *state, &(vestry_store_options){.max_count = 1000});
  value *v = world_value(&w);
  for (size_t i = 0; i < 1000; i++)
    assert_int_equal(world_put(&w, "s", VESTRY_KEY("k", 100 + i), v, VESTRY_KEEP_REPLACE, 0, NULL), VESTRY_OK);
  long before = 0;
  for (size_t i = 1000; i < 6000; i++) {
    if (i == 3000) before = atomic_load(&w.th->allocations); /* the index has its maximum size */
    assert_int_equal(world_put(&w, "s", VESTRY_KEY("k", 100 + i), v, VESTRY_KEEP_REPLACE, 0, NULL), VESTRY_OK);
    size_t at = (atomic_load(&w.exits_count) - 1) % 256;
    if (i < 1250) assert_int_equal(w.exits[at].cause, VESTRY_CAUSE_SIZE);
  }
  assert_int_equal(atomic_load(&w.th->allocations), before);
  assert_int_equal(world_stats(&w).live_count, 1000);
  size_t larger = 0; /* shards with more groups than a full store needs */
  for (uint32_t i = 0; i < table()->shards_count; i++)
    larger += vsi_index_count(table()->shards[i].in) > table()->groups_expected;
  assert_in_range(larger, 0, 1);
  world_end(&w);
}

#define BOTH(function) WORLD_TEST(function, world_hash), WORLD_TEST(function, world_lru)

int main(void) {
  const struct CMUnitTest tests[] = {
      BOTH(leaving_value_is_released_at_once),
      BOTH(with_visits_all_values_newest_first),
      BOTH(remove_if_accepts_any_number_as_handle),
      WORLD_TEST(hook_may_put_into_the_full_scope_of_its_caller, world_lru),
      WORLD_TEST(concurrent_puts_keep_the_store_exactly_full, world_lru),
      WORLD_TEST(equally_old_victims_come_from_the_own_shard, world_lru),
      BOTH(key_under_replacement_is_always_found),
      BOTH(store_may_be_closed_during_puts),
      WORLD_TEST(many_threads_make_progress, world_lru),
      BOTH(emptied_store_frees_its_index),
      WORLD_TEST(a_full_store_allocates_nothing, world_lru),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
