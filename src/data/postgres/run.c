/* SPDX-License-Identifier: MIT */
/* Runs one statement: values in, rows out. All values are texts, which the server converts to the types in the
 * statement. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#include "base/log.h"
#include "base/sql.h"
#include "data/postgres/bytea.h"
#include "data/postgres/pool.h"
#include "data/postgres/recorder.h"

typedef struct row_of {
  vestry_sql_row is; /* the first member */
  const PGresult *result;
  int number;
} row_of;

/* -------------------------------------------------------------------------------------------------- values -------- */

enum { FEW = 16, NUMBER_BYTES = 32, SHOWN_BYTES = 400, BYTEA = 17 /* the type's oid, BYTEAOID */ };

typedef struct values {
  const char **texts;
  char (*numbers)[NUMBER_BYTES]; /* texts of values that are not texts */
  int count;
  void *many;  /* memory of both arrays if there are many values */
  char *bytes; /* texts of the values that are bytes; NULL: none */
  const char *few_texts[FEW];
  char few_numbers[FEW][NUMBER_BYTES];
} values;

/* Write a number. A decimal point of another locale, of one byte or several, is replaced by SQL's. */
static void write_number(double number, char text[NUMBER_BYTES]) {
  size_t len = 0;
  if (number - number != 0) {
    snprintf(text, NUMBER_BYTES, "%s", number > 0 ? "Infinity" : number < 0 ? "-Infinity" : "NaN");
    return;
  }
  snprintf(text, NUMBER_BYTES, "%.17g", number);
  for (const char *at = text; *at; at++) {
    const bool is_point = !strchr("0123456789+-e", *at);
    if (!is_point || text[len - 1] != '.') text[len++] = is_point ? '.' : *at;
  }
  text[len] = '\0';
}

/* Write the text of a value. to: receives the text of bytes. */
static bool write_one(const vestry_value *value, char number[NUMBER_BYTES], char **to, const char **ret_text) {
  *ret_text = number;
  switch (value->type) {
  case VESTRY_VALUE_NULL: *ret_text = NULL; return true;
  case VESTRY_VALUE_BOOLEAN: snprintf(number, NUMBER_BYTES, "%s", value->boolean ? "true" : "false"); return true;
  case VESTRY_VALUE_INTEGER: snprintf(number, NUMBER_BYTES, "%" PRId64, value->integer); return true;
  case VESTRY_VALUE_NUMBER: write_number(value->number, number); return true;
  case VESTRY_VALUE_STRING: *ret_text = value->text; return value->text != NULL;
  case VESTRY_VALUE_BYTES:
    *ret_text = vsi_postgres_bytea_write(*to, value->text, value->count);
    *to += VSI_POSTGRES_BYTEA_BYTES(value->count);
    return true;
  default: return false;
  }
}

/* Return the size of the texts of all bytes. */
static size_t bytes_of(const vestry_value *list, size_t len) {
  size_t bytes = 0;
  for (size_t i = 0; i < len; i++)
    if (list->items[i].type == VESTRY_VALUE_BYTES) bytes += VSI_POSTGRES_BYTEA_BYTES(list->items[i].count);
  return bytes;
}

static void free_values(const vestry_host *host, values *of) {
  vsi_free(host, of->many);
  vsi_free(host, of->bytes);
}

