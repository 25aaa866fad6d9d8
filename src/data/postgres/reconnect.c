/* SPDX-License-Identifier: MIT */
/* A pool's connections: they are opened when they are needed, given up when the server has ended them, and opened
 * again. While the server is away, one thread tries to connect from time to time, and other threads fail at once,
 * because a silent server would otherwise block all threads that need it. If a connection of the pool is open, they
 * wait for that instead (pool.c). */
#include <stdio.h>
#include <stdlib.h>

#include "data/postgres/pool.h"

enum { AWAY_MS = 50 };

void vsi_postgres_hang_up(vsi_postgres_conn *conn) {
  vsi_postgres_pool *pool = conn->pool;
  PGconn *db = conn->db;
  if (!db) return;
  vsi_postgres_statements_forget(&conn->statements);
  vsi_mutex_lock(&pool->lock);
  conn->db = NULL;
  pool->stats.connected_count--;
  vsi_line_wake_locked(&pool->line); /* threads do not wait for an open connection if there is none */
  vsi_mutex_unlock(&pool->lock);
  PQfinish(db);
}

/* Return whether an existing unique value (EXISTS) counts as a conflict. If two serializable transactions add the same
 * value at the same time, the server reports this error to one of them. That transaction is begun again, and then finds
 * the value, as if it had come later. If the value existed before, the second attempt gets the same error, which is
 * then reported. */
static bool may_have_met(const vsi_postgres_conn *conn, const char *state) {
  if (conn->is.kind != VESTRY_SQL_SERIALIZABLE || !conn->has_met || *conn->has_met) return false;
  return *conn->has_met = vsi_postgres_code(state) == VESTRY_EXISTS;
}

vestry_err vsi_postgres_conn_fail(vsi_postgres_conn *conn, const char *function, PGresult *result, const char *doing) {
  const vsi_call call = vsi_postgres_pool_call(conn->pool, function);
  const char *state = result ? PQresultErrorField(result, PG_DIAG_SQLSTATE) : NULL;
  conn->is_conflict = state && (vsi_postgres_is_conflict(state) || may_have_met(conn, state));
  const bool is_unsaid = conn->is_conflict && conn->begins_again; /* it is counted */
  vestry_err error = is_unsaid ? VESTRY_BUSY : vsi_postgres_fail(&call, conn->db, result, doing);
  snprintf(conn->sqlstate, sizeof conn->sqlstate, "%s", state ? state : "");
  PQclear(result);
  if (!result) {
    conn->is_lost = true;
    vsi_postgres_hang_up(conn);
  }
  return error == VESTRY_TIMEOUT && atomic_load_explicit(&conn->is_cancelled, memory_order_relaxed) ? VESTRY_CLOSED
                                                                                                    : error;
}

vestry_err vsi_postgres_command(vsi_postgres_conn *conn, const char *function, const char *sql) {
  PGresult *result = vsi_postgres_ask(conn->db, sql, vsi_postgres_until_ns(conn->pool));
  if (!vsi_postgres_is_done(result)) return vsi_postgres_conn_fail(conn, function, result, sql);
  PQclear(result);
  return VESTRY_OK;
}

void vsi_postgres_roll_back(vsi_postgres_conn *conn, const char *function) {
  if (conn->db && PQtransactionStatus(conn->db) != PQTRANS_IDLE && vsi_postgres_command(conn, function, "ROLLBACK"))
    vsi_postgres_hang_up(conn);
}

/* ------------------------------------------------------------------------------------------------- connecting ----- */

static bool is_away(vsi_postgres_pool *pool) {
  vsi_mutex_lock(&pool->lock);
  bool is_away = pool->away_until_ns > vsi_monotonic_ns();
  vsi_mutex_unlock(&pool->lock);
  return is_away;
}

/* Return whether the last attempt to connect failed, so that the reason is logged already. */
static bool has_logged(vsi_postgres_pool *pool) {
  vsi_mutex_lock(&pool->lock);
  bool has_logged = pool->away_ms != 0;
  vsi_mutex_unlock(&pool->lock);
  return has_logged;
}

/* Note the result of an attempt to connect. */
static void note(vsi_postgres_pool *pool, bool has_come) {
  vsi_mutex_lock(&pool->lock);
  if (has_come) {
    pool->away_ms = pool->away_until_ns = 0;
    pool->stats.connects_count++;
    vsi_line_wake_locked(&pool->line); /* the server may accept another one, too */
  } else {
    pool->away_ms = pool->away_ms ? 2 * pool->away_ms : AWAY_MS;
    if (pool->away_ms > pool->options.retry_ms) pool->away_ms = pool->options.retry_ms;
    pool->away_until_ns = vsi_monotonic_in_ms(pool->away_ms);
    pool->stats.failed_count++;
  }
  vsi_mutex_unlock(&pool->lock);
}

static vestry_err run_setup(vsi_postgres_conn *conn, const char *function) {
  const vsi_call call = vsi_postgres_pool_call(conn->pool, function);
  PGresult *result = vsi_postgres_ask(conn->db, conn->pool->setup, vsi_postgres_until_ns(conn->pool));
  if (!vsi_postgres_is_done(result)) return vsi_postgres_conn_fail(conn, function, result, "options.setup");
  PQclear(result);
  return vsi_postgres_set(&call, conn->db, false, vsi_postgres_until_ns(conn->pool));
}

