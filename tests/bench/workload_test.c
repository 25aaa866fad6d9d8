/* SPDX-License-Identifier: MIT */
/* The generated keys have the documented distributions, and the histogram's percentiles are accurate to 4 %. */
#include <stdlib.h>
#include <string.h>

#include "histogram.h"
#include "support/test.h"
#include "workload.h"

enum { CAPACITY = 1000, THREADS = 2 };

static workload work_of(workload_kind kind) {
  return (workload){
      .kind = kind, .seed = 7, .capacity = CAPACITY, .threads = THREADS, .keys = WORKLOAD_KEYS_BYTES, .key_bytes = 16};
}

static uint64_t checksum_of(const workload *work) {
  workload_stream streams[THREADS];
  uint64_t checksum;
  assert_true(workload_streams_create(work, streams, &checksum));
  workload_streams_destroy(work, streams);
  return checksum;
}

TEST_CASE(equal_seeds_generate_equal_streams) {
  for (int kind = 0; kind < WORKLOAD_KINDS; kind++) {
    workload work = work_of((workload_kind)kind), other = work;
    other.seed++;
    assert_int_equal(checksum_of(&work), checksum_of(&work));
    assert_int_not_equal(checksum_of(&work), checksum_of(&other));
    workload_kind named;
    assert_true(workload_named(workload_name((workload_kind)kind), &named));
    assert_int_equal(named, kind);
  }
}

/* A session key is 32 digits, the terminated name, and a small number; keys with other digits are other sessions. */
TEST_CASE(session_keys_have_the_documented_layout) {
  workload work = work_of(WORKLOAD_HIT);
  work.keys = WORKLOAD_KEYS_SESSION;
  work.key_bytes = WORKLOAD_SESSION_BYTES;
  unsigned char key[WORKLOAD_SESSION_BYTES], before[WORKLOAD_SESSION_BYTES] = {0};
  for (size_t at = 0; at < CAPACITY; at++) {
    workload_fill_key(&work, at, key);
    for (size_t i = 0; i < WORKLOAD_SESSION_SCOPE; i++) assert_non_null(memchr("0123456789abcdef", key[i], 16));
    assert_string_equal((const char *)key + WORKLOAD_SESSION_SCOPE, WORKLOAD_SESSION_NAME);
    assert_in_range(key[WORKLOAD_SESSION_NUMBER], 1, 60);
    for (size_t i = WORKLOAD_SESSION_NUMBER + 1; i < sizeof key; i++) assert_int_equal(key[i], 0);
    assert_memory_not_equal(key, before, WORKLOAD_SESSION_SCOPE);
    memcpy(before, key, sizeof key);
  }
}

static int compare_keys(const void *a, const void *b) {
  return memcmp(a, b, 16);
}

/* All keys of the filling and of both threads are distinct. */
TEST_CASE(churn_keys_are_distinct) {
  workload work = work_of(WORKLOAD_CHURN);
  workload_stream streams[THREADS];
  uint64_t checksum;
  assert_true(workload_streams_create(&work, streams, &checksum));
  size_t count = CAPACITY + streams[0].count + streams[1].count;
  unsigned char(*keys)[16] = malloc(count * sizeof *keys);
  assert_non_null(keys);
  for (size_t at = 0; at < CAPACITY; at++) workload_fill_key(&work, at, keys[at]);
  memcpy(keys[CAPACITY], streams[0].keys, streams[0].count * 16);
  memcpy(keys[CAPACITY + streams[0].count], streams[1].keys, streams[1].count * 16);
  qsort(keys, count, sizeof *keys, compare_keys);
  for (size_t at = 1; at < count; at++) assert_true(memcmp(keys[at - 1], keys[at], 16) < 0);
  free(keys);
  workload_streams_destroy(&work, streams);
}

static size_t find_fill_key(unsigned char (*fill)[16], const unsigned char *key) {
  unsigned char(*found)[16] = bsearch(key, fill, CAPACITY, sizeof *fill, compare_keys);
  return found ? (size_t)(found - fill) : CAPACITY;
}

