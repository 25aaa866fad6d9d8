/* SPDX-License-Identifier: MIT */
/* Connections that are attached. */
#ifndef VSI_SQLITE_CONNECTION_H
#define VSI_SQLITE_CONNECTION_H

#include "data/sqlite/sqlite.h"

/* As vestry_sqlite_attach, without asking whether it may be. NO_MEMORY | BUSY | EXISTS | IO */
vestry_err vsi_sqlite_connect(vestry_sqlite *database, sqlite3 *db, vestry_sqlite_connection **ret_connection);
/* Publish what it has committed. connection: of this thread. */
void vsi_sqlite_settle(void *connection);

#endif
