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

static vestry_err refuse_values(const vsi_call *call, sqlite3_stmt *statement, const vestry_value *values) {
  char shown[SHOWN_BYTES / 2];
  vsi_sql_show(VSI_SQL_SQLITE, sqlite3_sql(statement), shown, sizeof shown);
  return vsi_refuse(call, VESTRY_INVALID,
                    "%zu values for the %d parameters of \"%s\"; each value must be a null, a boolean, an integer, a "
                    "number, a text (not NULL) or bytes",
                    values ? values->count : 0, sqlite3_bind_parameter_count(statement), shown);
}

static vestry_err refuse_several(const vsi_call *call, const char *sql) {
  char shown[SHOWN_BYTES];
  vsi_sql_show(VSI_SQL_SQLITE, sql, shown, sizeof shown);
  return vsi_refuse(call, VESTRY_INVALID,
                    "%s: not run, because the text has several statements; run each one by itself in one transaction",
                    shown);
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
  const vsi_call call = vsi_sqlite_pool_call(conn->pool, "vestry_sql_run");
  char shown[SHOWN_BYTES];
  const bool is_inside = vsi_sql_is_writing(&conn->is) && !conn->is_alone;
  const bool has_ended = conn->ended_by || (is_inside && sqlite3_get_autocommit(conn->db));
  if (!has_ended) return VESTRY_OK;
  vsi_sql_show(VSI_SQL_SQLITE, sql, shown, sizeof shown);
  return vsi_refuse(&call, conn->ended_by ? conn->ended_by : VESTRY_IO,
                    "%s: not run, because an earlier failure, or the application, has ended the transaction; call "
                    "vestry_sql_end, and begin it again",
                    shown);
}

