/* SPDX-License-Identifier: MIT */
/* Runs one statement on a checked-out connection: values in, rows out; and the table of functions of a pool. */
#include "data/sql/syntax.h"
#include "data/sqlite/pool.h"
#include "data/sqlite/sqlite.h"

enum { SHOWN_BYTES = 512 };

/* ---------------------------------------------------------------------------------------------------- rows -------- */

typedef struct row_of {
  vestry_sql_row is; /* the first member */
  sqlite3_stmt *statement;
} row_of;

static sqlite3_stmt *statement_of(const vestry_sql_row *row) {
  return ((const row_of *)row)->statement;
}

static size_t columns_count(const vestry_sql_row *row) {
  return (size_t)sqlite3_column_count(statement_of(row));
}

static const char *text(const vestry_sql_row *row, size_t column) {
  return (const char *)sqlite3_column_text(statement_of(row), (int)column);
}

static int64_t integer(const vestry_sql_row *row, size_t column) {
  return sqlite3_column_int64(statement_of(row), (int)column);
}

/* The bytes of a text are UTF-8, also if the database has another encoding. */
static size_t bytes(const vestry_sql_row *row, size_t column, void *buffer, size_t capacity) {
  const bool is_text = sqlite3_column_type(statement_of(row), (int)column) == SQLITE_TEXT;
  const void *from = is_text ? text(row, column) : sqlite3_column_blob(statement_of(row), (int)column);
  const size_t len = (size_t)sqlite3_column_bytes(statement_of(row), (int)column);
  if (from && len <= capacity) memcpy(buffer, from, len);
  return len;
}

static const char *name(const vestry_sql_row *row, size_t column) {
  return sqlite3_column_name(statement_of(row), (int)column);
}

static vsi_sql_value kind(const vestry_sql_row *row, size_t column) {
  switch (sqlite3_column_type(statement_of(row), (int)column)) {
  case SQLITE_INTEGER: return VSI_SQL_INTEGER;
  case SQLITE_FLOAT: return VSI_SQL_REAL;
  case SQLITE_TEXT: return VSI_SQL_TEXT;
  case SQLITE_BLOB: return VSI_SQL_BYTES;
  default: return VSI_SQL_NULL;
  }
}

static double real(const vestry_sql_row *row, size_t column) {
  return sqlite3_column_double(statement_of(row), (int)column);
}

/* -------------------------------------------------------------------------------------------------- values -------- */

/* Bind a value. MISUSE: a parameter cannot have this value. */
static int bind_one(sqlite3_stmt *statement, int at, const vestry_value *value) {
  switch (value->type) {
  case VESTRY_VALUE_NULL: return sqlite3_bind_null(statement, at);
  case VESTRY_VALUE_BOOLEAN: return sqlite3_bind_int(statement, at, value->boolean);
  case VESTRY_VALUE_INTEGER: return sqlite3_bind_int64(statement, at, value->integer);
  case VESTRY_VALUE_NUMBER: return sqlite3_bind_double(statement, at, value->number);
  case VESTRY_VALUE_STRING:
    return value->text ? sqlite3_bind_text(statement, at, value->text, -1, SQLITE_STATIC) : SQLITE_MISUSE;
  case VESTRY_VALUE_BYTES: /* NULL would not be a blob */
    return sqlite3_bind_blob64(statement, at, value->count ? value->text : "", value->count, SQLITE_STATIC);
  default: return SQLITE_MISUSE;
  }
}

static int bind_all(const vsi_sqlite_prepared *is, const vestry_value *values) {
  const size_t count = values ? values->count : 0;
  size_t most = 0;
  int result = values && values->type != VESTRY_VALUE_LIST ? SQLITE_MISUSE : SQLITE_OK;
  for (int at = 1; at <= is->parameters_count && !result; at++) {
    const size_t number = vsi_sqlite_statements_value(is, at);
    if (number > most) most = number;
    result = number && number <= count ? bind_one(is->statement, at, &values->items[number - 1]) : SQLITE_RANGE;
  }
  return !result && most != count ? SQLITE_RANGE : result;
}