/* Write the texts of all values. OK | NO_MEMORY | INVALID */
static vestry_err write_all(const vestry_host *host, const vestry_value *list, values *ret_values) {
  size_t len = list ? list->count : 0;
  if ((list && list->type != VESTRY_VALUE_LIST) || len > UINT16_MAX) return VESTRY_INVALID;
  ret_values->count = (int)len;
  ret_values->texts = ret_values->few_texts;
  ret_values->numbers = ret_values->few_numbers;
  ret_values->many = NULL;
  ret_values->bytes = NULL;
  if (len > FEW) {
    ret_values->many = vsi_calloc(host, len, sizeof *ret_values->texts + NUMBER_BYTES);
    if (!ret_values->many) return VESTRY_NO_MEMORY;
    ret_values->texts = ret_values->many;
    ret_values->numbers = (char(*)[NUMBER_BYTES])(ret_values->texts + len);
  }
  const size_t bytes = bytes_of(list, len);
  char *to = ret_values->bytes = bytes ? vsi_alloc(host, bytes) : NULL;
  vestry_err error = bytes && !to ? VESTRY_NO_MEMORY : VESTRY_OK;
  for (size_t i = 0; i < len && !error; i++)
    if (!write_one(&list->items[i], ret_values->numbers[i], &to, &ret_values->texts[i])) error = VESTRY_INVALID;
  if (error) free_values(host, ret_values);
  return error;
}

/* ---------------------------------------------------------------------------------------------------- rows -------- */

size_t vsi_postgres_columns_count(const vestry_sql_row *row) {
  return (size_t)PQnfields(((const row_of *)row)->result);
}

const char *vsi_postgres_text(const vestry_sql_row *row, size_t column) {
  const row_of *at = (const row_of *)row;
  if (column >= vsi_postgres_columns_count(row) || PQgetisnull(at->result, at->number, (int)column)) return NULL;
  return PQgetvalue(at->result, at->number, (int)column);
}

int64_t vsi_postgres_integer(const vestry_sql_row *row, size_t column) {
  const char *text = vsi_postgres_text(row, column);
  if (!text) return 0;
  return strcmp(text, "t") == 0 ? 1 : strtoll(text, NULL, 10);
}

static bool is_octal(const char *digits) {
  for (int i = 0; i < 3; i++)
    if (digits[i] < '0' || digits[i] > '7') return false;
  return true;
}

/* Read the format of bytea_output 'escape': a backslash is doubled, and other bytes may be \ooo. */
static size_t unescape(const char *from, unsigned char *to, size_t capacity) {
  size_t len = 0;
  for (; *from; len++) {
    const bool is_number = from[0] == '\\' && is_octal(from + 1);
    const int byte = is_number ? (from[1] - '0') << 6 | (from[2] - '0') << 3 | (from[3] - '0') : *from;
    if (len < capacity) to[len] = (unsigned char)byte;
    from += is_number ? 4 : from[0] == '\\' && from[1] == '\\' ? 2 : 1;
  }
  return len;
}

size_t vsi_postgres_bytes(const vestry_sql_row *row, size_t column, void *buffer, size_t capacity) {
  const row_of *at = (const row_of *)row;
  const char *text = vsi_postgres_text(row, column);
  if (!text) return 0;
  const bool is_bytea = PQftype(at->result, (int)column) == BYTEA, is_hex = is_bytea && vsi_postgres_bytea_is(text);
  if (is_bytea && !is_hex) return unescape(text, buffer, capacity);
  const size_t len = is_hex ? vsi_postgres_bytea_len(text) : strlen(text);
  if (len > capacity) return len;
  if (is_hex)
    vsi_postgres_bytea_read(buffer, text, len);
  else if (len)
    memcpy(buffer, text, len);
  return len;
}

/* ------------------------------------------------------------------------------------------------- running -------- */

static const char alone[] = "vestry_sql_run_alone";

static void count_prepared(vsi_postgres_pool *pool) {
  vsi_mutex_lock(&pool->lock);
  pool->stats.prepared_count++;
  vsi_mutex_unlock(&pool->lock);
}

static bool is_word(const char *at, const char *word) {
  const size_t len = strlen(word);
  return strncasecmp(at, word, len) == 0 && !vsi_sql_is_word(at[len]);
}

/* Return whether a SET is for the session, and not for its transaction. */
static bool is_set_of_session(const char *sql) {
  char shown[SHOWN_BYTES];
  vsi_sql_show(VSI_SQL_POSTGRES, sql, shown, sizeof shown); /* without comments */
  const char *at = shown;
  while (*at && !vsi_sql_is_word(*at)) at++;
  while (vsi_sql_is_word(*at)) at++;
  while (*at && !vsi_sql_is_word(*at)) at++;
  return !is_word(at, "local") && !is_word(at, "transaction");
}

