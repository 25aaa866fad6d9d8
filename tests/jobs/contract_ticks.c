/* SPDX-License-Identifier: MIT */
/* Scheduled jobs: each period begins once, in one of the processes. */
#include "jobs/contract.h"

static void begin_ticks(crew *c) {
  crew_open(c, (vestry_jobs_options){.backoff_ms = 10, .max_attempts = 3});
  atomic_store(&crew_clock_ms, CREW_BEGIN_MS + 500);
  for (int i = 0; i < CREW_NODES; i++)
    assert_int_equal(vestry_jobs_every(c->nodes[i].jobs, "tick", 10000, 2000, crew_work, &c->nodes[i]), VESTRY_OK);
}

#define TICKS_CASE(name) TEST_CASE_WITH(name, crew, c, begin_ticks(c), crew_close(c))

/* capability: L7, M3 */
TICKS_CASE(scheduled_job_runs_once_in_each_period) {
  assert_false(crew_step(&c->nodes[0]));
  for (int64_t period = 0; period < 20; period++) {
    atomic_store(&crew_clock_ms, CREW_BEGIN_MS + 2000 + period * 10000 - 1);
    for (int i = 0; i < CREW_NODES; i++) assert_false(crew_step(&c->nodes[i]));
    crew_pass(1 + (period * 997) % 9999);
    assert_true(crew_step(&c->nodes[period % 2]));
    assert_int_equal(c->period_at_ms, CREW_BEGIN_MS + 2000 + period * 10000);
    for (int i = 0; i < CREW_NODES; i++) assert_false(crew_step(&c->nodes[i]));
  }
  assert_int_equal(atomic_load(&c->calls), 20);
  /* No process runs for a while; then the last period runs late. */
  atomic_store(&crew_clock_ms, CREW_BEGIN_MS + 2000 + 50 * 10000 + 7);
  assert_true(crew_step(&c->nodes[1]));
  assert_int_equal(c->period_at_ms, CREW_BEGIN_MS + 2000 + 50 * 10000);
  for (int i = 0; i < CREW_NODES; i++) assert_false(crew_step(&c->nodes[i]));
  /* The clock is set back, and no period begins again. */
  atomic_store(&crew_clock_ms, CREW_BEGIN_MS);
  for (int64_t at = 0; at <= 50 * 10000 + 11999; at += 1000) {
    atomic_store(&crew_clock_ms, CREW_BEGIN_MS + at);
    assert_false(crew_step(&c->nodes[0]));
  }
  crew_pass(1000);
  assert_true(crew_step(&c->nodes[0]));
}

/* capability: L7, M3 */
TICKS_CASE(failed_scheduled_job_is_retried_within_its_period) {
  c->answers[0] = c->answers[1] = c->answers[2] = VESTRY_IO;
  c->answers[4] = VESTRY_IO;
  crew_pass(2000);
  for (int i = 0; i < 3; i++) {
    assert_true(crew_step(&c->nodes[i % 2]));
    assert_int_equal(c->attempt, i + 1);
    assert_int_equal(c->period_at_ms, CREW_BEGIN_MS + 2000);
    assert_false(crew_step(&c->nodes[0]));
    crew_pass(50);
  }
  assert_int_equal(atomic_load(&c->outcomes[2]), VESTRY_JOB_ENDED_DEAD);
  crew_pass(5000);
  assert_false(crew_step(&c->nodes[0])); /* not in this period */
  crew_pass(5000);
  assert_true(crew_step(&c->nodes[0])); /* the next period */
  assert_int_equal(c->attempt, 1);
  assert_int_equal(c->period_at_ms, CREW_BEGIN_MS + 12000);
  assert_int_equal(crew_number(&c->nodes[0], "SELECT count(*) FROM vestry_job WHERE error IS NULL"), 1);
  /* The retry would fall into the next period, which begins instead. */
  atomic_store(&crew_clock_ms, CREW_BEGIN_MS + 31998);
  assert_true(crew_step(&c->nodes[0]));
  assert_int_equal(atomic_load(&c->outcomes[4]), VESTRY_JOB_ENDED_DEAD);
  crew_pass(2);
  assert_true(crew_step(&c->nodes[0]));
  assert_int_equal(c->period_at_ms, CREW_BEGIN_MS + 32000);
}

