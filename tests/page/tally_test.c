/* SPDX-License-Identifier: MIT */
/* Counts of the last minute of a page, in slices of five seconds, compared with a count of each second. */
#include "app/page/tally.h"

#include "support/test.h"

#define SECOND_NS UINT64_C(1000000000)

static const vsi_reason none;

/* The seconds that count are those of the last twelve slices. */
TEST_CASE(minute_is_the_sum_of_its_last_twelve_slices) {
  enum { SECONDS = 4000 };
  static unsigned counted[SECONDS];
  unsigned seed = 7;
  vsi_tally tally = {.of = NULL};
  for (unsigned now = 0; now < SECONDS; now++) {
    seed = seed * 1103515245 + 12345;
    const bool is_quiet = (now / 100) % 3 == 1; /* for longer than a minute, from time to time */
    const unsigned times = is_quiet ? 0 : (seed >> 16) % 4;
    for (unsigned i = 0; i < times; i++) vsi_tally_unchanged(&tally, &none, now * SECOND_NS + i);
    counted[now] = times;
    const unsigned first = now / 5 < 11 ? 0 : (now / 5 - 11) * 5;
    unsigned sum = 0;
    for (unsigned i = first; i <= now; i++) sum += counted[i];
    assert_int_equal(vsi_minute_sum(&tally.unchanged, now * SECOND_NS), sum);
  }
}

TEST_CASE(clock_set_back_loses_no_count) {
  vsi_tally tally = {.of = NULL};
  vsi_tally_unchanged(&tally, &none, 1000 * SECOND_NS);
  vsi_tally_unchanged(&tally, &none, 900 * SECOND_NS);
  assert_int_equal(vsi_minute_sum(&tally.unchanged, 1000 * SECOND_NS), 2);
  assert_int_equal(vsi_minute_sum(&tally.unchanged, 900 * SECOND_NS), 2);
  assert_int_equal(vsi_minute_sum(&tally.unchanged, 1061 * SECOND_NS), 0);
}

TEST_CASE(new_streams_do_not_hide_the_last_refresh) {
  vsi_tally tally = {.of = NULL};
  const vsi_reason first = {VESTRY_REFRESH_FIRST, ""}, topic = {VESTRY_REFRESH_TOPIC, "a"};
  vsi_tally_made(&tally, &first, 1, 2);
  assert_int_equal(tally.reason.kind, VESTRY_REFRESH_FIRST);
  vsi_tally_made(&tally, &topic, 3, 5);
  vsi_tally_made(&tally, &first, 6, 7);
  vsi_tally_made(&tally, &none, 8, 9);
  assert_int_equal(tally.reason.kind, VESTRY_REFRESH_TOPIC);
  assert_string_equal(tally.reason.name, "a");
  assert_int_equal(tally.reason_ns, 5);
  assert_int_equal(tally.first_count, 2);
  assert_int_equal(tally.renders_count, 4);
  assert_int_equal(tally.handler_ns, 5);
  assert_int_equal(tally.handler_longest_ns, 2);
}
