/* SPDX-License-Identifier: MIT */
/* The LRU store beyond the contract: which entries it evicts, and which stay. (Times: expiry_test.c.) Uses that are a
 * tick apart have a defined order. */
#include "store/store.h"
#include "store/world.h"

static world w;

enum { TICK_MS = 150 };

static void advance_ms(uint64_t ms) {
  test_host_advance_ms(w.th, ms);
}

/* ---------------------------------------------------------------------------------------------- the bound (A5) ---- */

/* capability: A5 */
static void full_store_evicts_the_least_recently_used(void **state) {
  world_open(&w, *state, &(vestry_store_options){.max_count = 3});
  value *v[4];
  for (size_t i = 0; i < 3; i++) v[i] = world_new(&w, VESTRY_KEY(i), NULL);
  advance_ms(TICK_MS);
  world_one(&w, VESTRY_KEY(0));
  advance_ms(TICK_MS);
  assert_int_equal(world_put(&w, "s", VESTRY_KEY(1), v[1], VESTRY_KEEP_REUSE, 0, NULL), VESTRY_OK); /* refreshed */
  vestry_put_result result = {0};
  v[3] = world_value(&w);
  assert_int_equal(world_put(&w, "s", VESTRY_KEY(3), v[3], VESTRY_KEEP_REPLACE, 0, &result), VESTRY_OK);
  assert_int_equal(result.displaced_count, 1);
  world_assert_left(&w, v[2], VESTRY_CAUSE_SIZE);
  assert_int_equal(atomic_load(&v[2]->closes), 1);
  world_new(&w, VESTRY_KEY(4), NULL);
  world_assert_left(&w, v[0], VESTRY_CAUSE_SIZE);
  advance_ms(TICK_MS);
  world_one(&w, VESTRY_KEY(3));
  world_one(&w, VESTRY_KEY(4));
  world_new(&w, VESTRY_KEY(5), NULL);
  world_assert_left(&w, v[1], VESTRY_CAUSE_SIZE);
  assert_ptr_equal(world_one(&w, VESTRY_KEY(3)), v[3]);
  assert_int_equal(world_stats(&w).live_count, 3);
  world_end(&w);
}

/* Uses of any kind that are a tick apart have a defined order; uses within one tick may not have one. */
static void look_at(void *v, void *ctx) {
  *(value **)ctx = v;
}

static void each_kind_of_use_delays_eviction(void **state) {
  enum { COUNT = 60 };
  world_open(&w, *state, &(vestry_store_options){.max_count = COUNT});
  for (size_t i = 0; i < COUNT; i++) world_new(&w, VESTRY_KEY(i), NULL);
  for (size_t k = 0; k < COUNT; k++) {
    size_t i = k * 37 % COUNT; /* in another order than that of the puts */
    advance_ms(TICK_MS);
    const vestry_key *key = VESTRY_KEY(i);
    value *seen = NULL;
    switch (k % 3) {
    case 0: assert_ptr_equal(world_one(&w, key), &w.values[i]); break;
    case 1:
      assert_int_equal(vestry_store_with(w.store, world_scope("s"), key, look_at, &seen), VESTRY_OK);
      assert_ptr_equal(seen, &w.values[i]);
      break;
    default: assert_int_equal(world_put(&w, "s", key, &w.values[i], VESTRY_KEEP_REPLACE, 0, NULL), VESTRY_OK);
    }
  }
  for (size_t k = 0; k < COUNT; k++) {
    world_new(&w, VESTRY_KEY("new", k), NULL);
    world_assert_left(&w, &w.values[k * 37 % COUNT], VESTRY_CAUSE_SIZE);
    advance_ms(TICK_MS);
  }
  world_end(&w);
}

static void replacing_in_a_full_store_evicts_none(void **state) {
  world_open(&w, *state, &(vestry_store_options){.max_count = 2});
  world_new(&w, VESTRY_KEY(1), NULL);
  value *replaced = world_new(&w, VESTRY_KEY(2), NULL);
  world_new(&w, VESTRY_KEY(2), NULL);
  world_assert_left(&w, replaced, VESTRY_CAUSE_REPLACED);
  assert_int_equal(world_stats(&w).live_count, 2);
  world_end(&w);
}

