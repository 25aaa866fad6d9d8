/* SPDX-License-Identifier: MIT */
#include "data/sql/storage.h"

vestry_err vsi_sql_run_here(vestry_sql_pool *pool, vsi_sql_texts texts, const vestry_value *values,
                            vestry_sql_row_fn row, void *ctx) {
  vestry_sql_transaction *own = vsi_sql_own(pool);
  const char *sql = vsi_sql_text_of(pool, texts);
  return own ? vestry_sql_run(own, sql, values, row, ctx) : pool->ops->run_again(pool, sql, values, row, ctx);
}

vestry_err vsi_sql_expire(vestry_sql_pool *pool, vsi_sql_texts texts, const vestry_value *values, int64_t *count) {
  return vsi_sql_if_any(vsi_sql_run_here(pool, texts, values, vsi_sql_count_row, count));
}