/* ------------------------------------------------------------------------------------------------- running -------- */

/* Refuse a statement. why: the reason, with a remedy */
static vestry_err refuse(const vsi_sqlite_conn *conn, vestry_err error, const char *sql, const char *why) {
  const vsi_call call = vsi_sql_call(conn->is.pool, "vestry_sql_run");
  char shown[SHOWN_BYTES / 2];
  vsi_sql_show(VSI_SQL_SQLITE, sql, shown, sizeof shown);
  return vsi_refuse(&call, error, "%s: not run, because %s", shown, why);
}

static vestry_err refuse_values(const vsi_sqlite_conn *conn, const char *sql, const vestry_value *values, int count) {
  char why[160];
  snprintf(why, sizeof why,
           "%zu values were given for its %d parameters; each value must be a null, a boolean, an integer, a number, a "
           "text (not NULL) or bytes",
           values ? values->count : 0, count);
  return refuse(conn, VESTRY_INVALID, sql, why);
}

/* Return whether a statement that failed when it ran is not valid any more, because the schema has changed. The message
 * of the connection then has the reason. */
static bool is_outdated(sqlite3 *db, const char *sql) {
  sqlite3_stmt *statement = NULL;
  const int result = sqlite3_prepare_v2(db, sql, -1, &statement, NULL);
  sqlite3_finalize(statement);
  return result == SQLITE_ERROR;
}

/* Log which statement failed, without values, neither of the statement nor in messages of SQLite. Functions called by a
 * statement can cite their arguments, so their messages are omitted. */
static vestry_err fail(const vsi_call *call, sqlite3 *db, int result, const char *sql, bool has_begun) {
  char shown[SHOWN_BYTES];
  if (!vsi_sqlite_code(result)) return VESTRY_OK;
  const bool is_own = (result & 0xff) != SQLITE_ERROR ||
                      ((!has_begun || is_outdated(db, sql)) && !vsi_sqlite_text_cites(sqlite3_errmsg(db)));
  vsi_sql_show(VSI_SQL_SQLITE, sql, shown, sizeof shown);
  return vsi_sqlite_fail_passing(call, is_own && sqlite3_errcode(db) ? db : NULL, result, shown);
}

static int step(const vsi_sqlite_conn *conn, sqlite3_stmt *statement, vestry_sql_row_fn row, void *ctx,
                bool *ret_found) {
  const row_of at = {{conn->is.pool->ops}, statement};
  int result;
  while ((result = sqlite3_step(statement)) == SQLITE_ROW) {
    *ret_found = true;
    if (row) row(&at.is, ctx);
  }
  return result;
}

/* Refuse a statement if its transaction has ended before its release. SQLite itself rolls a transaction back after some
 * failures, for example of a full disk, and would then commit each later statement by itself. */
static vestry_err refuse_ended(const vsi_sqlite_conn *conn, const char *sql) {
  const bool is_inside = vsi_sql_is_writing(&conn->is) && !conn->is_alone;
  if (!conn->ended_by && (!is_inside || !sqlite3_get_autocommit(conn->db))) return VESTRY_OK;
  return refuse(conn, conn->ended_by ? conn->ended_by : VESTRY_IO, sql,
                "an earlier failure, or the application, has ended the transaction; call vestry_sql_end, and begin it "
                "again");
}

static vestry_err prepare(vsi_sqlite_conn *conn, const char *sql, const vsi_sqlite_prepared **ret_prepared) {
  const vsi_call call = vsi_sql_call(conn->is.pool, "vestry_sql_run");
  uint64_t before = conn->statements.prepared;
  int result = vsi_sqlite_statements_find(&conn->statements, conn->db, sql, ret_prepared);
  if (result == VSI_SQLITE_SEVERAL)
    return refuse(conn, VESTRY_INVALID, sql,
                  "the text has several statements; run each one by itself in one transaction");
  if (result) return fail(&call, conn->db, result, sql, false);
  if (conn->statements.prepared != before) {
    vsi_sql_count(&conn->pool->is, &conn->pool->is.stats.prepared_count);
  }
  return VESTRY_OK;
}