/* capability: A5 */
static void new_entry_is_never_evicted_by_its_own_put(void **state) {
  world_open(&w, *state, &(vestry_store_options){.max_count = 1, .max_per_scope_count = 1});
  value *before = NULL;
  for (size_t i = 0; i < 20; i++) {
    vestry_put_result result = {0};
    value *v = world_value(&w);
    vestry_keep_policy policy = (vestry_keep_policy)(i % 4);
    assert_int_equal(world_put(&w, i % 3 ? "s" : "t", VESTRY_KEY(i), v, policy, 0, &result), VESTRY_OK);
    if (before) world_assert_left(&w, before, VESTRY_CAUSE_SIZE);
    value *found;
    assert_int_equal(world_get(&w, i % 3 ? "s" : "t", VESTRY_KEY(i), &found, 1), 1);
    assert_ptr_equal(found, v);
    before = v;
  }
  world_end(&w);
}

static void one_eviction_in_16_records_the_unused_time(void **state) {
  enum { PUTS = 320, ROOM = 10 };
  world_open(&w, &world_lru, &(vestry_store_options){.max_count = ROOM});
  vsi_histogram_counts ages;
  for (size_t i = 0; i < PUTS; i++) {
    world_new(&w, VESTRY_KEY(i), NULL);
    advance_ms(2000);
  }
  for (size_t i = 0; i < 2 * ROOM; i++) { /* entries that are idle for too long are not recorded */
    if (i % ROOM == 0) advance_ms(601000);
    world_new(&w, VESTRY_KEY(PUTS + i), NULL);
  }
  vsi_store_evictions(w.store, &ages);
  assert_int_equal(ages.count, (PUTS - ROOM) / 16);
  assert_int_equal(ages.counts[3], ages.count); /* 20 s: from 10 to 30 */
  assert_int_equal(world_stats(&w).removed_by_cause[VESTRY_CAUSE_IDLE], 2 * ROOM);
  world_end(&w);
}

/* The evicted value may have the key that is being put. */
static void evicted_value_may_have_the_same_key(void **state) {
  world_open(&w, *state, &(vestry_store_options){.max_count = 2});
  value *v[3], *found[3];
  for (size_t i = 0; i < 3; i++) {
    v[i] = world_value(&w);
    assert_int_equal(world_put(&w, "s", VESTRY_KEY(1), v[i], VESTRY_KEEP_MANY, 8, NULL), VESTRY_OK);
  }
  world_assert_left(&w, v[0], VESTRY_CAUSE_SIZE);
  assert_int_equal(world_get(&w, "s", VESTRY_KEY(1), found, 3), 2);
  assert_ptr_equal(found[1], v[2]);
  world_end(&w);
}

/* capability: A5 */
static void store_limit_defaults_to_ten_thousand(void **state) {
  world_open(&w, *state, NULL);
  value *v = world_value(&w);
  size_t count = *state == &world_lru ? 10000 : 0; /* the naive store would take minutes */
  for (size_t i = 0; i < count; i++) {
    assert_int_equal(world_put(&w, "s", VESTRY_KEY(i), v, VESTRY_KEEP_REPLACE, 0, NULL), VESTRY_OK);
    if (i == 0) advance_ms(TICK_MS);
  }
  assert_int_equal(world_left(&w), 0);
  if (count) {
    assert_int_equal(world_put(&w, "s", VESTRY_KEY(count), v, VESTRY_KEEP_REPLACE, 0, NULL), VESTRY_OK);
    world_assert_left(&w, v, VESTRY_CAUSE_SIZE);
    assert_string_equal(w.exits[0].key, "[0]");
    assert_int_equal(world_stats(&w).live_count, 10000);
  }
  world_end(&w);
}

