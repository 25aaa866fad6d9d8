/* SPDX-License-Identifier: MIT */
/* Versions of the tables that vestry has in an application's database.
 *
 * Each part of this library that has tables there has a name and a version of its own, in the table vestry_schema:
 * `user_version` is the application's. So a program gets the tables of the parts that it uses, and need not mind those
 * of others. A new part is a list of steps beside the code that uses its tables:
 *
 *      static const char *const steps[] = {"CREATE TABLE vestry_x(…) STRICT"}; // a new version: one more at the end
 *      static const vsi_sql_schema schema = {"x", steps, sizeof steps / sizeof *steps};
 *      error = vsi_sqlite_schema_bring(&call, db, &schema);
 *
 * A step that was released is never changed. */
#ifndef VSI_SQLITE_SCHEMA_H
#define VSI_SQLITE_SCHEMA_H

#include "data/sql/sql.h"
#include "data/sqlite/fault.h"

/* The number that a query's one row says, such as a version; `argument` is its ?1, NULL: it has none.
 *  Returns  what SQLite says; DONE: there is no row */
int vsi_sqlite_ask(sqlite3 *db, const char *sql, const char *argument, int *ret_number);

/* Make the tables of a part, or bring them to this version, in one transaction. It is one look where they are of this
 * version. Processes may do it at once.
 *  db  outside of a transaction, with a busy timeout
 *  Returns  OK | NO_MEMORY | BUSY | LIMIT (full) | IO (also: they are of a later version; the file is as it was); what
 *           fails is logged */
vestry_err vsi_sqlite_schema_bring(const vsi_call *call, sqlite3 *db, const vsi_sql_schema *schema);

#endif
