/* SPDX-License-Identifier: MIT */
/* Transactions and statements of a pool, and the table of their functions. All values are texts, which the server
 * converts to the types in the statement. In a render, reads are recorded (database.c). */
#include "data/postgres/run.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/ascii.h"
#include "base/hex.h"
#include "base/log.h"
#include "base/real.h"
#include "data/sql/syntax.h"

/* ------------------------------------------------------------------------------------------------- recorders ------ */

static _Thread_local vsi_postgres_recorder *recorders;

void vsi_postgres_recorder_enter(vsi_postgres_recorder *recorder) {
  recorder->outer = recorders;
  recorders = recorder;
}

void vsi_postgres_recorder_leave(const vsi_postgres_recorder *recorder) {
  recorders = recorder->outer;
}

vsi_postgres_recorder *vsi_postgres_recorder_of(const vsi_postgres_pool *pool) {
  vsi_postgres_recorder *at = recorders;
  while (at && pool && at->pool != pool) at = at->outer;
  return at;
}

/* Note that an operation of this pool has failed on this thread. If the thread renders a page, the page depends on
 * every commit, whether it catches the error or not. */
static void recorder_fail(const vsi_postgres_pool *pool, vestry_err error) {
  vsi_postgres_recorder *of =
      error && error != VESTRY_NOT_FOUND && error != VESTRY_INVALID ? vsi_postgres_recorder_of(pool) : NULL;
  if (!of) return;
  of->is_unknown = true;
  of->wants_again |=
      error == VESTRY_LIMIT || error == VESTRY_BUSY || error == VESTRY_TIMEOUT || error == VESTRY_NO_MEMORY;
}

/* ---------------------------------------------------------------------------------------------- transactions ------ */

static const char *const begins[][2] = {
    [VESTRY_SQL_READ] = {"BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"},
    [VESTRY_SQL_READ_ASIDE] = {"BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"},
    [VESTRY_SQL_SERIALIZABLE] = {"BEGIN ISOLATION LEVEL SERIALIZABLE READ WRITE"},
    [VESTRY_SQL_REPEATABLE_READ] = {"BEGIN ISOLATION LEVEL REPEATABLE READ READ WRITE"},
    [VESTRY_SQL_WRITE] = {"BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE"}};

vestry_err vsi_postgres_begin(vsi_postgres_pool *pool, vestry_sql_kind kind, const char *const *begin,
                              vestry_sql_transaction **ret_transaction) {
  vsi_postgres_conn *conn;
  vestry_err error = vsi_postgres_check_out(pool, VSI_POSTGRES_ANY, "vestry_sql_begin", &conn);
  recorder_fail(pool, error);
  if (error) return error;
  bool is_inside = conn->is.depth > 1; /* this thread's own, so no other changes it */
  if (is_inside && kind > VESTRY_SQL_READ_ASIDE) {
    const vsi_call call = vsi_sql_call(&pool->is, "vestry_sql_begin");
    (void)vsi_sql_is_last(&conn->is);
    return vsi_refuse(&call, VESTRY_INVALID,
                      "this thread already has a transaction; end it before beginning another one");
  }
  if (!is_inside) { /* it begins with its first statement, in one round trip */
    conn->around = (vsi_postgres_around){.is_first = true, .begin = begin};
    conn->is.kind = kind;
  }
  *ret_transaction = &conn->is;
  return VESTRY_OK;
}

static vestry_err sql_begin(vestry_sql_pool *is, vestry_sql_kind kind, vestry_sql_transaction **ret_transaction) {
  vsi_postgres_pool *pool = (vsi_postgres_pool *)is;
  vsi_postgres_recorder *of = kind <= VESTRY_SQL_READ_ASIDE ? vsi_postgres_recorder_of(pool) : NULL;
  const bool is_first = of && of->is_followed && !of->transaction && !vsi_sql_own(is);
  vestry_err error = is_first ? of->begin(of) : VESTRY_OK;
  if (error) return error;
  return vsi_postgres_begin(pool, kind, begins[kind], ret_transaction);
}

