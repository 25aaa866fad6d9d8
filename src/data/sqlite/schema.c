/* SPDX-License-Identifier: MIT */
#include "data/sqlite/schema.h"

#include <stdio.h>
#include <string.h>

#include "data/sqlite/turn.h"

enum { TURN_MS = 5000 };

int vsi_sqlite_ask(sqlite3 *db, const char *sql, const char *argument, int *ret_number) {
  sqlite3_stmt *statement = NULL;
  int result = sqlite3_prepare_v2(db, sql, -1, &statement, NULL);
  if (!result && argument) result = sqlite3_bind_text(statement, 1, argument, -1, SQLITE_STATIC);
  if (!result) result = sqlite3_step(statement);
  if (result == SQLITE_ROW) *ret_number = sqlite3_column_int(statement, 0);
  sqlite3_finalize(statement);
  return result == SQLITE_ROW ? SQLITE_OK : result;
}

/* Read the version of a part; 0: it has no tables. */
static int read_version(sqlite3 *db, const char *part, int *ret_version) {
  int has_table = 0;
  *ret_version = 0;
  if (!part) return vsi_sqlite_ask(db, "PRAGMA user_version", NULL, ret_version);
  int result =
      vsi_sqlite_ask(db, "SELECT count(*) FROM main.sqlite_schema WHERE name = 'vestry_schema'", NULL, &has_table);
  if (result || !has_table) return result;
  return vsi_sqlite_ask(db, "SELECT max(version) FROM vestry_schema WHERE part = ?1", part, ret_version);
}

/* A step that adds a column is its only statement, because SQLite has no IF NOT EXISTS for columns. */
static int take_step(sqlite3 *db, const char *step) {
  const int result = vsi_sqlite_exec(db, step);
  return result && strncmp(sqlite3_errmsg(db), "duplicate column", strlen("duplicate column")) == 0 ? SQLITE_OK
                                                                                                    : result;
}

/* Bring a part of this library from a version to the current one. */
static int bring_part(sqlite3 *db, const vsi_sql_schema *schema, int version) {
  char sql[320];
  int result =
      vsi_sqlite_exec(db, "CREATE TABLE IF NOT EXISTS vestry_schema(version INTEGER NOT NULL, part TEXT NOT NULL"
                          " DEFAULT 'tab') STRICT");
  for (int i = version; !result && i < schema->version; i++) result = take_step(db, schema->steps[i]);
  snprintf(sql, sizeof sql,
           "DELETE FROM vestry_schema WHERE part = '%s'; INSERT INTO vestry_schema(version, part) VALUES(%d, '%s')",
           schema->part, schema->version, schema->part);
  return result ? result : vsi_sqlite_exec(db, sql);
}

static int bring_application(sqlite3 *db, const vsi_sql_schema *schema) {
  char sql[64];
  snprintf(sql, sizeof sql, "PRAGMA user_version = %d", schema->version);
  const int result = vsi_sqlite_exec(db, schema->steps[0]);
  return result ? result : vsi_sqlite_exec(db, sql);
}

static int take_steps(sqlite3 *db, const vsi_sql_schema *schema, int *ret_version) {
  int result = vsi_sqlite_exec(db, "BEGIN IMMEDIATE");
  if (!result) result = read_version(db, schema->part, ret_version); /* another process may have been faster */
  if (!result && *ret_version < schema->version)
    result = schema->part ? bring_part(db, schema, *ret_version) : bring_application(db, schema);
  return result ? result : vsi_sqlite_exec(db, "COMMIT");
}

vestry_err vsi_sqlite_schema_check(const vsi_call *call, sqlite3 *db, const vsi_sql_schema *schema, int *ret_version) {
  vestry_err error = vsi_sqlite_fail(call, db, read_version(db, schema->part, ret_version), "cannot read the database");
  return error ? error : vsi_sql_schema_result(call, schema, *ret_version, VESTRY_OK, NULL);
}

vestry_err vsi_sqlite_schema_bring(const vsi_call *call, sqlite3 *db, const vsi_sql_schema *schema) {
  int version;
  vsi_sqlite_turn turn = {.fd = -1};
  vestry_err error = vsi_sqlite_schema_check(call, db, schema, &version);
  if (error || version >= schema->version) return error;
  (void)vsi_sqlite_turn_open(&turn, db, false);
  vsi_sqlite_turn_take(&turn, TURN_MS);
  const int result = take_steps(db, schema, &version);
  vsi_sqlite_turn_close(&turn);
  error = schema->is_optional ? vsi_sqlite_code(result) : vsi_sqlite_fail(call, db, result, "cannot create the tables");
  error = vsi_sql_schema_result(call, schema, version, error, sqlite3_errmsg(db));
  if (!sqlite3_get_autocommit(db)) vsi_sqlite_exec(db, "ROLLBACK");
  return error;
}
