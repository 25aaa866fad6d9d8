/* SPDX-License-Identifier: MIT */
/* When and why idle or old entries leave (A3, A4).
 *
 * The LRU store counts time in ticks of 1 ms for all times that are used here. The exception is the default of ten
 * minutes, where a tick is 150 ms. A due entry never leaves early, and at most two ticks late. (The naive store is on
 * time.) */
#include "store/store.h"
#include "store/world.h"

static world w;

#define MS UINT64_C(1000000)
enum { LATE_MS = 2, DEFAULT_TICK_MS = 150 };

static uint64_t now_ns(void) {
  return atomic_load(&w.th->now_ns);
}

static void advance_ms(uint64_t ms) {
  test_host_advance_ms(w.th, ms);
}

/* Advance the clock so far that the time is over for each store. */
static void outlast_ms(uint64_t ms) {
  advance_ms(ms + LATE_MS);
}

/* The deadline that a tick returns: not before `due_ns`, and at most two ticks later. */
static void assert_deadline(uint64_t deadline_ns, uint64_t due_ns) {
  assert_in_range(deadline_ns, due_ns, due_ns + LATE_MS * MS);
}

/* -------------------------------------------------------------------------------------------- idle expiry (A3) ---- */

/* capability: A3 */
static void idle_entries_leave_on_time(void **state) {
  for (uint64_t part_ns = 0; part_ns < MS; part_ns += MS / 7) { /* put at different times within a tick */
    world_open(&w, *state, &(vestry_store_options){.idle_ms = 100});
    assert_int_equal(vsi_store_tick(w.store), UINT64_MAX);
    atomic_fetch_add(&w.th->now_ns, part_ns);
    uint64_t start = now_ns();
    value *v = world_new(&w, VESTRY_KEY(1), NULL);
    uint64_t deadline = vsi_store_tick(w.store);
    assert_deadline(deadline, start + 100 * MS);
    atomic_store(&w.th->now_ns, deadline - 1);
    assert_int_equal(vsi_store_tick(w.store), deadline);
    assert_int_equal(world_left(&w), 0);
    atomic_store(&w.th->now_ns, deadline);
    assert_int_equal(vsi_store_tick(w.store), UINT64_MAX);
    world_assert_left(&w, v, VESTRY_CAUSE_IDLE);
    world_end(&w);
  }
}

/* capability: A3 */
static void get_and_put_count_as_use(void **state) {
  world_open(&w, *state, &(vestry_store_options){.idle_ms = 100});
  value *got = world_new(&w, VESTRY_KEY("got"), NULL), *put = world_new(&w, VESTRY_KEY("put"), NULL);
  value *left = world_new(&w, VESTRY_KEY("left"), NULL);
  for (size_t i = 0; i < 5; i++) {
    advance_ms(60);
    assert_ptr_equal(world_one(&w, VESTRY_KEY("got")), got);
    vestry_put_result result = {0};
    assert_int_equal(world_put(&w, "s", VESTRY_KEY("put"), put, VESTRY_KEEP_REPLACE, 0, &result), VESTRY_OK);
    assert_true(result.refreshed);
    vsi_store_tick(w.store);
    if (i == 1) world_assert_left(&w, left, VESTRY_CAUSE_IDLE);
  }
  assert_int_equal(world_left(&w), 0);
  world_end(&w);
}

/* capability: A3 */
static void used_ns_of_a_value_counts_as_use(void **state) {
  world_open(&w, *state, &(vestry_store_options){.idle_ms = 100});
  vestry_handle handle;
  value *v = world_new(&w, VESTRY_KEY(1), &handle);
  for (size_t i = 0; i < 10; i++) {
    advance_ms(60);
    atomic_store(&v->used_ns, now_ns());
    if (i % 2) vsi_store_tick(w.store);
  }
  outlast_ms(60); /* would be due without the use */
  assert_int_equal(world_listed(&w, NULL), 1);
  assert_ptr_equal(world_one(&w, VESTRY_KEY(1)), v);
  outlast_ms(100);
  atomic_store(&v->used_ns, now_ns());
  assert_true(vestry_store_remove_if(w.store, handle, VESTRY_CAUSE_HANGUP));
  world_assert_left(&w, v, VESTRY_CAUSE_HANGUP);
  v = world_new(&w, VESTRY_KEY(1), NULL);
  advance_ms(60);
  atomic_store(&v->used_ns, now_ns());
  for (size_t i = 0; i < 9; i++) { /* with no other call than the tick */
    advance_ms(10);
    vsi_store_tick(w.store);
    assert_int_equal(world_left(&w), 0);
  }
  advance_ms(9);
  assert_int_equal(world_left(&w), 0);
  advance_ms(1 + LATE_MS);
  vsi_store_tick(w.store);
  world_assert_left(&w, v, VESTRY_CAUSE_IDLE);
  world_end(&w);
}

