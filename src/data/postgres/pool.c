/* SPDX-License-Identifier: MIT */
/* A pool of PostgreSQL (data/sql/pool.h). One connection is reserved for the renewal of leases, which would otherwise
 * wait for the functions of jobs, because these may hold all others.
 *
 * Connections are opened when they are needed, given up when the server has ended them, and opened again. The server
 * may refuse some of the connections, for example because its own limit or that of the role is reached. Then the pool
 * works with those that are open: threads wait for them, and from time to time one thread tries to open another
 * connection. If none is open, the other threads fail at once, because a silent server would otherwise block all
 * threads that need it. */
#include "data/postgres/pool.h"

#include <stdio.h>
#include <stdlib.h>

/* ----------------------------------------------------------------------------------------------- connections ------ */

enum { AWAY_MS = 50 };

void vsi_postgres_hang_up(vsi_postgres_conn *conn) {
  vsi_postgres_pool *pool = conn->pool;
  PGconn *db = conn->db;
  if (!db) return;
  vsi_postgres_statements_forget(&conn->statements);
  vsi_mutex_lock(&pool->is.lock);
  conn->db = NULL;
  pool->is.stats.connected_count--;
  vsi_line_wake_locked(
      &pool->is.lines[VSI_SQL_LINE_MAIN]); /* threads do not wait for an open connection if there is none */
  vsi_mutex_unlock(&pool->is.lock);
  PQfinish(db);
}

/* Return whether an existing unique value (EXISTS) counts as a conflict. If two serializable transactions add the same
 * value at the same time, the server reports this error to one of them. That transaction is begun again, and then finds
 * the value, as if it had come later. If the value existed before, the second attempt gets the same error, which is
 * then reported. */
static bool may_have_conflicted(const vsi_postgres_conn *conn, const char *state) {
  if (conn->is.kind != VESTRY_SQL_SERIALIZABLE || !conn->has_met || *conn->has_met) return false;
  return *conn->has_met = vsi_postgres_code(state) == VESTRY_EXISTS;
}

vestry_err vsi_postgres_conn_fail(vsi_postgres_conn *conn, const char *function, PGresult *result, const char *doing) {
  const vsi_call call = vsi_sql_call(&conn->pool->is, function);
  const char *state = result ? PQresultErrorField(result, PG_DIAG_SQLSTATE) : NULL;
  conn->is_conflict = state && (vsi_postgres_is_conflict(state) || may_have_conflicted(conn, state));
  const bool is_unlogged = conn->is_conflict && conn->begins_again; /* it is counted */
  vestry_err error = is_unlogged ? VESTRY_BUSY : vsi_postgres_fail(&call, conn->db, result, doing);
  snprintf(conn->sqlstate, sizeof conn->sqlstate, "%s", state ? state : "");
  PQclear(result);
  if (!result) {
    conn->is_lost = true;
    vsi_postgres_hang_up(conn);
  }
  return error;
}

/* Take over a result. doing: for the log; ret_result: NULL: not needed */
static vestry_err take_result(vsi_postgres_conn *conn, const char *function, PGresult *result, const char *doing,
                              PGresult **ret_result) {
  if (!vsi_postgres_is_done(result)) return vsi_postgres_conn_fail(conn, function, result, doing);
  if (ret_result)
    *ret_result = result;
  else
    PQclear(result);
  return VESTRY_OK;
}

/* Run statements. */
static vestry_err ask(vsi_postgres_conn *conn, const char *function, const char *sql, const char *doing) {
  return take_result(conn, function, vsi_postgres_ask(conn->db, sql, vsi_postgres_until_ns(conn)), doing, NULL);
}

/* Run a query with one value. NULL: a null */
static vestry_err ask_with(vsi_postgres_conn *conn, const char *function, const char *sql, const char *value,
                           PGresult **ret_result) {
  const bool is_sent = PQsendQueryParams(conn->db, sql, 1, NULL, &value, NULL, NULL, 0);
  PGresult *result = is_sent ? vsi_postgres_wait(conn->db, vsi_postgres_until_ns(conn)) : NULL;
  return take_result(conn, function, result, sql, ret_result);
}