/* ---------------------------------------------------------------------------------------------------- end --------- */

static void count(vsi_postgres_conn *conn, vestry_err error) {
  vestry_sql_pool *pool = &conn->pool->is;
  const bool is_committed = !error && vsi_sql_is_writing(&conn->is);
  vsi_sql_count(pool, is_committed ? &pool->stats.committed_count : &pool->stats.rolled_back_count);
  if (conn->is_conflict) vsi_sql_count(pool, &pool->stats.conflicts_count);
}

static vestry_err commit(vsi_postgres_conn *conn) {
  const vsi_call call = vsi_sql_call(&conn->pool->is, "vestry_sql_end");
  if (conn->is_conflict) return VESTRY_BUSY; /* logged already */
  if (conn->is_lost)
    return vsi_refuse(&call, VESTRY_LIMIT, "the writes were rolled back, because the connection was lost");
  if (conn->around.begin) return VESTRY_OK; /* no statement came */
  if (PQtransactionStatus(conn->db) != PQTRANS_INTRANS)
    return vsi_refuse(&call, VESTRY_IO,
                      "the writes were rolled back, because a statement has failed or has ended the transaction");
  vestry_err error = vsi_postgres_command(conn, call.function, "COMMIT");
  if (!conn->is_lost) return error;
  return vsi_refuse(&call, VESTRY_IO, "it is unknown whether the writes were committed");
}

static vestry_err sql_end(vestry_sql_transaction *transaction, vestry_err error) {
  vsi_postgres_conn *conn = (vsi_postgres_conn *)transaction;
  if (!vsi_sql_is_last(&conn->is)) return error;
  vsi_after *after = vsi_after_take(&conn->is.after);
  if (!error && vsi_sql_is_writing(&conn->is)) error = commit(conn);
  count(conn, error);
  vsi_postgres_roll_back(conn, "vestry_sql_end");
  vsi_postgres_release(conn);
  vsi_after_run(after, !error);
  return error;
}

/* The transaction begins now, because its first statement does not come by vsi_postgres_run. */
PGconn *vestry_postgres_handle(vestry_sql_transaction *transaction) {
  vsi_postgres_conn *conn = vsi_postgres_conn_of(transaction);
  if (!conn) return NULL;
  const char *const *begin = conn->around.begin;
  conn->around = (vsi_postgres_around){.begin = NULL};
  if (begin && conn->db) recorder_fail(conn->pool, vsi_postgres_begin_in(conn, "vestry_postgres_handle", begin));
  conn->statements.kept = VSI_POSTGRES_KEPT_ANYTHING;
  return conn->db;
}

const char *vestry_postgres_sqlstate(vestry_sql_transaction *transaction) {
  const vsi_postgres_conn *conn = vsi_postgres_conn_of(transaction);
  return conn ? conn->sqlstate : "";
}

void vestry_postgres_replace(vestry_sql_transaction *transaction) {
  vsi_postgres_conn *conn = vsi_postgres_conn_of(transaction);
  if (conn) conn->is_reset = true;
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
  vestry_err error = sql_begin(pool, kind, &transaction);
  if (error) return error;
  vsi_postgres_conn *own = (vsi_postgres_conn *)transaction;
  own->begins_again = !is_last;
  own->has_met = is_last ? NULL : has_met;
  error = fn(transaction, ctx);
  bool was_conflict = own->is_conflict;
  error = sql_end(transaction, error);
  *ret_conflict = error && (was_conflict || error == VESTRY_BUSY);
  return error;
}

