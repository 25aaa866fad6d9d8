/* SPDX-License-Identifier: MIT */
/* What an application says of SQLite's jobs: they are made, enqueued, and finished in its own transactions. */
#include "data/jobs/order.h"
#include "data/sqlite/jobs_table.h"

/* Jobs that stand in the way of one of this kind and key: ?6 is vestry_job_unique. */
#define IN_THE_WAY                                                                                                     \
  "FROM vestry_job WHERE kind = ?1 AND key = ?2"                                                                       \
  " AND (?6 = 0 OR state = 'waiting' OR (?6 = 1 AND state = 'running'))"
static const char enqueue_sql[] = "INSERT INTO vestry_job(kind, key, state, due, attempts_most, payload, created)"
                                  " SELECT ?1, ?2, 'waiting', ?3, ?4, ?5, ?7 WHERE NOT EXISTS(SELECT 1 " IN_THE_WAY ")";
static const char in_the_way_sql[] = "SELECT id " IN_THE_WAY " ORDER BY id DESC LIMIT 1";

/* ---------------------------------------------------------------------------------------------------- life -------- */

vestry_err vestry_sqlite_jobs_create(vestry_sqlite_pool *pool, const vestry_jobs_options *options,
                                     vestry_jobs **ret_jobs) {
  if (!pool || !ret_jobs) return VESTRY_INVALID;
  vsi_sqlite_jobs_table *made = vsi_calloc(pool->host, 1, sizeof *made);
  if (!made) return VESTRY_NO_MEMORY;
  *made = (vsi_sqlite_jobs_table){{&vsi_sqlite_jobs_ops, pool->host, "vestry_sqlite_jobs_create"}, pool};
  return vestry_jobs_create(&made->table, options, ret_jobs);
}

vestry_err vestry_sqlite_job_finish(vestry_job *job, sqlite3 *db) {
  vsi_jobs_run *run = (vsi_jobs_run *)job;
  if (!vsi_jobs_may_finish(run, &vsi_sqlite_jobs_ops) || !db || sqlite3_get_autocommit(db)) return VESTRY_INVALID;
  return vsi_jobs_note_finished(run, vsi_sqlite_jobs_finish(run, db));
}

/* -------------------------------------------------------------------------------------------------- orders -------- */

static int bind_order(sqlite3_stmt *statement, const vestry_job_order *order, int64_t now_ms) {
  const int64_t due_ms = now_ms + (int64_t)order->delay_ms;
  int result = sqlite3_bind_text(statement, 1, order->kind, -1, SQLITE_STATIC);
  if (!result) result = sqlite3_bind_text(statement, 2, order->key, -1, SQLITE_STATIC); /* NULL binds a null */
  if (!result) result = sqlite3_bind_int(statement, 6, (int)order->unique);
  if (result || sqlite3_bind_parameter_count(statement) < 7) return result;
  result = sqlite3_bind_int64(statement, 3, order->not_before_ms > due_ms ? order->not_before_ms : due_ms);
  if (!result) result = sqlite3_bind_int64(statement, 4, order->attempts_most);
  if (!result && order->payload.len)
    result = sqlite3_bind_blob(statement, 5, order->payload.data, (int)order->payload.len, SQLITE_STATIC);
  return result ? result : sqlite3_bind_int64(statement, 7, now_ms);
}

static int find_in_the_way(sqlite3 *db, const vestry_job_order *order, int64_t *ret_id) {
  sqlite3_stmt *statement = NULL;
  int result = sqlite3_prepare_v2(db, in_the_way_sql, -1, &statement, NULL);
  if (!result) result = bind_order(statement, order, 0);
  if (!result) result = sqlite3_step(statement);
  if (result == SQLITE_ROW) *ret_id = sqlite3_column_int64(statement, 0);
  sqlite3_finalize(statement);
  return result;
}

/* SQLITE_DONE: it is inserted, or ret_is_there: one is in the way. */
static int insert_row(sqlite3 *db, const vestry_job_order *order, int64_t now_ms, bool *ret_is_there, int64_t *ret_id) {
  sqlite3_stmt *statement = NULL;
  int result = sqlite3_prepare_v2(db, enqueue_sql, -1, &statement, NULL);
  if (!result) result = bind_order(statement, order, now_ms);
  if (!result) result = sqlite3_step(statement);
  if (result == SQLITE_DONE) {
    *ret_is_there = sqlite3_changes(db) == 0;
    *ret_id = sqlite3_last_insert_rowid(db);
  }
  sqlite3_finalize(statement);
  return result;
}

/* Outside of a transaction the one that is in the way may be another state by the time it is looked up: then it is in
 * the way no more. */
static int insert_or_find(sqlite3 *db, const vestry_job_order *order, int64_t now_ms, bool *ret_is_there,
                          int64_t *ret_id) {
  int result;
  do {
    result = insert_row(db, order, now_ms, ret_is_there, ret_id);
    if (result == SQLITE_DONE && *ret_is_there) result = find_in_the_way(db, order, ret_id);
  } while (result == SQLITE_DONE && *ret_is_there);
  return result == SQLITE_ROW ? SQLITE_DONE : result;
}

/* The loan's transaction, if it is one of the pool's connections: this thread has it. */
static vsi_sqlite_loan *loan_of(vestry_sqlite_pool *pool, const sqlite3 *db) {
  for (size_t i = 0; i < pool->loans_count; i++)
    if (pool->loans[i].lent.db == db) return &pool->loans[i];
  return NULL;
}

static vestry_err insert(vestry_jobs *jobs, sqlite3 *db, const vestry_job_order *order, int64_t *ret_id) {
  const vsi_call call = vsi_sqlite_pool_call(vsi_sqlite_jobs_pool(jobs), "vestry_sqlite_jobs_enqueue");
  const bool is_alone = sqlite3_get_autocommit(db);
  vsi_sqlite_loan *loan = is_alone ? NULL : loan_of(vsi_sqlite_jobs_pool(jobs), db);
  if (loan && vsi_jobs_wake_after(jobs, &loan->after)) return VESTRY_NO_MEMORY;
  bool is_there = false;
  int64_t id = 0;
  const int result = insert_or_find(db, order, vsi_jobs_now_ms(jobs), &is_there, &id);
  vestry_err error = vsi_sqlite_fail(&call, db, result, "the job is not enqueued");
  if (error) return error;
  if (ret_id) *ret_id = id;
  if (is_there) return VESTRY_EXISTS;
  if (is_alone) vestry_jobs_wake(jobs);
  return VESTRY_OK;
}

vestry_err vestry_sqlite_jobs_enqueue(vestry_jobs *jobs, sqlite3 *db, const vestry_job_order *given, int64_t *ret_id) {
  vestry_job_order order;
  if (!db) return VESTRY_INVALID;
  vestry_err error = vsi_jobs_order_take(jobs, &vsi_sqlite_jobs_ops, given, &order);
  return error ? error : insert(jobs, db, &order, ret_id);
}
