/* SPDX-License-Identifier: MIT */
/* Ticks: each period is begun once, by one process of all. */

#include "sqlite/jobs_shop.h"

static void begin_ticks(shop *s) {
  shop_open(s, (vestry_jobs_options){.backoff_ms = 10, .attempts_most = 3});
  atomic_store(&shop_clock_ms, BEGIN_MS + 500);
  for (int i = 0; i < NODES; i++)
    assert_int_equal(vestry_jobs_every(s->nodes[i].jobs, "tick", 10000, 2000, shop_work, &s->nodes[i]), VESTRY_OK);
}

/* capability: L7 */
static void a_tick_is_performed_by_one_process_in_each_period(void **state) {
  (void)state;
  shop s;
  begin_ticks(&s);
  assert_false(shop_step(&s.nodes[0]));
  for (int64_t period = 0; period < 20; period++) {
    atomic_store(&shop_clock_ms, BEGIN_MS + 2000 + period * 10000 - 1);
    for (int i = 0; i < NODES; i++) assert_false(shop_step(&s.nodes[i]));
    shop_pass(1 + (period * 997) % 9999);
    assert_true(shop_step(&s.nodes[period % 2]));
    assert_int_equal(s.period_at_ms, BEGIN_MS + 2000 + period * 10000);
    for (int i = 0; i < NODES; i++) assert_false(shop_step(&s.nodes[i]));
  }
  assert_int_equal(atomic_load(&s.calls), 20);
  /* No process lives for a while: the last period is performed, late. */
  atomic_store(&shop_clock_ms, BEGIN_MS + 2000 + 50 * 10000 + 7);
  assert_true(shop_step(&s.nodes[1]));
  assert_int_equal(s.period_at_ms, BEGIN_MS + 2000 + 50 * 10000);
  for (int i = 0; i < NODES; i++) assert_false(shop_step(&s.nodes[i]));
  /* The clock is set back: no period is begun again. */
  atomic_store(&shop_clock_ms, BEGIN_MS);
  for (int64_t at = 0; at <= 50 * 10000 + 11999; at += 1000) {
    atomic_store(&shop_clock_ms, BEGIN_MS + at);
    assert_false(shop_step(&s.nodes[0]));
  }
  shop_pass(1000);
  assert_true(shop_step(&s.nodes[0]));
  shop_close(&s);
}

/* capability: L7 */
static void a_tick_that_fails_is_begun_again_in_its_period(void **state) {
  (void)state;
  shop s;
  begin_ticks(&s);
  s.answers[0] = s.answers[1] = s.answers[2] = VESTRY_IO;
  s.answers[4] = VESTRY_IO;
  shop_pass(2000);
  for (int i = 0; i < 3; i++) {
    assert_true(shop_step(&s.nodes[i % 2]));
    assert_int_equal(s.attempt, i + 1);
    assert_int_equal(s.period_at_ms, BEGIN_MS + 2000);
    assert_false(shop_step(&s.nodes[0]));
    shop_pass(50);
  }
  assert_int_equal(s.outcomes[2], VESTRY_JOB_ENDED_DEAD);
  shop_pass(5000);
  assert_false(shop_step(&s.nodes[0])); /* not in this period */
  shop_pass(5000);
  assert_true(shop_step(&s.nodes[0])); /* the next one */
  assert_int_equal(s.attempt, 1);
  assert_int_equal(s.period_at_ms, BEGIN_MS + 12000);
  assert_int_equal(shop_number(&s.nodes[0], "SELECT count(*) FROM vestry_job WHERE error IS NULL"), 1);
  /* So late that the next attempt is of the next period. */
  atomic_store(&shop_clock_ms, BEGIN_MS + 31998);
  assert_true(shop_step(&s.nodes[0]));
  assert_int_equal(s.outcomes[4], VESTRY_JOB_ENDED_DEAD);
  shop_pass(2);
  assert_true(shop_step(&s.nodes[0]));
  assert_int_equal(s.period_at_ms, BEGIN_MS + 32000);
  shop_close(&s);
}

static void outlast_the_period(shop *s, shop_node *n, vestry_job *job) {
  (void)n;
  s->meanwhile = NULL;
  for (int i = 0; i < 50; i++) {
    shop_pass(LEASE_MS - 1);
    assert_int_equal(vestry_job_progress(job, i / 50.0, "on it"), VESTRY_OK);
    assert_false(shop_step(&s->nodes[1]));
  }
}

/* capability: L7 */
static void periods_do_not_overlap_and_a_dead_one_is_taken_over(void **state) {
  (void)state;
  shop s;
  begin_ticks(&s);
  shop_pass(2000);
  s.meanwhile = outlast_the_period;
  assert_true(shop_step(&s.nodes[0]));
  assert_int_equal(s.outcomes[0], VESTRY_JOB_ENDED_DONE);
  assert_false(shop_step(&s.nodes[0])); /* the next period begins later than now */
  shop_pass(10000);
  s.meanwhile = shop_stand_still;
  const int calls = atomic_load(&s.calls);
  assert_true(shop_step(&s.nodes[0]));
  assert_int_equal(atomic_load(&s.calls), calls + 2); /* of the same period */
  assert_int_equal(s.outcomes[2], VESTRY_JOB_ENDED_LOST);
  assert_false(shop_step(&s.nodes[1]));
  shop_close(&s);
}

/* capability: L7 */
static void a_tick_has_the_times_that_were_given_last(void **state) {
  (void)state;
  shop s;
  begin_ticks(&s);
  shop_close_node(&s.nodes[1]);
  assert_int_equal(shop_open_node(&s, &s.nodes[1], (vestry_jobs_options){0}), VESTRY_OK);
  vestry_jobs *jobs = s.nodes[1].jobs;
  assert_int_equal(vestry_jobs_every(jobs, "tick", 0, 0, shop_work, &s.nodes[1]), VESTRY_INVALID);
  assert_int_equal(vestry_jobs_every(jobs, "tick", 10, 10, shop_work, &s.nodes[1]), VESTRY_INVALID);
  assert_int_equal(vestry_jobs_every(jobs, "tick", UINT64_MAX, 0, shop_work, &s.nodes[1]), VESTRY_INVALID);
  assert_int_equal(vestry_jobs_every(jobs, "tick", 600, 0, shop_work, &s.nodes[1]), VESTRY_OK);
  assert_int_equal(vestry_jobs_every(jobs, "tick", 600, 0, shop_work, &s.nodes[1]), VESTRY_EXISTS);
  assert_int_equal(shop_number(&s.nodes[0], "SELECT count(*) FROM vestry_job"), 1);
  shop_pass(600);
  assert_true(shop_step(&s.nodes[0]));
  assert_false(shop_step(&s.nodes[0]));
  shop_pass(600);
  assert_true(shop_step(&s.nodes[1]));
  shop_close(&s);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_tick_is_performed_by_one_process_in_each_period),
      cmocka_unit_test(a_tick_that_fails_is_begun_again_in_its_period),
      cmocka_unit_test(periods_do_not_overlap_and_a_dead_one_is_taken_over),
      cmocka_unit_test(a_tick_has_the_times_that_were_given_last),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
