/* SPDX-License-Identifier: MIT */
/* What is said when SQLite refuses something: for people, one line in the log, which names the function that was
 * called, the file, what is wrong, and what helps. */
#ifndef VSI_SQLITE_FAULT_H
#define VSI_SQLITE_FAULT_H

#include <sqlite3.h>

#include "base/call.h"
#include "base/memory.h"
#include "vestry/error.h"

/* What a result of SQLite's is here. Nothing is logged.
 *  Returns  OK (ROW and DONE, too) | NO_MEMORY | BUSY | TOO_LARGE | LIMIT (full) | IO */
vestry_err vsi_sqlite_code(int result);
/* A result of SQLite's that ends the call: logged, unless it is OK.
 *  db     says more about it; NULL: none
 *  doing  what was tried: "it cannot be opened"
 *  Returns  vsi_sqlite_code */
vestry_err vsi_sqlite_fail(const vsi_call *call, sqlite3 *db, int result, const char *doing);
/* The same for what goes on: what a program has to expect then (locked, too large, no memory) is not logged. */
vestry_err vsi_sqlite_note(const vsi_call *call, sqlite3 *db, int result, const char *doing);

#endif