/* Each key of HIT is stored, and used about as often as the others. */
TEST_CASE(hit_keys_are_stored_and_uniform) {
  workload work = work_of(WORKLOAD_HIT);
  workload_stream streams[THREADS];
  uint64_t checksum;
  assert_true(workload_streams_create(&work, streams, &checksum));
  static unsigned char fill[CAPACITY][16];
  static size_t times[CAPACITY];
  for (size_t at = 0; at < CAPACITY; at++) workload_fill_key(&work, at, fill[at]);
  qsort(fill, CAPACITY, sizeof *fill, compare_keys);
  for (size_t at = 0; at < streams[0].count; at++) {
    size_t found = find_fill_key(fill, streams[0].keys + at * 16);
    assert_true(found < CAPACITY);
    times[found]++;
  }
  size_t mean = streams[0].count / CAPACITY;
  for (size_t at = 0; at < CAPACITY; at++) assert_in_range(times[at], mean / 2, mean * 2);
  workload_streams_destroy(&work, streams);
}

/* The most popular key occurs with its weight: 1 / (the sum of 1/rank^0.99 over 10,000 ranks) = 9.8 %. */
TEST_CASE(zipf_keys_have_zipf_frequencies) {
  workload work = work_of(WORKLOAD_ZIPF);
  workload_stream streams[THREADS];
  uint64_t checksum;
  assert_true(workload_streams_create(&work, streams, &checksum));
  unsigned char first[16], last[16];
  workload_fill_key(&work, CAPACITY - 1, first); /* the most popular key is filled last */
  workload_fill_key(&work, 0, last);
  size_t firsts = 0, lasts = 0;
  for (size_t at = 0; at < streams[1].count; at++) {
    firsts += !memcmp(streams[1].keys + at * 16, first, 16);
    lasts += !memcmp(streams[1].keys + at * 16, last, 16);
  }
  double share = (double)firsts / (double)streams[1].count;
  assert_true(share > 0.093 && share < 0.103);
  assert_true(lasts * 500 < firsts && lasts > 0); /* rank 1,000: a 933rd of the first */
  workload_streams_destroy(&work, streams);
}

TEST_CASE(mixed_operations_have_their_shares) {
  workload work = work_of(WORKLOAD_MIXED);
  workload_stream streams[THREADS];
  uint64_t checksum;
  assert_true(workload_streams_create(&work, streams, &checksum));
  size_t times[3] = {0}, count = streams[0].count;
  for (size_t at = 0; at < count; at++) times[streams[0].ops[at]]++;
  assert_in_range(times[WORKLOAD_GET], count * 89 / 100, count * 91 / 100);
  assert_in_range(times[WORKLOAD_PUT], count * 8 / 100, count * 10 / 100);
  assert_in_range(times[WORKLOAD_REMOVE], count * 8 / 1000, count * 12 / 1000);
  workload_streams_destroy(&work, streams);
}

TEST_CASE(histogram_percentiles_are_accurate) {
  static histogram of, sum;
  assert_true(histogram_percentile_ns(&of, 0.99) == 0);
  for (uint64_t ns = 1; ns <= 100000; ns++) histogram_add(&of, ns);
  double median = histogram_percentile_ns(&of, 0.5), high = histogram_percentile_ns(&of, 0.99);
  assert_true(median >= 50000 && median < 52000);
  assert_true(high >= 99000 && high <= 100000);
  assert_true(histogram_percentile_ns(&of, 1) == 100000);
  histogram_merge(&sum, &of);
  histogram_add(&sum, UINT64_MAX);
  assert_int_equal(sum.total, 100001);
  assert_true(sum.max_ns == UINT64_MAX);
  assert_true(histogram_percentile_ns(&sum, 0.5) == median);
}

int main(void) {
  return cases_run("bench/workload", NULL, NULL);
}
