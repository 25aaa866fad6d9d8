/* SPDX-License-Identifier: MIT */
/* essay: a job that one process has, and no late word of the one before */
/* A row for each job. `due` says when the row is to be looked at: while it waits, when it may begin; while it runs,
 * when its lease ends. So one index finds, by one look, what is to begin and what was left by a process that died. Rows
 * that have ended have no `due`, and are not in that index: it is as large as there is work.
 *
 * `fence` counts how often the row was taken. Whatever a run writes to its row, it writes where the row still has the
 * number with which it was taken, and runs: a process that stood still while its lease ended finds no such row. That
 * and the taking are transactions that write, of which SQLite has one at a time, so there is no moment between the
 * look and the write.
 *
 * A tick is a row with a period, which waits for the next one instead of being done.
 *
 * Whether something is due is asked every poll_ms: SQLite has no notification of what other processes commit, and to
 * ask whether they have committed anything (PRAGMA data_version) takes the same locks. */
#include "data/sqlite/jobs_table.h"

#include "data/sqlite/schema.h"

enum { CLEANED_AT_ONCE = 64 };

static const char *const steps[] = {
    "CREATE TABLE vestry_job(id INTEGER PRIMARY KEY AUTOINCREMENT, kind TEXT NOT NULL, key TEXT, state TEXT NOT NULL,"
    " due INTEGER, fence INTEGER NOT NULL DEFAULT 0, attempts INTEGER NOT NULL DEFAULT 0,"
    " attempts_most INTEGER NOT NULL, payload BLOB, progress REAL NOT NULL DEFAULT 0, said TEXT, error TEXT,"
    " created INTEGER NOT NULL, ended INTEGER, period INTEGER, shift INTEGER, period_at INTEGER) STRICT;"
    "CREATE INDEX vestry_job_due ON vestry_job(kind, due) WHERE due IS NOT NULL;"
    "CREATE INDEX vestry_job_key ON vestry_job(kind, key) WHERE key IS NOT NULL;"
    "CREATE INDEX vestry_job_state ON vestry_job(state, ended);"
    "CREATE UNIQUE INDEX vestry_job_tick ON vestry_job(kind) WHERE period IS NOT NULL;"
    "CREATE TABLE vestry_job_total(removed INTEGER NOT NULL) STRICT;"
    "INSERT INTO vestry_job_total(removed) VALUES(0)"};
static const vsi_sqlite_schema schema = {"job", steps, sizeof steps / sizeof *steps};

static const char tick_sql[] = "INSERT INTO vestry_job(kind, state, due, attempts_most, created, period, shift)"
                               " SELECT ?1, 'waiting', ?2, ?3, ?4, ?5, ?6"
                               " WHERE NOT EXISTS(SELECT 1 FROM vestry_job WHERE kind = ?1 AND period IS NOT NULL)";
/* When the period after the last one begins, by times that are columns or parameters. */
#define PERIOD_AFTER(period, shift) "((period_at - " shift ") / " period " * " period " + " shift " + " period ")"
static const char retime_sql[] =
    "UPDATE vestry_job SET period = ?2, shift = ?3, due = iif(state = 'waiting',"
    " max(?4, coalesce(" PERIOD_AFTER("?2",
                                      "?3") ", 0)), due)"
                                            " WHERE kind = ?1 AND period IS NOT NULL AND (period <> ?2 OR shift <> ?3)";
static const char find_sql[] = "SELECT id, due FROM vestry_job WHERE kind = ?1 AND due <= ?2 ORDER BY due, id LIMIT 1";
static const char next_sql[] =
    "SELECT due FROM vestry_job WHERE kind = ?1 AND due IS NOT NULL ORDER BY due, id LIMIT 1";
static const char read_sql[] = "SELECT key, payload, state = 'running', attempts, attempts_most, fence, period, shift,"
                               " period_at FROM vestry_job WHERE id = ?1";
static const char take_sql[] = "UPDATE vestry_job SET state = 'running', due = ?2, fence = ?3, attempts = ?4,"
                               " period_at = ?5, progress = 0, said = NULL WHERE id = ?1";
