/* SPDX-License-Identifier: MIT */
/* States of tabs. */
#ifndef VSI_SQLITE_TAB_H
#define VSI_SQLITE_TAB_H

#include "data/sqlite/schema.h"
#include "data/sqlite/sqlite.h"

#define VSI_SQLITE_TAB_TABLE "vestry_tab"
extern const vsi_sqlite_schema vsi_sqlite_tab_schema, vsi_sqlite_tab_visitor_schema;
enum { VSI_SQLITE_TAB_COLUMN = 1 };
/* Note what was read. On the database's own thread, or in sync; no lock is held. Does not wait. */
void vsi_sqlite_tab_touch_all(vestry_sqlite *database);
void vsi_sqlite_tab_forget_touches(vestry_sqlite *database);
void vsi_sqlite_tab_finish(vestry_sqlite_connection *connection);

#endif