static void memory_of_evicted_entries_is_reclaimed(void **state) {
  world_open(&w, *state, &(vestry_store_options){.max_count = 50, .max_per_scope_count = 20});
  value *v[2] = {world_value(&w), world_value(&w)};
  long most = 0;
  for (size_t i = 0; i < 5000; i++) {
    assert_int_equal(world_put(&w, i % 3 ? "s" : "t", VESTRY_KEY("k", i), v[i % 2], VESTRY_KEEP_REPLACE, 0, NULL),
                     VESTRY_OK);
    if (i == 200) most = atomic_load(&w.th->live);
  }
  assert_in_range(atomic_load(&w.th->live), 1, most + 8);
  world_end(&w);
}

/* ---------------------------------------------------------------------------------------- caps per scope (A15) ---- */

/* capability: A15 */
static void full_scope_evicts_its_own_entries(void **state) {
  world_open(&w, *state, &(vestry_store_options){.max_count = 5, .max_per_scope_count = 2});
  value *stranger = world_value(&w), *v[5];
  assert_int_equal(world_put(&w, "t", VESTRY_KEY(0), stranger, VESTRY_KEEP_REPLACE, 0, NULL), VESTRY_OK);
  for (size_t i = 0; i < 2; i++) v[i] = world_new(&w, VESTRY_KEY(i), NULL);
  advance_ms(TICK_MS);
  world_one(&w, VESTRY_KEY(0));
  v[2] = world_new(&w, VESTRY_KEY(2), NULL);
  world_assert_left(&w, v[1], VESTRY_CAUSE_SIZE); /* not the other scope's entry, which is less recently used */
  world_new(&w, VESTRY_KEY(2), NULL);             /* replacing needs no room */
  world_assert_left(&w, v[2], VESTRY_CAUSE_REPLACED);
  assert_ptr_equal(world_one(&w, VESTRY_KEY(0)), v[0]);
  world_end(&w);
}

/* capability: A15 */
static void one_eviction_makes_room_in_scope_and_store(void **state) {
  world_open(&w, *state, &(vestry_store_options){.max_count = 3, .max_per_scope_count = 2});
  value *v[4];
  static const char *const scopes[] = {"a", "b", "b", "b"};
  for (size_t i = 0; i < 3; i++) {
    v[i] = world_value(&w);
    assert_int_equal(world_put(&w, scopes[i], VESTRY_KEY(i), v[i], VESTRY_KEEP_REPLACE, 0, NULL), VESTRY_OK);
  }
  v[3] = world_value(&w); /* both are full: one eviction in the scope makes room in both */
  vestry_put_result result = {0};
  assert_int_equal(world_put(&w, scopes[3], VESTRY_KEY(3), v[3], VESTRY_KEEP_REPLACE, 0, &result), VESTRY_OK);
  assert_int_equal(result.displaced_count, 1);
  world_assert_left(&w, v[1], VESTRY_CAUSE_SIZE);
  world_end(&w);
}

/* A stream with more keys in its scope than the scope may have entries does not evict itself. */
static void full_scope_never_evicts_the_value_being_put(void **state) {
  world_open(&w, *state, &(vestry_store_options){.max_per_scope_count = 3});
  value *other = world_new(&w, VESTRY_KEY("other"), NULL), *v = world_value(&w);
  for (size_t i = 0; i < 3; i++)
    assert_int_equal(world_put(&w, "s", VESTRY_KEY(i), v, VESTRY_KEEP_MANY, 8, NULL), VESTRY_OK);
  world_assert_left(&w, other, VESTRY_CAUSE_SIZE);
  assert_int_equal(world_put(&w, "s", VESTRY_KEY(3), v, VESTRY_KEEP_MANY, 8, NULL), VESTRY_LIMIT);
  assert_int_equal(world_left(&w), 0);
  assert_int_equal(world_put(&w, "t", VESTRY_KEY(3), v, VESTRY_KEEP_MANY, 8, NULL), VESTRY_OK);
  world_end(&w);
}

static void full_scope_evicts_ended_values_first(void **state) {
  world_open(&w, *state, &(vestry_store_options){.max_per_scope_count = 3});
  value *v[3];
  for (size_t i = 0; i < 3; i++) v[i] = world_new(&w, VESTRY_KEY(i), NULL);
  atomic_store(&v[1]->ended, true);
  atomic_store(&v[2]->ended, true);
  world_new(&w, VESTRY_KEY(3), NULL);
  world_assert_left(&w, v[1], VESTRY_CAUSE_SIZE);
  world_new(&w, VESTRY_KEY(4), NULL);
  world_assert_left(&w, v[2], VESTRY_CAUSE_SIZE);
  world_new(&w, VESTRY_KEY(5), NULL);
  world_assert_left(&w, v[0], VESTRY_CAUSE_SIZE);
  world_end(&w);
}