static void use_does_not_extend_the_lifetime(void **state) {
  world_open(&w, *state, &(vestry_store_options){.idle_ms = 100, .lifetime_ms = 150});
  value *v = world_new(&w, VESTRY_KEY(1), NULL);
  outlast_ms(100);
  atomic_store(&v->used_ns, now_ns());
  vsi_store_tick(w.store);
  assert_int_equal(world_left(&w), 0);
  outlast_ms(50);
  atomic_store(&v->used_ns, now_ns());
  vsi_store_tick(w.store);
  world_assert_left(&w, v, VESTRY_CAUSE_EXPIRED);
  world_end(&w);
}

static void one_tick_checks_all_entries_used_outside(void **state) {
  world_open(&w, *state, &(vestry_store_options){.idle_ms = 100});
  value *values[300];
  for (int i = 0; i < 300; i++) values[i] = world_new(&w, VESTRY_KEY(i), NULL);
  outlast_ms(100);
  for (int i = 0; i < 300; i++)
    if (i % 3) atomic_store(&values[i]->used_ns, now_ns());
  vsi_store_tick(w.store);
  assert_int_equal(world_left(&w), 100);
  outlast_ms(100);
  assert_int_equal(vsi_store_tick(w.store), UINT64_MAX);
  assert_int_equal(world_left(&w), 200);
  world_end(&w);
}

static void refused_put_does_not_count_as_use(void **state) {
  world_open(&w, *state, &(vestry_store_options){.idle_ms = 100});
  value *v = world_new(&w, VESTRY_KEY(1), NULL);
  advance_ms(60);
  assert_int_equal(world_put(&w, "s", VESTRY_KEY(1), world_value(&w), VESTRY_KEEP_REUSE, 0, NULL), VESTRY_EXISTS);
  outlast_ms(40);
  vsi_store_tick(w.store);
  world_assert_left(&w, v, VESTRY_CAUSE_IDLE);
  world_end(&w);
}

/* No tick ran in time: no operation may find the expired entry. */
static void expired_entries_are_not_found_without_a_tick(void **state) {
  world_open(&w, *state, &(vestry_store_options){.idle_ms = 100});
  value *v = world_new(&w, VESTRY_KEY(1), NULL);
  outlast_ms(100);
  assert_null(world_one(&w, VESTRY_KEY(1)));
  world_assert_left(&w, v, VESTRY_CAUSE_IDLE);
  v = world_new(&w, VESTRY_KEY(1), NULL);
  outlast_ms(100);
  const vestry_key *key = VESTRY_KEY(1);
  assert_int_equal(vestry_store_remove(w.store, world_scope("s"), key, VESTRY_CAUSE_REMOVED, NULL), VESTRY_NOT_FOUND);
  world_assert_left(&w, v, VESTRY_CAUSE_IDLE);
  vestry_handle handle;
  v = world_new(&w, VESTRY_KEY(1), &handle);
  outlast_ms(100);
  assert_false(vestry_store_remove_if(w.store, handle, VESTRY_CAUSE_HANGUP));
  world_assert_left(&w, v, VESTRY_CAUSE_IDLE);
  v = world_new(&w, VESTRY_KEY(1), NULL);
  outlast_ms(100);
  assert_int_equal(world_listed(&w, NULL), 0); /* A6: no expired keys */
  vsi_store_tick(w.store);
  world_assert_left(&w, v, VESTRY_CAUSE_IDLE);
  v = world_new(&w, VESTRY_KEY(1), NULL);
  outlast_ms(100);
  value *after = world_value(&w); /* REJECT finds no entry */
  assert_int_equal(world_put(&w, "s", VESTRY_KEY(1), after, VESTRY_KEEP_REJECT, 0, NULL), VESTRY_OK);
  world_assert_left(&w, v, VESTRY_CAUSE_IDLE);
  outlast_ms(100);
  vestry_put_result again = {0}; /* the same value, but too late to be refreshed */
  assert_int_equal(world_put(&w, "s", VESTRY_KEY(1), after, VESTRY_KEEP_REPLACE, 0, &again), VESTRY_OK);
  assert_false(again.refreshed);
  world_assert_left(&w, after, VESTRY_CAUSE_IDLE);
  assert_ptr_equal(world_one(&w, VESTRY_KEY(1)), after);
  world_end(&w);
}

