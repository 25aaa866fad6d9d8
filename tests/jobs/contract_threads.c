/* SPDX-License-Identifier: MIT */
/* Threads that run jobs: they are woken, renew leases, and stop. */
#include "jobs/contract.h"
#include "support/until.h"

/* Polling finds no job, because poll_ms is a minute and the clock does not advance. */
/* capability: L7, M3 */
TEST_CASE(commit_wakes_a_thread) {
  crew c;
  crew_open(&c, (vestry_jobs_options){.poll_ms = 60000, .lease_ms = 600000, .threads_count = 3});
  crew_node *n = &c.nodes[0];
  assert_int_equal(vestry_jobs_start(n->jobs), VESTRY_OK);
  assert_int_equal(vestry_jobs_start(n->jobs), VESTRY_INVALID);
  assert_int_equal(vestry_jobs_step(n->jobs, NULL), VESTRY_INVALID);
  assert_int_equal(vestry_jobs_on(n->jobs, "more", crew_work, n), VESTRY_INVALID);
  for (int i = 1; i <= 20; i++) {
    crew_enqueue(&c, (vestry_job_order){0});
    UNTIL(atomic_load(&c.ends) == i);
  }
  vestry_jobs_stop(n->jobs);
  vestry_jobs_stop(n->jobs);
  assert_int_equal(atomic_load(&c.calls), 20);
  assert_int_equal(vestry_jobs_start(n->jobs), VESTRY_INVALID);
  crew_close(&c);
}

/* capability: L7, M3 */
TEST_CASE(job_of_another_process_is_found_by_polling) {
  crew c;
  crew_open(&c, (vestry_jobs_options){.poll_ms = 1, .lease_ms = 600000});
  assert_int_equal(vestry_jobs_start(c.nodes[1].jobs), VESTRY_OK);
  for (int i = 1; i <= 5; i++) {
    crew_enqueue(&c, (vestry_job_order){.delay_ms = 1});
    crew_pass(1);
    UNTIL(atomic_load(&c.ends) == i);
  }
  crew_close(&c);
}

/* The query after the commit finds the due time, because polling at poll_ms would be too late. */
/* capability: L7, M3 */
TEST_CASE(job_begins_when_it_becomes_due) {
  crew c;
  crew_open(&c, (vestry_jobs_options){.poll_ms = 60000, .lease_ms = 600000});
  assert_int_equal(vestry_jobs_start(c.nodes[0].jobs), VESTRY_OK);
  for (int i = 1; i <= 5; i++) {
    crew_enqueue(&c, (vestry_job_order){.delay_ms = 20});
    crew_pass(20); /* the query may run before or after this */
    UNTIL(atomic_load(&c.ends) == i);
  }
  crew_close(&c);
}

/* capability: L7, M3 */
TEST_CASE(concurrent_nodes_run_each_job_once) {
  enum { MANY = 120 };
  crew c;
  crew_open(&c, (vestry_jobs_options){.threads_count = 3, .poll_ms = 1, .lease_ms = 600000});
  for (int i = 0; i < CREW_NODES; i++) assert_int_equal(vestry_jobs_start(c.nodes[i].jobs), VESTRY_OK);
  for (int i = 0; i < MANY; i++) {
    int64_t id = 0;
    assert_int_equal(crew_try(&c.nodes[i % CREW_NODES], (vestry_job_order){.kind = "count"}, &id), VESTRY_OK);
    assert_int_equal(id, i + 1);
  }
  UNTIL(atomic_load(&c.ends) == MANY);
  for (int i = 0; i < CREW_NODES; i++) vestry_jobs_stop(c.nodes[i].jobs);
  for (int id = 1; id <= MANY; id++) assert_int_equal(atomic_load(&c.runs[id]), 1);
  assert_int_equal(crew_number(&c.nodes[0], "SELECT count(*) FROM vestry_job WHERE state <> 'done' OR attempts <> 1"),
                   0);
  crew_close(&c);
}

/* The first node's thread runs a job that does not end. */
static int64_t open_held(crew *c) {
  crew_open(c, (vestry_jobs_options){.poll_ms = 1});
  int64_t id = crew_enqueue(c, (vestry_job_order){0});
  atomic_store(&c->is_held, true);
  assert_int_equal(vestry_jobs_start(c->nodes[0].jobs), VESTRY_OK);
  UNTIL(atomic_load(&c->calls) == 1);
  return id;
}

