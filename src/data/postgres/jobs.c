/* SPDX-License-Identifier: MIT */
/* What an application says of PostgreSQL's jobs: they are made, enqueued, and finished in its own transactions.
 *
 * Two transactions that enqueue a job of the same key do it one after the other: each counts in one of 1,024 rows, by
 * the key, before it looks for jobs that are in the way. One that reads in an older snapshot than that count begins
 * again (BUSY), as if it had read the job itself. The server computes which row that is, so that all nodes agree.
 *
 * A job that waits, and that an order relies on, is locked until the order's transaction is over, because it would
 * otherwise begin, and end, before what the order is about is committed. The lock (KEY SHARE) is in the way of those
 * that take or remove the job only. Orders that follow each other closely could keep a job locked for ever: a worker
 * that passes over it closes it, and orders do not rely on a closed one (jobs_table.c). */
#include "data/jobs/order.h"
#include "data/postgres/bytea.h"
#include "data/postgres/clock.h"
#include "data/postgres/jobs_table.h"
#include "vestry/data/postgres_jobs.h"

static const char slot_sql[] = "UPDATE vestry_job_slot SET orders = orders + 1 WHERE slot = hashtext($1) & 1023";
/* The last job that stands in the way of one of this kind and key, by vestry_job_unique. */
#define OF_THE_KEY "SELECT id FROM vestry_job WHERE kind = $1 AND key = $2"
#define THE_LAST   " ORDER BY id DESC LIMIT 1"
static const char *const in_the_way_sql[] = {
    [VESTRY_JOB_UNIQUE_KEPT] = OF_THE_KEY THE_LAST,
    [VESTRY_JOB_UNIQUE_OPEN] = OF_THE_KEY " AND state IN ('waiting', 'running')" THE_LAST,
    [VESTRY_JOB_UNIQUE_WAITING] = OF_THE_KEY " AND state = 'waiting' AND NOT is_closed" THE_LAST " FOR KEY SHARE"};
#define NOW VSI_POSTGRES_NOW_MS
static const char enqueue_sql[] =
    "INSERT INTO vestry_job(kind, key, state, due, attempts_most, payload, created) VALUES($1, $2, 'waiting',"
    " greatest(" NOW("$3") " + $4::bigint, $5::bigint), $6, $7, " NOW("$3") ") RETURNING id";

/* ---------------------------------------------------------------------------------------------------- life -------- */

vestry_err vestry_postgres_jobs_create(vestry_postgres_pool *pool, const vestry_jobs_options *options,
                                       vestry_jobs **ret_jobs) {
  if (!pool || !ret_jobs) return VESTRY_INVALID;
  vsi_postgres_jobs_table *made = vsi_calloc(pool->host, 1, sizeof *made);
  if (!made) return VESTRY_NO_MEMORY;
  *made = (vsi_postgres_jobs_table){{&vsi_postgres_jobs_ops, pool->host, "vestry_postgres_jobs_create"}, .pool = pool};
  return vestry_jobs_create(&made->table, options, ret_jobs);
}

/* Whether it is a transaction of the jobs' pool in which something can be written. */
static bool may_write(const vestry_jobs *jobs, const vestry_postgres_loan *lent) {
  const vsi_postgres_loan *loan = (const vsi_postgres_loan *)lent;
  return loan && loan->pool == vsi_postgres_jobs_pool(jobs) && loan->kind > VESTRY_POSTGRES_RENDER;
}

vestry_err vestry_postgres_job_finish(vestry_job *job, vestry_postgres_loan *loan) {
  vsi_jobs_run *run = (vsi_jobs_run *)job;
  if (!vsi_jobs_may_finish(run, &vsi_postgres_jobs_ops) || !may_write(run->jobs, loan)) return VESTRY_INVALID;
  return vsi_jobs_note_finished(run, vsi_postgres_jobs_finish(run, loan));
}

/* -------------------------------------------------------------------------------------------------- orders -------- */

/* OK (there is none) | EXISTS */
static vestry_err find_in_the_way(vestry_postgres_loan *loan, const vestry_job_order *order, int64_t *ret_id) {
  vestry_err error = vestry_postgres_run(loan, slot_sql, VESTRY_LIST(order->key), NULL, NULL);
  if (!error)
    error = vestry_postgres_run(loan, in_the_way_sql[order->unique], VESTRY_LIST(order->kind, order->key),
                                vestry_postgres_row_integer, ret_id);
  if (error == VESTRY_NOT_FOUND) return VESTRY_OK;
  return error ? error : VESTRY_EXISTS;
}

static vestry_err insert(vestry_jobs *jobs, vestry_postgres_loan *loan, const vestry_job_order *order,
                         const char *payload, int64_t *ret_id) {
  vestry_err error = vsi_jobs_wake_after(jobs, &((vsi_postgres_loan *)loan)->after);
  if (!error && order->key) error = find_in_the_way(loan, order, ret_id);
  if (error) return error;
  return vestry_postgres_run(
      loan, enqueue_sql,
      VESTRY_LIST(order->kind, order->key ? vestry_value_string(order->key) : vestry_value_null(),
                  vsi_postgres_jobs_now_ms(jobs), order->delay_ms, order->not_before_ms, order->attempts_most, payload),
      vestry_postgres_row_integer, ret_id);
}

vestry_err vestry_postgres_jobs_enqueue(vestry_jobs *jobs, vestry_postgres_loan *loan, const vestry_job_order *given,
                                        int64_t *ret_id) {
  vestry_job_order order;
  int64_t id = 0;
  vestry_err error = vsi_jobs_order_take(jobs, &vsi_postgres_jobs_ops, given, &order);
  if (!error && !may_write(jobs, loan)) error = VESTRY_INVALID;
  if (error) return error;
  char *payload = vsi_alloc(jobs->host, VSI_POSTGRES_BYTEA_BYTES(order.payload.len));
  if (!payload) return VESTRY_NO_MEMORY;
  vsi_postgres_bytea_write(payload, order.payload.data, order.payload.len);
  error = insert(jobs, loan, &order, payload, &id);
  vsi_free(jobs->host, payload);
  if ((!error || error == VESTRY_EXISTS) && ret_id) *ret_id = id;
  return error;
}
