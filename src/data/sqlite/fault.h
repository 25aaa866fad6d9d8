/* SPDX-License-Identifier: MIT */
/* Failures of SQLite: error codes, and one line in the log for each, which names the function, the file, the reason and
 * a remedy. */
#ifndef VSI_SQLITE_FAULT_H
#define VSI_SQLITE_FAULT_H

#include <sqlite3.h>
#include <stdbool.h>

#include "base/memory.h"
#include "data/sql/call.h"
#include "vestry/error.h"

/* Return the error for a result of SQLite. Nothing is logged.
 *  Returns  OK (also for ROW and DONE) | NO_MEMORY | BUSY | TOO_LARGE | LIMIT (disk full) | IO */
vestry_err vsi_sqlite_code(int result);
/* Log a result of SQLite that ends the call, unless it is OK.
 *  db     has details; NULL: none
 *  doing  the operation: "it cannot be opened"
 *  Returns  vsi_sqlite_code */
vestry_err vsi_sqlite_fail(const vsi_call *call, sqlite3 *db, int result, const char *doing);

/* Same as vsi_sqlite_fail, but LIMIT for a failure that may pass by itself: another program writes, the disk is full or
 * fails, or the process has no descriptor left. Call it directly after the failure, because the connection has its
 * system error only until the next call. */
vestry_err vsi_sqlite_fail_passing(const vsi_call *call, sqlite3 *db, int result, const char *doing);

/* Return whether a message about a statement that cannot be prepared cites a value of it. */
bool vsi_sqlite_text_cites(const char *message);

#endif