#define OF_THE_LEASE " WHERE id = ?1 AND fence = ?2 AND state = 'running'"
static const char end_sql[] = "UPDATE vestry_job SET state = ?3, due = iif(?7, " PERIOD_AFTER(
    "period", "shift") ", ?4), attempts = ?5,"
                       " ended = ?6, error = nullif(coalesce(?8, error), ''), progress = iif(?3 = 'done', 1, "
                       "progress)" OF_THE_LEASE;
static const char progress_sql[] = "UPDATE vestry_job SET progress = ?3, said = ?4, due = ?5" OF_THE_LEASE;
static const char renew_sql[] = "UPDATE vestry_job SET due = ?3" OF_THE_LEASE;
static const char finish_sql[] =
    "UPDATE vestry_job SET state = 'done', due = NULL, ended = ?3, progress = 1" OF_THE_LEASE;
static const char finished_sql[] = "SELECT state = 'done' AND fence = ?2 FROM vestry_job WHERE id = ?1";
static const char old_sql[] = "SELECT 1 FROM vestry_job WHERE state = 'done' AND ended <= ?1 LIMIT 1";
static const char clean_sql[] = "DELETE FROM vestry_job WHERE id IN"
                                " (SELECT id FROM vestry_job WHERE state = 'done' AND ended <= ?1 ORDER BY ended"
                                " LIMIT ?2)";
static const char removed_sql[] = "UPDATE vestry_job_total SET removed = removed + ?1";
static const char retry_sql[] = "UPDATE vestry_job SET state = 'waiting', due = ?2, attempts = 0, ended = NULL,"
                                " error = NULL WHERE id = ?1 AND state IN ('waiting', 'dead')";
static const char remove_sql[] = "DELETE FROM vestry_job WHERE id = ?1";
static const char list_sql[] =
    "SELECT id, kind, key, state, payload, attempts, attempts_most, progress, said, error, created, due, ended, period"
    " FROM vestry_job WHERE id > ?1 AND (?2 IS NULL OR kind = ?2) AND (?3 IS NULL OR state = ?3) ORDER BY id LIMIT ?4";
static const char stats_sql[] =
    "SELECT (SELECT seq FROM sqlite_sequence WHERE name = 'vestry_job'), count(*) FILTER (WHERE state = 'waiting'),"
    " count(*) FILTER (WHERE state = 'running'), count(*) FILTER (WHERE state = 'done'),"
    " count(*) FILTER (WHERE state = 'dead'), (SELECT removed FROM vestry_job_total) FROM vestry_job";

static vestry_err make_table(vestry_jobs_table *table) {
  vestry_sqlite_pool *pool = ((const vsi_sqlite_jobs_table *)table)->pool;
  const vsi_call call = vsi_sqlite_pool_call(pool, table->function);
  vestry_sqlite_loan *loan;
  vestry_err error = vestry_sqlite_borrow(pool, VESTRY_SQLITE_READ, &loan);
  if (error) return error;
  return vestry_sqlite_give(loan, vsi_sqlite_schema_bring(&call, loan->db, &schema));
}

static vestry_value text_or_null(const char *text) {
  return text ? vestry_value_string(text) : vestry_value_null();
}

/* Run a statement in a transaction of its own that writes. NOT_FOUND: it has changed no row, and nothing is written. */
static vestry_err change_alone(vestry_jobs *jobs, const char *sql, const vestry_value *values) {
  vestry_sqlite_loan *loan;
  vestry_err error = vestry_sqlite_borrow(vsi_sqlite_jobs_pool(jobs), VESTRY_SQLITE_WRITE, &loan);
  if (error) return error;
  error = vestry_sqlite_run(loan, sql, values, NULL, NULL);
  if (!error && !sqlite3_changes(loan->db)) error = VESTRY_NOT_FOUND;
  return vestry_sqlite_give(loan, error);
}

/* --------------------------------------------------------------------------------------------------- ticks -------- */