vestry_err vsi_postgres_command(vsi_postgres_conn *conn, const char *function, const char *sql) {
  return ask(conn, function, sql, sql);
}

void vsi_postgres_roll_back(vsi_postgres_conn *conn, const char *function) {
  if (conn->db && PQtransactionStatus(conn->db) != PQTRANS_IDLE && vsi_postgres_command(conn, function, "ROLLBACK"))
    vsi_postgres_hang_up(conn);
}

/* Return whether an attempt to connect is made now. */
static bool may_connect(vsi_postgres_pool *pool) {
  vsi_mutex_lock(&pool->is.lock);
  const bool may_connect = pool->away_until_ns <= vsi_monotonic_ns();
  vsi_mutex_unlock(&pool->is.lock);
  return may_connect;
}

/* Note the result of an attempt to connect. */
static void note(vsi_postgres_pool *pool, bool has_come) {
  vsi_mutex_lock(&pool->is.lock);
  if (has_come) {
    pool->away_ms = pool->away_until_ns = 0;
    pool->is.stats.connects_count++;
    vsi_line_wake_locked(&pool->is.lines[VSI_SQL_LINE_MAIN]); /* the server may accept another one, too */
  } else {
    pool->away_ms = pool->away_ms ? 2 * pool->away_ms : AWAY_MS;
    if (pool->away_ms > pool->options.retry_ms) pool->away_ms = pool->options.retry_ms;
    pool->away_until_ns = vsi_monotonic_in_ms(pool->away_ms);
    pool->is.stats.failed_count++;
  }
  vsi_mutex_unlock(&pool->is.lock);
}

static vestry_err run_setup(vsi_postgres_conn *conn, const char *function) {
  const vsi_call call = vsi_sql_call(&conn->pool->is, function);
  vestry_err error = ask(conn, function, conn->pool->is.setup, "options.setup");
  return error ? error : vsi_postgres_set(&call, conn->db, false, vsi_postgres_until_ns(conn));
}

/* The setting is in milliseconds, whatever its unit was. */
#define LIMIT_SQL "(SELECT setting FROM pg_catalog.pg_settings WHERE name = 'statement_timeout')"

void vsi_postgres_read_limit(vsi_postgres_conn *conn) {
  PGresult *row = vsi_postgres_ask(conn->db, "SELECT " LIMIT_SQL, vsi_postgres_until_ns(conn));
  const uint32_t ms = PQntuples(row) == 1 ? (uint32_t)strtoul(PQgetvalue(row, 0, 0), NULL, 10) : 1;
  if (!ms || (conn->limit_ms && ms > conn->limit_ms)) conn->limit_ms = ms;
  PQclear(row);
}

/* A pool may reach several servers: the address of a host name has changed, or the URL names several hosts. Commits of
 * one server are followed, and topics of one server are received, so pages whose renders read another one would stay as
 * they are. Therefore, the pool has the server of its last connection, and gives up all connections that were opened
 * before to another one. The follower and the receiver of topics begin again if it is not their server. */
static void note_server(vsi_postgres_conn *conn, const char *started) {
  vsi_postgres_pool *pool = conn->pool;
  const uint64_t server = strtoull(started, NULL, 10);
  vsi_mutex_lock(&pool->is.lock);
  const uint64_t former = atomic_exchange_explicit(&pool->server, server, memory_order_relaxed);
  if (former && former != server) pool->left_ns = conn->opened_ns = vsi_monotonic_ns();
  vsi_mutex_unlock(&pool->is.lock);
}

/* A query that makes the settings of this session again after RESET ALL, with its role. The path and the time limit are
 * always among them, because a reload of the server's configuration can change the values that RESET ALL makes. */