/* capability: A3 */
static void idle_time_defaults_to_ten_minutes(void **state) {
  world_open(&w, *state, NULL);
  value *v = world_new(&w, VESTRY_KEY(1), NULL);
  uint64_t deadline = vsi_store_tick(w.store);
  assert_in_range(deadline, now_ns() + 600000 * MS, now_ns() + (600000 + 2 * DEFAULT_TICK_MS) * MS);
  advance_ms(599999);
  vsi_store_tick(w.store);
  assert_int_equal(world_left(&w), 0);
  atomic_store(&w.th->now_ns, deadline);
  vsi_store_tick(w.store);
  world_assert_left(&w, v, VESTRY_CAUSE_IDLE);
  world_end(&w);
}

/* capability: A3 */
static void never_disables_expiry(void **state) {
  world_open(&w, *state,
             &(vestry_store_options){.idle_ms = VESTRY_NEVER_MS, .lifetime_ms = VESTRY_NEVER_MS, .max_count = 2});
  value *v = world_new(&w, VESTRY_KEY(1), NULL);
  assert_int_equal(vsi_store_tick(w.store), UINT64_MAX);
  atomic_store(&w.th->now_ns, UINT64_MAX); /* the end of the clock */
  assert_int_equal(vsi_store_tick(w.store), UINT64_MAX);
  assert_ptr_equal(world_one(&w, VESTRY_KEY(1)), v);
  assert_int_equal(world_left(&w), 0);
  world_end(&w);
}

static void deadlines_do_not_wrap_at_the_end_of_the_clock(void **state) {
  world_open(&w, *state, &(vestry_store_options){.idle_ms = 100, .lifetime_ms = 1000});
  atomic_store(&w.th->now_ns, UINT64_MAX - 50 * MS);
  value *v = world_new(&w, VESTRY_KEY(1), NULL);
  assert_int_equal(vsi_store_tick(w.store), UINT64_MAX);
  assert_ptr_equal(world_one(&w, VESTRY_KEY(1)), v);
  assert_int_equal(world_left(&w), 0);
  world_end(&w);
}

/* ----------------------------------------------------------------------------------------- fixed lifetime (A4) ---- */

/* capability: A4 */
static void lifetime_counts_from_the_first_put(void **state) {
  world_open(&w, *state, &(vestry_store_options){.idle_ms = VESTRY_NEVER_MS, .lifetime_ms = 100});
  value *v = world_new(&w, VESTRY_KEY(1), NULL);
  for (size_t i = 0; i < 9; i++) {
    advance_ms(10);
    assert_ptr_equal(world_one(&w, VESTRY_KEY(1)), v);
    vestry_put_result result = {0};
    assert_int_equal(world_put(&w, "s", VESTRY_KEY(1), v, VESTRY_KEEP_REPLACE, 0, &result), VESTRY_OK);
    assert_true(result.refreshed);
  }
  outlast_ms(10);
  assert_null(world_one(&w, VESTRY_KEY(1)));
  world_assert_left(&w, v, VESTRY_CAUSE_EXPIRED);
  world_end(&w);
}