static vestry_err make_tick(vestry_jobs *jobs, const char *name, vsi_jobs_period period) {
  const int64_t now_ms = vsi_jobs_now_ms(jobs), due_ms = vsi_jobs_period_after(period, now_ms);
  vestry_sqlite_loan *loan;
  vestry_err error = vestry_sqlite_borrow(vsi_sqlite_jobs_pool(jobs), VESTRY_SQLITE_WRITE, &loan);
  if (error) return error;
  error = vestry_sqlite_run(
      loan, tick_sql,
      VESTRY_LIST(name, due_ms, jobs->options.attempts_most, now_ms, period.length_ms, period.offset_ms), NULL, NULL);
  if (!error)
    error =
        vestry_sqlite_run(loan, retime_sql, VESTRY_LIST(name, period.length_ms, period.offset_ms, due_ms), NULL, NULL);
  return vestry_sqlite_give(loan, error);
}

/* -------------------------------------------------------------------------------------------------- taking -------- */

typedef struct candidate {
  int64_t id, due_ms;
  const vsi_jobs_kind *kind; /* NULL: there is none */
} candidate;

static void read_candidate(sqlite3_stmt *row, void *ctx) {
  candidate *found = ctx;
  found->id = sqlite3_column_int64(row, 0);
  found->due_ms = sqlite3_column_int64(row, 1);
}

/* The one that has been due for longest, of all kinds. */
static vestry_err find(vestry_jobs *jobs, vestry_sqlite_loan *loan, candidate *ret_first) {
  const int64_t now_ms = vsi_jobs_now_ms(jobs);
  *ret_first = (candidate){0, 0, NULL};
  for (size_t i = 0; i < jobs->kinds_count; i++) {
    candidate found = {0, 0, &jobs->kinds[i]};
    vestry_err error =
        vestry_sqlite_run(loan, find_sql, VESTRY_LIST((const char *)found.kind->name, now_ms), read_candidate, &found);
    if (error && error != VESTRY_NOT_FOUND) return error;
    if (!error && (!ret_first->kind || found.due_ms < ret_first->due_ms)) *ret_first = found;
  }
  return VESTRY_OK;
}

/* When the next one is due, of all kinds. */
static vestry_err find_next(vestry_jobs *jobs, vestry_sqlite_loan *loan, int64_t *ret_due_ms) {
  *ret_due_ms = INT64_MAX;
  for (size_t i = 0; i < jobs->kinds_count; i++) {
    int64_t due_ms = INT64_MAX;
    vestry_err error = vestry_sqlite_run(loan, next_sql, VESTRY_LIST((const char *)jobs->kinds[i].name),
                                         vestry_sqlite_row_integer, &due_ms);
    if (error && error != VESTRY_NOT_FOUND) return error;
    if (due_ms < *ret_due_ms) *ret_due_ms = due_ms;
  }
  return VESTRY_OK;
}

/* Whether a connection is free that is not aside. If none is, the thread that looks and renews leases uses one aside:
 * functions may have all others for longer than their leases. */
static bool has_free(vestry_sqlite_pool *pool) {
  bool is_free = false;
  vsi_mutex_lock(&pool->lock);
  for (size_t i = 0; i < pool->options.connections_count; i++) is_free = is_free || !pool->loans[i].depth;
  vsi_mutex_unlock(&pool->lock);
  return is_free;
}

static vestry_err look(vestry_jobs *jobs, bool is_aside, vsi_jobs_looked *ret_looked) {
  const int64_t now_ms = vsi_jobs_now_ms(jobs);
  int64_t due_ms = 0;
  vestry_sqlite_loan *loan;
  vestry_sqlite_pool *pool = vsi_sqlite_jobs_pool(jobs);
  const vestry_sqlite_use use = is_aside && !has_free(pool) ? VESTRY_SQLITE_READ_ASIDE : VESTRY_SQLITE_READ;
  vestry_err error = vestry_sqlite_borrow(pool, use, &loan);
  if (error) return error;
  error = vestry_sqlite_give(loan, find_next(jobs, loan, &due_ms));
  if (error) return error;
  ret_looked->wait_ms = due_ms == INT64_MAX ? INT64_MAX : due_ms > now_ms ? due_ms - now_ms : 0;
  return VESTRY_OK;
}

/* A copy, with a NUL after it; NULL: there is no memory. */
static void *copy(vestry_jobs *jobs, const void *bytes, int len) {
  return vsi_strdup(jobs->host, bytes, (size_t)len);
}

