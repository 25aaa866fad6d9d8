/* SPDX-License-Identifier: MIT */
/* essay: one run for each submission, on all nodes */
/* Submissions that run once on all nodes, stored in a database.
 *
 * A submission is a row, inserted by one statement, so if several nodes begin it at the same time, exactly one inserts
 * the row. Each run has an id. If the response to the statement was lost, the statement can therefore be repeated: it
 * finds that the row already belongs to this run. A run whose lease is over may have ended in any way. No other run
 * begins then, unless the application has declared that its handlers may run twice (runs_again). In this case the new
 * run takes the row, and the former run can no longer change it.
 *
 * Marked runs. The transaction of an act ends with vsi_sql_once_mark, which stores a response in the row, if the row
 * still belongs to this run and has none. Otherwise the transaction is rolled back. Therefore at most one transaction
 * of a submission is committed, whatever the number of its runs:
 * - A commit changes the response of the row from NULL to a value. Only a row whose lifetime is over is set back.
 * - Runs of one submission write the same row, so their transactions are ordered by the database. SQLite has one
 *   writer. In PostgreSQL the second waits for the lock of the row. If the first is committed, the condition is false
 *   for the new version of the row: READ COMMITTED evaluates it again, and the higher levels report a conflict, after
 *   which the act runs again with a new snapshot, and finds no row.
 * - The same is true of a run that begins: its INSERT waits for the lock of the row, and takes the row only if it has
 *   no response. So it takes no row of a committed transaction, and a transaction that marks later finds no row.
 * If a process is killed before the commit, the row has no response and nothing was done, so another run may begin; if
 * it is killed after the commit, a repetition gets the response. If the answer to the commit was lost, forget does
 * what is right, because it deletes only a row without a response, and waits for the lock, too. finish replaces the
 * response of the mark by the real one, if it is another. */
#include <stdatomic.h>
#include <string.h>

#include "data/sql/pool.h"

enum { LIFETIME_MS = 600000, LEASE_MS = 60000, PER_OWNER = 1000, BOUNDED_EACH = 64, TRIES = 16 };

struct vestry_sql_once {
  vestry_sql_pool *pool;
  vestry_sql_once_options options;
  bool bounds_all;         /* per_owner_count was set, so it also limits submissions without a scope */
  _Atomic(uint32_t) begun; /* relaxed: a mere counter */
};

#define STEPS(text, integer, blob, end)                                                                                \
  "CREATE TABLE IF NOT EXISTS vestry_once(hash " text " PRIMARY KEY, owner " text " NOT NULL, run " text               \
  " NOT NULL, began " integer " NOT NULL, leased " integer " NOT NULL, answer " blob ")" end ";"                       \
  "CREATE INDEX IF NOT EXISTS vestry_once_owner ON vestry_once(owner, began);"                                         \
  "CREATE INDEX IF NOT EXISTS vestry_once_began ON vestry_once(began)"
static const char *const steps[VSI_SQL_DIALECTS] = {STEPS("TEXT", "INTEGER", "BLOB", " STRICT"),
                                                    STEPS("text", "bigint", "bytea", "")};
static const vsi_sql_schema schemas[VSI_SQL_DIALECTS] = {{"once", &steps[0], 1, false}, {"once", &steps[1], 1, false}};

#define SQLITE(parameter) parameter
#define POSTGRES          VSI_SQL_POSTGRES_NOW
#define BEGIN(now, ms, more)                                                                                           \
  "INSERT INTO vestry_once AS old(hash, owner, run, began, leased) VALUES($1, $2, $3, " now ", " now " + $5" ms        \
  ") ON CONFLICT(hash) DO UPDATE SET run = excluded.run, began = excluded.began, leased = excluded.leased,"            \
  " answer = NULL WHERE old.began <= excluded.began - $6" ms                                                           \
  " OR ($7 AND old.answer IS NULL AND old.leased <= excluded.began) RETURNING " more
#define LOOK(now)                                                                                                      \
  "SELECT run = $2, answer IS NOT NULL, NOT $4 AND leased <= " now ", answer FROM vestry_once WHERE hash = $1"
