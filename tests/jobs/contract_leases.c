/* SPDX-License-Identifier: MIT */
/* A process holds a job by a lease. If the process dies or stalls, another process takes the job over. */
#include <signal.h>
#include <sys/wait.h>

#include "data/jobs/state.h"
#include "jobs/contract.h"

/* capability: L7, M3 */
TEST_CASE(expired_lease_is_taken_over_and_late_results_are_rejected) {
  static const vestry_err late[] = {VESTRY_OK, VESTRY_FAILED, VESTRY_CLOSED};
  for (int i = 0; i < 6; i++) {
    crew c;
    crew_open(&c, (vestry_jobs_options){0});
    int64_t id = crew_enqueue(&c, (vestry_job_order){0});
    c.meanwhile = crew_stand_still;
    c.answers[0] = late[i % 3];
    c.answers[1] = i < 3 ? VESTRY_OK : VESTRY_FAILED; /* result of the run that took over */
    assert_true(crew_step(&c.nodes[0]));
    assert_int_equal(atomic_load(&c.outcomes[0]), i < 3 ? VESTRY_JOB_ENDED_DONE : VESTRY_JOB_ENDED_AGAIN);
    assert_int_equal(atomic_load(&c.outcomes[1]), VESTRY_JOB_ENDED_LOST);
    const crew_row is = crew_look(&c.nodes[0], id);
    assert_int_equal(is.row.state, i < 3 ? VESTRY_JOB_DONE : VESTRY_JOB_WAITING);
    assert_int_equal(is.row.attempts_count, 2);
    assert_string_equal(is.said, "-");
    assert_int_equal(crew_number(&c.nodes[0], "SELECT count(*) FROM t WHERE x = 2"), 0);
    crew_close(&c);
  }
}

static void die(crew *c, crew_node *n, vestry_job *job) {
  raise(SIGKILL);
}

/* The child's node enqueues a job, and the child is killed while the job runs. */
static void live_and_die(crew *own) {
  own->meanwhile = die;
  if (!crew_open_node(own, &own->nodes[0], NULL, (vestry_jobs_options){0}, false) &&
      !crew_try(&own->nodes[0], (vestry_job_order){.payload = {"its", 3}}, NULL))
    (void)vestry_jobs_step(own->nodes[0].jobs, NULL);
  _exit(1);
}

/* capability: L7, M3 */
TEST_CASE(job_of_a_killed_process_is_taken_over_after_its_lease) {
  crew c;
  int status;
  crew_begin(&c);
  const pid_t child = fork(); /* before this process opens connections */
  if (!child) live_and_die(&c);
  assert_int_equal(waitpid(child, &status, 0), child);
  assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
  for (int i = 0; i < CREW_NODES; i++)
    assert_int_equal(crew_open_node(&c, &c.nodes[i], &c.th.host, (vestry_jobs_options){0}, false), VESTRY_OK);
  const int64_t id = crew_number(&c.nodes[0], "SELECT max(id) FROM vestry_job");
  assert_int_equal(crew_look(&c.nodes[0], id).row.state, VESTRY_JOB_RUNNING);
  crew_pass(CREW_LEASE_MS - 1);
  for (int i = 0; i < CREW_NODES; i++) assert_false(crew_step(&c.nodes[i]));
  crew_pass(1);
  assert_true(crew_step(&c.nodes[1]));
  assert_int_equal(c.attempt, 2);
  assert_string_equal((const char *)c.seen, "its");
  assert_int_equal(crew_look(&c.nodes[0], id).row.state, VESTRY_JOB_DONE);
  crew_close(&c);
}

static void let_lease_end(crew *c, crew_node *n, vestry_job *job) {
  crew_pass(CREW_LEASE_MS);
  assert_false(crew_step(&c->nodes[1]));
}

/* For example, the job kills the process that runs it. */
/* capability: L7, M3 */
TEST_CASE(job_that_loses_its_last_lease_is_dead) {
  crew c;
  crew_open(&c, (vestry_jobs_options){.max_attempts = 1});
  int64_t id = crew_enqueue(&c, (vestry_job_order){0});
  c.meanwhile = let_lease_end;
  assert_true(crew_step(&c.nodes[0]));
  assert_int_equal(atomic_load(&c.outcomes[0]), VESTRY_JOB_ENDED_DEAD);
  assert_int_equal(atomic_load(&c.outcomes[1]), VESTRY_JOB_ENDED_LOST);
  const crew_row is = crew_look(&c.nodes[0], id);
  assert_int_equal(is.row.state, VESTRY_JOB_DEAD);
  assert_string_equal(is.error, "the process died, or the lease expired");
  assert_int_equal(atomic_load(&c.calls), 1);
  crew_close(&c);
}

/* The leases of the first two jobs have ended when their own process, in their functions, looks for more. */
static void look_after_the_lease(crew *c, crew_node *n, vestry_job *job) {
  const int calls = atomic_load(&c->calls);
  if (calls == 2) crew_pass(2 * CREW_LEASE_MS);
  assert_int_equal(crew_step(n), calls < 3);
  assert_false(crew_step(&c->nodes[1]));
}

