/* SPDX-License-Identifier: MIT */
/* Jobs run after their commit, when they are due, and again after a failure. */
#include "jobs/contract.h"

/* ------------------------------------------------------------------------------------------------ running -------- */

/* capability: L7, M3 */
CREW_CASE(committed_job_runs_on_any_node_and_rolled_back_job_never) {
  int64_t id = 0;
  for (int kind = 0; kind < crew_of()->kinds_count; kind++) {
    const vestry_job_order order = {.payload = {"rolled back", 11}};
    assert_int_equal(crew_enqueue_as(&c->nodes[0], kind, order, VESTRY_FAILED, &id), VESTRY_FAILED);
    for (int i = 0; i < CREW_NODES; i++) assert_false(crew_step(&c->nodes[i]));
  }
  for (int i = 0; i < CREW_NODES; i++) {
    id = crew_enqueue(c, (vestry_job_order){.payload = {"tea", 3}});
    assert_memory_equal(crew_look(&c->nodes[1 - i], id).payload, "tea", 3);
    assert_true(crew_step(&c->nodes[i]));
    assert_string_equal((const char *)c->seen, "tea");
    assert_false(crew_step(&c->nodes[1 - i]));
    const crew_row is = crew_look(&c->nodes[i], id);
    assert_int_equal(is.row.state, VESTRY_JOB_DONE);
    assert_int_equal(is.row.attempts_count, 1);
    assert_true(is.row.progress == 1);
    assert_int_equal(is.row.created_ms, CREW_BEGIN_MS);
    assert_int_equal(is.row.ended_ms, CREW_BEGIN_MS);
    assert_int_equal(atomic_load(&c->outcomes[i]), VESTRY_JOB_ENDED_DONE);
  }
  assert_int_equal(atomic_load(&c->calls), CREW_NODES);
  assert_int_equal(crew_number(&c->nodes[0], "SELECT count(*) FROM t"), CREW_NODES);
  assert_int_equal(crew_number(&c->nodes[0], "SELECT count(*) FROM vestry_job"), CREW_NODES);
}

/* A savepoint of a transaction is rolled back, and the rest is committed. */
/* capability: L7, M3 */
TEST_CASE(job_rolled_back_to_a_savepoint_never_runs) {
  const vestry_job_order given = {.kind = "work", .key = "a", .payload = {"first", 5}};
  const vestry_job_order again = {.kind = "work", .key = "a", .payload = {"second", 6}};
  for (int gives_again = 0; gives_again < 2; gives_again++) {
    crew c;
    vestry_sql_transaction *transaction;
    crew_open(&c, (vestry_jobs_options){0});
    crew_node *n = &c.nodes[0];
    assert_int_equal(crew_transact(n, 0, &transaction), VESTRY_OK);
    assert_int_equal(crew_run(transaction, "INSERT INTO t VALUES(1)"), VESTRY_OK);
    assert_int_equal(crew_run(transaction, "SAVEPOINT here"), VESTRY_OK);
    assert_int_equal(vestry_jobs_enqueue(n->jobs, transaction, &given, NULL), VESTRY_OK);
    assert_int_equal(vestry_jobs_enqueue(n->jobs, transaction, &again, NULL), VESTRY_EXISTS);
    assert_int_equal(crew_run(transaction, "ROLLBACK TO here"), VESTRY_OK);
    if (gives_again) assert_int_equal(vestry_jobs_enqueue(n->jobs, transaction, &again, NULL), VESTRY_OK);
    assert_int_equal(vestry_sql_end(transaction, VESTRY_OK), VESTRY_OK);
    assert_int_equal(crew_number(n, "SELECT count(*) FROM t"), 1);
    assert_int_equal(crew_step(&c.nodes[1]), gives_again);
    if (gives_again) assert_string_equal((const char *)c.seen, "second");
    assert_false(crew_step(n));
    assert_int_equal(crew_number(n, "SELECT count(*) FROM vestry_job"), gives_again);
    crew_close(&c);
  }
}

/* Times come from the machine's clock, or from that of the database's server. */
/* capability: L7, M3 */
TEST_CASE(default_clock_is_that_of_the_database) {
  crew c;
  crew_begin(&c);
  for (int i = 0; i < CREW_NODES; i++)
    assert_int_equal(crew_open_node(&c, &c.nodes[i], &c.th.host, (vestry_jobs_options){0}, true), VESTRY_OK);
  int64_t id = crew_enqueue(&c, (vestry_job_order){0});
  crew_enqueue(&c, (vestry_job_order){.delay_ms = 3600000});
  assert_true(crew_step(&c.nodes[1]));
  assert_false(crew_step(&c.nodes[0]));
  const crew_row is = crew_look(&c.nodes[0], id);
  assert_int_equal(is.row.state, VESTRY_JOB_DONE);
  assert_true(is.row.ended_ms >= is.row.created_ms && is.row.created_ms > CREW_BEGIN_MS);
  crew_close(&c);
}

