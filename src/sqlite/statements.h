/* SPDX-License-Identifier: MIT */
/* The statements of one connection that are kept prepared. */
#ifndef VSI_SQLITE_STATEMENTS_H
#define VSI_SQLITE_STATEMENTS_H

#include <sqlite3.h>

#include "base/memory.h"

typedef struct vsi_sqlite_prepared {
  sqlite3_stmt *statement;
  uint64_t used; /* the look that has found it last */
} vsi_sqlite_prepared;

typedef struct vsi_sqlite_statements {
  const vestry_host *host;
  vsi_sqlite_prepared *all;
  size_t count, most;
  uint64_t looks, prepared;
} vsi_sqlite_statements;

/* Zeroed before. OK | NO_MEMORY */
vestry_err vsi_sqlite_statements_init(vsi_sqlite_statements *statements, const vestry_host *host, size_t most);
/* Before the connection is closed. */
void vsi_sqlite_statements_finish(vsi_sqlite_statements *statements);
/* One that is reset and not in use, prepared unless it is there. Without a place for it the one used longest ago is
 * finalized; NOMEM if all are in use. A result of SQLite's */
int vsi_sqlite_statements_find(vsi_sqlite_statements *statements, sqlite3 *db, const char *sql,
                               sqlite3_stmt **ret_statement);
/* All are reset, without bindings. */
void vsi_sqlite_statements_reset(vsi_sqlite_statements *statements);

#endif