/* capability: A4 */
static void new_value_gets_a_new_lifetime(void **state) {
  world_open(&w, *state, &(vestry_store_options){.idle_ms = VESTRY_NEVER_MS, .lifetime_ms = 100});
  world_new(&w, VESTRY_KEY(1), NULL);
  advance_ms(60);
  value *v = world_new(&w, VESTRY_KEY(1), NULL);
  assert_int_equal(world_left(&w), 1);
  advance_ms(60);
  assert_deadline(vsi_store_tick(w.store), now_ns() + 40 * MS);
  assert_ptr_equal(world_one(&w, VESTRY_KEY(1)), v);
  outlast_ms(40);
  vsi_store_tick(w.store);
  world_assert_left(&w, v, VESTRY_CAUSE_EXPIRED);
  world_end(&w);
}

/* capability: A4 */
static void earlier_deadline_determines_the_cause(void **state) {
  /* few entries: one shard, so that the order is defined */
  world_open(&w, *state, &(vestry_store_options){.idle_ms = 50, .lifetime_ms = 100, .max_count = 100});
  value *idle = world_new(&w, VESTRY_KEY("idle"), NULL), *used = world_new(&w, VESTRY_KEY("used"), NULL);
  advance_ms(30);
  world_one(&w, VESTRY_KEY("used"));
  advance_ms(1000); /* both are long due: each leaves for the cause that came first */
  vsi_store_tick(w.store);
  assert_int_equal(world_left(&w), 2);
  assert_ptr_equal(w.exits[0].value, idle);
  assert_int_equal(w.exits[0].cause, VESTRY_CAUSE_IDLE);
  assert_ptr_equal(w.exits[1].value, used);
  assert_int_equal(w.exits[1].cause, VESTRY_CAUSE_IDLE); /* at 80, before 100 */
  used = world_new(&w, VESTRY_KEY("used"), NULL);
  advance_ms(40);
  world_one(&w, VESTRY_KEY("used"));
  advance_ms(40);
  world_one(&w, VESTRY_KEY("used"));
  outlast_ms(20);
  vsi_store_tick(w.store);
  world_assert_left(&w, used, VESTRY_CAUSE_EXPIRED);
  value *both = world_new(&w, VESTRY_KEY("both"), NULL);
  advance_ms(49);
  world_one(&w, VESTRY_KEY("both"));
  advance_ms(1);
  world_one(&w, VESTRY_KEY("both")); /* idle time and lifetime now end at the same moment */
  advance_ms(1000);
  assert_null(world_one(&w, VESTRY_KEY("both")));
  world_assert_left(&w, both, VESTRY_CAUSE_EXPIRED);
  world_end(&w);
}

static void values_of_one_key_expire_separately(void **state) {
  world_open(&w, *state, &(vestry_store_options){.lifetime_ms = 100});
  value *v[3], *found[3];
  for (size_t i = 0; i < 3; i++) {
    v[i] = world_value(&w);
    assert_int_equal(world_put(&w, "s", VESTRY_KEY(1), v[i], VESTRY_KEEP_MANY, 0, NULL), VESTRY_OK);
    advance_ms(30);
  }
  outlast_ms(10);
  assert_int_equal(world_get(&w, "s", VESTRY_KEY(1), found, 3), 2);
  assert_ptr_equal(found[0], v[1]);
  assert_ptr_equal(found[1], v[2]);
  world_assert_left(&w, v[0], VESTRY_CAUSE_EXPIRED);
  world_end(&w);
}

/* ----------------------------------------------------------------------------------------------- and the bound ---- */

