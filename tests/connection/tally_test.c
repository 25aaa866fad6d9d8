/* SPDX-License-Identifier: MIT */
#include "connection/tally.h"

#include "support/test.h"
#include "support/test_host.h"

#define MS UINT64_C(1000000)

/* Return the sum of the recorded ages of changes, in ms, rounded. */
static uint64_t sum_ms(const vsi_group_tally *tally) {
  vsi_histogram_counts counts;
  vsi_histogram_get(&tally->changes, &vsi_moments, &counts);
  return (uint64_t)(counts.sum_s * 1e3 + .5);
}

TEST_CASE(age_of_a_change_includes_the_time_in_the_queue) {
  test_host th;
  test_host_init(&th);
  test_host_advance_ms(&th, 100000);
  vsi_group_tally tally = {.too_large_count = 0};
  assert_int_equal(vsi_group_tally_change(&th.host, 0).stamp, 0);
  const vsi_delivery_times times = vsi_group_tally_change(&th.host, vsi_now_ns(&th.host) - 30 * MS);
  test_host_advance_ms(&th, 12);
  vsi_group_tally_delivered(&tally, &th.host, &times);
  assert_int_equal(sum_ms(&tally), 42);
  assert_int_equal(atomic_load(&tally.deliveries.sum), 0); /* this delivery is not counted there */
  const vsi_delivery_times ahead = vsi_group_tally_change(&th.host, vsi_now_ns(&th.host) + MS);
  assert_int_equal(ahead.lead, 0);
}

/* Fold two deliveries into the later one. ago_ms: the age of the change at its post; -1: the delivery has no change. */
static uint64_t folded_ms(int earlier_ago_ms, int later_ago_ms) {
  test_host th;
  test_host_init(&th);
  test_host_advance_ms(&th, 100000);
  vsi_group_tally tally = {.too_large_count = 0};
  vsi_delivery_times times[2];
  const int ago_ms[2] = {earlier_ago_ms, later_ago_ms};
  for (int i = 0; i < 2; i++) {
    const uint64_t now_ns = vsi_now_ns(&th.host);
    times[i] = vsi_group_tally_change(&th.host, ago_ms[i] < 0 ? 0 : now_ns - (uint64_t)ago_ms[i] * MS);
    test_host_advance_ms(&th, 10);
  }
  vsi_group_tally_fold(&times[0], &times[1]);
  if (times[1].stamp) vsi_group_tally_delivered(&tally, &th.host, &times[1]);
  return sum_ms(&tally);
}

TEST_CASE(folded_deliveries_keep_the_older_change) {
  assert_int_equal(folded_ms(-1, -1), 0);
  assert_int_equal(folded_ms(3, -1), 23);
  assert_int_equal(folded_ms(-1, 3), 13);
  assert_int_equal(folded_ms(3, 3), 23);
  assert_int_equal(folded_ms(3, 50), 60);
}
