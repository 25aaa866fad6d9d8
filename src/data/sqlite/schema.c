/* SPDX-License-Identifier: MIT */
#include "data/sqlite/schema.h"

#include <stdio.h>
#include <string.h>

/* The existing tables. */
typedef struct state {
  bool has_table, has_parts; /* vestry_schema; and its column `part`, which was added later */
  bool is_lost;              /* the tables of the part exist, but vestry_schema has no version of them */
  int version;               /* of the requested part; 0: none */
} state;

int vsi_sqlite_ask(sqlite3 *db, const char *sql, const char *argument, int *ret_number) {
  sqlite3_stmt *statement = NULL;
  int result = sqlite3_prepare_v2(db, sql, -1, &statement, NULL);
  if (!result && argument) result = sqlite3_bind_text(statement, 1, argument, -1, SQLITE_STATIC);
  if (!result) result = sqlite3_step(statement);
  if (result == SQLITE_ROW) *ret_number = sqlite3_column_int(statement, 0);
  sqlite3_finalize(statement);
  return result == SQLITE_ROW ? SQLITE_OK : result;
}

static int look_for(sqlite3 *db, const char *column, bool *ret_is_there) {
  int result = sqlite3_table_column_metadata(db, "main", "vestry_schema", column, NULL, NULL, NULL, NULL, NULL);
  *ret_is_there = result == SQLITE_OK;
  return result == SQLITE_ERROR ? SQLITE_OK : result; /* ERROR: no such column or table */
}

static int read_found(sqlite3 *db, const char *part, state *ret_found) {
  *ret_found = (state){0};
  /* The connection may know an earlier schema; a statement reads it again. */
  int result = vsi_sqlite_exec(db, "SELECT 1 FROM sqlite_schema LIMIT 1");
  if (!result) result = look_for(db, "version", &ret_found->has_table);
  if (!result) result = look_for(db, "part", &ret_found->has_parts);
  if (result || !ret_found->has_table || (!ret_found->has_parts && strcmp(part, "tab") != 0)) return result;
  if (!ret_found->has_parts)
    return vsi_sqlite_ask(db, "SELECT max(version) FROM vestry_schema", NULL, &ret_found->version);
  return vsi_sqlite_ask(db, "SELECT max(version) FROM vestry_schema WHERE part = ?1", part, &ret_found->version);
}

static int note_version(sqlite3 *db, const vsi_sql_schema *schema, const state *found) {
  char sql[320];
  int result = SQLITE_OK;
  if (!found->has_table)
    result = vsi_sqlite_exec(
        db, "CREATE TABLE vestry_schema(version INTEGER NOT NULL, part TEXT NOT NULL DEFAULT 'tab') STRICT");
  else if (!found->has_parts)
    result = vsi_sqlite_exec(db, "ALTER TABLE vestry_schema ADD COLUMN part TEXT NOT NULL DEFAULT 'tab'");
  snprintf(sql, sizeof sql,
           "DELETE FROM vestry_schema WHERE part = '%s'; INSERT INTO vestry_schema(version, part) VALUES(%d, '%s')",
           schema->part, schema->version, schema->part);
  return result ? result : vsi_sqlite_exec(db, sql);
}

static int take_step(sqlite3 *db, const char *step, bool may_exist) {
  int result = vsi_sqlite_exec(db, "SAVEPOINT vestry_step");
  if (!result) result = vsi_sqlite_exec(db, step);
  if (result == SQLITE_ERROR && may_exist) result = vsi_sqlite_exec(db, "ROLLBACK TO vestry_step");
  return result ? result : vsi_sqlite_exec(db, "RELEASE vestry_step");
}

static int take_steps(sqlite3 *db, const vsi_sql_schema *schema, state *ret_found) {
  int result = vsi_sqlite_exec(db, "BEGIN IMMEDIATE");
  if (!result) result = read_found(db, schema->part, ret_found); /* another process may have been faster */
  if (!result && ret_found->version < schema->version) {
    int count = 0;
    char name[VSI_SQL_NAME_BYTES];
    vsi_sql_first_name(schema, name);
    result = vsi_sqlite_ask(db, "SELECT count(*) FROM sqlite_schema WHERE name = ?1", name, &count);
    ret_found->is_lost = !ret_found->version && count;
    for (int at = ret_found->version; !result && at < schema->version; at++)
      result = take_step(db, schema->steps[at], ret_found->is_lost);
    if (!result) result = note_version(db, schema, ret_found);
  }
  return result ? result : vsi_sqlite_exec(db, "COMMIT");
}

vestry_err vsi_sqlite_schema_bring(const vsi_call *call, sqlite3 *db, const vsi_sql_schema *schema) {
  state found;
  int result = read_found(db, schema->part, &found);
  if (!result && found.version < schema->version) result = take_steps(db, schema, &found);
  vestry_err error = vsi_sqlite_fail(call, db, result, "cannot create vestry's tables");
  if (!sqlite3_get_autocommit(db)) vsi_sqlite_exec(db, "ROLLBACK");
  if (!error && found.is_lost) vsi_sql_log_lost_version(call, schema);
  if (error || found.version <= schema->version) return error;
  return vsi_refuse(call, VESTRY_IO,
                    "vestry's tables (%s) have version %d, but this version of vestry supports at most version %d; "
                    "nothing was changed; use the program that wrote them, or a later vestry",
                    schema->part, found.version, schema->version);
}
