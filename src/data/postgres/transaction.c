/* SPDX-License-Identifier: MIT */
/* Beginning and ending transactions, and repeating them after conflicts. */
#include <time.h>

#include "data/postgres/pool.h"
#include "data/postgres/recorder.h"

static const char *const begins[] = {[VESTRY_SQL_READ] = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",
                                     [VESTRY_SQL_READ_ASIDE] = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",
                                     [VESTRY_SQL_SERIALIZABLE] = "BEGIN ISOLATION LEVEL SERIALIZABLE READ WRITE",
                                     [VESTRY_SQL_REPEATABLE_READ] = "BEGIN ISOLATION LEVEL REPEATABLE READ READ WRITE",
                                     [VESTRY_SQL_WRITE] = "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE"};

/* --------------------------------------------------------------------------------------------------- begin -------- */

/* Open a transaction on a connection that this thread has checked out for the first time. If the connection was lost
 * while it was idle, the first statement finds this, and is repeated on a new connection. */
static vestry_err open(vsi_postgres_conn *conn, vestry_sql_kind kind, const char *begin) {
  vestry_err error = vsi_postgres_begin_in(conn, "vestry_sql_begin", begin);
  if (conn->is_lost) {
    conn->is_lost = false;
    error = vsi_postgres_reconnect(conn, "vestry_sql_begin");
    if (!error) error = vsi_postgres_begin_in(conn, "vestry_sql_begin", begin);
  }
  conn->is.kind = kind;
  return error;
}

vestry_err vsi_postgres_begin(vsi_postgres_pool *pool, vestry_sql_kind kind, const char *begin,
                              vestry_sql_transaction **ret_transaction) {
  vsi_postgres_conn *conn;
  vestry_err error = vsi_postgres_check_out(pool, "vestry_sql_begin", &conn);
  vsi_postgres_recorder_fail(pool, error);
  if (error) return error;
  bool is_inside = conn->depth > 1; /* this thread's own, so no other changes it */
  if (is_inside && kind > VESTRY_SQL_READ_ASIDE) {
    const vsi_call call = vsi_postgres_pool_call(pool, "vestry_sql_begin");
    (void)vsi_postgres_is_last(conn);
    return vsi_refuse(&call, VESTRY_INVALID,
                      "this thread already has a transaction; end it before beginning another one");
  }
  if (!is_inside) error = open(conn, kind, begin);
  vsi_postgres_recorder_fail(pool, error);
  if (error && !is_inside) vsi_postgres_roll_back(conn, "vestry_sql_begin");
  if (error)
    vsi_postgres_release(conn);
  else
    *ret_transaction = &conn->is;
  return error;
}

vestry_err vsi_postgres_sql_begin(vestry_sql_pool *is, vestry_sql_kind kind, vestry_sql_transaction **ret_transaction) {
  vsi_postgres_pool *pool = (vsi_postgres_pool *)is;
  vsi_postgres_recorder *of = kind <= VESTRY_SQL_READ_ASIDE ? vsi_postgres_recorder_of(pool) : NULL;
  const bool is_first = of && of->is_followed && !of->transaction && !vsi_postgres_is_checked_out(pool);
  vestry_err error = is_first ? of->begin(of) : VESTRY_OK;
  if (error) return error;
  return vsi_postgres_begin(pool, kind, begins[kind], ret_transaction);
}

/* ---------------------------------------------------------------------------------------------------- end --------- */

static void count(vsi_postgres_conn *conn, vestry_err error) {
  vsi_postgres_pool *pool = conn->pool;
  vsi_mutex_lock(&pool->lock);
  if (error || !vsi_sql_is_writing(&conn->is))
    pool->stats.rolled_back_count++;
  else
    pool->stats.committed_count++;
  if (conn->is_conflict) pool->stats.conflicts_count++;
  vsi_mutex_unlock(&pool->lock);
}

static vestry_err commit(vsi_postgres_conn *conn) {
  const vsi_call call = vsi_postgres_pool_call(conn->pool, "vestry_sql_end");
  if (conn->is_conflict) return VESTRY_BUSY; /* logged already */
  if (conn->is_lost)
    return vsi_refuse(&call, VESTRY_LIMIT, "the writes were rolled back, because the connection was lost");
  if (PQtransactionStatus(conn->db) != PQTRANS_INTRANS)
    return vsi_refuse(&call, VESTRY_IO,
                      "the writes were rolled back, because a statement has failed or has ended the transaction");
  vestry_err error = vsi_postgres_command(conn, call.function, "COMMIT");
  if (!conn->is_lost) return error;
  return vsi_refuse(&call, VESTRY_IO, "it is unknown whether the writes were committed");
}