static void outlast_the_period(crew *c, crew_node *n, vestry_job *job) {
  c->meanwhile = NULL;
  for (int i = 0; i < 50; i++) {
    crew_pass(CREW_LEASE_MS - 1);
    assert_int_equal(vestry_job_progress(job, i / 50.0, "on it"), VESTRY_OK);
    assert_false(crew_step(&c->nodes[1]));
  }
}

/* capability: L7, M3 */
TICKS_CASE(periods_do_not_overlap_and_stalled_run_is_taken_over) {
  crew_pass(2000);
  c->meanwhile = outlast_the_period;
  assert_true(crew_step(&c->nodes[0]));
  assert_int_equal(atomic_load(&c->outcomes[0]), VESTRY_JOB_ENDED_DONE);
  /* Of the periods that passed during the run, only the last runs, late. */
  assert_true(crew_step(&c->nodes[1]));
  assert_int_equal(c->period_at_ms, CREW_BEGIN_MS + 52000);
  assert_false(crew_step(&c->nodes[0]));
  crew_pass(10000);
  c->meanwhile = crew_stand_still;
  const int calls = atomic_load(&c->calls);
  assert_true(crew_step(&c->nodes[0]));
  assert_int_equal(atomic_load(&c->calls), calls + 2); /* of the same period */
  assert_int_equal(atomic_load(&c->outcomes[3]), VESTRY_JOB_ENDED_LOST);
  assert_false(crew_step(&c->nodes[1]));
}

/* capability: L7, M3 */
TICKS_CASE(last_registered_period_applies_to_all_nodes) {
  crew_close_node(&c->nodes[1]);
  assert_int_equal(crew_open_node(c, &c->nodes[1], &c->th.host, (vestry_jobs_options){0}, false), VESTRY_OK);
  vestry_jobs *jobs = c->nodes[1].jobs;
  assert_int_equal(vestry_jobs_every(jobs, "tick", 0, 0, crew_work, &c->nodes[1]), VESTRY_INVALID);
  assert_int_equal(vestry_jobs_every(jobs, "tick", 10, 10, crew_work, &c->nodes[1]), VESTRY_INVALID);
  assert_int_equal(vestry_jobs_every(jobs, "tick", UINT64_MAX, 0, crew_work, &c->nodes[1]), VESTRY_INVALID);
  assert_int_equal(vestry_jobs_every(jobs, "tick", 600, 0, crew_work, &c->nodes[1]), VESTRY_OK);
  assert_int_equal(vestry_jobs_every(jobs, "tick", 600, 0, crew_work, &c->nodes[1]), VESTRY_EXISTS);
  assert_int_equal(crew_number(&c->nodes[0], "SELECT count(*) FROM vestry_job"), 1);
  crew_pass(600);
  assert_true(crew_step(&c->nodes[0]));
  assert_false(crew_step(&c->nodes[0]));
  crew_pass(600);
  assert_true(crew_step(&c->nodes[1]));
}

/* The process stalls until the next period, in which another process takes over. */
static void sleep_into_the_next_period(crew *c, crew_node *n, vestry_job *job) {
  c->meanwhile = NULL;
  assert_int_equal(c->period_at_ms, CREW_BEGIN_MS + 2000);
  atomic_store(&crew_clock_ms, CREW_BEGIN_MS + 12500);
  assert_true(crew_step(&c->nodes[n == &c->nodes[0]]));
  assert_int_equal(c->period_at_ms, CREW_BEGIN_MS + 12000);
  assert_int_equal(c->attempt, 1);
  assert_int_equal(vestry_job_progress(job, 0.5, "late"), VESTRY_CLOSED);
}

static void stop_and_put_back(crew *c, crew_node *n, vestry_job *job) {
  c->meanwhile = NULL;
  vestry_jobs_stop(n->jobs);
  assert_true(vestry_job_is_over(job));
  atomic_store(&crew_clock_ms, CREW_BEGIN_MS + 2500); /* the clock is set back into a period that has run */
}