/* ------------------------------------------------------------------------------------ several values of a key ---- */

/* A lookup uses all values of a key in the order of their puts. Therefore the newest leaves last, however often and in
 * whatever way the key was looked up, in one tick or in several, in a full scope or in a full store. */
/* capability: A5 */
static void values_of_a_key_leave_in_put_order(void **state) {
  enum { COUNT = 5, PUTS = 20 };
  for (int setting = 0; setting < 16; setting++) {
    vestry_store_options options = {.max_count = setting & 1 ? COUNT : 0,
                                    .max_per_scope_count = setting & 1 ? 0 : COUNT};
    world_open(&w, *state, &options);
    const vestry_key *key = VESTRY_KEY("live");
    value *v[PUTS], *seen;
    for (size_t i = 0; i < PUTS; i++) {
      if (setting & 2 && world_get(&w, "s", key, NULL, 8) && setting & 4) world_get(&w, "s", key, NULL, 1);
      if (setting & 4) vestry_store_with(w.store, world_scope("s"), key, look_at, &seen);
      v[i] = world_value(&w);
      assert_int_equal(world_put(&w, "s", key, v[i], VESTRY_KEEP_MANY, 100, NULL), VESTRY_OK);
      if (i >= COUNT) world_assert_left(&w, v[i - COUNT], VESTRY_CAUSE_SIZE);
      if (setting & 8) advance_ms(60 * (i % 4));
    }
    world_end(&w);
  }
}

/* After a use of one value, and a value that came and left, a lookup puts the values into the order of their puts. */
static void lookup_restores_the_order_of_values(void **state) {
  for (int visitor = 0; visitor < 2; visitor++) {
    world_open(&w, *state, &(vestry_store_options){.max_count = 3});
    const vestry_key *key = VESTRY_KEY("live");
    value *v[] = {world_value(&w), world_value(&w), world_value(&w)};
    for (size_t i = 0; i < 2; i++)
      assert_int_equal(world_put(&w, "s", key, v[i], VESTRY_KEEP_MANY, 8, NULL), VESTRY_OK);
    world_get(&w, "s", key, NULL, 8);
    if (visitor) assert_int_equal(world_put(&w, "s", key, v[2], VESTRY_KEEP_MANY, 8, NULL), VESTRY_OK);
    assert_int_equal(world_put(&w, "s", key, v[0], VESTRY_KEEP_MANY, 8, NULL), VESTRY_OK);
    if (visitor) vestry_store_remove_value(w.store, world_scope("s"), key, v[2], VESTRY_CAUSE_REMOVED);
    world_get(&w, "s", key, NULL, 8);
    assert_int_equal(world_left(&w), visitor);
    for (size_t i = 0; i < 2; i++) world_new(&w, VESTRY_KEY(i), NULL);
    world_assert_left(&w, v[0], VESTRY_CAUSE_SIZE);
    world_end(&w);
  }
}

/* A value that is used alone leaves after the others. */
static void refreshed_value_leaves_last(void **state) {
  for (size_t ticks = 0; ticks < 2; ticks++) {
    world_open(&w, *state, &(vestry_store_options){.max_count = 3});
    const vestry_key *key = VESTRY_KEY("live");
    value *v[3];
    for (size_t i = 0; i < 3; i++) {
      v[i] = world_value(&w);
      assert_int_equal(world_put(&w, "s", key, v[i], VESTRY_KEEP_MANY, 8, NULL), VESTRY_OK);
    }
    world_get(&w, "s", key, NULL, 8);
    advance_ms(ticks * TICK_MS);
    assert_int_equal(world_put(&w, "s", key, v[0], VESTRY_KEEP_MANY, 8, NULL), VESTRY_OK);
    static const size_t order[] = {1, 2, 0};
    for (size_t i = 0; i < 3; i++) {
      assert_int_equal(world_put(&w, "s", key, world_value(&w), VESTRY_KEEP_MANY, 8, NULL), VESTRY_OK);
      world_assert_left(&w, v[order[i]], VESTRY_CAUSE_SIZE);
    }
    world_end(&w);
  }
}

