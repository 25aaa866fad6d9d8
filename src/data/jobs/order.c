/* SPDX-License-Identifier: MIT */
/* Jobs in transactions of the application: they are enqueued there, and marked as done.
 *
 * If two transactions of PostgreSQL enqueue a job with the same key, the second one waits for the first: each job
 * with a key has a number, `nth`, which is unique among the jobs of its kind and key. An order reads the last
 * number, looks for a job that prevents it, and inserts the next number. If another transaction has inserted this
 * number meanwhile, the insert waits for its end, and then inserts nothing; the order begins again. A transaction
 * whose snapshot is older than the other job gets BUSY, and begins again. Orders of other keys meet no lock. Nodes
 * with an earlier version number no jobs: an order of theirs and one of this version with the same key, at the same
 * time, can create two jobs while an application is replaced.
 *
 * If an order relies on a waiting job (EXISTS), the order's transaction locks that job until its own end. Otherwise
 * the job could begin, and end, before the data of the order are committed. The lock (KEY SHARE) only blocks
 * transactions that take or remove the job. Orders that follow each other closely could keep a job locked forever.
 * Therefore, a worker that passes over such a job closes it, and orders do not rely on a closed job (table.c). SQLite
 * has one writer at a time, so none of this can happen there. */
#include "data/jobs/state.h"

/* Find the newest job that prevents a new one of this kind and key, according to vestry_job_unique. An open job has a
 * time in `due`, which is in the index vestry_job_open. The order by an expression keeps the databases from an index
 * that also has all ended jobs of the key, in this order. */
#define OF_THE_KEY      "SELECT id FROM vestry_job WHERE kind = $1 AND key = $2"
#define OPEN_OF_THE_KEY OF_THE_KEY " AND due >= 0"
#define THE_LAST        " ORDER BY id DESC LIMIT 1"
#define THE_LAST_OPEN   " ORDER BY id + 0 DESC LIMIT 1"
static vsi_sql_texts in_the_way_sql[] = {
    [VESTRY_JOB_UNIQUE_KEPT] = VSI_SQL_BOTH(OF_THE_KEY THE_LAST),
    [VESTRY_JOB_UNIQUE_OPEN] = VSI_SQL_BOTH(OPEN_OF_THE_KEY " AND state IN ('waiting', 'running')" THE_LAST_OPEN),
    [VESTRY_JOB_UNIQUE_WAITING] = {OPEN_OF_THE_KEY " AND state = 'waiting'" THE_LAST_OPEN, OPEN_OF_THE_KEY
                                   " AND state = 'waiting' AND NOT is_closed" THE_LAST_OPEN " FOR KEY SHARE"}};
static vsi_sql_texts nth_sql = {NULL, "SELECT coalesce(max(nth), 0) + 1 FROM vestry_job WHERE kind = $1 AND key = $2"};
#define ENQUEUE(now, ms, greatest, nth, value, unless)                                                                 \
  "INSERT INTO vestry_job(kind, key, state, due, attempts_most, payload, created" nth                                  \
  ") VALUES($1, $2, 'waiting', " greatest "(" now " + $4" ms ", $5" ms "), $6, $7, " now value ")" unless              \
  " RETURNING id"
static vsi_sql_texts enqueue_sql = {ENQUEUE(VSI_JOBS_SQLITE_NOW("$3"), "", "max", "", "", ""),
                                    ENQUEUE(VSI_SQL_POSTGRES_NOW("$3"), "::bigint", "greatest", ", nth", ", $8",
                                            " ON CONFLICT(kind, key, nth) WHERE nth IS NOT NULL DO NOTHING")};
enum { KEY_TRIES = 1000 };

/* Return whether the transaction belongs to the jobs' pool and can write. */
static bool may_write(const vestry_jobs *jobs, const vestry_sql_transaction *transaction) {
  return vsi_sql_is_writing(transaction) && transaction->pool == jobs->pool;
}

vestry_err vestry_job_finish(vestry_job *job, vestry_sql_transaction *transaction) {
  vsi_jobs_run *run = (vsi_jobs_run *)job;
  if (!run) return VESTRY_INVALID;
  if (run->period.length_ms || !may_write(run->jobs, transaction))
    return vsi_mistake(run->jobs->host, "vestry_job_finish",
                       "the job is scheduled by vestry_jobs_every, or the transaction is not one for writing of the "
                       "jobs' pool");
  vestry_err error = vsi_jobs_table_finish(run, transaction);
  if (!error) run->is_finished = true; /* becomes true when the transaction is committed */
  return vsi_jobs_note_lost(run, error);
}

/* -------------------------------------------------------------------------------------------------- orders -------- */

/* Copy an application's order, fill in the defaults, and limit the delay so that sums do not overflow: OK | INVALID |
 * TOO_LARGE */
