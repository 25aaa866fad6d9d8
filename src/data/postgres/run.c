/* SPDX-License-Identifier: MIT */
/* Running one statement: values in, rows out. All is text, of the type that the statement has there. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/sql.h"
#include "data/postgres/loan.h"
#include "data/postgres/recorder.h"

struct vestry_postgres_row {
  const PGresult *result;
  int number;
};

/* -------------------------------------------------------------------------------------------------- values -------- */

enum { FEW = 16, NUMBER_BYTES = 32, SHOWN_BYTES = 400 };

typedef struct values {
  const char **texts;
  char (*numbers)[NUMBER_BYTES]; /* what is no text yet */
  int count;
  void *many; /* both, where they are many */
  const char *few_texts[FEW];
  char few_numbers[FEW][NUMBER_BYTES];
} values;

static bool write_one(const vestry_value *value, char number[NUMBER_BYTES], const char **ret_text) {
  *ret_text = number;
  switch (value->type) {
  case VESTRY_VALUE_NULL: *ret_text = NULL; return true;
  case VESTRY_VALUE_BOOLEAN: snprintf(number, NUMBER_BYTES, "%s", value->boolean ? "true" : "false"); return true;
  case VESTRY_VALUE_INTEGER: snprintf(number, NUMBER_BYTES, "%" PRId64, value->integer); return true;
  case VESTRY_VALUE_NUMBER: snprintf(number, NUMBER_BYTES, "%.17g", value->number); return true;
  case VESTRY_VALUE_STRING: *ret_text = value->text; return value->text != NULL;
  default: return false;
  }
}

/* OK | NO_MEMORY | INVALID */
static vestry_err write_all(const vestry_host *host, const vestry_value *list, values *ret_values) {
  size_t len = list ? list->count : 0;
  if ((list && list->type != VESTRY_VALUE_LIST) || len > UINT16_MAX) return VESTRY_INVALID;
  ret_values->count = (int)len;
  ret_values->texts = ret_values->few_texts;
  ret_values->numbers = ret_values->few_numbers;
  ret_values->many = NULL;
  if (len > FEW) {
    ret_values->many = vsi_calloc(host, len, sizeof *ret_values->texts + NUMBER_BYTES);
    if (!ret_values->many) return VESTRY_NO_MEMORY;
    ret_values->texts = ret_values->many;
    ret_values->numbers = (char(*)[NUMBER_BYTES])(ret_values->texts + len);
  }
  vestry_err error = VESTRY_OK;
  for (size_t i = 0; i < len && !error; i++)
    if (!write_one(&list->items[i], ret_values->numbers[i], &ret_values->texts[i])) error = VESTRY_INVALID;
  if (error) vsi_free(host, ret_values->many);
  return error;
}

/* ---------------------------------------------------------------------------------------------------- rows -------- */

size_t vestry_postgres_columns_count(const vestry_postgres_row *row) {
  return (size_t)PQnfields(row->result);
}

const char *vestry_postgres_text(const vestry_postgres_row *row, size_t column) {
  if (column >= vestry_postgres_columns_count(row) || PQgetisnull(row->result, row->number, (int)column)) return NULL;
  return PQgetvalue(row->result, row->number, (int)column);
}

int64_t vestry_postgres_integer(const vestry_postgres_row *row, size_t column) {
  const char *text = vestry_postgres_text(row, column);
  if (!text) return 0;
  return strcmp(text, "t") == 0 ? 1 : strtoll(text, NULL, 10);
}

/* ------------------------------------------------------------------------------------------------- running -------- */

static void count_prepared(vestry_postgres_pool *pool) {
  vsi_mutex_lock(&pool->lock);
  pool->stats.prepared_count++;
  vsi_mutex_unlock(&pool->lock);
}

/* again: the caller begins again after BUSY. */
static vestry_err execute(vsi_postgres_loan *loan, const char *sql, const values *of, bool again,
                          PGresult **ret_result) {
  const vsi_postgres_values list = {of->count, of->texts};
  vsi_postgres_ran ran;
  vestry_err error = vsi_postgres_statements_run(&loan->statements, loan->lent.db, sql, &list,
                                                 vsi_postgres_until_ns(loan->pool), &ran);
  if (error) return error;
  *ret_result = ran.result;
  if (ran.is_new) count_prepared(loan->pool);
  if (vsi_postgres_is_done(ran.result)) return VESTRY_OK;
  loan->is_stale = ran.is_stale || (ran.is_doubted && again);
  if (!loan->is_stale) return vsi_postgres_loan_fail(loan, "vestry_postgres_run", ran.result, sql);
  snprintf(loan->lent.sqlstate, sizeof loan->lent.sqlstate, "%s", PQresultErrorField(ran.result, PG_DIAG_SQLSTATE));
  PQclear(ran.result);
  loan->is_conflict = true;
  return VESTRY_BUSY;
}

static vestry_err refuse(const vsi_call *call, vestry_err error, const char *sql, const char *why) {
  char shown[SHOWN_BYTES];
  vsi_sql_show(VSI_SQL_POSTGRES, sql, shown, sizeof shown);
  return vsi_refuse(call, error, "%s: %s", shown, why);
}

static void give_rows(const PGresult *result, vestry_postgres_row_fn row, void *ctx) {
  vestry_postgres_row at = {.result = result};
  for (int count = PQntuples(result); row && at.number < count; at.number++) row(&at, ctx);
}

