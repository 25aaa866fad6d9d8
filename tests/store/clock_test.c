/* SPDX-License-Identifier: MIT */
#include "store/clock.h"

#include "runtime/random.h"
#include "support/test.h"
#include "support/test_host.h"

#define MS UINT64_C(1000000)

static test_host th;

static vsi_clock clock_of(uint64_t idle_ns, uint64_t lifetime_ns) {
  vsi_clock clock = {0};
  test_host_init(&th);
  vsi_clock_init(&clock, &th.host, idle_ns, lifetime_ns);
  return clock;
}

TEST_CASE(tick_conversion_is_exact) {
  static const uint64_t idle_ms[] = {1, 4000, 4001, 600000, 600001, 86400000, UINT64_C(86400000) * 365, 0};
  uint64_t random = 1;
  for (size_t i = 0; i < sizeof idle_ms / sizeof *idle_ms; i++) {
    vsi_clock clock = clock_of(idle_ms[i] ? idle_ms[i] * MS : UINT64_MAX, UINT64_MAX);
    assert_true(clock.tick_ns >= MS && clock.tick_ns % MS == 0);
    assert_int_equal(vsi_clock_ticks(&clock, clock.origin_ns - 1), 0);
    for (size_t k = 0; k < 3000; k++) {
      uint64_t since_ns = random_next(&random) >> (2 + random_below(&random, 40)); /* up to 146 years */
      if (k % 3 == 0) since_ns = since_ns / clock.tick_ns * clock.tick_ns;
      if (k % 3 == 1 && since_ns >= clock.tick_ns) since_ns = since_ns / clock.tick_ns * clock.tick_ns - 1;
      assert_int_equal(vsi_clock_ticks(&clock, clock.origin_ns + since_ns), since_ns / clock.tick_ns);
    }
  }
}

TEST_CASE(tick_ages_wrap) {
  assert_int_equal(vsi_tick_age(7, 7), 0);
  assert_int_equal(vsi_tick_age(9, 7), 2);
  assert_int_equal(vsi_tick_age(7, 9), 0); /* in the future */
  assert_int_equal(vsi_tick_age(3, VSI_TICK_MASK - 1), 5);
  assert_int_equal(vsi_tick_age(VSI_TICK_MASK - 1, 3), 0);
}

/* A deadline is never before the whole span is over, and at most a tick later. */
TEST_CASE(deadlines_are_at_most_a_tick_late) {
  uint64_t idle_ns = 100000 * MS;
  vsi_clock clock = clock_of(idle_ns, UINT64_MAX);
  for (uint64_t part = 0; part < 3 * clock.tick_ns; part += clock.tick_ns / 7) {
    uint64_t used_ns = clock.origin_ns + part, used = vsi_clock_ticks(&clock, used_ns);
    uint64_t due_ns = vsi_clock_due_ns(&clock, used, (uint32_t)used, clock.idle_ticks);
    assert_in_range(due_ns, used_ns + idle_ns, used_ns + idle_ns + 2 * clock.tick_ns);
    assert_true(vsi_tick_age((uint32_t)vsi_clock_ticks(&clock, due_ns), (uint32_t)used) > clock.idle_ticks);
    assert_true(vsi_tick_age((uint32_t)vsi_clock_ticks(&clock, due_ns - 1), (uint32_t)used) <= clock.idle_ticks);
  }
  assert_true(vsi_clock_due_ns(&clock, 5, VSI_TICK_NONE, 7) == UINT64_MAX);
  assert_true(vsi_clock_due_ns(&clock, 5, 5, 0) == UINT64_MAX);
  assert_true(vsi_clock_due_ns(&clock, UINT64_MAX / clock.tick_ns, 0, VSI_TICK_MASK) == UINT64_MAX);
}

TEST_CASE(unlimited_spans_have_no_ticks) {
  vsi_clock clock = clock_of(UINT64_MAX, UINT64_MAX);
  assert_true(clock.sure_ticks == UINT32_MAX);
  clock = clock_of(UINT64_MAX, 1000 * MS);
  assert_true(clock.sure_ticks == 0 && clock.lifetime_ticks && !clock.idle_ticks);
  clock = clock_of(2000 * MS, 1000 * MS); /* an entry expires before it can be idle */
  assert_int_equal(clock.idle_ticks, 0);
  clock = (vsi_clock){0}; /* of a store that does not evict */
  assert_int_equal(vsi_clock_now(&clock), 0);
}