static void attempt_periods(crew *c, bool has_died) {
  for (int i = 0; i < 3 && !has_died; i++) c->answers[i] = VESTRY_IO; /* more than one attempt */
  if (has_died) c->meanwhile = sleep_into_the_next_period;
  atomic_store(&crew_clock_ms, CREW_BEGIN_MS + 2000);
  assert_true(crew_step(&c->nodes[0]));
  if (has_died) return;
  atomic_store(&crew_clock_ms, CREW_BEGIN_MS + 12500);
  assert_true(crew_step(&c->nodes[1]));
  assert_int_equal(c->period_at_ms, CREW_BEGIN_MS + 12000);
  assert_int_equal(c->attempt, 1);
}

/* capability: L7, M3 */
TEST_CASE(period_begins_although_the_last_has_attempts_left) {
  for (int has_died = 0; has_died < 2; has_died++) {
    crew c;
    begin_ticks(&c);
    attempt_periods(&c, has_died);
    crew_pass(50);
    assert_int_equal(crew_step(&c.nodes[1]), !has_died); /* the second attempt */
    assert_int_equal(c.period_at_ms, CREW_BEGIN_MS + 12000);
    crew_pass(50);
    if (!has_died) assert_true(crew_step(&c.nodes[0]));
    for (int i = 0; i < CREW_NODES; i++) assert_false(crew_step(&c.nodes[i]));
    atomic_store(&crew_clock_ms, CREW_BEGIN_MS + 22000);
    assert_true(crew_step(&c.nodes[0]));
    assert_int_equal(c.period_at_ms, CREW_BEGIN_MS + 22000);
    crew_close(&c);
  }
}

/* capability: L7, M3 */
TICKS_CASE(interrupted_period_stays_itself_after_the_clock_is_set_back) {
  crew_pass(2000);
  assert_true(crew_step(&c->nodes[0]));
  crew_pass(10000);
  c->meanwhile = stop_and_put_back;
  c->answers[1] = VESTRY_CLOSED;
  assert_true(crew_step(&c->nodes[0]));
  assert_int_equal(atomic_load(&c->outcomes[1]), VESTRY_JOB_ENDED_PUT_BACK);
  assert_true(crew_step(&c->nodes[1]));
  assert_int_equal(c->period_at_ms, CREW_BEGIN_MS + 12000);
  assert_int_equal(c->attempt, 1);
  crew_pass(10000);
  assert_false(crew_step(&c->nodes[1]));
}

static void change_period(crew *c, crew_node *n, vestry_job *job) {
  static crew_node third; /* another version of the program */
  c->meanwhile = NULL;
  assert_int_equal(crew_open_node(c, &third, &c->th.host, (vestry_jobs_options){0}, false), VESTRY_OK);
  assert_int_equal(vestry_jobs_every(third.jobs, "tick", 600, 0, crew_work, &third), VESTRY_OK);
  crew_close_node(&third);
}

/* capability: L7, M3 */
TICKS_CASE(period_changed_during_a_run_applies_afterwards) {
  crew_pass(2000);
  c->meanwhile = change_period;
  assert_true(crew_step(&c->nodes[0]));
  crew_pass(600);
  assert_true(crew_step(&c->nodes[0]));
  assert_int_equal(c->period_at_ms % 600, 0);
}

/* The period changes while the clock is behind; no period begins that is not later than the last. */
/* capability: L7, M3 */
TICKS_CASE(changed_period_begins_no_earlier_one_after_clock_set_back) {
  crew_pass(22000);
  assert_true(crew_step(&c->nodes[0]));
  atomic_store(&crew_clock_ms, CREW_BEGIN_MS + 2500);
  crew_close_node(&c->nodes[1]);
  assert_int_equal(crew_open_node(c, &c->nodes[1], &c->th.host, (vestry_jobs_options){0}, false), VESTRY_OK);
  assert_int_equal(vestry_jobs_every(c->nodes[1].jobs, "tick", 5000, 0, crew_work, &c->nodes[1]), VESTRY_OK);
  for (; atomic_load(&crew_clock_ms) < CREW_BEGIN_MS + 25000; crew_pass(500)) assert_false(crew_step(&c->nodes[1]));
  assert_true(crew_step(&c->nodes[1]));
  assert_int_equal(c->period_at_ms, CREW_BEGIN_MS + 25000);
}

int jobs_contract_run_ticks(void) {
  return cases_run("jobs_contract_ticks", NULL, NULL);
}