static const char restoring_sql[] =
    "SELECT pg_catalog.format('SELECT pg_catalog.pg_advisory_unlock_all()%s%s%s', (SELECT pg_catalog.string_agg("
    "pg_catalog.format(', pg_catalog.set_config(%L, %L, false)', name, setting), ''::text) FROM pg_catalog.pg_settings"
    " WHERE source = 'session'::text AND (setting IS DISTINCT FROM reset_val OR name = 'search_path'::text OR name ="
    " 'statement_timeout'::text)), CASE WHEN session_user::text <> $1::text THEN pg_catalog.format("
    "', pg_catalog.set_config(''session_authorization'', %L, false)', session_user) END, CASE WHEN"
    " pg_catalog.current_setting('role') <> 'none'::text THEN pg_catalog.format("
    "', pg_catalog.set_config(''role'', %L, false)', pg_catalog.current_setting('role')) END)";

static vestry_err read_restoring(vsi_postgres_conn *conn, const char *function) {
  vsi_postgres_statements *of = &conn->statements;
  PGresult *row;
  vestry_err error = ask_with(conn, function, restoring_sql, PQuser(conn->db), &row);
  if (error) return error;
  vsi_free(of->host, of->restoring);
  of->restoring = vsi_strdup(of->host, PQgetvalue(row, 0, 0), strlen(PQgetvalue(row, 0, 0)));
  of->kept = VSI_POSTGRES_KEPT_NOTHING;
  PQclear(row);
  return of->restoring ? VESTRY_OK : VESTRY_NO_MEMORY;
}

/* All connections of a pool have the search_path of the first one, so that they name the same tables: a path that the
 * role or the server has got since applies to the next pool. It is set for the session, or else a reload of the
 * server's configuration could change it. While the first connection is opened, no other thread has the pool. */
static vestry_err set_up(vsi_postgres_conn *conn, const char *function) {
  static const char facts_sql[] =
      "SELECT pg_catalog.set_config('search_path', coalesce($1::text, pg_catalog.current_setting('search_path')), "
      "false), " LIMIT_SQL ", " VSI_POSTGRES_STARTED;
  vsi_postgres_pool *pool = conn->pool;
  char sql[64];
  PGresult *row;
  conn->limit_ms = pool->options.statement_ms;
  snprintf(sql, sizeof sql, "SET statement_timeout = %u", conn->limit_ms);
  vestry_err error = vsi_postgres_command(conn, function, sql);
  if (!error && pool->is.setup) error = run_setup(conn, function);
  if (!error) error = ask_with(conn, function, facts_sql, pool->search_path, &row);
  if (error) return error;
  conn->limit_ms = conn->setup_ms = (uint32_t)strtoul(PQgetvalue(row, 0, 1), NULL, 10);
  note_server(conn, PQgetvalue(row, 0, 2));
  if (!pool->search_path)
    pool->search_path = vsi_strdup(pool->is.host, PQgetvalue(row, 0, 0), strlen(PQgetvalue(row, 0, 0)));
  PQclear(row);
  return pool->search_path ? read_restoring(conn, function) : VESTRY_NO_MEMORY;
}

static vestry_err call_up(vsi_postgres_conn *conn, const char *function) {
  vsi_postgres_pool *pool = conn->pool;
  const vsi_call call = vsi_sql_call(&pool->is, function);
  PGconn *db = NULL;
  vestry_err error = vsi_postgres_connect(&call, pool->is.place, false, NULL, &db);
  note(pool, !error);
  if (error) return error;
  vsi_mutex_lock(&pool->is.lock);
  conn->db = db;
  conn->opened_ns = vsi_monotonic_ns();
  pool->is.stats.connected_count++;
  vsi_mutex_unlock(&pool->is.lock);
  error = set_up(conn, function);
  if (error) vsi_postgres_hang_up(conn);
  return error;
}