vestry_err vsi_postgres_sql_end(vestry_sql_transaction *transaction, vestry_err error) {
  vsi_postgres_conn *conn = (vsi_postgres_conn *)transaction;
  if (!vsi_postgres_is_last(conn)) return error;
  vsi_after *after = vsi_after_take(&conn->is.after);
  if (!error && atomic_load_explicit(&conn->is_cancelled, memory_order_relaxed)) error = VESTRY_CLOSED;
  if (!error && vsi_sql_is_writing(&conn->is)) error = commit(conn);
  count(conn, error);
  /* A cancellation may arrive late, and would affect the next statement. */
  if (atomic_load_explicit(&conn->is_cancelled, memory_order_relaxed)) vsi_postgres_hang_up(conn);
  vsi_postgres_roll_back(conn, "vestry_sql_end");
  vsi_postgres_release(conn);
  vsi_after_run(after, !error);
  return error;
}

PGconn *vestry_postgres_handle(vestry_sql_transaction *transaction) {
  const vsi_postgres_conn *conn = vsi_postgres_conn_of(transaction);
  return conn ? conn->db : NULL;
}

const char *vestry_postgres_sqlstate(vestry_sql_transaction *transaction) {
  const vsi_postgres_conn *conn = vsi_postgres_conn_of(transaction);
  return conn ? conn->sqlstate : "";
}

void vestry_postgres_cancel(vestry_sql_transaction *transaction) {
  vsi_postgres_conn *conn = vsi_postgres_conn_of(transaction);
  if (!conn) return;
  char why[256];
  atomic_store_explicit(&conn->is_cancelled, true, memory_order_relaxed);
  (void)PQcancel(conn->cancel, why, sizeof why); /* if it fails, the statement ends by itself or by statement_ms */
}

/* ---------------------------------------------------------------------------------------------------- again ------- */

/* Sleep, longer after each attempt, and for a random time, so that conflicting threads do not conflict again. */
static void pause_before(const vestry_host *host, unsigned tries) {
  uint32_t number = 0;
  const uint64_t most_us = UINT64_C(1000) << (tries < 8 ? tries : 8);
  (void)host->random(host->ctx, &number, sizeof number);
  uint64_t ns = (most_us / 2 + number % most_us) * 1000;
  nanosleep(&(struct timespec){.tv_sec = (time_t)(ns / 1000000000), .tv_nsec = (long)(ns % 1000000000)}, NULL);
}

static vestry_err act_once(vestry_sql_pool *pool, vestry_sql_kind kind, vestry_sql_act_fn fn, void *ctx, bool is_last,
                           bool *has_met, bool *ret_conflict) {
  vestry_sql_transaction *transaction;
  *ret_conflict = false;
  vestry_err error = vsi_postgres_sql_begin(pool, kind, &transaction);
  if (error) return error;
  vsi_postgres_conn *own = (vsi_postgres_conn *)transaction;
  own->begins_again = !is_last;
  own->has_met = is_last ? NULL : has_met;
  error = fn(transaction, ctx);
  bool was_conflict = own->is_conflict;
  error = vsi_postgres_sql_end(transaction, error);
  *ret_conflict = error && (was_conflict || error == VESTRY_BUSY);
  return error;
}

vestry_err vsi_postgres_sql_act(vestry_sql_pool *is, vestry_sql_kind kind, vestry_sql_act_fn fn, void *ctx) {
  vsi_postgres_pool *pool = (vsi_postgres_pool *)is;
  bool has_met = false;
  for (unsigned tries = 1;; tries++) {
    const bool is_last = tries == pool->options.tries_count;
    bool was_conflict;
    vestry_err error = act_once(is, kind, fn, ctx, is_last, &has_met, &was_conflict);
    if (!was_conflict) return error;
    if (is_last) return VESTRY_BUSY;
    pause_before(pool->is.host, tries);
  }
}