/* capability: L7, M3 */
TEST_CASE(running_job_is_not_taken_over_by_its_own_process) {
  for (uint32_t max_attempts = 1; max_attempts <= 2; max_attempts++) {
    crew c;
    crew_open(&c, (vestry_jobs_options){.max_attempts = max_attempts});
    for (int i = 0; i < 3; i++) crew_enqueue(&c, (vestry_job_order){0});
    c.meanwhile = look_after_the_lease;
    assert_true(crew_step(&c.nodes[0]));
    assert_int_equal(atomic_load(&c.calls), 3);
    for (int i = 0; i < 3; i++) assert_int_equal(atomic_load(&c.outcomes[i]), VESTRY_JOB_ENDED_DONE);
    assert_int_equal(crew_number(&c.nodes[0], "SELECT count(*) FROM vestry_job WHERE state = 'done' AND fence = 1"), 3);
    assert_int_equal(atomic_load(&c.ends), 3);
    crew_close(&c);
  }
}

/* This process renews the lease when it looks for jobs, and then stalls. */
static void renew_and_stall(crew *c, crew_node *n, vestry_job *job) {
  c->meanwhile = NULL;
  crew_pass(2 * CREW_LEASE_MS);
  assert_false(crew_step(n));
  crew_pass(CREW_LEASE_MS - 1);
  assert_false(crew_step(&c->nodes[1]));
  crew_pass(1);
  assert_true(crew_step(&c->nodes[1]));
}

/* capability: L7, M3 */
CREW_CASE(renewed_lease_ends_like_the_first_one) {
  const int64_t id = crew_enqueue(c, (vestry_job_order){0});
  c->meanwhile = renew_and_stall;
  assert_true(crew_step(&c->nodes[0]));
  assert_int_equal(atomic_load(&c->outcomes[0]), VESTRY_JOB_ENDED_DONE);
  assert_int_equal(atomic_load(&c->outcomes[1]), VESTRY_JOB_ENDED_LOST);
  assert_int_equal(crew_look(&c->nodes[0], id).row.attempts_count, 2);
}

static void remove_it(crew *c, crew_node *n, vestry_job *job) {
  assert_int_equal(vestry_jobs_remove(n->jobs, job->id), VESTRY_OK);
  assert_int_equal(vestry_job_progress(job, 1, NULL), VESTRY_CLOSED);
}

/* capability: L7, M3 */
CREW_CASE(job_removed_while_running_ends_as_lost) {
  crew_enqueue(c, (vestry_job_order){0});
  c->meanwhile = remove_it;
  assert_true(crew_step(&c->nodes[0]));
  assert_int_equal(atomic_load(&c->outcomes[0]), VESTRY_JOB_ENDED_LOST);
  assert_int_equal(crew_number(&c->nodes[0], "SELECT count(*) FROM vestry_job"), 0);
}

/* ---------------------------------------------------------------------------------------------- finishing -------- */

static vestry_err error_of_transaction;

static void finish(crew *c, crew_node *n, vestry_job *job) {
  assert_int_equal(crew_finish(n, job, error_of_transaction), error_of_transaction);
}

/* capability: L7, M3 */
TEST_CASE(writes_of_a_job_are_committed_with_its_end) {
  static const struct {
    vestry_err error_of_transaction, of_function;
    vestry_job_outcome outcome;
    int rows;
  } cases[] = {{VESTRY_OK, VESTRY_OK, VESTRY_JOB_ENDED_DONE, 1},
               {VESTRY_OK, VESTRY_FAILED, VESTRY_JOB_ENDED_DONE, 1}, /* the commit decides */
               {VESTRY_FAILED, VESTRY_OK, VESTRY_JOB_ENDED_DONE, 0}, /* the function's result decides */
               {VESTRY_FAILED, VESTRY_FAILED, VESTRY_JOB_ENDED_AGAIN, 0}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    crew c;
    crew_open(&c, (vestry_jobs_options){0});
    crew_enqueue(&c, (vestry_job_order){0});
    c.meanwhile = finish;
    error_of_transaction = cases[i].error_of_transaction;
    c.answers[0] = cases[i].of_function;
    assert_true(crew_step(&c.nodes[0]));
    assert_int_equal(atomic_load(&c.outcomes[0]), cases[i].outcome);
    assert_int_equal(crew_number(&c.nodes[0], "SELECT count(*) FROM t WHERE x = 2"), cases[i].rows);
    assert_int_equal(crew_number(&c.nodes[0], "SELECT count(*) FROM vestry_job WHERE state = 'done'"),
                     cases[i].outcome == VESTRY_JOB_ENDED_DONE);
    crew_close(&c);
  }
}

int jobs_contract_run_leases(void) {
  return cases_run("jobs_contract_leases", NULL, NULL);
}
