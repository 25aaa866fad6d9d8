/* SPDX-License-Identifier: MIT */
/* The statements of storages: of sessions, submissions, states of tabs, and forms. */
#ifndef VSI_SQL_STORAGE_H
#define VSI_SQL_STORAGE_H

#include "data/sql/pool.h"

/* The statement that removes some rows whose time has passed. Each storage runs it when it writes anyway, so its table
 * does not grow with rows that are never used again. Nodes that do this at the same time skip rows that others have
 * locked, so none waits. is_over: the condition for each database, with an index. */
#define VSI_SQL_EXPIRE(table, keys, is_over_of_sqlite, is_over_of_postgres)                                            \
  {                                                                                                                    \
    VSI_SQL_EXPIRE_IN(table, keys, is_over_of_sqlite, ""),                                                             \
        VSI_SQL_EXPIRE_IN(table, keys, is_over_of_postgres, " FOR UPDATE SKIP LOCKED")                                 \
  }
#define VSI_SQL_EXPIRE_IN(table, keys, is_over, locked)                                                                \
  "DELETE FROM " table " WHERE (" keys ") IN (SELECT " keys " FROM " table " WHERE " is_over " LIMIT 64" locked        \
  ") RETURNING 1"

/* Run a statement that is safe to repeat: in the transaction of this thread, or alone if there is none. */
vestry_err vsi_sql_run_here(vestry_sql_pool *pool, vsi_sql_texts texts, const vestry_value *values,
                            vestry_sql_row_fn row, void *ctx);
/* Run a statement of VSI_SQL_EXPIRE in the same way. Adds the number of removed rows to count. */
vestry_err vsi_sql_expire(vestry_sql_pool *pool, vsi_sql_texts texts, const vestry_value *values, int64_t *count);

#endif
