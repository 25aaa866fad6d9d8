/* SPDX-License-Identifier: MIT */
#include "jobs/crew.h"
#include "support/until.h"

_Atomic(int64_t) crew_clock_ms;

static const crew_database *database;

void crew_use(const crew_database *given) {
  database = given;
}

const crew_database *crew_of(void) {
  return database;
}

int64_t crew_now_ms(void *ctx) {
  return atomic_load(&crew_clock_ms);
}

void crew_pass(int64_t ms) {
  atomic_fetch_add(&crew_clock_ms, ms);
}

/* --------------------------------------------------------------------------------------------- functions --------- */

static void note_end(const vestry_job *job, vestry_job_outcome outcome, vestry_err error, void *app) {
  crew *c = app;
  atomic_store(&c->outcomes[atomic_fetch_add(&c->reported, 1) % CREW_ENDS], outcome);
  atomic_fetch_add(&c->ends, 1);
}

vestry_err crew_work(vestry_job *job, void *app) {
  crew_node *n = app;
  crew *c = n->of;
  c->fence = job->fence;
  c->attempt = job->attempt;
  c->period_at_ms = job->period_at_ms;
  c->seen_len = job->payload.len;
  memset(c->seen, 0, sizeof c->seen);
  if (c->seen_len)
    memcpy(c->seen, job->payload.data, c->seen_len < CREW_SEEN_BYTES ? c->seen_len : CREW_SEEN_BYTES - 1);
  assert_int_equal(((const char *)job->payload.data)[c->seen_len], 0);
  const int call = atomic_fetch_add(&c->calls, 1);
  if (c->meanwhile) c->meanwhile(c, n, job);
  WAIT_WHILE(atomic_load(&c->is_held) && !vestry_job_is_over(job));
  if (atomic_load(&c->is_held)) return VESTRY_CLOSED;
  return c->answers[call % 32];
}

static vestry_err count(vestry_job *job, void *app) {
  crew_node *n = app;
  atomic_fetch_add(&n->of->runs[job->id % CREW_JOBS], 1);
  return VESTRY_OK;
}

/* ---------------------------------------------------------------------------------------------- open and close --- */

vestry_err crew_open_node(crew *c, crew_node *n, const vestry_host *host, vestry_jobs_options options,
                          bool has_own_clock) {
  n->of = c;
  if (!has_own_clock) options.now_ms = crew_now_ms;
  options.on_end = note_end;
  options.app = c;
  if (!options.lease_ms) options.lease_ms = CREW_LEASE_MS;
  vestry_err error = database->open(n, host, &options);
  if (!error) error = vestry_jobs_on(n->jobs, "work", crew_work, n);
  if (!error) error = vestry_jobs_on(n->jobs, "count", count, n);
  return error;
}

void crew_close_node(crew_node *n) {
  vestry_jobs_destroy(n->jobs);
  vestry_sql_pool_destroy(n->pool);
  n->jobs = NULL;
  n->pool = NULL;
}

void crew_begin(crew *c) {
  memset(c, 0, sizeof *c);
  test_host_init(&c->th);
  atomic_store(&crew_clock_ms, CREW_BEGIN_MS);
  database->make();
}

void crew_open(crew *c, vestry_jobs_options options) {
  crew_begin(c);
  for (int i = 0; i < CREW_NODES; i++)
    assert_int_equal(crew_open_node(c, &c->nodes[i], &c->th.host, options, false), VESTRY_OK);
}

void crew_close(crew *c) {
  for (int i = 0; i < CREW_NODES; i++) crew_close_node(&c->nodes[i]);
  test_host_assert_clean(&c->th);
  database->remove();
}

/* ------------------------------------------------------------------------------------------- transactions -------- */

vestry_err crew_transact(crew_node *n, int kind, vestry_sql_transaction **ret_transaction) {
  return vestry_sql_begin(n->pool, database->kinds[kind], ret_transaction);
}

vestry_err crew_run(vestry_sql_transaction *transaction, const char *sql) {
  return vestry_sql_run(transaction, sql, NULL, NULL, NULL);
}

