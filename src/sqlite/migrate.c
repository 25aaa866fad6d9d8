/* The tables that vestry has in an application's database, and their version, in a table too: `user_version` is the
 * application's. */
#include <stdio.h>

#include "sqlite/sqlite.h"

/* What brings the version before to this one. */
static const char *const steps[] = {
    "CREATE TABLE vestry_tab(scope BLOB NOT NULL, tab BLOB NOT NULL, data BLOB NOT NULL, expires INTEGER NOT NULL,"
    " PRIMARY KEY(scope, tab)) STRICT, WITHOUT ROWID;"
    "CREATE INDEX vestry_tab_expires ON vestry_tab(expires)"};
enum { VERSION = sizeof steps / sizeof *steps };

/* 0: there is none. */
static int read_version(sqlite3 *db, int *ret_version) {
  sqlite3_stmt *statement = NULL;
  *ret_version = 0;
  int result = sqlite3_prepare_v2(db, "SELECT 1 FROM sqlite_schema WHERE name = 'vestry_schema'", -1, &statement, NULL);
  if (!result) result = sqlite3_step(statement);
  sqlite3_finalize(statement);
  if (result != SQLITE_ROW) return result == SQLITE_DONE ? SQLITE_OK : result;
  result = sqlite3_prepare_v2(db, "SELECT max(version) FROM vestry_schema", -1, &statement, NULL);
  if (!result) result = sqlite3_step(statement);
  if (result == SQLITE_ROW) *ret_version = sqlite3_column_int(statement, 0);
  sqlite3_finalize(statement);
  return result == SQLITE_ROW ? SQLITE_OK : result;
}

static int take_steps(sqlite3 *db, int *ret_version) {
  char sql[160];
  int result = sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL);
  if (!result) result = read_version(db, ret_version); /* another process may have been quicker */
  if (!result && *ret_version == 0)
    result = sqlite3_exec(db, "CREATE TABLE vestry_schema(version INTEGER NOT NULL) STRICT", NULL, NULL, NULL);
  int before = *ret_version;
  for (; !result && *ret_version < VERSION; ++*ret_version)
    result = sqlite3_exec(db, steps[*ret_version], NULL, NULL, NULL);
  if (!result && before < VERSION) {
    snprintf(sql, sizeof sql, "DELETE FROM vestry_schema; INSERT INTO vestry_schema VALUES(%d)", *ret_version);
    result = sqlite3_exec(db, sql, NULL, NULL, NULL);
  }
  if (!result) result = sqlite3_exec(db, "COMMIT", NULL, NULL, NULL);
  return result;
}

vestry_err vsi_sqlite_migrate(vestry_sqlite *database) {
  sqlite3 *db = database->writer_db;
  int version;
  int result = read_version(db, &version);
  if (!result && version < VERSION) result = take_steps(db, &version);
  vestry_err error = vsi_sqlite_fault(database, db, result, "vestry's tables cannot be made");
  if (!sqlite3_get_autocommit(db)) sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL);
  if (error || version <= VERSION) return error;
  vsi_sqlite_log(database->host, VESTRY_LOG_ERROR, "SQLite, %s: vestry's tables are of version %d, this one knows %d",
                 database->path, version, VERSION);
  return VESTRY_IO;
}