/* A full store evicts a due entry first, if a tick ran in time or the entry is the oldest. */
static void full_store_removes_expired_entries_first(void **state) {
  world_open(&w, *state, &(vestry_store_options){.max_count = 2, .idle_ms = 1000, .lifetime_ms = 100});
  value *old = world_new(&w, VESTRY_KEY("old"), NULL);
  advance_ms(60);
  value *unused = world_new(&w, VESTRY_KEY("unused"), NULL);
  advance_ms(30);
  world_one(&w, VESTRY_KEY("old")); /* the most recently used one, but its lifetime ends in 10 ms */
  outlast_ms(10);
  vsi_store_tick(w.store);
  world_assert_left(&w, old, VESTRY_CAUSE_EXPIRED);
  vestry_put_result result = {0};
  value *new = world_value(&w);
  assert_int_equal(world_put(&w, "s", VESTRY_KEY("new"), new, VESTRY_KEEP_REPLACE, 0, &result), VESTRY_OK);
  assert_int_equal(result.displaced_count, 0);
  assert_int_equal(world_left(&w), 0);
  advance_ms(60); /* no tick, but the oldest entry is checked, and is due */
  assert_int_equal(world_put(&w, "s", VESTRY_KEY("newer"), world_value(&w), VESTRY_KEEP_REPLACE, 0, &result),
                   VESTRY_OK);
  assert_int_equal(result.displaced_count, 0);
  world_assert_left(&w, unused, VESTRY_CAUSE_EXPIRED);
  assert_ptr_equal(world_one(&w, VESTRY_KEY("new")), new);
  world_end(&w);
}

static void one_tick_removes_a_long_backlog(void **state) {
  world_open(&w, *state, &(vestry_store_options){.idle_ms = 100});
  for (size_t i = 0; i < 900; i++) world_new(&w, VESTRY_KEY(i), NULL);
  advance_ms(200);
  value *late = world_new(&w, VESTRY_KEY("late"), NULL);
  assert_deadline(vsi_store_tick(w.store), now_ns() + 100 * MS);
  assert_int_equal(world_left(&w), 900);
  for (size_t i = 0; i < 900; i++) assert_int_equal(atomic_load(&w.values[i].cause), VESTRY_CAUSE_IDLE);
  assert_ptr_equal(world_one(&w, VESTRY_KEY("late")), late);
  world_end(&w);
}

/* ------------------------------------------------------------------------------------------------------ clocks ---- */

/* A host whose clock jumps back, against its contract: no entry is lost or stays for ever, and expiry is normal again
 * when the clock has caught up. */
static void clock_that_jumps_back_loses_no_entry(void **state) {
  static const uint64_t jumps_ms[] = {1, 50, 4000, 5000, 100000, 3600000};
  for (size_t j = 0; j < sizeof jumps_ms / sizeof *jumps_ms; j++) {
    world_open(&w, &world_lru, &(vestry_store_options){.max_count = 3, .idle_ms = 100, .lifetime_ms = 1000});
    vsi_store_tick(w.store);
    uint64_t start = now_ns();
    advance_ms(jumps_ms[j]);
    value *before = world_new(&w, VESTRY_KEY(1), NULL);
    world_new(&w, VESTRY_KEY(2), NULL);
    atomic_store(&w.th->now_ns, start);
    assert_ptr_equal(world_one(&w, VESTRY_KEY(1)), before);
    world_new(&w, VESTRY_KEY(3), NULL);
    assert_int_equal(world_stats(&w).live_count, 3);
    for (size_t i = 0; i < 10; i++) {
      value *new = world_new(&w, VESTRY_KEY(4 + i % 3), NULL);
      assert_in_range(world_stats(&w).live_count, 1, 3);
      advance_ms(40);
      vsi_store_tick(w.store); /* the tick ends, even if entries seem to be from the future */
      assert_ptr_equal(world_one(&w, VESTRY_KEY(4 + i % 3)), new);
    }
    atomic_store(&w.th->now_ns, start + (jumps_ms[j] + 400 + 1000 + LATE_MS) * MS);
    assert_int_equal(vsi_store_tick(w.store), UINT64_MAX);
    assert_int_equal(world_stats(&w).live_count, 0);
    world_end(&w);
  }
}

/* A reader that was delayed between reading the clock and recording its use must not overwrite a later use. */
static uint64_t late_reader_ns;
static uint64_t late_clock(void *ctx) {
  return late_reader_ns ? late_reader_ns : atomic_load(&((test_host *)ctx)->now_ns);
}

