/* SPDX-License-Identifier: MIT */
/* Versions of the tables that vestry has in an application's database.
 *
 * Each part of this library that has tables there has a name and a version, in the table vestry_schema, because
 * `user_version` belongs to the application. So a program gets the tables of the parts that it uses, independently of
 * the others. A new part is a list of steps next to the code that uses its tables:
 *
 *      static const char *const steps[] = {"CREATE TABLE IF NOT EXISTS vestry_x(…) STRICT"}; // a version each
 *      static const vsi_sql_schema schema = {"x", steps, sizeof steps / sizeof *steps};
 *      error = vsi_sqlite_schema_bring(&call, db, &schema);
 *
 * A step that was released must never change. */
#ifndef VSI_SQLITE_SCHEMA_H
#define VSI_SQLITE_SCHEMA_H

#include "data/sql/sql.h"
#include "data/sqlite/fault.h"

/* Run statements whose rows are not needed. Returns a result of SQLite. */
static inline int vsi_sqlite_exec(sqlite3 *db, const char *sql) {
  return sqlite3_exec(db, sql, NULL, NULL, NULL);
}

/* Run a query with one row, and get its number, for example a version. `argument` is bound to ?1; NULL: none.
 *  Returns  a result of SQLite; DONE: there is no row */
int vsi_sqlite_ask(sqlite3 *db, const char *sql, const char *argument, int *ret_number);

/* Read the version of the tables of a part. Without a part they are those of the application, whose version is
 * `user_version`, and whose only step brings them from any version to the current one.
 *  Returns  OK | IO (also: a later version) | the errors of vsi_sqlite_fail; failures are logged */
vestry_err vsi_sqlite_schema_check(const vsi_call *call, sqlite3 *db, const vsi_sql_schema *schema, int *ret_version);
/* Create the tables of a part, or bring them to this version, in one transaction; if they have this version, only a
 * read is necessary. Processes may do this concurrently.
 *  db  outside of a transaction, with a busy timeout
 *  Returns  vsi_sql_schema_result, of OK | NO_MEMORY | BUSY | LIMIT (disk full) | IO; failures are logged */
vestry_err vsi_sqlite_schema_bring(const vsi_call *call, sqlite3 *db, const vsi_sql_schema *schema);

#endif
