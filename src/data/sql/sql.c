/* SPDX-License-Identifier: MIT */
/* Transactions and statements: each function checks its arguments and calls that of the pool's database. */
#include "data/sql/sql.h"

static const char sql_missing[] = "sql is NULL; pass the text of one statement";

static bool is_kind(vestry_sql_kind kind) {
  return kind >= VESTRY_SQL_READ && kind <= VESTRY_SQL_SERIALIZABLE;
}

void vestry_sql_pool_destroy(vestry_sql_pool *pool) {
  if (pool) pool->ops->destroy(pool);
}

vestry_err vestry_sql_begin(vestry_sql_pool *pool, vestry_sql_kind kind, vestry_sql_transaction **ret_transaction) {
  if (!pool) return VESTRY_INVALID;
  if (!ret_transaction || !is_kind(kind))
    return vsi_mistake(pool->host, "vestry_sql_begin", "ret_transaction is NULL, or kind is none of vestry_sql_kind");
  return pool->ops->begin(pool, kind, ret_transaction);
}

vestry_err vestry_sql_end(vestry_sql_transaction *transaction, vestry_err error) {
  return transaction ? transaction->pool->ops->end(transaction, error) : error;
}

vestry_err vestry_sql_act(vestry_sql_pool *pool, vestry_sql_kind kind, vestry_sql_act_fn fn, void *ctx) {
  if (!pool) return VESTRY_INVALID;
  if (!fn || !is_kind(kind) || kind <= VESTRY_SQL_READ_ASIDE)
    return vsi_mistake(pool->host, "vestry_sql_act",
                       "fn is NULL, or kind is not a kind for writing; see vestry_sql_kind");
  return pool->ops->act(pool, kind, fn, ctx);
}

vestry_err vestry_sql_run(vestry_sql_transaction *transaction, const char *sql, const vestry_value *values,
                          vestry_sql_row_fn row, void *ctx) {
  if (!transaction) return VESTRY_INVALID;
  if (!sql) return vsi_mistake(transaction->pool->host, "vestry_sql_run", sql_missing);
  return transaction->pool->ops->run(transaction, sql, values, row, ctx);
}

vestry_err vestry_sql_run_alone(vestry_sql_pool *pool, const char *sql, const vestry_value *values,
                                vestry_sql_row_fn row, void *ctx) {
  if (!pool) return VESTRY_INVALID;
  if (!sql) return vsi_mistake(pool->host, "vestry_sql_run_alone", sql_missing);
  return pool->ops->run_by(pool, VSI_SQL_RUN_ONCE, sql, values, row, ctx);
}

vestry_err vestry_sql_read(vestry_sql_pool *pool, const char *sql, const vestry_value *values, vestry_sql_row_fn row,
                           void *ctx) {
  if (!pool) return VESTRY_INVALID;
  if (!sql) return vsi_mistake(pool->host, "vestry_sql_read", sql_missing);
  return pool->ops->run_by(pool, VSI_SQL_RUN_FOLLOWED, sql, values, row, ctx);
}

const char *vestry_sql_text(const vestry_sql_row *row, size_t column) {
  return row->ops->text(row, column);
}

int64_t vestry_sql_integer(const vestry_sql_row *row, size_t column) {
  return row->ops->integer(row, column);
}

size_t vestry_sql_bytes(const vestry_sql_row *row, size_t column, void *buffer, size_t capacity) {
  return row->ops->bytes(row, column, buffer, capacity);
}

void vestry_sql_row_integer(const vestry_sql_row *row, void *ctx) {
  *(int64_t *)ctx = vestry_sql_integer(row, 0);
}
