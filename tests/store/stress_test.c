/* SPDX-License-Identifier: MIT */
/* More threads than processors, callbacks that use the store, a clock that jumps and allocations that fail. Afterwards
 * each put has had one exit, and the invariants hold. */
#include <pthread.h>

#include "runtime/random.h"
#include "store/store.h"
#include "store/world.h"

enum { THREADS = 8, ROUNDS = 3, STEPS = 900, KEYS = 60, VALUES = 200, HANDLES = 64, LATE_STEPS = 3000 };

static world w;
static _Atomic(uint64_t) handles[HANDLES];
static uint64_t seed;
static bool memory_fails;
static pthread_barrier_t barrier;

static vestry_key key_of(size_t number, char text[64]) {
  if (number % 3 == 0) return vestry_key_integer((int64_t)number);
  snprintf(text, 64, number % 3 == 1 ? "key %06zu" : "a key that does not fit into a slot %zu", number);
  return vestry_key_string(text);
}

static void look(void *v, void *ctx) {
  size_t *depth = ctx;
  assert_true(atomic_load(&((value *)v)->refs) > 1);
  ++*depth;
}

static void nothing(const vestry_listed *listed, void *ctx) {
  assert_true(listed->values_count > 0 && listed->key_len > 0);
}

static void list_some(uint64_t r) {
  vestry_scope t = world_scope("t");
  for (vestry_list_cursor cursor = {0}; !cursor.done;)
    if (vestry_store_list(w.store, r & 1 ? &t : NULL, 1 + r % 40, &cursor, nothing, NULL)) return; /* no memory */
}

static void fail_soon(uint64_t r) {
  if (!memory_fails) return;
  atomic_store(&w.th->fail_after, r & 1);
  test_host_fail_in(w.th, r & 2 ? -1 : (long)(r >> 2) % 4);
}

static void one_step(uint64_t r) {
  char text[64];
  vestry_key key = key_of(r % KEYS, text);
  vestry_scope scope = world_scope(r >> 10 & 1 ? "t" : "");
  value *v = &w.values[(r >> 12) % VALUES];
  _Atomic(uint64_t) *handle = &handles[(r >> 24) % HANDLES];
  void *found[4];
  size_t count = 4, looks = 0;
  vestry_put_result result = {0};
  switch ((r >> 32) % 20) {
  case 0:
    if ((r >> 40) % 64 == 0)
      vestry_store_remove(w.store, scope, VESTRY_EVERY_KEY,
                          (r >> 46) % 2 ? VESTRY_CAUSE_DETACHED : VESTRY_CAUSE_REMOVED, NULL);
    else if ((r >> 40) % 2)
      vestry_store_remove_value(w.store, scope, &key, v, VESTRY_CAUSE_DETACHED);
    else
      vestry_store_remove(w.store, scope, &key, VESTRY_CAUSE_REMOVED, NULL);
    return;
  case 1:
  case 2: vestry_store_remove_if(w.store, atomic_load(handle), VESTRY_CAUSE_HANGUP); return;
  case 3: vsi_store_tick(w.store); return;
  case 4: test_host_advance_ms(w.th, (r >> 40) % 64 ? 1 : 5000); return;
  case 5: list_some(r >> 40); return;
  case 6: fail_soon(r >> 40); return;
  case 7:
    if ((r >> 40) % 8 == 0) world_stats(&w);
    return;
  case 8:
  case 9:
  case 10:
    if (vestry_store_get(w.store, scope, &key, found, &count)) return;
    for (size_t i = 0; i < count; i++) atomic_fetch_sub(&((value *)found[i])->refs, 1);
    return;
  case 11:
  case 12: vestry_store_with(w.store, scope, &key, look, &looks); return;
  default:
    if (world_put(&w, r >> 10 & 1 ? "t" : "", &key, v, (vestry_keep_policy)((r >> 40) % 4), 1 + (r >> 42) % 4, &result))
      return;
    atomic_store(handle, result.handle);
  }
}

static void meddle(world *at, const vestry_purged *purged) {
  static _Thread_local unsigned depth;
  if (depth == 3) return;
  depth++;
  uint64_t state = purged->handle + (uint64_t)purged->cause;
  one_step(random_next(&state));
  depth--;
}