#define BOUND(rest)                                                                                                    \
  "DELETE FROM vestry_once WHERE answer IS NOT NULL AND hash IN (SELECT hash FROM vestry_once WHERE owner = $1"        \
  " ORDER BY began DESC, hash " rest ")"
static vsi_sql_texts begin_sql = {BEGIN(SQLITE("$4"), "", "1"),
                                  BEGIN(POSTGRES("$4"), "::bigint", VSI_SQL_POSTGRES_FLUSHED)};
static vsi_sql_texts look_sql = {LOOK(SQLITE("$3")), LOOK(POSTGRES("$3"))};
static vsi_sql_texts bound_sql = {BOUND("LIMIT -1 OFFSET $2"), BOUND("OFFSET $2 FOR UPDATE SKIP LOCKED")};
static vsi_sql_texts expire_sql =
    VSI_SQL_EXPIRE("vestry_once", "hash", "began <= " SQLITE("$1") " - $2", "began <= " POSTGRES("$1") " - $2::bigint");
#define FINISH(more) "UPDATE vestry_once SET answer = $3 WHERE hash = $1 AND run = $2" more " RETURNING 1"
static vsi_sql_texts finish_sql = VSI_SQL_BOTH(FINISH(""));
static const char mark_sql[] = FINISH(" AND answer IS NULL");
static vsi_sql_texts forget_sql =
    VSI_SQL_BOTH("DELETE FROM vestry_once WHERE hash = $1 AND run = $2 AND answer IS NULL");

static vestry_err run(const vestry_sql_once *once, vsi_sql_texts texts, const vestry_value *values,
                      vestry_sql_row_fn row, void *ctx) {
  return vsi_sql_by(once->pool, VSI_SQL_RUN_AGAIN, texts, values, row, ctx);
}

typedef struct looking {
  bool is_own, is_done, is_over; /* is_over: its lease */
  void *response;
  size_t capacity, len;
} looking;

static void read_row(const vestry_sql_row *row, void *ctx) {
  looking *into = ctx;
  into->is_own = vestry_sql_integer(row, 0);
  into->is_done = vestry_sql_integer(row, 1);
  into->is_over = vestry_sql_integer(row, 2);
  into->len = vestry_sql_bytes(row, 3, into->response, into->capacity);
}

static vestry_once_found found_by(const looking *at) {
  if (at->is_done) return VESTRY_ONCE_DONE;
  if (at->is_own) return VESTRY_ONCE_NEW;
  return at->is_over ? VESTRY_ONCE_UNKNOWN : VESTRY_ONCE_RUNNING;
}

/* Delete old submissions in one of BOUNDED_EACH calls, when the run has written anyway. Errors are ignored, because the
 * run has begun. */
static void clear_up(vestry_sql_once *once, const vestry_once_submission *submission) {
  if (atomic_fetch_add_explicit(&once->begun, 1, memory_order_relaxed) % BOUNDED_EACH) return;
  if (*submission->owner || once->bounds_all)
    (void)vsi_sql_remove(once->pool, bound_sql, VESTRY_LIST(submission->owner, once->options.per_owner_count), NULL);
  (void)vsi_sql_remove(once->pool, expire_sql, VESTRY_LIST(vsi_sql_now_ms(once->pool), once->options.lifetime_ms),
                       NULL);
}

static vestry_err begin(void *ctx, const vestry_once_submission *submission, vestry_once_found *ret_found,
                        void *response, size_t capacity, size_t *ret_len) {
  vestry_sql_once *once = ctx;
  looking at = {.is_own = true, .response = response, .capacity = capacity};
  const vsi_call call = vsi_sql_call(once->pool, "vestry_once_guard");
  const bool runs_again = submission->again_ms || once->options.runs_again;
  uint64_t lease_ms = submission->again_ms ? submission->again_ms : once->options.lease_ms;
  if (lease_ms > once->options.lifetime_ms) lease_ms = once->options.lifetime_ms;
  if (vsi_sql_own(once->pool))
    return vsi_refuse(&call, VESTRY_INVALID, "this thread has a transaction; call the guard outside of transactions");
  vestry_err error = VESTRY_NOT_FOUND;
  /* The row is missing if another client deletes it between the statements, so they run again. A row that is missing
   * after each try is dropped by a trigger, a rule or a policy. */
  for (int tries = TRIES; tries && error == VESTRY_NOT_FOUND; tries--) {
    /* The row that assigns a submission to its run must survive a crash, or else a repetition would run again. */
    error = vsi_sql_by(once->pool, VSI_SQL_RUN_FLUSHED, begin_sql,
                       VESTRY_LIST(submission->hash, submission->owner, submission->run, vsi_sql_now_ms(once->pool),
                                   lease_ms, once->options.lifetime_ms, runs_again),
                       NULL, NULL);
    if (!error) clear_up(once, submission);
    if (error == VESTRY_NOT_FOUND)
      error =
          run(once, look_sql, VESTRY_LIST(submission->hash, submission->run, vsi_sql_now_ms(once->pool), runs_again),
              read_row, &at);
  }
  *ret_found = found_by(&at);
  *ret_len = at.len;
  return vsi_sql_if_written(once->pool, call.function, "vestry_once", error);
}

