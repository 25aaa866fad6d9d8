/* SPDX-License-Identifier: MIT */
/* Running one statement of a loan: values in, rows out. */
#include "base/sql.h"
#include "data/sqlite/loan.h"
#include "data/sqlite/text.h"

enum { SHOWN_BYTES = 512 };

/* MISUSE: it is no value that a parameter can have. */
static int bind_one(sqlite3_stmt *statement, int at, const vestry_value *value) {
  switch (value->type) {
  case VESTRY_VALUE_NULL: return sqlite3_bind_null(statement, at);
  case VESTRY_VALUE_BOOLEAN: return sqlite3_bind_int(statement, at, value->boolean);
  case VESTRY_VALUE_INTEGER: return sqlite3_bind_int64(statement, at, value->integer);
  case VESTRY_VALUE_NUMBER: return sqlite3_bind_double(statement, at, value->number);
  case VESTRY_VALUE_STRING:
    return value->text ? sqlite3_bind_text(statement, at, value->text, -1, SQLITE_STATIC) : SQLITE_MISUSE;
  default: return SQLITE_MISUSE;
  }
}

static int bind_all(sqlite3_stmt *statement, const vestry_value *values) {
  size_t count = values ? values->count : 0;
  int result = values && values->type != VESTRY_VALUE_LIST ? SQLITE_MISUSE : SQLITE_OK;
  if ((size_t)sqlite3_bind_parameter_count(statement) != count) return SQLITE_RANGE;
  for (size_t i = 0; i < count && !result; i++) result = bind_one(statement, (int)i + 1, &values->items[i]);
  return result;
}

static vestry_err refuse_values(const vsi_call *call, sqlite3_stmt *statement, const vestry_value *values) {
  char shown[SHOWN_BYTES / 2];
  vsi_sql_show(VSI_SQL_SQLITE, sqlite3_sql(statement), shown, sizeof shown);
  return vsi_refuse(call, VESTRY_INVALID,
                    "%zu values were given for the %d parameters of \"%s\", of which each is a null, a boolean, "
                    "an integer, a number or a text (not NULL)",
                    values ? values->count : 0, sqlite3_bind_parameter_count(statement), shown);
}

/* The log says which statement failed, and no value: neither one of the statement's, nor one that SQLite cites. The
 * functions that a statement calls cite what they are given, so their messages are left out. */
static vestry_err fail(const vsi_call *call, sqlite3 *db, int result, const char *sql, bool has_begun) {
  char shown[SHOWN_BYTES];
  if (!vsi_sqlite_code(result)) return VESTRY_OK;
  const bool is_own = (result & 0xff) != SQLITE_ERROR || (!has_begun && !vsi_sqlite_text_cites(sqlite3_errmsg(db)));
  vsi_sql_show(VSI_SQL_SQLITE, sql, shown, sizeof shown);
  return vsi_sqlite_pool_fail(call, is_own && sqlite3_errcode(db) ? db : NULL, result, shown);
}

/* Through all rows. */
static int step_all(sqlite3_stmt *statement, vestry_sqlite_row_fn row, void *ctx, bool *ret_found) {
  int result;
  while ((result = sqlite3_step(statement)) == SQLITE_ROW) {
    *ret_found = true;
    if (row) row(statement, ctx);
  }
  return result;
}

static vestry_err prepare(vsi_sqlite_loan *loan, const char *sql, bool is_borrowers, sqlite3_stmt **ret_statement) {
  const vsi_call call = vsi_sqlite_pool_call(loan->pool, "vestry_sqlite_prepare");
  uint64_t before = loan->statements.prepared;
  sqlite3_stmt *statement;
  int result = vsi_sqlite_statements_find(&loan->statements, loan->lent.db, sql, is_borrowers, &statement);
  if (result) return fail(&call, loan->lent.db, result, sql, false);
  if (loan->statements.prepared != before) {
    vsi_mutex_lock(&loan->pool->lock);
    loan->pool->stats.prepared_count++;
    vsi_mutex_unlock(&loan->pool->lock);
  }
  sqlite3_clear_bindings(statement);
  *ret_statement = statement;
  return VESTRY_OK;
}

vestry_err vestry_sqlite_prepare(vestry_sqlite_loan *lent, const char *sql, sqlite3_stmt **ret_statement) {
  vsi_sqlite_loan *loan = (vsi_sqlite_loan *)lent;
  if (!loan || !sql || !ret_statement) return VESTRY_INVALID;
  vestry_err error = prepare(loan, sql, true, ret_statement);
  vsi_sqlite_pool_note(loan->pool, loan->is_aside, error);
  return error;
}

static vestry_err run(vsi_sqlite_loan *loan, const char *sql, const vestry_value *values, vestry_sqlite_row_fn row,
                      void *ctx) {
  sqlite3_stmt *statement;
  bool is_found = false;
  vestry_err error = prepare(loan, sql, false, &statement);
  if (error) return error;
  const vsi_call call = vsi_sqlite_pool_call(loan->pool, "vestry_sqlite_run");
  int result = bind_all(statement, values);
  if (result == SQLITE_MISUSE || result == SQLITE_RANGE) {
    error = refuse_values(&call, statement, values);
  } else {
    if (!result) result = step_all(statement, row, ctx, &is_found);
    error = fail(&call, loan->lent.db, result, sql, true);
  }
  bool gives_rows = sqlite3_column_count(statement) > 0;
  sqlite3_reset(statement);
  sqlite3_clear_bindings(statement);
  return error ? error : is_found || !gives_rows ? VESTRY_OK : VESTRY_NOT_FOUND;
}

vestry_err vestry_sqlite_run(vestry_sqlite_loan *lent, const char *sql, const vestry_value *values,
                             vestry_sqlite_row_fn row, void *ctx) {
  vsi_sqlite_loan *loan = (vsi_sqlite_loan *)lent;
  if (!loan || !sql) return VESTRY_INVALID;
  vestry_err error = run(loan, sql, values, row, ctx);
  vsi_sqlite_pool_note(loan->pool, loan->is_aside, error);
  return error;
}

/* Whether it writes. The connection is this thread's. */
static vestry_err ask_kind(vestry_sqlite_loan *loan, const char *sql, bool *ret_writes) {
  sqlite3_stmt *statement;
  vestry_err error = prepare((vsi_sqlite_loan *)loan, sql, false, &statement);
  if (!error) *ret_writes = !sqlite3_stmt_readonly(statement);
  return error;
}

vestry_err vestry_sqlite_run_alone(vestry_sqlite_pool *pool, const char *sql, const vestry_value *values,
                                   vestry_sqlite_row_fn row, void *ctx) {
  vestry_sqlite_loan *loan;
  bool writes = false;
  vestry_err error = vestry_sqlite_borrow(pool, VESTRY_SQLITE_READ, &loan);
  if (error) return error;
  bool is_inside = ((const vsi_sqlite_loan *)loan)->depth > 1; /* this thread's own, so no other changes it */
  if (!is_inside) error = ask_kind(loan, sql, &writes);
  if (!error && writes) {
    (void)vestry_sqlite_give(loan, VESTRY_OK);
    error = vestry_sqlite_borrow(pool, VESTRY_SQLITE_WRITE, &loan);
    if (error) return error;
  }
  if (!error) error = vestry_sqlite_run(loan, sql, values, row, ctx);
  /* No row is no reason to roll back what was written. */
  vestry_err of_give = vestry_sqlite_give(loan, error == VESTRY_NOT_FOUND ? VESTRY_OK : error);
  return error ? error : of_give;
}