sqlite3 *vestry_sqlite_handle(vestry_sql_transaction *transaction) {
  const vsi_sqlite_conn *conn = vsi_sqlite_conn_of(transaction);
  return conn ? conn->db : NULL;
}

/* Run a statement on a connection. ended_by records that SQLite has rolled back its transaction. */
static vestry_err run_on(vsi_sqlite_conn *conn, const char *sql, const vestry_value *values, vestry_sql_row_fn row,
                         void *ctx) {
  const vsi_sqlite_prepared *prepared;
  bool is_found = false;
  vestry_err error = refuse_ended(conn, sql);
  if (!error) error = prepare(conn, sql, &prepared);
  if (error) return error;
  const bool was_inside = !sqlite3_get_autocommit(conn->db);
  const vsi_call call = vsi_sql_call(conn->is.pool, "vestry_sql_run");
  sqlite3_stmt *statement = prepared->statement;
  int result = bind_all(prepared, values);
  if (result == SQLITE_MISUSE || result == SQLITE_RANGE) {
    error = refuse_values(conn, sql, values, prepared->parameters_count);
  } else {
    if (!result) result = step(conn, statement, row, ctx, &is_found);
    error = fail(&call, conn->db, result, sql, true);
  }
  bool gives_rows = sqlite3_column_count(statement) > 0;
  sqlite3_reset(statement);
  if (error && was_inside && sqlite3_get_autocommit(conn->db)) conn->ended_by = error;
  return error ? error : is_found || !gives_rows ? VESTRY_OK : VESTRY_NOT_FOUND;
}

static vestry_err run(vestry_sql_transaction *transaction, const char *sql, const vestry_value *values,
                      vestry_sql_row_fn row, void *ctx) {
  vsi_sqlite_conn *conn = (vsi_sqlite_conn *)transaction;
  vestry_err error = run_on(conn, sql, values, row, ctx);
  vsi_sqlite_pool_note(conn->pool, vsi_sql_is_aside(&conn->is), error);
  return error;
}

/* Find out whether a statement writes. The connection belongs to this thread. */
static vestry_err find_kind(vestry_sql_transaction *transaction, const char *sql, bool *ret_writes) {
  vsi_sqlite_conn *conn = (vsi_sqlite_conn *)transaction;
  const vsi_sqlite_prepared *prepared;
  vestry_err error = prepare(conn, sql, &prepared);
  if (!error) *ret_writes = !sqlite3_stmt_readonly(prepared->statement);
  vsi_sqlite_pool_note(conn->pool, vsi_sql_is_aside(&conn->is), error);
  return error;
}

/* Return whether a text begins with a statement that changes rows, and that may be a transaction by itself. */
static bool changes_rows(const char *sql) {
  static const char *const words[] = {"INSERT", "UPDATE", "DELETE", "REPLACE", NULL};
  return vsi_sqlite_text_begins(sql, words);
}

/* Begin a transaction for one statement; that of this thread, if it has one. If no other connection is free, RUN_ASIDE
 * uses one for READ_ASIDE, because functions of jobs may hold all others for longer than their leases. */
static vestry_err begin_for(vestry_sql_pool *pool, vsi_sql_how how, const char *sql,
                            vestry_sql_transaction **ret_transaction) {
  const bool is_aside = how == VSI_SQL_RUN_ASIDE && !vsi_sqlite_pool_has_free(pool);
  const bool is_alone = changes_rows(sql), is_flushed = how == VSI_SQL_RUN_FLUSHED;
  bool writes = is_alone || is_flushed;
  if (!writes || (!is_aside && vsi_sql_own(pool))) {
    vestry_err error = vsi_sqlite_begin(pool, is_aside ? VESTRY_SQL_READ_ASIDE : VESTRY_SQL_READ, ret_transaction);
    if (error || (*ret_transaction)->depth > 1) return error; /* this thread's own, so no other changes it */
    error = find_kind(*ret_transaction, sql, &writes);
    if (!error && !writes) return VESTRY_OK;
    (void)vsi_sqlite_end(*ret_transaction, VESTRY_OK);
    if (error) return error;
  }
  return vsi_sqlite_begin_by(pool, VESTRY_SQL_WRITE,
                             (is_alone ? VSI_SQLITE_ALONE : 0) | (is_flushed ? VSI_SQLITE_FLUSHED : 0) |
                                 (is_aside ? VSI_SQLITE_ASIDE : 0),
                             ret_transaction);
}

