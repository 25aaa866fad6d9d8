/* SPDX-License-Identifier: MIT */
#include "base/histogram.h"

#include <pthread.h>

#include "support/test.h"

enum { BOUNDS = VSI_HISTOGRAM_BOUNDS_COUNT };

TEST_CASE(bounds_rise_up_to_a_week) {
  const vsi_histogram_scale *scales[] = {&vsi_moments, &vsi_ages};
  for (int s = 0; s < 2; s++)
    for (int i = 1; i < BOUNDS; i++) assert_true(scales[s]->bounds[i - 1] < scales[s]->bounds[i]);
  vsi_histogram empty = {.sum = 0};
  vsi_histogram_counts counts;
  vsi_histogram_get(&empty, &vsi_moments, &counts);
  assert_true(counts.bounds_s[0] > .0000099 && counts.bounds_s[0] < .0000101);
  assert_true(counts.count == 0 && counts.sum_s == 0);
  vsi_histogram_get(&empty, &vsi_ages, &counts);
  assert_true(counts.bounds_s[BOUNDS - 1] == 7 * 86400);
}

TEST_CASE(bound_belongs_to_the_bucket_below) {
  const vsi_histogram_scale *scales[] = {&vsi_moments, &vsi_ages};
  for (int s = 0; s < 2; s++) {
    vsi_histogram histogram = {.sum = 0};
    vsi_histogram_counts counts;
    uint64_t sum = 0;
    for (int i = 0; i < BOUNDS; i++) {
      const uint64_t at = scales[s]->bounds[i];
      vsi_histogram_add(&histogram, scales[s], at);
      vsi_histogram_add(&histogram, scales[s], at + 1);
      sum += at + at + 1;
    }
    vsi_histogram_add(&histogram, scales[s], 0);
    vsi_histogram_get(&histogram, scales[s], &counts);
    for (int i = 0; i < BOUNDS; i++) assert_int_equal(counts.counts[i], 2);
    assert_int_equal(counts.counts[BOUNDS], 1);
    assert_int_equal(counts.count, 2 * BOUNDS + 1);
    assert_true(counts.sum_s == (double)sum / scales[s]->per_s);
  }
}

/* ---------------------------------------------------------------------------------------------- together ---------- */

enum { TIMES = 20000 };

static void *note(void *of) {
  for (uint64_t i = 0; i < TIMES; i++) vsi_histogram_add(of, &vsi_ages, i);
  return NULL;
}

TEST_CASE(concurrent_reads_add_up_and_only_grow) {
  vsi_histogram histogram = {.sum = 0};
  vsi_histogram_counts last = {.count = 0}, now;
  pthread_t threads[2];
  for (int i = 0; i < 2; i++) assert_int_equal(pthread_create(&threads[i], NULL, note, &histogram), 0);
  do {
    uint64_t count = 0;
    vsi_histogram_get(&histogram, &vsi_ages, &now);
    for (int i = 0; i <= BOUNDS; i++) {
      assert_true(now.counts[i] >= last.counts[i]);
      count += now.counts[i];
    }
    assert_true(now.count == count);
    last = now;
  } while (now.count < 2 * TIMES);
  for (int i = 0; i < 2; i++) pthread_join(threads[i], NULL);
  vsi_histogram_get(&histogram, &vsi_ages, &now);
  assert_int_equal(now.count, 2 * TIMES);
  assert_int_equal(now.counts[0], 2 * 1001); /* up to 1,000 ms */
  assert_true(now.sum_s > 1e-3 * TIMES * (TIMES - 1) - .001 && now.sum_s < 1e-3 * TIMES * (TIMES - 1) + .001);
}
