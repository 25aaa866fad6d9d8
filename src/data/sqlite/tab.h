/* SPDX-License-Identifier: MIT */
/* States of tabs, if pages follow the database. */
#ifndef VSI_SQLITE_TAB_H
#define VSI_SQLITE_TAB_H

#include "data/sqlite/pool.h"
#include "data/sqlite/sqlite.h"

#define VSI_SQLITE_TAB_TABLE "vestry_tab"
enum { VSI_SQLITE_TAB_COLUMN = 1 };
/* Function of vsi_sql_ops (data/sql/sql.h). */
void vsi_sqlite_touch_tab(vestry_sql_pool *pool, const vsi_tab_owner *whose);
/* Record the reads. On the database's own thread, or in vestry_sqlite_sync; no lock is held. Does not wait. */
void vsi_sqlite_tab_touch_all(vestry_sqlite *database);
void vsi_sqlite_tab_forget_touches(vestry_sqlite *database);

#endif