static void read_job(sqlite3_stmt *row, void *ctx) {
  vsi_jobs_run *run = ctx;
  const unsigned char *key = sqlite3_column_text(row, 0);
  if (key) run->key = copy(run->jobs, key, sqlite3_column_bytes(row, 0));
  if (sqlite3_column_type(row, 0) == SQLITE_NULL || run->key) {
    const void *payload = sqlite3_column_blob(row, 1);
    const int len = sqlite3_column_bytes(row, 1);
    if (payload || !len) run->payload = copy(run->jobs, payload, len);
    run->job.payload = (vestry_slice){run->payload, (size_t)len};
  }
  run->is_over_taken = sqlite3_column_int(row, 2);
  run->job.attempt = (uint32_t)sqlite3_column_int64(row, 3);
  run->job.attempts_most = (uint32_t)sqlite3_column_int64(row, 4);
  run->job.fence = sqlite3_column_int64(row, 5);
  run->period = (vsi_jobs_period){sqlite3_column_int64(row, 6), sqlite3_column_int64(row, 7)};
  run->job.period_at_ms = sqlite3_column_int64(row, 8);
}

static vestry_err take(vestry_jobs *jobs, vestry_sqlite_loan *loan, vsi_jobs_run *run) {
  candidate found;
  const int64_t now_ms = vsi_jobs_now_ms(jobs);
  vestry_err error = find(jobs, loan, &found);
  if (!error && !found.kind) error = VESTRY_NOT_FOUND;
  if (error) return error;
  run->jobs = jobs;
  run->kind = found.kind;
  error = vestry_sqlite_run(loan, read_sql, VESTRY_LIST(found.id), read_job, run);
  if (error) return error;
  if (!run->payload) return VESTRY_NO_MEMORY; /* or none for the key, which comes first */
  run->job.id = found.id;
  run->job.kind = found.kind->name;
  run->job.key = run->key;
  if (!vsi_jobs_begin(run, now_ms)) return VESTRY_OK;
  return vestry_sqlite_run(
      loan, take_sql,
      VESTRY_LIST(found.id, now_ms + jobs->options.lease_ms, run->job.fence, run->job.attempt, run->job.period_at_ms),
      NULL, NULL);
}

static vestry_err take_first(vestry_jobs *jobs, vsi_jobs_run *ret_run) {
  vestry_sqlite_loan *loan;
  vestry_err error = vestry_sqlite_borrow(vsi_sqlite_jobs_pool(jobs), VESTRY_SQLITE_WRITE, &loan);
  return error ? error : vestry_sqlite_give(loan, take(jobs, loan, ret_run));
}

/* ------------------------------------------------------------------------------------------------ of a lease ------ */

static vestry_err change_leased(vsi_jobs_run *run, const char *sql, const vestry_value *values) {
  vestry_err error = change_alone(run->jobs, sql, values);
  return error == VESTRY_NOT_FOUND ? VESTRY_CLOSED : error;
}

static vestry_err write_end(vsi_jobs_run *run, const vsi_jobs_end *end) {
  const bool has_ended = end->state == VESTRY_JOB_DONE || end->state == VESTRY_JOB_DEAD;
  const vestry_value none = vestry_value_null();
  const int64_t now_ms = vsi_jobs_now_ms(run->jobs);
  return change_leased(run, end_sql,
                       VESTRY_LIST(run->job.id, run->job.fence, vsi_jobs_state_name(end->state),
                                   has_ended ? none : vestry_value_integer(now_ms + end->wait_ms), end->attempts_count,
                                   has_ended ? vestry_value_integer(now_ms) : none, end->awaits_period,
                                   text_or_null(end->error)));
}

static vestry_err write_progress(vsi_jobs_run *run, double fraction, const char *text) {
  return change_leased(run, progress_sql,
                       VESTRY_LIST(run->job.id, run->job.fence, fraction, text_or_null(text),
                                   vsi_jobs_now_ms(run->jobs) + run->jobs->options.lease_ms));
}

