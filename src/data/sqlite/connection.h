/* SPDX-License-Identifier: MIT */
/* Attached connections. */
#ifndef VSI_SQLITE_CONNECTION_H
#define VSI_SQLITE_CONNECTION_H

#include "data/sqlite/sqlite.h"

/* Same as vestry_sqlite_attach without its checks. NO_MEMORY | BUSY | EXISTS | IO */
vestry_err vsi_sqlite_connect(vestry_sqlite *database, sqlite3 *db, vestry_sqlite_connection **ret_connection);
/* Publish what a connection has committed. It belongs to this thread. */
void vsi_sqlite_settle(void *connection);

#endif