static void *run(void *ctx) {
  uint64_t state = seed * 1000 + *(size_t *)ctx;
  for (size_t round = 0; round < ROUNDS; round++) {
    pthread_barrier_wait(&barrier);
    for (size_t i = 0; i < STEPS; i++) one_step(random_next(&state));
    pthread_barrier_wait(&barrier);
    pthread_barrier_wait(&barrier); /* the main thread has checked */
  }
  return NULL;
}

static void begin(const store_kind *kind, vestry_store_options options, uint64_t (*now_ns)(void *ctx)) {
  test_host_init(&w.own_host);
  if (now_ns) w.own_host.host.now_ns = now_ns;
  assert_int_equal(world_try_open(&w, &w.own_host, kind, &options), VESTRY_OK);
  for (size_t i = 0; i < VALUES; i++) world_value(&w);
  for (size_t i = 0; i < HANDLES; i++) atomic_store(&handles[i], 0);
  w.on_purge = meddle;
}

static void finish(void) {
  w.on_purge = NULL;
  vestry_store_stats stats = world_stats(&w);
  assert_int_equal(stats.put_count, stats.live_count + stats.removed_count);
  world_end(&w);
}

static void stress(const store_kind *kind, vestry_store_options options) {
  seed++;
  begin(kind, options, NULL);
  pthread_barrier_init(&barrier, NULL, THREADS + 1);
  pthread_t threads[THREADS];
  size_t numbers[THREADS];
  for (size_t i = 0; i < THREADS; i++) {
    numbers[i] = i;
    assert_int_equal(pthread_create(&threads[i], NULL, run, &numbers[i]), 0);
  }
  for (size_t round = 0; round < ROUNDS; round++) {
    pthread_barrier_wait(&barrier);
    pthread_barrier_wait(&barrier);
    test_host_fail_no_more(w.th);
    world_check(&w);
    pthread_barrier_wait(&barrier);
  }
  for (size_t i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
  pthread_barrier_destroy(&barrier);
  finish();
}

/* A thread can read the clock and then wait for the lock while others get it with a later time. A single thread with a
 * clock that is sometimes late behaves the same, and the test can check everything after each step. */
static uint64_t late_now_ns(void *ctx) {
  static uint64_t turn = 1;
  uint64_t now_ns = atomic_load(&((test_host *)ctx)->now_ns), r = random_next(&turn);
  return r % 3 ? now_ns : now_ns - (r >> 8) % (20 * UINT64_C(1000000));
}

static void invariants_hold_with_a_late_clock(void **state) {
  const store_kind *kind = *state;
  static const vestry_store_options all[] = {
      {.max_count = 30, .idle_ms = 40},
      {.max_count = 40, .max_per_scope_count = 15, .idle_ms = 40, .lifetime_ms = 90},
      {.max_count = 5000, .max_per_scope_count = 25, .idle_ms = 20},
      {.max_count = 5000, .lifetime_ms = 30, .idle_ms = VESTRY_NEVER_MS},
  };
  memory_fails = false;
  for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
    begin(kind, all[i], late_now_ns);
    for (uint64_t state_of = ++seed, step = 0; step < LATE_STEPS; step++) {
      one_step(random_next(&state_of));
      world_check(&w);
    }
    finish();
  }
}

static void invariants_hold_under_concurrent_load(void **state) {
  const store_kind *kind = *state;
  for (int fails = 0; fails < 2; fails++) {
    memory_fails = fails;
    stress(kind, (vestry_store_options){.max_count = 30});
    stress(kind, (vestry_store_options){.max_count = 40, .max_per_scope_count = 15, .idle_ms = 40, .lifetime_ms = 90});
    stress(kind, (vestry_store_options){.max_count = 5000, .max_per_scope_count = 25, .idle_ms = 20});
    stress(kind, (vestry_store_options){.max_count = 5000, .lifetime_ms = 30, .idle_ms = VESTRY_NEVER_MS});
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      WORLD_TEST(invariants_hold_under_concurrent_load, world_hash),
      WORLD_TEST(invariants_hold_under_concurrent_load, world_lru),
      WORLD_TEST(invariants_hold_with_a_late_clock, world_lru),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