vestry_err vsi_sqlite_jobs_finish(vsi_jobs_run *run, sqlite3 *db) {
  const vsi_call call = vsi_sqlite_pool_call(vsi_sqlite_jobs_pool(run->jobs), "vestry_sqlite_job_finish");
  sqlite3_stmt *statement = NULL;
  int result = sqlite3_prepare_v2(db, finish_sql, -1, &statement, NULL);
  if (!result) result = sqlite3_bind_int64(statement, 1, run->job.id);
  if (!result) result = sqlite3_bind_int64(statement, 2, run->job.fence);
  if (!result) result = sqlite3_bind_int64(statement, 3, vsi_jobs_now_ms(run->jobs));
  if (!result) result = sqlite3_step(statement);
  const bool is_changed = result == SQLITE_DONE && sqlite3_changes(db);
  sqlite3_finalize(statement);
  vestry_err error = vsi_sqlite_fail(&call, db, result, "the job is not finished");
  return error ? error : is_changed ? VESTRY_OK : VESTRY_CLOSED;
}

static vestry_err look_finished(vsi_jobs_run *run, bool *ret_is_finished) {
  int64_t is_finished = 0;
  vestry_err error =
      vestry_sqlite_run_alone(vsi_sqlite_jobs_pool(run->jobs), finished_sql, VESTRY_LIST(run->job.id, run->job.fence),
                              vestry_sqlite_row_integer, &is_finished);
  if (!error) *ret_is_finished = is_finished != 0;
  return error;
}

static vestry_err renew_by(vestry_sqlite_loan *loan, const vestry_jobs *jobs, vsi_jobs_lease *leases, size_t count) {
  const int64_t until_ms = vsi_jobs_now_ms(jobs) + jobs->options.lease_ms;
  vestry_err error = VESTRY_OK;
  for (size_t i = 0; i < count && !error; i++) {
    error = vestry_sqlite_run(loan, renew_sql, VESTRY_LIST(leases[i].id, leases[i].fence, until_ms), NULL, NULL);
    leases[i].is_lost = !error && !sqlite3_changes(loan->db);
  }
  return error;
}

/* What fails is rolled back when the loan is given back. */
static vestry_err renew_aside(vestry_sqlite_pool *pool, const vestry_jobs *jobs, vsi_jobs_lease *leases, size_t count) {
  vestry_sqlite_loan *loan;
  vestry_err error = vestry_sqlite_borrow(pool, VESTRY_SQLITE_READ_ASIDE, &loan);
  if (error) return error;
  error = vestry_sqlite_run(loan, "BEGIN IMMEDIATE", NULL, NULL, NULL);
  if (!error) error = renew_by(loan, jobs, leases, count);
  if (!error) error = vestry_sqlite_run(loan, "COMMIT", NULL, NULL, NULL);
  return vestry_sqlite_give(loan, error);
}

static vestry_err renew(vestry_jobs *jobs, vsi_jobs_lease *leases, size_t count) {
  vestry_sqlite_pool *pool = vsi_sqlite_jobs_pool(jobs);
  vestry_sqlite_loan *loan;
  if (!has_free(pool)) return renew_aside(pool, jobs, leases, count);
  vestry_err error = vestry_sqlite_borrow(pool, VESTRY_SQLITE_WRITE, &loan);
  return error ? error : vestry_sqlite_give(loan, renew_by(loan, jobs, leases, count));
}

/* ------------------------------------------------------------------------------------------------- removal -------- */

/* ?1 of sql is `which`, ?2 how many. NOT_FOUND: none was removed, and nothing is written. */
static vestry_err remove_some(vestry_jobs *jobs, const char *sql, const vestry_value *values) {
  vestry_sqlite_loan *loan;
  vestry_err error = vestry_sqlite_borrow(vsi_sqlite_jobs_pool(jobs), VESTRY_SQLITE_WRITE, &loan);
  if (error) return error;
  error = vestry_sqlite_run(loan, sql, values, NULL, NULL);
  const int count = error ? 0 : sqlite3_changes(loan->db);
  if (!error) error = count ? vestry_sqlite_run(loan, removed_sql, VESTRY_LIST(count), NULL, NULL) : VESTRY_NOT_FOUND;
  return vestry_sqlite_give(loan, error);
}