static vestry_err run(vsi_postgres_loan *loan, const char *sql, const vestry_value *list, bool again,
                      vestry_postgres_row_fn row, void *ctx) {
  values of;
  PGresult *result = NULL;
  if (atomic_load_explicit(&loan->is_cancelled, memory_order_relaxed)) return VESTRY_CLOSED;
  if (!loan->lent.db) return loan->is_conflict ? VESTRY_BUSY : VESTRY_LIMIT;
  const vsi_call call = vsi_postgres_pool_call(loan->pool, "vestry_postgres_run");
  vestry_err error = write_all(loan->pool->host, list, &of);
  if (error == VESTRY_INVALID)
    return refuse(&call, error, sql,
                  "a value is none: each is a null, a boolean, an integer, a number or a text (not NULL)");
  if (error) return error;
  error = execute(loan, sql, &of, again, &result);
  vsi_free(loan->pool->host, of.many);
  if (error) return error;
  bool is_found = PQntuples(result) > 0, gives_rows = PQnfields(result) > 0;
  give_rows(result, row, ctx);
  PQclear(result);
  return is_found || !gives_rows ? VESTRY_OK : VESTRY_NOT_FOUND;
}

vestry_err vsi_postgres_run(vsi_postgres_loan *loan, const char *sql, const vestry_value *list,
                            vestry_postgres_row_fn row, void *ctx) {
  return run(loan, sql, list, loan->begins_again, row, ctx);
}

vestry_err vestry_postgres_run(vestry_postgres_loan *lent, const char *sql, const vestry_value *list,
                               vestry_postgres_row_fn row, void *ctx) {
  vsi_postgres_loan *loan = (vsi_postgres_loan *)lent;
  if (!loan || !sql) return VESTRY_INVALID;
  vsi_postgres_recorder *of = vsi_postgres_recorder_of(loan->pool);
  const bool is_own = of && of->loan == lent;
  vestry_err error = is_own ? of->run(of, sql, list, row, ctx) : vsi_postgres_run(loan, sql, list, row, ctx);
  vsi_postgres_recorder_fail(loan->pool, error);
  return error;
}

/* ---------------------------------------------------------------------------------------------------- alone ------- */

typedef vestry_err (*lending)(vestry_postgres_pool *pool, const char *function, vsi_postgres_loan **ret_loan);

/* What was under way when the statement ended. */
typedef enum fate {
  FATE_ENDED, /* it has an answer */
  FATE_LOST,  /* the connection was lost, or given up: it is not known whether it was done */
  FATE_STALE  /* it was not done, and is prepared anew the next time */
} fate;

/* again: the caller does it again after FATE_STALE. */
static vestry_err run_by(vestry_postgres_pool *pool, lending lend, const char *sql, const vestry_value *list,
                         bool again, vestry_postgres_row_fn row, void *ctx, fate *ret_fate) {
  static const char function[] = "vestry_postgres_run_alone";
  vsi_postgres_loan *loan;
  *ret_fate = FATE_ENDED;
  vestry_err error = lend(pool, function, &loan);
  vsi_postgres_recorder_fail(pool, error);
  if (error) return error;
  bool is_inside = loan->depth > 1; /* this thread's own, so no other changes it */
  if (!is_inside) error = vsi_postgres_reach(loan, function);
  vsi_postgres_recorder_fail(pool, error);
  loan->is_lost = loan->is_lost && is_inside;
  if (!error && is_inside) {
    error = vestry_postgres_run(&loan->lent, sql, list, row, ctx);
  } else if (!error) {
    error = run(loan, sql, list, again, row, ctx);
    *ret_fate = loan->is_stale ? FATE_STALE : loan->is_lost ? FATE_LOST : FATE_ENDED;
    if (*ret_fate != FATE_STALE || !again) vsi_postgres_recorder_fail(pool, error);
  }
  if (vsi_postgres_is_last(loan)) vsi_postgres_give_back(loan);
  return error;
}

static vestry_err run_twice(vestry_postgres_pool *pool, lending lend, const char *sql, const vestry_value *list,
                            vestry_postgres_row_fn row, void *ctx) {
  fate is;
  vestry_err error = run_by(pool, lend, sql, list, true, row, ctx, &is);
  return is == FATE_ENDED ? error : run_by(pool, lend, sql, list, false, row, ctx, &is);
}

vestry_err vsi_postgres_run_aside(vestry_postgres_pool *pool, const char *sql, const vestry_value *list,
                                  vestry_postgres_row_fn row, void *ctx) {
  return run_twice(pool, vsi_postgres_lend_aside, sql, list, row, ctx);
}

vestry_err vsi_postgres_run_again(vestry_postgres_pool *pool, const char *sql, const vestry_value *list,
                                  vestry_postgres_row_fn row, void *ctx) {
  return run_twice(pool, vsi_postgres_lend, sql, list, row, ctx);
}

vestry_err vestry_postgres_run_alone(vestry_postgres_pool *pool, const char *sql, const vestry_value *list,
                                     vestry_postgres_row_fn row, void *ctx) {
  fate is;
  if (!pool || !sql) return VESTRY_INVALID;
  vestry_err error = run_by(pool, vsi_postgres_lend, sql, list, true, row, ctx, &is);
  if (is == FATE_STALE) error = run_by(pool, vsi_postgres_lend, sql, list, false, row, ctx, &is);
  if (error != VESTRY_LIMIT || is != FATE_LOST) return error;
  const vsi_call call = vsi_postgres_pool_call(pool, "vestry_postgres_run_alone");
  return refuse(&call, VESTRY_IO, sql, "it is not known whether it was done");
}