/* Return whether a statement sets a value for the session. The third argument of set_config is true for a value that
 * ends with the transaction. */
static bool has_set(PGresult *result, const char *sql) {
  if (strcmp(PQcmdStatus(result), "SET") == 0) return is_set_of_session(sql);
  const char *call = strcasestr(sql, "set_config");
  return call && !strcasestr(call, "true)");
}

static void say_set(vsi_postgres_conn *conn, const char *sql) {
  vsi_postgres_pool *pool = conn->pool;
  const vsi_call call = vsi_postgres_pool_call(pool, "vestry_sql_run");
  char shown[SHOWN_BYTES];
  vsi_mutex_lock(&pool->lock);
  const bool is_said = pool->has_said_set;
  pool->has_said_set = true;
  vsi_mutex_unlock(&pool->lock);
  if (is_said) return;
  vsi_sql_show(VSI_SQL_POSTGRES, sql, shown, sizeof shown);
  vsi_log(pool->is.host, VESTRY_LOG_WARN,
          "%s, %s: %s: a setting of the session would also apply to the next thread that gets the connection, so the "
          "connection is closed when it is released; use SET LOCAL in a transaction, or options.setup",
          call.function, call.name, shown);
}

/* Note whether a command has changed settings of the connection, which the next thread must not get. */
static void note_settings(vsi_postgres_conn *conn, PGresult *result, const char *sql) {
  const char *tag = PQcmdStatus(result);
  const bool is_set = has_set(result, sql);
  if (is_set) say_set(conn, sql);
  if (is_set || strcmp(tag, "RESET") == 0 || strcmp(tag, "DISCARD ALL") == 0) conn->is_reset = true;
}

/* Run a statement. again: the caller begins again after BUSY. */
static vestry_err execute(vsi_postgres_conn *conn, const char *sql, const values *of, bool again,
                          PGresult **ret_result) {
  const vsi_postgres_values list = {of->count, of->texts};
  vsi_postgres_ran ran;
  vestry_err error =
      vsi_postgres_statements_run(&conn->statements, conn->db, sql, &list, vsi_postgres_until_ns(conn->pool), &ran);
  if (error) return error;
  *ret_result = ran.result;
  if (ran.is_new) count_prepared(conn->pool);
  if (vsi_postgres_is_done(ran.result)) {
    note_settings(conn, ran.result, sql);
    return VESTRY_OK;
  }
  conn->is_stale = ran.is_stale || (ran.is_doubted && again);
  if (!conn->is_stale) return vsi_postgres_conn_fail(conn, "vestry_sql_run", ran.result, sql);
  snprintf(conn->sqlstate, sizeof conn->sqlstate, "%s", PQresultErrorField(ran.result, PG_DIAG_SQLSTATE));
  if (strcmp(conn->sqlstate, "26000") == 0) conn->is_reset = true;
  PQclear(ran.result);
  conn->is_conflict = true;
  return VESTRY_BUSY;
}

/* Run a statement in a separate transaction. Through a pooler, this transaction begins with a check of the backend, so
 * that the statement is not run on one of another client. */
static vestry_err execute_alone(vsi_postgres_conn *conn, const char *sql, const values *of, bool again,
                                PGresult **ret_result) {
  if (!conn->backend) return execute(conn, sql, of, again, ret_result);
  vestry_err error = vsi_postgres_begin_in(conn, alone, "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE");
  conn->is_stale = conn->is_lost; /* nothing was run, so it may be repeated */
  if (!error) error = execute(conn, sql, of, again, ret_result);
  if (error || PQtransactionStatus(conn->db) != PQTRANS_INTRANS) return error;
  error = vsi_postgres_command(conn, alone, "COMMIT");
  if (error) PQclear(*ret_result);
  return error;
}