vestry_err vsi_postgres_begin_in(vsi_postgres_conn *conn, const char *function, const char *const *begin) {
  if (!vsi_postgres_statements_undo(&conn->statements, conn->db, vsi_postgres_until_ns(conn))) {
    conn->is_lost = true;
    vsi_postgres_hang_up(conn);
    return VESTRY_LIMIT;
  }
  vestry_err error = VESTRY_OK;
  for (; *begin && !error; begin++) error = vsi_postgres_command(conn, function, *begin);
  return error;
}

bool vsi_postgres_leave(vsi_postgres_conn *conn) {
  vsi_postgres_pool *pool = conn->pool;
  const uint64_t now_ns = vsi_monotonic_ns();
  vsi_mutex_lock(&pool->is.lock);
  const bool leaves = now_ns - conn->opened_ns > (uint64_t)pool->options.retry_ms * 1000000;
  const bool is_first = leaves && conn->opened_ns >= pool->left_ns;
  if (is_first) pool->left_ns = now_ns;
  vsi_mutex_unlock(&pool->is.lock);
  if (is_first)
    vsi_log(pool->is.host, VESTRY_LOG_WARN,
            "vestry_sql, %s: the server has refused a write, as a standby does; the pool opens new connections",
            pool->is.name);
  return leaves;
}

/* Return whether a connection is of a server that the pool has given up. */
static bool is_left(vsi_postgres_conn *conn) {
  vsi_mutex_lock(&conn->pool->is.lock);
  const bool is_left = conn->db && conn->opened_ns < conn->pool->left_ns;
  vsi_mutex_unlock(&conn->pool->is.lock);
  return is_left;
}

vestry_err vsi_postgres_reconnect(vsi_postgres_conn *conn, const char *function) {
  if (conn->db && !vsi_postgres_is_lost(conn->db) && !is_left(conn)) return VESTRY_OK;
  vsi_postgres_hang_up(conn);
  return may_connect(conn->pool) ? call_up(conn, function) : VESTRY_LIMIT;
}

/* ------------------------------------------------------------------------------------------------ check-outs ------ */

enum { OPEN_WAIT_MS = 500 };

/* Return whether a connection may be opened now: the last attempt did not fail a moment ago, or all threads that need a
 * connection must learn this, because none is open. */
static bool may_open_locked(const vsi_postgres_pool *pool, vsi_postgres_choice which, bool has_open) {
  return which == VSI_POSTGRES_RESERVED ||
         (which != VSI_POSTGRES_OPEN && (!has_open || pool->away_until_ns <= vsi_monotonic_ns()));
}

/* Find a free connection, preferably an open one, so that no more connections are opened than necessary. */
vestry_sql_transaction *vsi_postgres_find_free(vestry_sql_pool *is, unsigned which) {
  const vsi_postgres_pool *pool = (const vsi_postgres_pool *)is;
  vestry_sql_transaction *found = NULL;
  bool has_open = false;
  const size_t end = which == VSI_POSTGRES_RESERVED ? is->conns_count : is->main_count;
  for (size_t i = which == VSI_POSTGRES_RESERVED ? is->main_count : 0; i < end; i++) {
    vestry_sql_transaction *conn = vsi_sql_conn_at(is, i);
    const bool is_open = ((const vsi_postgres_conn *)conn)->db;
    has_open |= is_open;
    if (conn->depth) continue;
    if (is_open) return conn;
    if (!found) found = conn;
  }
  return found && may_open_locked(pool, which, has_open) ? found : NULL;
}

/* Return the number of open connections if the last attempt to open another one has failed. 0: it has not. */
static size_t refused_beyond(vsi_postgres_pool *pool) {
  size_t count = 0;
  vsi_mutex_lock(&pool->is.lock);
  for (size_t i = 0; i < pool->is.main_count && pool->away_ms; i++) count += pool->conns[i].db != NULL;
  vsi_mutex_unlock(&pool->is.lock);
  return count;
}