static void late_record_does_not_overwrite_a_later_use(void **state) {
  test_host_init(&w.own_host);
  w.own_host.host.now_ns = late_clock;
  late_reader_ns = 0;
  assert_int_equal(world_try_open(&w, &w.own_host, &world_lru, &(vestry_store_options){.idle_ms = 100}), VESTRY_OK);
  value *v = world_new(&w, VESTRY_KEY(1), NULL);
  uint64_t before = now_ns();
  advance_ms(90);
  assert_ptr_equal(world_one(&w, VESTRY_KEY(1)), v);
  late_reader_ns = before;
  assert_ptr_equal(world_one(&w, VESTRY_KEY(1)), v);
  late_reader_ns = 0;
  advance_ms(90);
  vsi_store_tick(w.store);
  assert_ptr_equal(world_one(&w, VESTRY_KEY(1)), v);
  outlast_ms(100);
  vsi_store_tick(w.store);
  world_assert_left(&w, v, VESTRY_CAUSE_IDLE);
  world_end(&w);
}

/* A clock that is up to 10 ms behind, by a varying lag. */
static uint64_t lag_ns;
static uint64_t coarse_clock(void *ctx) {
  return atomic_load(&((test_host *)ctx)->now_ns) - lag_ns;
}

static void coarse_clock_removes_no_entry_early(void **state) {
  uint64_t tick_ns = 25 * MS, idle_ms = 100000;
  for (uint64_t part = 0; part < 40; part++) {
    test_host_init(&w.own_host);
    w.own_host.host.coarse_ns = coarse_clock;
    lag_ns = 0;
    assert_int_equal(world_try_open(&w, &w.own_host, &world_lru, &(vestry_store_options){.idle_ms = idle_ms}),
                     VESTRY_OK);
    atomic_fetch_add(&w.th->now_ns, part * tick_ns / 20);
    lag_ns = part % 2 ? 10 * MS : 0;
    uint64_t start = now_ns();
    value *v = world_new(&w, VESTRY_KEY(1), NULL);
    uint64_t deadline = vsi_store_tick(w.store);
    lag_ns = part % 3 ? 0 : 10 * MS;
    assert_in_range(deadline, start + idle_ms * MS, start + idle_ms * MS + 2 * tick_ns);
    atomic_store(&w.th->now_ns, start + idle_ms * MS - 1);
    vsi_store_tick(w.store);
    assert_int_equal(world_listed(&w, NULL), 1);
    assert_int_equal(world_left(&w), 0);
    atomic_store(&w.th->now_ns, deadline);
    assert_int_equal(vsi_store_tick(w.store), UINT64_MAX);
    world_assert_left(&w, v, VESTRY_CAUSE_IDLE);
    world_end(&w);
  }
}

#define TESTS(kind)                                                                                                    \
  WORLD_TEST(idle_entries_leave_on_time, kind), WORLD_TEST(get_and_put_count_as_use, kind),                            \
      WORLD_TEST(refused_put_does_not_count_as_use, kind), WORLD_TEST(used_ns_of_a_value_counts_as_use, kind),         \
      WORLD_TEST(use_does_not_extend_the_lifetime, kind), WORLD_TEST(one_tick_checks_all_entries_used_outside, kind),  \
      WORLD_TEST(expired_entries_are_not_found_without_a_tick, kind),                                                  \
      WORLD_TEST(idle_time_defaults_to_ten_minutes, kind), WORLD_TEST(never_disables_expiry, kind),                    \
      WORLD_TEST(deadlines_do_not_wrap_at_the_end_of_the_clock, kind),                                                 \
      WORLD_TEST(lifetime_counts_from_the_first_put, kind), WORLD_TEST(new_value_gets_a_new_lifetime, kind),           \
      WORLD_TEST(earlier_deadline_determines_the_cause, kind), WORLD_TEST(values_of_one_key_expire_separately, kind),  \
      WORLD_TEST(full_store_removes_expired_entries_first, kind), WORLD_TEST(one_tick_removes_a_long_backlog, kind)

int main(void) {
  const struct CMUnitTest tests[] = {TESTS(world_lru), TESTS(world_naive_lru),
                                     cmocka_unit_test(clock_that_jumps_back_loses_no_entry),
                                     cmocka_unit_test(late_record_does_not_overwrite_a_later_use),
                                     cmocka_unit_test(coarse_clock_removes_no_entry_early)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
