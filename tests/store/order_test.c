/* SPDX-License-Identifier: MIT */
/* The order of use, with random uses on an injected clock, beside a model that compares all entries: no entry is
 * evicted while another one was last used in an earlier tick, in any shard, and none expires early or late. */
#include "store/table.h"

#include "runtime/random.h"
#include "store/invariants.h"
#include "store/store.h"
#include "support/test.h"
#include "support/test_host.h"

enum { KEYS = 1500 };

typedef struct modelled {
  bool is_live;
  uint64_t tick, used_ns;
} modelled;

static test_host th;
static vestry_store *store;
static modelled model[KEYS];
static uint64_t idle_ns;
static const modelled *being_put;
static size_t evictions, expiries;

static void ignore(void *value) {
  (void)value;
}
static void ignore_close(void *value, vestry_cause cause) {
  (void)value;
  (void)cause;
}

static void check_victim(const vestry_purged *purged, void *ctx) {
  modelled *left = purged->value;
  assert_true(left->is_live);
  left->is_live = false;
  evictions += purged->cause == VESTRY_CAUSE_SIZE;
  expiries += purged->cause == VESTRY_CAUSE_IDLE;
  for (size_t i = 0; purged->cause == VESTRY_CAUSE_SIZE && i < KEYS; i++)
    if (model[i].is_live && &model[i] != being_put) assert_true(model[i].tick >= left->tick);
  if (purged->cause == VESTRY_CAUSE_IDLE) assert_true(th.now_ns - left->used_ns >= idle_ns);
}

static void use(modelled *used, uint64_t tick) {
  used->is_live = true;
  used->tick = tick;
  used->used_ns = th.now_ns;
}

/* kinds: of operations, of 16: puts, then lookups; then removals */
static void run(size_t max_count, uint64_t idle_ms, size_t keys, unsigned puts, unsigned steps, uint64_t *random) {
  static const vestry_value_ops ops = {.ref = ignore, .unref = ignore, .close = ignore_close};
  test_host_init(&th);
  idle_ns = idle_ms * 1000000;
  vestry_store_options options = {
      .host = &th.host, .value = &ops, .purge = check_victim, .max_count = max_count, .idle_ms = idle_ms};
  assert_int_equal(vestry_store_create("lru", &options, &store), VESTRY_OK);
  const vsi_clock *clock = &invariants_table(store)->clock;
  memset(model, 0, sizeof model);
  for (int step = 0; step < 20000; step++) {
    uint64_t bits = random_next(random);
    modelled *at = &model[random_below(random, keys)];
    const vestry_key *key = VESTRY_KEY("k", at - model);
    if (bits & 1) th.now_ns += random_below(random, clock->tick_ns * steps);
    if ((bits >> 1) % 4096 == 0) th.now_ns += random_below(random, idle_ns / 2);
    uint64_t tick = vsi_clock_ticks(clock, th.now_ns);
    unsigned what = bits >> 20 & 15;
    if (what < puts) {
      being_put = at;
      assert_int_equal(vestry_store_put(store, (vestry_scope){0}, key, at, VESTRY_KEEP_REPLACE, 0, NULL), VESTRY_OK);
      being_put = NULL;
      use(at, tick);
    } else if (what < 14) {
      void *found;
      size_t count = 1;
      bool was_live = at->is_live && vsi_clock_ticks(clock, th.now_ns) <= at->tick + clock->idle_ticks;
      assert_int_equal(!vestry_store_get(store, (vestry_scope){0}, key, &found, &count), was_live);
      if (was_live) use(at, tick);
    } else if (what == 14) {
      vestry_store_remove(store, (vestry_scope){0}, key, VESTRY_CAUSE_REMOVED, NULL);
    } else if ((bits >> 24) % 64 == 0) {
      uint64_t first_ns = UINT64_MAX, deadline_ns = vsi_store_tick(store);
      for (size_t i = 0; i < keys; i++)
        if (model[i].is_live && model[i].used_ns < first_ns) first_ns = model[i].used_ns;
      if (first_ns == UINT64_MAX) continue;
      assert_true(th.now_ns - first_ns <= idle_ns + 2 * clock->tick_ns); /* none is late */
      assert_in_range(deadline_ns, first_ns + idle_ns, first_ns + idle_ns + 2 * clock->tick_ns);
      invariants_check(store);
    }
  }
  vestry_store_destroy(store);
  test_host_assert_clean(&th);
}

TEST_CASE(order_is_exact_by_tick_in_all_shards) {
  static const size_t counts[] = {1, 50, 300, 1100};
  uint64_t random = 5;
  for (unsigned i = 0; i < 48; i++) {
    size_t max_count = counts[i % 4], keys = i % 3 == 0 ? KEYS : max_count * 2;
    run(max_count, i % 2 ? 4000 : 600000, keys < KEYS ? keys : KEYS, 2 + i % 5 * 2, 1 + i % 7, &random);
  }
  assert_true(evictions > 10000 && expiries > 1000);
}

/* Neither ticks that have wrapped, nor entries that are unused for longer than ticks can tell, confuse the order. */
TEST_CASE(order_survives_years) {
  static const vestry_value_ops ops = {.ref = ignore, .unref = ignore, .close = ignore_close};
  vestry_store_options options = {
      .host = &th.host, .value = &ops, .purge = check_victim, .max_count = 20, .idle_ms = VESTRY_NEVER_MS};
  uint64_t random = 9;
  idle_ns = UINT64_C(1) << 62;
  for (int filling = 3; filling < 500; filling += 7) { /* number of puts before the store gets full */
    test_host_init(&th);
    assert_int_equal(vestry_store_create("lru", &options, &store), VESTRY_OK);
    const vsi_clock *clock = &invariants_table(store)->clock;
    memset(model, 0, sizeof model);
    for (int step = 0; step < filling + 200; step++) {
      modelled *at = &model[step < 3 ? (size_t)step : 3 + random_below(&random, step < filling ? 12 : 37)];
      const vestry_key *key = VESTRY_KEY("k", at - model);
      th.now_ns += random_below(&random, clock->tick_ns * (VSI_TICK_MASK / 200));
      being_put = at;
      assert_int_equal(vestry_store_put(store, (vestry_scope){0}, key, at, VESTRY_KEEP_REPLACE, 0, NULL), VESTRY_OK);
      use(at, vsi_clock_ticks(clock, th.now_ns));
      invariants_check(store);
    }
    vestry_store_destroy(store);
    test_host_assert_clean(&th);
  }
}