/* capability: L7, M3 */
TEST_CASE(lease_is_renewed_while_the_function_runs) {
  crew c;
  int64_t id = open_held(&c);
  for (int i = 0; i < 20; i++) {
    crew_pass(CREW_LEASE_MS / 2);
    UNTIL(crew_look(&c.nodes[1], id).row.due_ms == atomic_load(&crew_clock_ms) + CREW_LEASE_MS);
    assert_false(crew_step(&c.nodes[1]));
  }
  /* At the stop the function is notified. The job waits again, as if it had not begun. */
  vestry_jobs_stop(c.nodes[0].jobs);
  assert_int_equal(atomic_load(&c.outcomes[0]), VESTRY_JOB_ENDED_PUT_BACK);
  const crew_row is = crew_look(&c.nodes[1], id);
  assert_int_equal(is.row.state, VESTRY_JOB_WAITING);
  assert_int_equal(is.row.attempts_count, 0);
  atomic_store(&c.is_held, false);
  assert_true(crew_step(&c.nodes[1]));
  crew_close(&c);
}

/* The renewing thread detects the loss, and notifies the function. */
/* capability: L7, M3 */
TEST_CASE(function_is_notified_of_a_lost_lease) {
  crew c;
  int64_t id = open_held(&c);
  assert_int_equal(vestry_jobs_remove(c.nodes[1].jobs, id), VESTRY_OK);
  crew_pass(CREW_LEASE_MS / 2);
  UNTIL(atomic_load(&c.ends) == 1);
  assert_int_equal(atomic_load(&c.outcomes[0]), VESTRY_JOB_ENDED_LOST);
  crew_close(&c);
}

static atomic_int holding_count;
static atomic_bool is_to_hold;

static vestry_err hold_connection(vestry_job *job, void *app) {
  crew_node *n = app;
  vestry_sql_transaction *transaction = NULL;
  assert_int_equal(vestry_sql_begin(n->pool, VESTRY_SQL_READ, &transaction), VESTRY_OK);
  atomic_fetch_add(&holding_count, 1);
  WAIT_WHILE(atomic_load(&is_to_hold));
  assert_int_equal(vestry_sql_end(transaction, VESTRY_OK), VESTRY_OK);
  return VESTRY_OK;
}

/* Return when the first of the leases of jobs ends. */
static int64_t first_end_ms(crew_node *n, int64_t from_id, int count) {
  int64_t first_ms = INT64_MAX;
  for (int i = 0; i < count; i++) {
    const int64_t end_ms = crew_look(n, from_id + i).row.due_ms;
    if (end_ms < first_ms) first_ms = end_ms;
  }
  return first_ms;
}

/* Functions hold all connections of the pool for longer than many leases, and no job is taken over. */
/* capability: L7, M3 */
TEST_CASE(leases_are_renewed_while_functions_hold_all_connections) {
  crew c;
  const int connections_count = crew_of()->connections_count;
  crew_open(&c, (vestry_jobs_options){.threads_count = (uint32_t)connections_count, .poll_ms = 60000});
  atomic_store(&holding_count, 0);
  atomic_store(&is_to_hold, true);
  for (int i = 0; i < CREW_NODES; i++)
    assert_int_equal(vestry_jobs_on(c.nodes[i].jobs, "hold", hold_connection, &c.nodes[i]), VESTRY_OK);
  const int64_t first = crew_enqueue(&c, (vestry_job_order){.kind = "hold"});
  for (int i = 1; i < connections_count; i++)
    assert_int_equal(crew_enqueue(&c, (vestry_job_order){.kind = "hold"}), first + i);
  assert_int_equal(vestry_jobs_start(c.nodes[0].jobs), VESTRY_OK);
  UNTIL(atomic_load(&holding_count) == connections_count);
  for (int i = 0; i < 10; i++) {
    crew_pass(CREW_LEASE_MS / 2);
    const int64_t end_ms = atomic_load(&crew_clock_ms) + CREW_LEASE_MS;
    UNTIL(first_end_ms(&c.nodes[1], first, connections_count) == end_ms);
    assert_false(crew_step(&c.nodes[1]));
  }
  atomic_store(&is_to_hold, false);
  UNTIL(atomic_load(&c.ends) == connections_count);
  vestry_jobs_stop(c.nodes[0].jobs);
  assert_int_equal(crew_number(&c.nodes[1], "SELECT count(*) FROM vestry_job WHERE state = 'done'"), connections_count);
  assert_int_equal(crew_number(&c.nodes[1], "SELECT max(attempts) FROM vestry_job"), 1);
  crew_close(&c);
}

int jobs_contract_run_threads(void) {
  return cases_run("jobs_contract_threads", NULL, NULL);
}