/* ---------------------------------------------------------------------------------------------------- ending ------ */

static vestry_err finish(void *ctx, const vestry_once_submission *submission, const void *response, size_t len) {
  return run(ctx, finish_sql, VESTRY_LIST(submission->hash, submission->run, vestry_value_bytes(response, len)), NULL,
             NULL);
}

vestry_err vsi_sql_once_mark(void *transaction, const vestry_once_submission *submission, const void *response,
                             size_t len) {
  vestry_err error =
      vestry_sql_run(transaction, mark_sql,
                     VESTRY_LIST(submission->hash, submission->run, vestry_value_bytes(response, len)), NULL, NULL);
  return error == VESTRY_NOT_FOUND ? VESTRY_LIMIT : error;
}

static vestry_err forget(void *ctx, const vestry_once_submission *submission) {
  return run(ctx, forget_sql, VESTRY_LIST(submission->hash, submission->run), NULL, NULL);
}

const vestry_once_storage_ops vestry_sql_once_ops = {.begin = begin, .finish = finish, .forget = forget};

/* --------------------------------------------------------------------------------------------------- making ------- */

/* Fill in the defaults. A lease that outlives its row would protect nothing: the next submission would find no row, and
 * run while the first still does. */
static vestry_err complete(const vsi_call *call, vestry_sql_once_options *options) {
  if (!options->lifetime_ms) options->lifetime_ms = LIFETIME_MS;
  if (!options->lease_ms) options->lease_ms = options->lifetime_ms < LEASE_MS ? options->lifetime_ms : LEASE_MS;
  if (options->lifetime_ms > INT64_MAX / 2)
    return vsi_refuse(call, VESTRY_INVALID,
                      "options.lifetime_ms is more than half of INT64_MAX; set a shorter lifetime");
  if (options->lease_ms <= options->lifetime_ms) return VESTRY_OK;
  return vsi_refuse(call, VESTRY_INVALID,
                    "options.lease_ms is %llu, more than options.lifetime_ms, %llu; set a longer lifetime",
                    (unsigned long long)options->lease_ms, (unsigned long long)options->lifetime_ms);
}

vestry_err vestry_sql_once_create(vestry_sql_pool *pool, const vestry_sql_once_options *given,
                                  vestry_sql_once **ret_once) {
  if (!pool) return VESTRY_INVALID;
  if (!ret_once) return vsi_mistake(pool->host, "vestry_sql_once_create", "ret_once is NULL");
  vestry_sql_once_options options = given ? *given : (vestry_sql_once_options){0};
  const bool bounds_all = options.per_owner_count != 0;
  if (!bounds_all) options.per_owner_count = PER_OWNER;
  const vsi_call call = vsi_sql_call(pool, "vestry_sql_once_create");
  vestry_err error = complete(&call, &options);
  if (!error) error = pool->ops->bring(pool, call.function, &schemas[pool->ops->dialect]);
  if (error) return error;
  vestry_sql_once *once = vsi_calloc(pool->host, 1, sizeof *once);
  if (!once) return VESTRY_NO_MEMORY;
  once->pool = pool;
  once->options = options;
  once->bounds_all = bounds_all;
  *ret_once = once;
  return VESTRY_OK;
}

void vestry_sql_once_destroy(vestry_sql_once *once) {
  if (once) vsi_free(once->pool->host, once);
}