static vestry_err sql_act(vestry_sql_pool *is, vestry_sql_kind kind, vestry_sql_act_fn fn, void *ctx) {
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

/* -------------------------------------------------------------------------------------------------- values -------- */

enum { NUMBER_BYTES = VSI_REAL_BYTES, SHOWN_BYTES = 400, BYTEA = 17 /* the type's oid, BYTEAOID */ };

static void write_number(double number, char text[NUMBER_BYTES]) {
  if (number - number != 0) {
    snprintf(text, NUMBER_BYTES, "%s", number > 0 ? "Infinity" : number < 0 ? "-Infinity" : "NaN");
    return;
  }
  (void)vsi_real_digits(number, 17, text);
}

/* Return the memory that a value needs: its pointer and its text. A text is not copied. Bytes have the format \x and
 * two hexadecimal digits each. */
static size_t room_of(const vestry_value *value) {
  return sizeof(char *) + (value->type == VESTRY_VALUE_BYTES ? 2 + 2 * value->count + 1 : NUMBER_BYTES);
}

/* Write the text of a value. to: room for it */
static bool write_one(const vestry_value *value, char *to, const char **ret_text) {
  *ret_text = to;
  switch (value->type) {
  case VESTRY_VALUE_NULL: *ret_text = NULL; return true;
  case VESTRY_VALUE_BOOLEAN: snprintf(to, NUMBER_BYTES, "%s", value->boolean ? "true" : "false"); return true;
  case VESTRY_VALUE_INTEGER: snprintf(to, NUMBER_BYTES, "%" PRId64, value->integer); return true;
  case VESTRY_VALUE_NUMBER: write_number(value->number, to); return true;
  case VESTRY_VALUE_STRING: *ret_text = value->text; return value->text != NULL;
  case VESTRY_VALUE_BYTES:
    memcpy(to, "\\x", 2);
    vsi_hex_write(to + 2, (const unsigned char *)value->text, value->count);
    return true;
  default: return false;
  }
}

/* Write the texts of all values into one block of memory, which the caller frees. OK | NO_MEMORY | INVALID */
static vestry_err write_all(const vestry_host *host, const vestry_value *list, vsi_postgres_values *ret_values) {
  const size_t len = list ? list->count : 0;
  size_t bytes = 0;
  if ((list && list->type != VESTRY_VALUE_LIST) || len > UINT16_MAX) return VESTRY_INVALID;
  for (size_t i = 0; i < len; i++) bytes += room_of(&list->items[i]);
  const char **texts = bytes ? vsi_alloc(host, bytes) : NULL;
  if (bytes && !texts) return VESTRY_NO_MEMORY;
  char *to = bytes ? (char *)(texts + len) : NULL;
  bool is_valid = true;
  for (size_t i = 0; i < len && is_valid; i++) {
    is_valid = write_one(&list->items[i], to, &texts[i]);
    to += room_of(&list->items[i]) - sizeof *texts;
  }
  *ret_values = (vsi_postgres_values){(int)len, texts};
  if (!is_valid) vsi_free(host, texts);
  return is_valid ? VESTRY_OK : VESTRY_INVALID;
}

/* ---------------------------------------------------------------------------------------------------- rows -------- */

typedef struct row_of {
  vestry_sql_row is; /* the first member */
  const PGresult *result;
  int number;
} row_of;

static size_t columns_count(const vestry_sql_row *row) {
  return (size_t)PQnfields(((const row_of *)row)->result);
}

static const char *text_at(const vestry_sql_row *row, size_t column) {
  const row_of *at = (const row_of *)row;
  if (column >= columns_count(row) || PQgetisnull(at->result, at->number, (int)column)) return NULL;
  return PQgetvalue(at->result, at->number, (int)column);
}

static int64_t integer_at(const vestry_sql_row *row, size_t column) {
  const char *text = text_at(row, column);
  if (!text) return 0;
  return strcmp(text, "t") == 0 ? 1 : strtoll(text, NULL, 10);
}

static size_t bytes_at(const vestry_sql_row *row, size_t column, void *buffer, size_t capacity) {
  const char *text = text_at(row, column);
  const bool is_bytea = text && PQftype(((const row_of *)row)->result, (int)column) == BYTEA;
  size_t len = text ? strlen(text) : 0;
  unsigned char *bytes = is_bytea ? PQunescapeBytea((const unsigned char *)text, &len) : NULL;
  if (is_bytea && !bytes) return SIZE_MAX; /* no memory */
  if (len && len <= capacity) memcpy(buffer, is_bytea ? (const char *)bytes : text, len);
  PQfreemem(bytes);
  return len;
}

static const char *name_of(const vestry_sql_row *row, size_t column) {
  return PQfname(((const row_of *)row)->result, (int)column);
}

/* The oids of the types are fixed (pg_type.dat). */
static vsi_sql_value kind_of(const vestry_sql_row *row, size_t column) {
  if (!text_at(row, column)) return VSI_SQL_NULL;
  switch (PQftype(((const row_of *)row)->result, (int)column)) {
  case 16 /* bool */: return VSI_SQL_BOOLEAN;
  case BYTEA: return VSI_SQL_BYTES;
  case 20 /* int8 */:
  case 21 /* int2 */:
  case 23 /* int4 */:
  case 26 /* oid */: return VSI_SQL_INTEGER;
  case 700 /* float4 */:
  case 701 /* float8 */: return VSI_SQL_REAL;
  case 1700 /* numeric */: return VSI_SQL_DECIMAL;
  default: return VSI_SQL_TEXT;
  }
}

static double real_of(const vestry_sql_row *row, size_t column) {
  const char *text = text_at(row, column);
  return text ? vsi_real_read(text, NULL) : 0;
}

/* ------------------------------------------------------------------------------------------------- running -------- */

static const char alone[] = "vestry_sql_run_alone";

/* Note the things that a statement may have left on the connection. The rollback of a transaction for reading undoes
 * all that it does, except for advisory locks of the session, unless SQL has committed it. A statement that PREPARE has
 * named cannot be distinguished from those of this library, so the connection is closed when it is released. */
static void note_kept(vsi_postgres_conn *conn, PGresult *result, bool was_rolled_back) {
  const PGTransactionStatusType status = PQtransactionStatus(conn->db);
  const bool is_open = was_rolled_back || status == PQTRANS_INTRANS || status == PQTRANS_INERROR,
             is_reading = conn->is.kind && conn->is.kind <= VESTRY_SQL_READ_ASIDE;
  const char *tag = PQcmdStatus(result);
  if (!is_open || !is_reading || strcmp(tag, "COMMIT") == 0)
    conn->statements.kept = VSI_POSTGRES_KEPT_ANYTHING;
  else if (!conn->statements.kept)
    conn->statements.kept = VSI_POSTGRES_KEPT_LOCKS;
  if (strcmp(tag, "PREPARE") == 0) conn->is_reset = true;
  if (strcmp(tag, "SET") == 0 && is_open) vsi_postgres_read_limit(conn);
}

/* Run a statement, and what is around it. If the connection was lost while it was idle, a statement that begins its
 * transaction finds this, and is repeated on a new connection, as it is if what the old one has kept was not undone. */
static vestry_err run_around(vsi_postgres_conn *conn, const char *sql, const vsi_postgres_values *values,
                             vsi_postgres_ran *ret_ran) {
  const vsi_postgres_around around = conn->around;
  const uint64_t until_ns = vsi_postgres_until_ns(conn);
  vestry_err error =
      vsi_postgres_statements_run(&conn->statements, conn->db, sql, values, &conn->around, until_ns, ret_ran);
  const bool is_late = vsi_monotonic_ns() >= until_ns;
  if (error || (!ret_ran->is_unclean && (!around.begin || ret_ran->result || is_late))) return error;
  PQclear(ret_ran->result);
  vsi_postgres_hang_up(conn);
  error = vsi_postgres_reconnect(conn, "vestry_sql_begin");
  conn->around = around;
  conn->is_lost = error;
  if (error) return error;
  return vsi_postgres_statements_run(&conn->statements, conn->db, sql, values, &conn->around,
                                     vsi_postgres_until_ns(conn), ret_ran);
}

/* Return whether a statement was refused because the server is a standby now, and may succeed on a new connection. A
 * standby refuses to begin a transaction that can write (0A000), and a write outside of one (25006). */
static bool is_elsewhere(vsi_postgres_conn *conn, const vsi_postgres_ran *ran) {
  const char *state = ran->result ? PQresultErrorField(ran->result, PG_DIAG_SQLSTATE) : NULL;
  const bool is_standby =
      state && strcmp(state, ran->is_unbegun ? "0A000" : "25006") == 0 && (ran->is_unbegun || !conn->is.kind);
  return is_standby && vsi_postgres_leave(conn);
}

/* Run a statement. again: the caller begins again after BUSY. */
static vestry_err execute(vsi_postgres_conn *conn, const char *sql, const vsi_postgres_values *values, bool again,
                          PGresult **ret_result) {
  const bool rolls_back = conn->around.rolls_back;
  vsi_postgres_ran ran;
  vestry_err error = run_around(conn, sql, values, &ran);
  if (error) return error;
  *ret_result = ran.result;
  if (ran.is_new) vsi_sql_count(&conn->pool->is, &conn->pool->is.stats.prepared_count);
  if (ran.result) note_kept(conn, ran.result, rolls_back);
  if (vsi_postgres_is_done(ran.result)) return VESTRY_OK;
  conn->is_stale = ran.is_stale || (ran.is_doubted && again) || is_elsewhere(conn, &ran);
  if (!conn->is_stale) return vsi_postgres_conn_fail(conn, "vestry_sql_run", ran.result, sql);
  snprintf(conn->sqlstate, sizeof conn->sqlstate, "%s", PQresultErrorField(ran.result, PG_DIAG_SQLSTATE));
  if (strcmp(conn->sqlstate, "26000") == 0) conn->is_reset = true;
  PQclear(ran.result);
  conn->is_conflict = true;
  return VESTRY_BUSY;
}

static vestry_err refuse(vsi_postgres_pool *pool, const char *function, vestry_err error, const char *sql,
                         const char *why) {
  const vsi_call call = vsi_sql_call(&pool->is, function);
  char shown[SHOWN_BYTES];
  vsi_sql_show(VSI_SQL_POSTGRES, sql, shown, sizeof shown);
  return vsi_refuse(&call, error, "%s: %s", shown, why);
}

static vestry_err give_rows(const PGresult *result, vestry_sql_row_fn row, void *ctx) {
  row_of at = {{&vsi_postgres_ops}, result, 0};
  const int count = PQntuples(result);
  for (; row && at.number < count; at.number++) row(&at.is, ctx);
  return count > 0 || !PQnfields(result) ? VESTRY_OK : VESTRY_NOT_FOUND;
}

/* Run a statement; is_alone: in a separate transaction. */
static vestry_err run(vsi_postgres_conn *conn, bool is_alone, const char *sql, const vestry_value *list, bool again,
                      vestry_sql_row_fn row, void *ctx) {
  vsi_postgres_values values;
  PGresult *result = NULL;
  if (!conn->db) return conn->is_conflict ? VESTRY_BUSY : VESTRY_LIMIT;
  vestry_err error = write_all(conn->pool->is.host, list, &values);
  if (error == VESTRY_INVALID)
    return refuse(conn->pool, "vestry_sql_run", error, sql,
                  "each value must be a null, a boolean, an integer, a number, a text (not NULL) or bytes");
  if (error) return error;
  if (is_alone) conn->around.is_first = true;
  error = execute(conn, sql, &values, again, &result);
  vsi_free(conn->pool->is.host, (void *)values.texts);
  if (error) return error;
  error = give_rows(result, row, ctx);
  PQclear(result);
  return error;
}

vestry_err vsi_postgres_run(vsi_postgres_conn *conn, const char *sql, const vestry_value *list, vestry_sql_row_fn row,
                            void *ctx) {
  return run(conn, false, sql, list, conn->begins_again, row, ctx);
}

static vestry_err sql_run(vestry_sql_transaction *transaction, const char *sql, const vestry_value *list,
                          vestry_sql_row_fn row, void *ctx) {
  vsi_postgres_conn *conn = (vsi_postgres_conn *)transaction;
  vsi_postgres_recorder *of = vsi_postgres_recorder_of(conn->pool);
  const bool is_own = of && of->transaction == transaction;
  vestry_err error = is_own ? of->run(of, sql, list, row, ctx) : vsi_postgres_run(conn, sql, list, row, ctx);
  recorder_fail(conn->pool, error);
  return error;
}

/* ---------------------------------------------------------------------------------------------------- alone ------- */

/* How a statement ended. */
typedef enum fate {
  FATE_ENDED,  /* it has a response */
  FATE_UNSENT, /* there was no connection for it */
  FATE_LOST,   /* the connection was lost or given up: it is unknown whether it was done */
  FATE_STALE   /* it was not done, and is prepared again the next time */
} fate;

/* Run a statement on its own. again: the caller repeats it after FATE_STALE. */
static vestry_err run_on(vsi_postgres_pool *pool, vsi_postgres_choice which, const char *sql, const vestry_value *list,
                         bool again, vestry_sql_row_fn row, void *ctx, fate *ret_fate) {
  vsi_postgres_conn *conn;
  *ret_fate = FATE_UNSENT;
  vestry_err error = vsi_postgres_check_out(pool, which, alone, &conn);
  recorder_fail(pool, error);
  if (error) return error;
  *ret_fate = FATE_ENDED;
  if (conn->is.depth > 1) { /* this thread's own, so no other changes it */
    error = sql_run(&conn->is, sql, list, row, ctx);
  } else {
    error = run(conn, true, sql, list, again, row, ctx);
    *ret_fate = conn->is_stale ? FATE_STALE : conn->is_lost ? FATE_LOST : FATE_ENDED;
    if (*ret_fate != FATE_STALE || !again) recorder_fail(pool, error);
  }
  if (!vsi_sql_is_last(&conn->is)) return error;
  /* The next thread would continue the transaction. */
  if (!error && conn->db && PQtransactionStatus(conn->db) != PQTRANS_IDLE)
    error = refuse(pool, alone, VESTRY_INVALID, sql,
                   "rolled back a transaction that was begun by SQL, and not ended; use vestry_sql_act or "
                   "vestry_sql_begin");
  vsi_postgres_roll_back(conn, alone);
  vsi_postgres_release(conn);
  return error;
}

/* Run a statement on its own, and once more if it was not done, or, unless is_once, if that is unknown. */
static vestry_err run_alone(vsi_postgres_pool *pool, vsi_postgres_choice which, bool is_once, const char *sql,
                            const vestry_value *list, vestry_sql_row_fn row, void *ctx, fate *ret_fate) {
  vestry_err error = run_on(pool, which, sql, list, true, row, ctx, ret_fate);
  if (*ret_fate == FATE_STALE || (*ret_fate == FATE_LOST && !is_once))
    error = run_on(pool, which, sql, list, false, row, ctx, ret_fate);
  if (error != VESTRY_LIMIT || *ret_fate != FATE_LOST || !is_once) return error;
  return refuse(pool, alone, VESTRY_IO, sql, "it is unknown whether the statement was executed");
}

/* ----------------------------------------------------------------------------------------- reads of renders ------- */

static bool is_recorded(vestry_sql_pool *pool) {
  const vsi_postgres_recorder *of = vsi_postgres_recorder_of((vsi_postgres_pool *)pool);
  return of && of->is_followed;
}

static vestry_err read_recorded(vestry_sql_pool *pool, const char *sql, const vestry_value *list, vestry_sql_row_fn row,
                                void *ctx) {
  vsi_postgres_recorder *of = vsi_postgres_recorder_of((vsi_postgres_pool *)pool);
  const bool has_own = of && of->is_followed && !of->transaction && vsi_sql_own(pool);
  if (has_own) of->is_unknown = true; /* in a transaction of the application */
  if (!of || !of->is_followed || has_own)
    return run_alone((vsi_postgres_pool *)pool, VSI_POSTGRES_ANY, true, sql, list, row, ctx, &(fate){0});
  const vestry_err error = of->transaction ? VESTRY_OK : of->begin(of);
  return error ? error : sql_run(of->transaction, sql, list, row, ctx);
}

/* A read that does not depend on its table, whose oid is in its last column. */
typedef struct unfollowed {
  vestry_sql_row_fn row;
  void *ctx;
  uint32_t table;
} unfollowed;

static void give_row(const vestry_sql_row *row, void *ctx) {
  unfollowed *of = ctx;
  of->table = (uint32_t)integer_at(row, columns_count(row) - 1);
  of->row(row, of->ctx);
}

static vestry_err read_unfollowed(vestry_sql_pool *pool, const char *sql, const vestry_value *list,
                                  vestry_sql_row_fn row, void *ctx) {
  unfollowed of = {row, ctx, 0};
  vestry_err error = read_recorded(pool, sql, list, give_row, &of);
  vsi_postgres_recorder *recorder = vsi_postgres_recorder_of((vsi_postgres_pool *)pool);
  if (!error && recorder) recorder->left_out = of.table;
  return error;
}

/* If the server refuses the reserved connection, the statement runs on another one that is open. That is no failure of
 * the caller, which logs those of its statements. */
static vestry_err run_by(vestry_sql_pool *of, vsi_sql_how how, const char *sql, const vestry_value *list,
                         vestry_sql_row_fn row, void *ctx) {
  vsi_postgres_pool *pool = (vsi_postgres_pool *)of;
  fate is;
  vsi_held_log why;
  if (how == VSI_SQL_RUN_FOLLOWED) return read_recorded(of, sql, list, row, ctx);
  if (how == VSI_SQL_RUN_UNFOLLOWED) return read_unfollowed(of, sql, list, row, ctx);
  if (how != VSI_SQL_RUN_ASIDE)
    return run_alone(pool, VSI_POSTGRES_ANY, how == VSI_SQL_RUN_ONCE, sql, list, row, ctx, &is);
  vsi_log_hold(&why);
  const vestry_err error = run_alone(pool, VSI_POSTGRES_RESERVED, false, sql, list, row, ctx, &is);
  vsi_log_release(&why);
  const bool runs_on = error == VESTRY_LIMIT && is == FATE_UNSENT;
  const char *then = "; without this connection, jobs whose functions use all others for longer than their lease run "
                     "twice: let the role accept one connection more than options.connections_count";
  if (*why.line)
    vsi_log_repeated(pool->is.host, &pool->is.failures, 0, VESTRY_LOG_ERROR, "%s%s", why.line, runs_on ? then : "");
  return runs_on ? run_alone(pool, VSI_POSTGRES_OPEN, false, sql, list, row, ctx, &is) : error;
}

static bool is_refused(vestry_sql_transaction *transaction) {
  return *vestry_postgres_sqlstate(transaction);
}

const vsi_sql_ops vsi_postgres_ops = {.dialect = VSI_SQL_POSTGRES,
                                      .is_refused = is_refused,
                                      .has_snapshots = true,
                                      .destroy = vsi_postgres_pool_destroy,
                                      .begin = sql_begin,
                                      .end = sql_end,
                                      .act = sql_act,
                                      .run = sql_run,
                                      .run_by = run_by,
                                      .columns_count = columns_count,
                                      .text = text_at,
                                      .integer = integer_at,
                                      .bytes = bytes_at,
                                      .find_free = vsi_postgres_find_free,
                                      .is_recorded = is_recorded,
                                      .bring = vsi_postgres_bring,
                                      .name = name_of,
                                      .kind = kind_of,
                                      .real = real_of};
