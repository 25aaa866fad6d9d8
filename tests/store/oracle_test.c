/* SPDX-License-Identifier: MIT */
/* An oracle over traces: it records the last use of each key, and judges each eviction. No key may be evicted if it was
 * used in the last tenth of the residence time (since the last use of the oldest) while an older one is stored. No key
 * may be evicted at all if its last use was more than a tick after the oldest's. */
#include <stdlib.h>

#include "runtime/random.h"
#include "store/world.h"

enum { KEYS = 20480 };
#define TICK_NS UINT64_C(150000000) /* of a store without expiry */

static world w;
static uint64_t used_ns[KEYS]; /* 0: not stored */
static uint64_t evictions, wrong_tenth, wrong_tick;

static uint64_t now_ns(void) {
  return atomic_load(&w.th->now_ns);
}

static void judge(world *at, const vestry_purged *purged) {
  char text[32];
  if (purged->cause != VESTRY_CAUSE_SIZE) return;
  assert_int_equal(vestry_key_format(purged->key, purged->key_len, text, sizeof text, NULL), VESTRY_OK);
  size_t victim = strtoul(text, NULL, 10);
  assert_true(victim < KEYS && used_ns[victim]);
  uint64_t oldest_ns = UINT64_MAX;
  for (size_t i = 0; i < KEYS; i++)
    if (used_ns[i] && used_ns[i] < oldest_ns) oldest_ns = used_ns[i];
  evictions++;
  wrong_tenth += used_ns[victim] > oldest_ns && now_ns() - used_ns[victim] < (now_ns() - oldest_ns) / 10;
  wrong_tick += used_ns[victim] - oldest_ns >= TICK_NS;
  used_ns[victim] = 0;
}

static void use_key(size_t key) {
  value *v = &w.values[0];
  if (world_get(&w, "s", (const vestry_key[]){vestry_key_integer((int64_t)key)}, NULL, 1) == 0) {
    assert_int_equal(used_ns[key], 0);
    assert_int_equal(
        world_put(&w, "s", (const vestry_key[]){vestry_key_integer((int64_t)key)}, v, VESTRY_KEEP_REPLACE, 0, NULL),
        VESTRY_OK);
  } else {
    assert_true(used_ns[key] != 0);
  }
  used_ns[key] = now_ns();
}

static void open_full(size_t capacity) {
  world_open(&w, &world_lru, &(vestry_store_options){.max_count = capacity, .idle_ms = VESTRY_NEVER_MS});
  world_value(&w);
  w.on_purge = judge;
  memset(used_ns, 0, sizeof used_ns);
  evictions = wrong_tenth = wrong_tick = 0;
}

static void end_judged(uint64_t evictions_least) {
  print_message("%llu evictions\n", (unsigned long long)evictions);
  assert_true(evictions >= evictions_least);
  assert_int_equal(wrong_tenth, 0);
  assert_int_equal(wrong_tick, 0);
  w.on_purge = NULL;
  world_end(&w);
}

/* Zipf 0.99 over ten times the capacity, from the sums of 1 / rank^0.99. rank^0.01 is nearly 1 + 0.01 ln rank, and ln
 * rank is the sum of 1 / i up to rank minus Euler's constant. */
static double sums[KEYS];

static void make_sums(size_t count) {
  double harmonic = 0, sum = 0;
  for (size_t i = 0; i < count; i++) {
    double rank = (double)(i + 1);
    harmonic += 1 / rank;
    sum += (1 + 0.01 * (harmonic - 0.5772)) / rank;
    sums[i] = sum;
  }
}

static size_t zipf(uint64_t *random, size_t count) {
  double wanted = (double)(random_next(random) >> 11) / 9007199254740992.0 * sums[count - 1];
  size_t low = 0, high = count - 1;
  while (low < high) {
    size_t middle = (low + high) / 2;
    if (sums[middle] < wanted)
      low = middle + 1;
    else
      high = middle;
  }
  return low * 7919 % count; /* ranks are spread over the keys */
}

static void zipf_trace(size_t capacity, size_t steps, uint64_t step_ns) {
  size_t count = 10 * capacity;
  assert_true(count <= KEYS);
  make_sums(count);
  open_full(capacity);
  uint64_t random = 1;
  for (size_t i = 0; i < steps; i++) {
    use_key(zipf(&random, count));
    atomic_fetch_add(&w.th->now_ns, random_below(&random, 2 * step_ns));
  }
  end_judged(steps / 20);
}

static void zipf_trace_in_one_shard_evicts_old_keys(void **state) {
  zipf_trace(300, 12000, TICK_NS / 3);
}

static void zipf_trace_in_several_shards_evicts_old_keys(void **state) {
  zipf_trace(2048, 12000, TICK_NS / 40);
}

/* A repeated scan that is longer than the store runs beside a few keys that are used all the time: these keys stay. */
static void scan_evicts_no_key_in_use(void **state) {
  enum { CAPACITY = 1024, HOT = 100 };
  open_full(CAPACITY);
  for (size_t i = 0; i < 9000; i++) {
    use_key(HOT + i % (3 * CAPACITY));
    use_key(i * 31 % HOT);
    atomic_fetch_add(&w.th->now_ns, TICK_NS / 20);
    if (i > HOT)
      for (size_t k = 0; k < HOT; k += 10) assert_true(used_ns[k] != 0);
  }
  end_judged(5000);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(zipf_trace_in_one_shard_evicts_old_keys),
      cmocka_unit_test(zipf_trace_in_several_shards_evicts_old_keys),
      cmocka_unit_test(scan_evicts_no_key_in_use),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
