/* SPDX-License-Identifier: MIT */
/* Times of deliveries, taken of one event in 16; and events that are refused. */
#include "connection/tally.h"

#include <string.h>

#include "connection/probe.h"

static void one_event_in_16_is_timed_whatever_they_come_in(void **state) {
  (void)state;
  for (uint64_t id = 1; id < 40; id++) {
    unsigned alone = 0, twos = 0;
    for (uint64_t before = 0; before < 1600; before++) alone += vsi_group_tally_wants(id, before, 1);
    for (uint64_t before = 0; before < 1600; before += 2) twos += vsi_group_tally_wants(id, before, 2);
    assert_int_equal(alone, 100);
    assert_int_equal(twos, 100);
    assert_true(vsi_group_tally_wants(id, 3, 16));
  }
  unsigned first = 0; /* streams that get one event are not all left out */
  for (uint64_t id = 0; id < 1600; id++) first += vsi_group_tally_wants(id, 0, 1);
  assert_int_equal(first, 100);
}

static vestry_connection *start_one(bench *b, probe *p, const vestry_connection_options *options) {
  vestry_connection *made = bench_connect(b, p, options);
  vsi_connection_start(made);
  return made;
}

static void a_time_is_from_accepted_to_written(void **state) {
  (void)state;
  bench b;
  bench_init(&b, VESTRY_THREADS_NONE, NULL);
  probe p;
  probe_init(&p);
  vestry_connection *connection = start_one(&b, &p, NULL);
  bench_run(&b);
  vsi_group_stats stats;
  for (int observed = 0; observed < 2; observed++) {
    for (int i = 0; i < 32; i++) {
      assert_int_equal(bench_send(&b, connection, "x"), VESTRY_OK);
      test_host_advance_ms(&b.th, 20);
      bench_run(&b);
    }
    vsi_group_stats_get(b.group, &stats);
    assert_int_equal(stats.deliveries.count, 2 * observed); /* none, while it is not observed */
    vsi_group_observe(b.group, true);
  }
  assert_int_equal(stats.deliveries.counts[8], 2); /* 10 to 25 ms */
  assert_true(stats.deliveries.sum_s > .0399 && stats.deliveries.sum_s < .0401);
  p.write_answer = VESTRY_IO_WOULD_BLOCK;
  for (int i = 0; i < 16; i++) assert_int_equal(bench_send(&b, connection, "x"), VESTRY_OK);
  vestry_connection_close(connection, VESTRY_CAUSE_HANGUP);
  bench_run(&b);
  vsi_group_stats_get(b.group, &stats);
  assert_int_equal(stats.deliveries.count, 2); /* what was not written has no time */
  vsi_group_observe(b.group, false);
  vsi_group_observe(b.group, false);
  vestry_connection_unref(connection);
  bench_finish(&b);
  probe_finish(&p);
}

static void what_is_refused_is_counted_by_its_error(void **state) {
  (void)state;
  bench b;
  bench_init(&b, VESTRY_THREADS_NONE, NULL);
  probe p, q;
  probe_init(&p);
  probe_init(&q);
  const vestry_connection_options small = {.max_queued_count = 2, .max_queued_bytes = 100, .full = VESTRY_FULL_DROP};
  vestry_connection *connection = start_one(&b, &p, &small);
  char large[200];
  memset(large, 'x', sizeof large);
  large[sizeof large - 1] = '\0';
  assert_int_equal(bench_send(&b, connection, "x"), VESTRY_OK);
  assert_int_equal(bench_send(&b, connection, "x"), VESTRY_OK);
  assert_int_equal(bench_send(&b, connection, "x"), VESTRY_FULL);
  vestry_event *event = bench_event(&b, "x");
  test_host_fail_in(&b.th, 0);
  assert_int_equal(vestry_connection_send(connection, event), VESTRY_NO_MEMORY);
  test_host_fail_no_more(&b.th);
  vestry_event_unref(event);
  vsi_group_stats stats;
  vsi_group_stats_get(b.group, &stats);
  assert_int_equal(stats.refused, 1);
  assert_int_equal(stats.no_memory, 1);
  assert_int_equal(stats.too_large, 0);
  vestry_connection *other = start_one(&b, &q, &small);
  assert_int_equal(bench_send(&b, other, large), VESTRY_TOO_LARGE);
  vsi_group_stats_get(b.group, &stats);
  assert_int_equal(stats.too_large, 1);
  vestry_connection_close(connection, VESTRY_CAUSE_HANGUP);
  vestry_connection_close(other, VESTRY_CAUSE_HANGUP);
  bench_run(&b);
  vestry_connection_unref(connection);
  vestry_connection_unref(other);
  bench_finish(&b);
  probe_finish(&p);
  probe_finish(&q);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(one_event_in_16_is_timed_whatever_they_come_in),
      cmocka_unit_test(a_time_is_from_accepted_to_written),
      cmocka_unit_test(what_is_refused_is_counted_by_its_error),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
