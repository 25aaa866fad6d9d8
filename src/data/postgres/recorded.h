/* SPDX-License-Identifier: MIT */
/* What the library itself reads in a render that is recorded: in the render's transaction, by its snapshot. */
#ifndef VSI_POSTGRES_RECORDED_H
#define VSI_POSTGRES_RECORDED_H

#include <stdbool.h>
#include <stdint.h>

#include "vestry/data/postgres_pool.h"

/* Whether this thread renders a page, and what it reads by this pool is recorded. The next two are for such a
 * thread. */
bool vsi_postgres_is_recorded(const vestry_postgres_pool *pool);
/* vestry_postgres_read. */
vestry_err vsi_postgres_read_recorded(const vestry_postgres_pool *pool, const char *sql, const vestry_value *values,
                                      vestry_postgres_row_fn row, void *ctx);
/* Whatever the render reads of that table, it does not depend on it. table: its oid; one a render */
void vsi_postgres_leave_out(const vestry_postgres_pool *pool, uint32_t table);

#endif