/* Six tabs of one user, with a limit of five, reconnect after the server was lost; the entries of the broken streams
 * still exist. Each tab looks its key up and joins, and an evicted tab reconnects once more. */
static void reconnecting_tabs_evict_broken_streams_first(void **state) {
  enum { TABS = 6, CAP = 5 };
  world_open(&w, *state, &(vestry_store_options){.max_per_scope_count = CAP});
  const vestry_key *key = VESTRY_KEY("live");
  value *dead[CAP], *tab[TABS];
  for (size_t i = 0; i < CAP; i++) {
    dead[i] = world_value(&w);
    assert_int_equal(world_put(&w, "s", key, dead[i], VESTRY_KEEP_MANY, 100, NULL), VESTRY_OK);
  }
  for (size_t i = 0; i < TABS; i++) {
    advance_ms(50);
    world_get(&w, "s", key, NULL, 8);
    tab[i] = world_value(&w);
    assert_int_equal(world_put(&w, "s", key, tab[i], VESTRY_KEEP_MANY, 100, NULL), VESTRY_OK);
    /* no reconnected tab, as long as a broken stream exists */
    world_assert_left(&w, i < CAP ? dead[i] : tab[0], VESTRY_CAUSE_SIZE);
  }
  world_end(&w);
}

/* --------------------------------------------------------------------------------------------- callbacks (A10) ---- */

static void put_it_back_once(world *at, const vestry_purged *purged) {
  if (purged->cause != VESTRY_CAUSE_SIZE || at->ctx == purged->value) return;
  at->ctx = purged->value; /* evicted: put it back once, which evicts another */
  assert_int_equal(world_put(at, "s", VESTRY_KEY("back"), purged->value, VESTRY_KEEP_REPLACE, 0, NULL), VESTRY_OK);
}

static void hook_may_put_into_a_full_store(void **state) {
  world_open(&w, *state, &(vestry_store_options){.max_count = 3});
  w.on_purge = put_it_back_once;
  for (size_t i = 0; i < 100; i++) {
    world_new(&w, VESTRY_KEY(i), NULL);
    assert_in_range(world_stats(&w).live_count, 1, 3);
  }
  w.on_purge = NULL;
  world_end(&w);
}

#define TESTS(kind)                                                                                                    \
  WORLD_TEST(full_store_evicts_the_least_recently_used, kind), WORLD_TEST(each_kind_of_use_delays_eviction, kind),     \
      WORLD_TEST(replacing_in_a_full_store_evicts_none, kind),                                                         \
      WORLD_TEST(new_entry_is_never_evicted_by_its_own_put, kind),                                                     \
      WORLD_TEST(evicted_value_may_have_the_same_key, kind), WORLD_TEST(store_limit_defaults_to_ten_thousand, kind),   \
      WORLD_TEST(memory_of_evicted_entries_is_reclaimed, kind), WORLD_TEST(full_scope_evicts_its_own_entries, kind),   \
      WORLD_TEST(one_eviction_makes_room_in_scope_and_store, kind), WORLD_TEST(hook_may_put_into_a_full_store, kind),  \
      WORLD_TEST(full_scope_never_evicts_the_value_being_put, kind),                                                   \
      WORLD_TEST(full_scope_evicts_ended_values_first, kind), WORLD_TEST(values_of_a_key_leave_in_put_order, kind),    \
      WORLD_TEST(refreshed_value_leaves_last, kind), WORLD_TEST(lookup_restores_the_order_of_values, kind),            \
      WORLD_TEST(reconnecting_tabs_evict_broken_streams_first, kind)

int main(void) {
  const struct CMUnitTest tests[] = {TESTS(world_lru), TESTS(world_naive_lru),
                                     cmocka_unit_test(one_eviction_in_16_records_the_unused_time)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