/* Run a statement, and end its transaction. A statement without a row does not roll back what it has written. */
static vestry_err run_by(vestry_sql_pool *pool, vsi_sql_how how, const char *sql, const vestry_value *values,
                         vestry_sql_row_fn row, void *ctx) {
  vestry_sql_transaction *is;
  vestry_err error = begin_for(pool, how, sql, &is);
  if (error) return error;
  const vsi_sqlite_conn *conn = (vsi_sqlite_conn *)is;
  vsi_sqlite_reader *reader = how == VSI_SQL_RUN_UNFOLLOWED && conn->connection ? &conn->connection->reader : NULL;
  const bool was_paused = reader && vsi_sqlite_reader_pause(reader, true);
  error = run(is, sql, values, row, ctx);
  if (reader) vsi_sqlite_reader_pause(reader, was_paused);
  if (!error && how == VSI_SQL_RUN_CHANGE && !sqlite3_changes(conn->db)) error = VESTRY_NOT_FOUND;
  vestry_err of_end = vsi_sqlite_end(is, vsi_sql_if_any(error));
  return error ? error : of_end;
}

/* ------------------------------------------------------------------------------------------------ operations ------ */

static vestry_err bring(vestry_sql_pool *pool, const char *called, const vsi_sql_schema *schema) {
  const vsi_call call = vsi_sql_call(pool, called);
  vestry_sql_transaction *is;
  vestry_err error = vsi_sqlite_begin(pool, VESTRY_SQL_READ, &is);
  if (error) return error;
  error = vsi_sqlite_pool_check_file((vsi_sqlite_conn *)is, called);
  if (!error) error = vsi_sqlite_schema_bring(&call, ((vsi_sqlite_conn *)is)->db, schema);
  return vsi_sqlite_end(is, error);
}

/* SQLite's clock counts days, or milliseconds, from a noon 2,440,587.5 days before 1970. */
static int64_t now_ms(vestry_sql_pool *is) {
  static const double day_ms = 86400000, days = 2440587.5;
  sqlite3_vfs *vfs = ((vsi_sqlite_pool *)is)->vfs;
  sqlite3_int64 now = 0;
  double now_days = days;
  if (vfs->iVersion >= 2 && vfs->xCurrentTimeInt64 && !vfs->xCurrentTimeInt64(vfs, &now))
    return now - (int64_t)(days * day_ms);
  (void)vfs->xCurrentTime(vfs, &now_days);
  return (int64_t)((now_days - days) * day_ms);
}

static bool is_recorded(vestry_sql_pool *is) {
  return vsi_sqlite_pool_database((vsi_sqlite_pool *)is) != NULL;
}

static vestry_err act(vestry_sql_pool *pool, vestry_sql_kind kind, vestry_sql_act_fn fn, void *ctx) {
  vestry_sql_transaction *transaction;
  vestry_err error = vsi_sqlite_begin(pool, kind, &transaction);
  return error ? error : vsi_sqlite_end(transaction, fn(transaction, ctx));
}

static const vsi_sql_ops ops = {.dialect = VSI_SQL_SQLITE,
                                .destroy = vsi_sqlite_pool_destroy,
                                .begin = vsi_sqlite_begin,
                                .end = vsi_sqlite_end,
                                .act = act,
                                .run = run,
                                .run_by = run_by,
                                .columns_count = columns_count,
                                .text = text,
                                .integer = integer,
                                .bytes = bytes,
                                .now_ms = now_ms,
                                .find_free = vsi_sqlite_pool_find_free,
                                .is_recorded = is_recorded,
                                .bring = bring,
                                .name = name,
                                .kind = kind,
                                .real = real};

const vsi_sql_ops *vsi_sqlite_pool_ops(void) {
  return &ops;
}