static vestry_err refuse(const vsi_call *call, vestry_err error, const char *sql, const char *why) {
  char shown[SHOWN_BYTES];
  vsi_sql_show(VSI_SQL_POSTGRES, sql, shown, sizeof shown);
  return vsi_refuse(call, error, "%s: %s", shown, why);
}

static void give_rows(const vsi_postgres_conn *conn, const PGresult *result, vestry_sql_row_fn row, void *ctx) {
  row_of at = {{conn->is.pool->ops}, result, 0};
  for (int count = PQntuples(result); row && at.number < count; at.number++) row(&at.is, ctx);
}

typedef vestry_err (*executing)(vsi_postgres_conn *conn, const char *sql, const values *of, bool again,
                                PGresult **ret_result);

static vestry_err run(vsi_postgres_conn *conn, executing by, const char *sql, const vestry_value *list, bool again,
                      vestry_sql_row_fn row, void *ctx) {
  values of;
  PGresult *result = NULL;
  if (atomic_load_explicit(&conn->is_cancelled, memory_order_relaxed)) return VESTRY_CLOSED;
  if (!conn->db) return conn->is_conflict ? VESTRY_BUSY : VESTRY_LIMIT;
  const vsi_call call = vsi_postgres_pool_call(conn->pool, "vestry_sql_run");
  vestry_err error = write_all(conn->pool->is.host, list, &of);
  if (error == VESTRY_INVALID)
    return refuse(
        &call, error, sql,
        "a value is invalid; each value must be a null, a boolean, an integer, a number, a text (not NULL) or bytes");
  if (error) return error;
  error = by(conn, sql, &of, again, &result);
  free_values(conn->pool->is.host, &of);
  if (error) return error;
  bool is_found = PQntuples(result) > 0, gives_rows = PQnfields(result) > 0;
  give_rows(conn, result, row, ctx);
  PQclear(result);
  return is_found || !gives_rows ? VESTRY_OK : VESTRY_NOT_FOUND;
}

vestry_err vsi_postgres_run(vsi_postgres_conn *conn, const char *sql, const vestry_value *list, vestry_sql_row_fn row,
                            void *ctx) {
  return run(conn, execute, sql, list, conn->begins_again, row, ctx);
}

vestry_err vsi_postgres_sql_run(vestry_sql_transaction *transaction, const char *sql, const vestry_value *list,
                                vestry_sql_row_fn row, void *ctx) {
  vsi_postgres_conn *conn = (vsi_postgres_conn *)transaction;
  vsi_postgres_recorder *of = vsi_postgres_recorder_of(conn->pool);
  const bool is_own = of && of->transaction == transaction;
  vestry_err error = is_own ? of->run(of, sql, list, row, ctx) : vsi_postgres_run(conn, sql, list, row, ctx);
  vsi_postgres_recorder_fail(conn->pool, error);
  return error;
}

/* ---------------------------------------------------------------------------------------------------- alone ------- */

typedef vestry_err (*checking_out)(vsi_postgres_pool *pool, const char *function, vsi_postgres_conn **ret_conn);

/* How a statement ended. */
typedef enum fate {
  FATE_ENDED,  /* it has a response */
  FATE_UNSENT, /* there was no connection for it */
  FATE_LOST,   /* the connection was lost or given up: it is unknown whether it was done */
  FATE_STALE   /* it was not done, and is prepared again the next time */
} fate;