static vestry_err clean(vestry_jobs *jobs) {
  if (jobs->options.keep_ms > INT64_MAX / 4) return VESTRY_OK;
  const int64_t since_ms = vsi_jobs_now_ms(jobs) - (int64_t)jobs->options.keep_ms;
  vestry_err error = vestry_sqlite_run_alone(vsi_sqlite_jobs_pool(jobs), old_sql, VESTRY_LIST(since_ms), NULL, NULL);
  if (!error) error = remove_some(jobs, clean_sql, VESTRY_LIST(since_ms, (int)CLEANED_AT_ONCE));
  return error == VESTRY_NOT_FOUND ? VESTRY_OK : error;
}

static vestry_err remove_one(vestry_jobs *jobs, int64_t id) {
  return remove_some(jobs, remove_sql, VESTRY_LIST(id));
}

static vestry_err retry(vestry_jobs *jobs, int64_t id) {
  return change_alone(jobs, retry_sql, VESTRY_LIST(id, vsi_jobs_now_ms(jobs)));
}

/* ------------------------------------------------------------------------------------------------- reading -------- */

static const char *text_at(sqlite3_stmt *row, int column) {
  return (const char *)sqlite3_column_text(row, column);
}

static void read_row(sqlite3_stmt *row, void *ctx) {
  const vsi_jobs_listing *to = ctx;
  const void *payload = sqlite3_column_blob(row, 4);
  const vestry_job_row job = {.id = sqlite3_column_int64(row, 0),
                              .kind = text_at(row, 1),
                              .key = text_at(row, 2),
                              .state = vsi_jobs_state_of(text_at(row, 3)),
                              .payload = {payload, (size_t)sqlite3_column_bytes(row, 4)},
                              .attempts_count = (uint32_t)sqlite3_column_int64(row, 5),
                              .attempts_most = (uint32_t)sqlite3_column_int64(row, 6),
                              .progress = sqlite3_column_double(row, 7),
                              .said = text_at(row, 8),
                              .error = text_at(row, 9),
                              .created_ms = sqlite3_column_int64(row, 10),
                              .due_ms = sqlite3_column_int64(row, 11),
                              .ended_ms = sqlite3_column_int64(row, 12),
                              .period_ms = (uint64_t)sqlite3_column_int64(row, 13)};
  to->fn(&job, to->ctx);
}

static vestry_err list(vestry_jobs *jobs, const vsi_jobs_listing *listing) {
  vsi_jobs_listing to = *listing;
  vestry_sqlite_loan *loan;
  vestry_err error = vestry_sqlite_borrow(vsi_sqlite_jobs_pool(jobs), VESTRY_SQLITE_READ, &loan);
  if (error) return error;
  error = vestry_sqlite_run(
      loan, list_sql,
      VESTRY_LIST(to.after_id, text_or_null(to.kind), text_or_null(vsi_jobs_state_name(to.state)), to.count), read_row,
      &to);
  return vestry_sqlite_give(loan, error == VESTRY_NOT_FOUND ? VESTRY_OK : error);
}

static void read_stats(sqlite3_stmt *row, void *ctx) {
  vestry_jobs_stats *stats = ctx;
  uint64_t *const to[] = {&stats->enqueued_count, &stats->waiting_count, &stats->running_count,
                          &stats->done_count,     &stats->dead_count,    &stats->removed_count};
  for (int i = 0; i < 6; i++) *to[i] = (uint64_t)sqlite3_column_int64(row, i);
}

static vestry_err count(vestry_jobs *jobs, vestry_jobs_stats *stats) {
  return vestry_sqlite_run_alone(vsi_sqlite_jobs_pool(jobs), stats_sql, NULL, read_stats, stats);
}

const vsi_jobs_table_ops vsi_sqlite_jobs_ops = {.make = make_table,
                                                .tick = make_tick,
                                                .look = look,
                                                .take = take_first,
                                                .end = write_end,
                                                .progress = write_progress,
                                                .is_finished = look_finished,
                                                .renew = renew,
                                                .clean = clean,
                                                .retry = retry,
                                                .remove = remove_one,
                                                .list = list,
                                                .count = count};