static vestry_err take(const vestry_jobs *jobs, const vestry_job_order *given, vestry_job_order *ret_order) {
  const uint64_t most_ms = INT64_MAX / 4;
  vestry_job_order order = given ? *given : (vestry_job_order){0};
  if (!given) return vsi_mistake(jobs->host, "vestry_jobs_enqueue", "the order is NULL");
  if (!vsi_jobs_is_name(order.kind, VESTRY_JOB_KIND_MAX_BYTES) || order.unique > VESTRY_JOB_UNIQUE_WAITING ||
      (order.key && !vsi_jobs_is_name(order.key, VESTRY_JOB_KEY_MAX_BYTES)) ||
      (order.payload.len && !order.payload.data))
    return vsi_mistake(jobs->host, "vestry_jobs_enqueue",
                       "order.kind or order.key is empty, too long or not UTF-8, order.unique is unknown, or "
                       "order.payload.data is NULL");
  if (order.payload.len > jobs->options.max_payload_bytes) return VESTRY_TOO_LARGE;
  if (!order.max_attempts) order.max_attempts = jobs->options.max_attempts;
  if (order.delay_ms > most_ms) order.delay_ms = most_ms;
  *ret_order = order;
  return VESTRY_OK;
}

typedef struct wake {
  vsi_after after; /* first */
  vestry_jobs *jobs;
} wake;

static void wake_now(vsi_after *self, bool is_committed) {
  vestry_jobs *jobs = ((wake *)self)->jobs;
  vsi_free(jobs->host, self);
  if (is_committed) vestry_jobs_wake(jobs);
}

/* Let the threads look for jobs when a transaction has been committed; one entry for each transaction. OK |
 * NO_MEMORY */
static vestry_err wake_after(vestry_jobs *jobs, vsi_after **after) {
  for (const vsi_after *at = *after; at; at = at->next)
    if (at->fn == wake_now && ((const wake *)at)->jobs == jobs) return VESTRY_OK;
  wake *made = vsi_calloc(jobs->host, 1, sizeof *made);
  if (!made) return VESTRY_NO_MEMORY;
  *made = (wake){{.fn = wake_now}, jobs};
  vsi_after_add(after, &made->after);
  return VESTRY_OK;
}

/* Get the number of an order's job. OK (no job prevents the order) | EXISTS */
static vestry_err find_in_the_way(const vestry_jobs *jobs, vestry_sql_transaction *transaction,
                                  const vestry_job_order *order, int64_t *ret_nth, int64_t *ret_id) {
  const vestry_value of_key = *VESTRY_LIST(order->kind, vsi_sql_text_or_null(order->key));
  if (!order->key) return VESTRY_OK;
  vestry_err error = VESTRY_OK;
  if (vsi_sql_text_of(jobs->pool, nth_sql))
    error = vsi_sql_in(transaction, nth_sql, &of_key, vestry_sql_row_integer, ret_nth);
  if (!error) error = vsi_sql_in(transaction, in_the_way_sql[order->unique], &of_key, vestry_sql_row_integer, ret_id);
  if (error == VESTRY_NOT_FOUND) return VESTRY_OK;
  return error ? error : VESTRY_EXISTS;
}

/* Insert the row of an order, unless a job prevents it. PostgreSQL inserts no row if the job's number exists, because
 * another transaction has just enqueued the key. Then the order looks again. */
static vestry_err insert(vestry_jobs *jobs, vestry_sql_transaction *transaction, const vestry_job_order *order,
                         int64_t *ret_id) {
  const bool is_sqlite = jobs->pool->ops->dialect == VSI_SQL_SQLITE;
  vestry_err error = wake_after(jobs, &transaction->after);
  if (error) return error;
  for (int tries = order->key && !is_sqlite ? KEY_TRIES : 1; tries; tries--) {
    int64_t nth = 0;
    error = find_in_the_way(jobs, transaction, order, &nth, ret_id);
    if (error) return error;
    vestry_value values = *VESTRY_LIST(order->kind, vsi_sql_text_or_null(order->key), vsi_jobs_table_now_ms(jobs),
                                       order->delay_ms, order->not_before_ms, order->max_attempts,
                                       vestry_value_bytes(order->payload.data, order->payload.len),
                                       nth ? vestry_value_integer(nth) : vestry_value_null());
    if (is_sqlite) values.count--;
    error = vsi_sql_in(transaction, enqueue_sql, &values, vestry_sql_row_integer, ret_id);
    if (error != VESTRY_NOT_FOUND) return vsi_jobs_if_new_id(jobs, "vestry_jobs_enqueue", error);
  }
  return vsi_sql_if_written(jobs->pool, "vestry_jobs_enqueue", "vestry_job", error);
}

vestry_err vestry_jobs_enqueue(vestry_jobs *jobs, vestry_sql_transaction *transaction, const vestry_job_order *given,
                               int64_t *ret_id) {
  vestry_job_order order;
  int64_t id = 0;
  if (!jobs) return VESTRY_INVALID;
  vestry_err error = take(jobs, given, &order);
  if (!error && !may_write(jobs, transaction))
    error = vsi_mistake(jobs->host, "vestry_jobs_enqueue",
                        "the transaction is NULL, is for reading, or is of another pool than the jobs'");
  if (!error) error = insert(jobs, transaction, &order, &id);
  if ((!error || error == VESTRY_EXISTS) && ret_id) *ret_id = id;
  return error;
}