static vestry_err prepare(vsi_sqlite_conn *conn, const char *sql, const vsi_sqlite_prepared **ret_prepared) {
  const vsi_call call = vsi_sqlite_pool_call(conn->pool, "vestry_sql_run");
  uint64_t before = conn->statements.prepared;
  int result = vsi_sqlite_statements_find(&conn->statements, conn->db, sql, ret_prepared);
  if (result == VSI_SQLITE_SEVERAL) return refuse_several(&call, sql);
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
  const vsi_call call = vsi_sqlite_pool_call(conn->pool, "vestry_sql_run");
  sqlite3_stmt *statement = prepared->statement;
  int result = bind_all(prepared, values);
  if (result == SQLITE_MISUSE || result == SQLITE_RANGE) {
    error = refuse_values(&call, statement, values);
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

/* Run a statement, and end its transaction. A statement without a row does not roll back what it has written. */
static vestry_err run_and_end(vestry_sql_transaction *is, const char *sql, const vestry_value *values,
                              vestry_sql_row_fn row, void *ctx) {
  vestry_err error = run(is, sql, values, row, ctx);
  vestry_err of_end = vsi_sqlite_end(is, vsi_sql_if_any(error));
  return error ? error : of_end;
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
  static const vsi_sqlite_word words[] = {{"INSERT", 6}, {"UPDATE", 6}, {"DELETE", 6}, {"REPLACE", 7}};
  return vsi_sqlite_text_begins(sql, words, sizeof words / sizeof *words);
}

static vestry_err run_one(vestry_sql_pool *pool, bool is_flushed, bool is_alone, const char *sql,
                          const vestry_value *values, vestry_sql_row_fn row, void *ctx) {
  vestry_sql_transaction *is;
  vestry_err error = vsi_sqlite_begin_one(pool, is_flushed, is_alone, &is);
  return error ? error : run_and_end(is, sql, values, row, ctx);
}

static vestry_err run_alone(vestry_sql_pool *pool, const char *sql, const vestry_value *values, vestry_sql_row_fn row,
                            void *ctx) {
  vestry_sql_transaction *is;
  bool writes = false;
  if (changes_rows(sql) && !vsi_sql_own(pool)) return run_one(pool, false, true, sql, values, row, ctx);
  vestry_err error = vsi_sqlite_begin(pool, VESTRY_SQL_READ, &is);
  if (error) return error;
  bool is_inside = is->depth > 1; /* this thread's own, so no other changes it */
  if (!is_inside) error = find_kind(is, sql, &writes);
  if (error) return vsi_sqlite_end(is, error);
  if (!writes) return run_and_end(is, sql, values, row, ctx);
  (void)vsi_sqlite_end(is, VESTRY_OK);
  return run_one(pool, false, false, sql, values, row, ctx);
}

static vestry_err change_rows(vestry_sql_pool *pool, const char *sql, const vestry_value *values) {
  vestry_sql_transaction *is;
  vestry_err error =
      vsi_sql_own(pool) ? vsi_sqlite_begin(pool, VESTRY_SQL_READ, &is) : vsi_sqlite_begin_one(pool, false, true, &is);
  if (error) return error;
  error = run(is, sql, values, NULL, NULL);
  const bool has_changed = sqlite3_changes(((vsi_sqlite_conn *)is)->db) > 0;
  vestry_err of_end = vsi_sqlite_end(is, error);
  return error ? error : of_end ? of_end : has_changed ? VESTRY_OK : VESTRY_NOT_FOUND;
}

static vestry_err run_flushed(vestry_sql_pool *pool, const char *sql, const vestry_value *values, vestry_sql_row_fn row,
                              void *ctx) {
  if (vsi_sql_own(pool)) return run_alone(pool, sql, values, row, ctx);
  return run_one(pool, true, changes_rows(sql), sql, values, row, ctx);
}

/* Run a statement. If no other connection is free, use a READ_ASIDE connection, because functions of jobs may hold all
 * others for longer than their leases. */
static vestry_err run_aside(vestry_sql_pool *pool, const char *sql, const vestry_value *values, vestry_sql_row_fn row,
                            void *ctx) {
  vestry_sql_transaction *is;
  bool writes = false;
  if (vsi_sqlite_pool_has_free(pool)) return run_alone(pool, sql, values, row, ctx);
  vestry_err error = vsi_sqlite_begin(pool, VESTRY_SQL_READ_ASIDE, &is);
  if (error) return error;
  error = find_kind(is, sql, &writes);
  if (error) return vsi_sqlite_end(is, error);
  if (!writes) return run_and_end(is, sql, values, row, ctx);
  (void)vsi_sqlite_end(is, VESTRY_OK);
  error = vsi_sqlite_begin_aside(pool, &is);
  return error ? error : run_and_end(is, sql, values, row, ctx);
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

static vestry_err read_unfollowed(vestry_sql_pool *pool, const char *sql, const vestry_value *values,
                                  vestry_sql_row_fn row, void *ctx) {
  vestry_sql_transaction *transaction = NULL;
  vestry_err error = vsi_sqlite_begin(pool, VESTRY_SQL_READ, &transaction);
  if (error) return error;
  vestry_sqlite_connection *connection = ((vsi_sqlite_conn *)transaction)->connection;
  const bool was_paused = connection && vsi_sqlite_reader_pause(&connection->reader, true);
  error = run(transaction, sql, values, row, ctx);
  if (connection) vsi_sqlite_reader_pause(&connection->reader, was_paused);
  return vsi_sqlite_end(transaction, error);
}

static vestry_err run_by(vestry_sql_pool *pool, vsi_sql_how how, const char *sql, const vestry_value *values,
                         vestry_sql_row_fn row, void *ctx) {
  switch (how) {
  case VSI_SQL_RUN_CHANGE: return change_rows(pool, sql, values);
  case VSI_SQL_RUN_FLUSHED: return run_flushed(pool, sql, values, row, ctx);
  case VSI_SQL_RUN_ASIDE: return run_aside(pool, sql, values, row, ctx);
  case VSI_SQL_RUN_UNFOLLOWED: return read_unfollowed(pool, sql, values, row, ctx);
  default: return run_alone(pool, sql, values, row, ctx); /* no connection is lost, and each read is followed */
  }
}

static vestry_err act(vestry_sql_pool *pool, vestry_sql_kind kind, vestry_sql_act_fn fn, void *ctx) {
  vestry_sql_transaction *transaction;
  vestry_err error = vsi_sqlite_begin(pool, kind, &transaction);
  return error ? error : vsi_sqlite_end(transaction, fn(transaction, ctx));
}

static const vsi_sql_ops ops = {.dialect = VSI_SQL_OF_SQLITE,
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