static vestry_err refuse(vsi_postgres_pool *pool, const char *function) {
  char why[80] = "";
  const size_t count = refused_beyond(pool);
  if (count && count < pool->is.main_count)
    snprintf(why, sizeof why, ", of which the server, or the limit of the role, permits %zu", count);
  return vsi_sql_refuse(&pool->is, function, why);
}

vestry_err vsi_postgres_check_out(vsi_postgres_pool *pool, vsi_postgres_choice which, const char *function,
                                  vsi_postgres_conn **ret_conn) {
  const uint32_t wait_ms = pool->is.wait_ms;
  const bool is_short = which == VSI_POSTGRES_SOON || which == VSI_POSTGRES_OPEN;
  const uint64_t until_ns = vsi_monotonic_in_ms(is_short && wait_ms > OPEN_WAIT_MS ? OPEN_WAIT_MS : wait_ms);
  for (;;) {
    vsi_postgres_conn *conn = *ret_conn = (vsi_postgres_conn *)vsi_sql_take(&pool->is, which, until_ns);
    if (!conn) return is_short ? VESTRY_LIMIT : refuse(pool, function);
    if (conn->is.depth > 1) return VESTRY_OK; /* this thread's own, so no other changes it */
    vestry_err error = vsi_postgres_reconnect(conn, function);
    if (!error) return VESTRY_OK;
    vsi_postgres_release(conn);
    const bool is_refused = error == VESTRY_LIMIT && which != VSI_POSTGRES_RESERVED && refused_beyond(pool);
    if (!is_refused || vsi_monotonic_ns() >= until_ns) return error;
  }
}

void vsi_postgres_release(vsi_postgres_conn *conn) {
  if (conn->is_reset || is_left(conn)) vsi_postgres_hang_up(conn);
  conn->is_lost = conn->is_conflict = conn->is_stale = conn->is_reset = false;
  conn->begins_again = false;
  conn->around = (vsi_postgres_around){.begin = NULL};
  conn->has_met = NULL;
  conn->sqlstate[0] = '\0';
  conn->limit_ms = conn->setup_ms;
  vsi_sql_give_back(&conn->is);
}

vestry_err vsi_postgres_pool_join(vsi_postgres_pool *pool, const vsi_call *call, PGconn *db, uint64_t *ret_server) {
  vsi_postgres_conn *conn;
  PGresult *row;
  vestry_err error = vsi_postgres_ask_own(call, db, "SELECT " VSI_POSTGRES_STARTED, 1, &row);
  if (error) return error;
  const uint64_t server = *ret_server = strtoull(PQgetvalue(row, 0, 0), NULL, 10);
  PQclear(row);
  if (!vsi_postgres_check_out(pool, VSI_POSTGRES_SOON, call->function, &conn)) vsi_postgres_release(conn);
  vsi_mutex_lock(&pool->is.lock);
  if (!pool->is.stats.connected_count) atomic_store_explicit(&pool->server, server, memory_order_relaxed);
  const bool is_at = !vsi_postgres_pool_has_left(pool, server);
  if (!is_at) pool->left_ns = vsi_monotonic_ns();
  vsi_mutex_unlock(&pool->is.lock);
  if (is_at) return VESTRY_OK;
  return vsi_refuse(call, VESTRY_LIMIT,
                    "the %s and the pool have reached two different servers, so what it receives would be of another "
                    "database; let the host of the URL be the name of one server",
                    call->function);
}

void vsi_postgres_pool_destroy(vestry_sql_pool *is) {
  vsi_postgres_pool *pool = (vsi_postgres_pool *)is;
  for (size_t i = 0; i < is->conns_count; i++) {
    vsi_postgres_hang_up(&pool->conns[i]);
    vsi_free(is->host, pool->conns[i].statements.restoring);
  }
  vsi_free(is->host, pool->search_path);
  vsi_sql_pool_free(is);
}