/* Run a statement on its own. again: the caller repeats it after FATE_STALE. */
static vestry_err run_by(vsi_postgres_pool *pool, checking_out check_out, const char *sql, const vestry_value *list,
                         bool again, vestry_sql_row_fn row, void *ctx, fate *ret_fate) {
  vsi_postgres_conn *conn;
  *ret_fate = FATE_UNSENT;
  vestry_err error = check_out(pool, alone, &conn);
  vsi_postgres_recorder_fail(pool, error);
  if (error) return error;
  *ret_fate = FATE_ENDED;
  if (conn->depth > 1) { /* this thread's own, so no other changes it */
    error = vsi_postgres_sql_run(&conn->is, sql, list, row, ctx);
  } else {
    error = run(conn, execute_alone, sql, list, again, row, ctx);
    *ret_fate = conn->is_stale ? FATE_STALE : conn->is_lost ? FATE_LOST : FATE_ENDED;
    if (*ret_fate != FATE_STALE || !again) vsi_postgres_recorder_fail(pool, error);
  }
  if (!vsi_postgres_is_last(conn)) return error;
  const vsi_call call = vsi_postgres_pool_call(pool, alone);
  /* The next thread would continue the transaction. */
  if (!error && conn->db && PQtransactionStatus(conn->db) != PQTRANS_IDLE)
    error = refuse(&call, VESTRY_INVALID, sql,
                   "rolled back a transaction that was begun by SQL, and not ended; use vestry_sql_act or "
                   "vestry_sql_begin");
  vsi_postgres_roll_back(conn, alone);
  vsi_postgres_release(conn);
  return error;
}

static vestry_err run_twice(vsi_postgres_pool *pool, checking_out check_out, const char *sql, const vestry_value *list,
                            vestry_sql_row_fn row, void *ctx, fate *ret_fate) {
  vestry_err error = run_by(pool, check_out, sql, list, true, row, ctx, ret_fate);
  if (*ret_fate != FATE_LOST && *ret_fate != FATE_STALE) return error;
  return run_by(pool, check_out, sql, list, false, row, ctx, ret_fate);
}

/* Log it once if the server refuses the reserved connection while others work. */
static void note_aside(vsi_postgres_pool *pool, bool is_refused) {
  vsi_mutex_lock(&pool->lock);
  const bool is_new = is_refused && !pool->is_aside_refused && pool->away_ms;
  if (!is_refused || is_new) pool->is_aside_refused = is_refused;
  vsi_mutex_unlock(&pool->lock);
  if (is_new)
    vsi_log(pool->is.host, VESTRY_LOG_WARN,
            "vestry_jobs, %s: the server refuses the connection that is reserved for leases; jobs whose functions use "
            "all other connections for longer than their lease run twice; let the role and the server accept one "
            "connection more than options.connections_count (%u)",
            pool->is.name, pool->options.connections_count);
}

vestry_err vsi_postgres_run_aside(vestry_sql_pool *of, const char *sql, const vestry_value *list, vestry_sql_row_fn row,
                                  void *ctx) {
  vsi_postgres_pool *pool = (vsi_postgres_pool *)of;
  fate is;
  vestry_err error = run_twice(pool, vsi_postgres_check_out_aside, sql, list, row, ctx, &is);
  bool is_refused = error == VESTRY_LIMIT && is == FATE_UNSENT;
  if (is_refused) error = run_twice(pool, vsi_postgres_lend_open, sql, list, row, ctx, &is);
  if (is != FATE_UNSENT) note_aside(pool, is_refused);
  return error;
}

vestry_err vsi_postgres_run_again(vestry_sql_pool *pool, const char *sql, const vestry_value *list,
                                  vestry_sql_row_fn row, void *ctx) {
  fate is;
  return run_twice((vsi_postgres_pool *)pool, vsi_postgres_check_out, sql, list, row, ctx, &is);
}

vestry_err vsi_postgres_run_alone(vestry_sql_pool *of, const char *sql, const vestry_value *list, vestry_sql_row_fn row,
                                  void *ctx) {
  vsi_postgres_pool *pool = (vsi_postgres_pool *)of;
  fate is;
  vestry_err error = run_by(pool, vsi_postgres_check_out, sql, list, true, row, ctx, &is);
  if (is == FATE_STALE) error = run_by(pool, vsi_postgres_check_out, sql, list, false, row, ctx, &is);
  if (error != VESTRY_LIMIT || is != FATE_LOST) return error;
  const vsi_call call = vsi_postgres_pool_call(pool, alone);
  return refuse(&call, VESTRY_IO, sql, "it is unknown whether the statement was executed");
}
