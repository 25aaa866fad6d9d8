/* SPDX-License-Identifier: MIT */
/* Opening a pool. */
#ifndef VSI_SQLITE_POOL_OPEN_H
#define VSI_SQLITE_POOL_OPEN_H

#include "data/sqlite/loan.h"

/* Open all connections of a pool that has none yet, and see to the tables. What fails is logged.
 * OK | INVALID | NO_MEMORY | BUSY | LIMIT | IO */
vestry_err vsi_sqlite_pool_open(vestry_sqlite_pool *pool, const vestry_sqlite_pool_options *given);

#endif