/* Keep the search_path of the first connection for all connections of a pool, so that they name the same tables: a
 * search_path that the role has got since applies to the next pool. While the first connection is opened, no other
 * thread has the pool. */
static vestry_err keep_path(vsi_postgres_conn *conn, const char *function, const char *path) {
  vsi_postgres_pool *pool = conn->pool;
  const vsi_call call = vsi_postgres_pool_call(pool, function);
  if (!pool->search_path) {
    pool->search_path = vsi_strdup(pool->is.host, path, strlen(path));
    return pool->search_path ? VESTRY_OK : VESTRY_NO_MEMORY;
  }
  if (strcmp(pool->search_path, path) == 0) return VESTRY_OK;
  vsi_log(pool->is.host, VESTRY_LOG_WARN,
          "%s, %s: a new connection has the search_path %s, but the pool keeps its own, %s; to use the new one, create "
          "a new pool or restart",
          call.function, call.name, path, pool->search_path);
  const char *const values[] = {pool->search_path};
  PGresult *result = NULL;
  if (PQsendQueryParams(conn->db, "SELECT pg_catalog.set_config('search_path', $1, false)", 1, NULL, values, NULL, NULL,
                        0))
    result = vsi_postgres_wait(conn->db, vsi_postgres_until_ns(pool));
  if (!vsi_postgres_is_done(result)) return vsi_postgres_conn_fail(conn, function, result, "SET search_path");
  PQclear(result);
  return VESTRY_OK;
}

/* Run a statement, or several, of which the last one has a row that begins with the backend. */
static vestry_err ask_backend(vsi_postgres_conn *conn, const char *function, const char *sql, PGresult **ret_row,
                              int *ret_pid) {
  PGresult *row = vsi_postgres_ask(conn->db, sql, vsi_postgres_until_ns(conn->pool));
  if (PQntuples(row) != 1) return vsi_postgres_conn_fail(conn, function, row, sql);
  *ret_pid = (int)strtol(PQgetvalue(row, 0, 0), NULL, 10);
  *ret_row = row;
  return VESTRY_OK;
}

/* Give up a connection that leads to another backend than before. */
static vestry_err refuse_backend(vsi_postgres_conn *conn, const char *function) {
  const vsi_call call = vsi_postgres_pool_call(conn->pool, function);
  vsi_postgres_hang_up(conn);
  return vsi_refuse(&call, VESTRY_UNSUPPORTED,
                    "a pooler gave this connection another connection to the server; connect to the server itself, or "
                    "to a pooler in session mode");
}

static vestry_err set_up(vsi_postgres_conn *conn, const char *function) {
  static const char facts_sql[] = "SELECT " VSI_POSTGRES_BACKEND ", pg_catalog.current_setting('search_path')";
  char sql[128];
  PGresult *row;
  int first, pid;
  snprintf(sql, sizeof sql, "SET statement_timeout = %u; SELECT " VSI_POSTGRES_BACKEND,
           conn->pool->options.statement_ms);
  vestry_err error = ask_backend(conn, function, sql, &row, &first);
  if (error) return error;
  PQclear(row);
  if (conn->pool->setup) error = run_setup(conn, function);
  if (!error) error = ask_backend(conn, function, facts_sql, &row, &pid);
  if (error) return error;
  conn->backend = pid == PQbackendPID(conn->db) ? 0 : pid;
  error = pid == first ? keep_path(conn, function, PQgetvalue(row, 0, 1)) : refuse_backend(conn, function);
  PQclear(row);
  return error;
}

static vestry_err call_up(vsi_postgres_conn *conn, const char *function) {
  vsi_postgres_pool *pool = conn->pool;
  vestry_host quiet = *pool->is.host;
  quiet.log = NULL;
  const vsi_call call = {has_logged(pool) ? &quiet : pool->is.host, function, pool->is.name};
  PGconn *db = NULL;
  vestry_err error =
      vsi_postgres_connect(&call, pool->url, false, NULL, NULL, vsi_monotonic_in_ms(pool->options.connect_ms), &db);
  note(pool, !error);
  if (error) return error;
  PQfreeCancel(conn->cancel);
  conn->cancel = PQgetCancel(db);
  vsi_mutex_lock(&pool->lock);
  conn->db = db;
  pool->stats.connected_count++;
  vsi_mutex_unlock(&pool->lock);
  error = conn->cancel ? set_up(conn, function) : VESTRY_NO_MEMORY;
  if (error) vsi_postgres_hang_up(conn);
  return error;
}

vestry_err vsi_postgres_begin_in(vsi_postgres_conn *conn, const char *function, const char *begin) {
  char sql[512];
  PGresult *row;
  int pid;
  if (!conn->backend) return vsi_postgres_command(conn, function, begin);
  snprintf(sql, sizeof sql, "%s; SELECT " VSI_POSTGRES_BACKEND, begin);
  vestry_err error = ask_backend(conn, function, sql, &row, &pid);
  if (error) return error;
  PQclear(row);
  return pid == conn->backend ? VESTRY_OK : refuse_backend(conn, function);
}

vestry_err vsi_postgres_reconnect(vsi_postgres_conn *conn, const char *function) {
  if (conn->db && !vsi_postgres_is_lost(conn->db)) return VESTRY_OK;
  vsi_postgres_hang_up(conn);
  return is_away(conn->pool) ? VESTRY_LIMIT : call_up(conn, function);
}
