/* SPDX-License-Identifier: MIT */
/* The statements of one connection that are kept prepared. */
#ifndef VSI_SQLITE_STATEMENTS_H
#define VSI_SQLITE_STATEMENTS_H

#include <sqlite3.h>
#include <stdbool.h>

#include "base/memory.h"

typedef struct vsi_sqlite_prepared {
  sqlite3_stmt *statement;
  uint64_t used;     /* the look that has found it last */
  bool is_borrowers; /* it was given out, until all are reset: it is neither finalized nor used otherwise */
} vsi_sqlite_prepared;

typedef struct vsi_sqlite_statements {
  const vestry_host *host;
  vsi_sqlite_prepared *all;
  size_t count, room, most;
  uint64_t looks, prepared;
} vsi_sqlite_statements;

/* Zeroed before. OK | NO_MEMORY */
vestry_err vsi_sqlite_statements_init(vsi_sqlite_statements *statements, const vestry_host *host, size_t most);
/* Before the connection is closed. */
void vsi_sqlite_statements_finish(vsi_sqlite_statements *statements);
/* One that is reset and not in use, prepared unless it is there. Without a place for it the one used longest ago is
 * finalized; if all are in use, or given out, there are more for a while.
 *  is_borrowers  it is given out: it stays what and where it is until all are reset
 *  Returns  a result of SQLite's */
int vsi_sqlite_statements_find(vsi_sqlite_statements *statements, sqlite3 *db, const char *sql, bool is_borrowers,
                               sqlite3_stmt **ret_statement);
/* All are reset, without bindings, and none is given out; those that are too many are finalized. */
void vsi_sqlite_statements_reset(vsi_sqlite_statements *statements);

#endif