vestry_err crew_enqueue_as(crew_node *n, int kind, vestry_job_order order, vestry_err end, int64_t *ret_id) {
  vestry_sql_transaction *transaction;
  vestry_err error = crew_transact(n, kind, &transaction);
  if (error) return error;
  if (!order.kind) order.kind = "work";
  error = crew_run(transaction, "INSERT INTO t VALUES(1)");
  if (!error) error = vestry_jobs_enqueue(n->jobs, transaction, &order, ret_id);
  vestry_err ended = vestry_sql_end(transaction, error && error != VESTRY_EXISTS ? error : end);
  return error ? error : ended;
}

vestry_err crew_try(crew_node *n, vestry_job_order order, int64_t *ret_id) {
  return crew_enqueue_as(n, 0, order, VESTRY_OK, ret_id);
}

int64_t crew_enqueue(crew *c, vestry_job_order order) {
  int64_t id = 0;
  assert_int_equal(crew_try(&c->nodes[0], order, &id), VESTRY_OK);
  return id;
}

vestry_err crew_finish(crew_node *n, vestry_job *job, vestry_err end) {
  vestry_sql_transaction *transaction;
  vestry_err error = crew_transact(n, 0, &transaction);
  if (error) return error;
  error = crew_run(transaction, "INSERT INTO t VALUES(2)");
  if (!error) error = vestry_job_finish(job, transaction);
  return vestry_sql_end(transaction, error ? error : end);
}

void crew_do(crew_node *n, const char *sql) {
  vestry_sql_transaction *transaction;
  assert_int_equal(crew_transact(n, 0, &transaction), VESTRY_OK);
  assert_int_equal(crew_run(transaction, sql), VESTRY_OK);
  assert_int_equal(vestry_sql_end(transaction, VESTRY_OK), VESTRY_OK);
}

int64_t crew_number(crew_node *n, const char *sql) {
  int64_t is = INT64_MIN;
  assert_int_equal(vestry_sql_run_alone(n->pool, sql, NULL, vestry_sql_row_integer, &is), VESTRY_OK);
  return is;
}

bool crew_step(crew_node *n) {
  bool has_run = false;
  assert_int_equal(vestry_jobs_step(n->jobs, &has_run), VESTRY_OK);
  return has_run;
}

static void copy_row(const vestry_job_row *row, void *ctx) {
  crew_row *to = ctx;
  to->row = *row;
  snprintf(to->said, sizeof to->said, "%s", row->progress_text ? row->progress_text : "-");
  snprintf(to->error, sizeof to->error, "%s", row->error ? row->error : "-");
  snprintf(to->key, sizeof to->key, "%s", row->key ? row->key : "-");
  if (row->payload.len)
    memcpy(to->payload, row->payload.data, row->payload.len < CREW_SEEN_BYTES ? row->payload.len : CREW_SEEN_BYTES);
  to->count++;
}

crew_row crew_look(crew_node *n, int64_t id) {
  crew_row is;
  memset(&is, 0, sizeof is);
  assert_int_equal(vestry_jobs_list(n->jobs, NULL, VESTRY_JOB_ANY, id - 1, 1, copy_row, &is), VESTRY_OK);
  assert_int_equal(is.count, 1);
  assert_int_equal(is.row.id, id);
  return is;
}

void crew_stand_still(crew *c, crew_node *n, vestry_job *job) {
  const int64_t fence = job->fence;
  c->meanwhile = NULL;
  assert_false(crew_step(&c->nodes[1]));
  crew_pass(CREW_LEASE_MS - 1);
  assert_int_equal(vestry_job_progress(job, 0.25, "a quarter"), VESTRY_OK); /* renews the lease */
  const crew_row is = crew_look(&c->nodes[1], job->id);
  assert_true(is.row.progress == 0.25);
  assert_string_equal(is.said, "a quarter");
  crew_pass(CREW_LEASE_MS - 1);
  assert_false(crew_step(&c->nodes[1]));
  assert_false(vestry_job_is_over(job));
  crew_pass(1);
  assert_true(crew_step(&c->nodes[1]));
  assert_int_equal(c->fence, fence + 1);
  assert_int_equal(vestry_job_progress(job, 0.5, "half"), VESTRY_CLOSED);
  assert_true(vestry_job_is_over(job));
  assert_int_equal(crew_finish(n, job, VESTRY_OK), job->period_at_ms ? VESTRY_INVALID : VESTRY_CLOSED);
}
