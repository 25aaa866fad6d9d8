/* SPDX-License-Identifier: MIT */
/* States of tabs where pages follow the database. */
#ifndef VSI_SQLITE_TAB_H
#define VSI_SQLITE_TAB_H

#include "data/sqlite/loan.h"
#include "data/sqlite/sqlite.h"

#define VSI_SQLITE_TAB_TABLE "vestry_tab"
enum { VSI_SQLITE_TAB_COLUMN = 1 };
/* Of the seam (data/sql/sql.h). */
void vsi_sqlite_touch_tab(vestry_sql_pool *pool, const vsi_tab_owner *whose);
/* Note what was read. On the database's own thread, or in sync; no lock is held. Does not wait. */
void vsi_sqlite_tab_touch_all(vestry_sqlite *database);
void vsi_sqlite_tab_forget_touches(vestry_sqlite *database);

#endif
