/* SPDX-License-Identifier: MIT */
/* Reads of the library in a recorded render: they use the render's transaction, and its snapshot. */
#ifndef VSI_POSTGRES_RECORDED_H
#define VSI_POSTGRES_RECORDED_H

#include "data/postgres/pool.h"

/* Functions of vsi_sql_ops. */
bool vsi_postgres_is_recorded(vestry_sql_pool *pool);
vestry_err vsi_postgres_read(vestry_sql_pool *pool, const char *sql, const vestry_value *values, vestry_sql_row_fn row,
                             void *ctx);
vestry_err vsi_postgres_read_unfollowed(vestry_sql_pool *pool, const char *sql, const vestry_value *values,
                                        vestry_sql_row_fn row, void *ctx);

#endif