/* capability: L7, M3 */
CREW_CASE(job_waits_until_due_and_for_a_node_with_its_kind) {
  crew_node *n = &c->nodes[0];
  crew_enqueue(c, (vestry_job_order){.payload = {"late", 4}, .delay_ms = 300});
  crew_enqueue(c, (vestry_job_order){.payload = {"later", 5}, .not_before_ms = CREW_BEGIN_MS + 400, .delay_ms = 100});
  crew_enqueue(c, (vestry_job_order){.payload = {"never", 5}, .delay_ms = UINT64_MAX});
  crew_enqueue(c, (vestry_job_order){.kind = "unknown"});
  crew_pass(299);
  assert_false(crew_step(n));
  crew_pass(200);
  assert_true(crew_step(n));
  assert_string_equal((const char *)c->seen, "late"); /* the job that has been due longest runs first */
  assert_true(crew_step(n));
  assert_string_equal((const char *)c->seen, "later");
  assert_false(crew_step(n));
  crew_pass(INT64_C(1000) * 365 * 86400000);
  assert_false(crew_step(n));
  assert_int_equal(crew_number(n, "SELECT count(*) FROM vestry_job WHERE state = 'waiting'"), 2);
}

/* ------------------------------------------------------------------------------------------------ failing -------- */

static void explain(crew *c, crew_node *n, vestry_job *job) {
  vestry_job_explain(job, "no route to host");
}

/* capability: L7, M3 */
TEST_CASE(failed_job_backs_off_and_is_dead_after_max_attempts) {
  crew c;
  crew_open(&c, (vestry_jobs_options){.backoff_ms = 100, .max_backoff_ms = 350, .max_attempts = 5});
  crew_node *n = &c.nodes[0];
  static const int64_t most_ms[] = {100, 200, 350, 350};
  int64_t id = crew_enqueue(&c, (vestry_job_order){0});
  c.meanwhile = explain;
  for (int i = 0; i < 5; i++) c.answers[i] = VESTRY_IO;
  for (int i = 0; i < 4; i++) {
    assert_true(crew_step(&c.nodes[i % 2]));
    const crew_row is = crew_look(n, id);
    assert_int_equal(is.row.state, VESTRY_JOB_WAITING);
    assert_string_equal(is.error, "no route to host");
    assert_int_equal(atomic_load(&c.outcomes[i]), VESTRY_JOB_ENDED_AGAIN);
    assert_in_range(is.row.due_ms - atomic_load(&crew_clock_ms), most_ms[i] / 2, most_ms[i]);
    atomic_store(&crew_clock_ms, is.row.due_ms - 1);
    for (int j = 0; j < CREW_NODES; j++) assert_false(crew_step(&c.nodes[j]));
    crew_pass(1);
  }
  assert_true(crew_step(n));
  assert_int_equal(atomic_load(&c.outcomes[4]), VESTRY_JOB_ENDED_DEAD);
  assert_int_equal(crew_look(n, id).row.state, VESTRY_JOB_DEAD);
  assert_non_null(strstr(c.th.last_log, "failed after 5 attempts, and is not repeated: no route to host"));
  crew_pass(INT64_C(1000000000));
  assert_false(crew_step(n));
  /* A manual retry begins again with the first attempt. */
  assert_int_equal(vestry_jobs_retry(n->jobs, id), VESTRY_OK);
  assert_true(crew_step(&c.nodes[1]));
  assert_int_equal(c.attempt, 1);
  assert_int_equal(crew_look(n, id).row.state, VESTRY_JOB_DONE);
  assert_int_equal(vestry_jobs_retry(n->jobs, id), VESTRY_NOT_FOUND);
  assert_int_equal(vestry_jobs_remove(n->jobs, id), VESTRY_OK);
  assert_int_equal(vestry_jobs_remove(n->jobs, id), VESTRY_NOT_FOUND);
  assert_int_equal(crew_number(n, "SELECT count(*) FROM vestry_job"), 0);
  crew_close(&c);
}

static void give_up(crew *c, crew_node *n, vestry_job *job) {
  vestry_job_give_up(job);
}

/* capability: L7, M3 */
CREW_CASE(job_that_gives_up_is_not_retried) {
  int64_t id = crew_enqueue(c, (vestry_job_order){0});
  c->meanwhile = give_up;
  c->answers[0] = VESTRY_MALFORMED;
  assert_true(crew_step(&c->nodes[0]));
  assert_int_equal(atomic_load(&c->outcomes[0]), VESTRY_JOB_ENDED_DEAD);
  const crew_row is = crew_look(&c->nodes[0], id);
  assert_int_equal(is.row.state, VESTRY_JOB_DEAD);
  assert_string_equal(is.error, vestry_strerror(VESTRY_MALFORMED));
}

int jobs_contract_run(const crew_database *database) {
  crew_use(database);
  return cases_run("jobs_contract", NULL, NULL) + jobs_contract_run_keys() + jobs_contract_run_leases() +
         jobs_contract_run_ticks() + jobs_contract_run_threads() + jobs_contract_run_hostile() +
         jobs_contract_run_pages();
}
