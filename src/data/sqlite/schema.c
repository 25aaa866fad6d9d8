/* SPDX-License-Identifier: MIT */
#include "data/sqlite/schema.h"

#include <stdio.h>
#include <string.h>

#include "data/sqlite/turn.h"

enum { TURN_MS = 5000 };

/* The existing tables. */
typedef struct state {
  bool has_table, has_parts; /* vestry_schema; and its column `part`, which was added later */
  vsi_sql_found found;       /* of the requested part */
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

static int find_column(sqlite3 *db, const char *table, const char *column, bool *ret_is_there) {
  int result = sqlite3_table_column_metadata(db, "main", table, column, NULL, NULL, NULL, NULL, NULL);
  *ret_is_there = result == SQLITE_OK;
  return result == SQLITE_ERROR ? SQLITE_OK : result; /* ERROR: no such column or table */
}

/* Find out whether the object or the column that a statement creates exists. */
static int find_object(sqlite3 *db, const vsi_sql_statement *at, bool *ret_is_there) {
  int count = 0;
  if (*at->column) return find_column(db, at->name, at->column, ret_is_there);
  /* A view instead of a table is not enough: the creation of the table reports it. */
  int result =
      vsi_sqlite_ask(db, "SELECT count(*) FROM main.sqlite_schema WHERE name = ?1 COLLATE NOCASE AND type <> 'view'",
                     at->name, &count);
  *ret_is_there = count > 0;
  return result;
}

static int read_version(sqlite3 *db, const char *part, const state *of, int *ret_version) {
  if (!of->has_table || (!of->has_parts && strcmp(part, "tab") != 0)) return SQLITE_OK;
  if (!of->has_parts) return vsi_sqlite_ask(db, "SELECT max(version) FROM vestry_schema", NULL, ret_version);
  return vsi_sqlite_ask(db, "SELECT max(version) FROM vestry_schema WHERE part = ?1", part, ret_version);
}

static int look(sqlite3 *db, const vsi_sql_schema *schema, state *ret_state) {
  int version = 0;
  *ret_state = (state){0};
  /* The connection may know an earlier schema; a statement reads it again. */
  int result = vsi_sqlite_exec(db, "SELECT 1 FROM sqlite_schema LIMIT 1");
  if (!result) result = find_column(db, "vestry_schema", "version", &ret_state->has_table);
  if (!result) result = find_column(db, "vestry_schema", "part", &ret_state->has_parts);
  if (!result) result = read_version(db, schema->part, ret_state, &version);
  ret_state->found.version = version;
  if (version > schema->version) return result;
  for (vsi_sql_statement at = {0}; !result && vsi_sql_next_statement(schema, &at);) {
    bool is_there = false;
    if (!*at.name) continue;
    result = find_object(db, &at, &is_there);
    if (!result) vsi_sql_note_object(&ret_state->found, &at, is_there);
  }
  return result;
}

static int note_version(sqlite3 *db, const vsi_sql_schema *schema, const state *of) {
  char sql[320];
  int result = SQLITE_OK;
  if (!of->has_table)
    result = vsi_sqlite_exec(
        db, "CREATE TABLE vestry_schema(version INTEGER NOT NULL, part TEXT NOT NULL DEFAULT 'tab') STRICT");
  else if (!of->has_parts)
    result = vsi_sqlite_exec(db, "ALTER TABLE vestry_schema ADD COLUMN part TEXT NOT NULL DEFAULT 'tab'");
  snprintf(sql, sizeof sql,
           "DELETE FROM vestry_schema WHERE part = '%s'; INSERT INTO vestry_schema(version, part) VALUES(%d, '%s')",
           schema->part, schema->version, schema->part);
  return result ? result : vsi_sqlite_exec(db, sql);
}

static int run_one(sqlite3 *db, const vsi_sql_statement *at) {
  sqlite3_stmt *statement = NULL;
  int result = sqlite3_prepare_v2(db, at->sql, (int)at->len, &statement, NULL);
  if (!result) result = sqlite3_step(statement);
  sqlite3_finalize(statement);
  return result == SQLITE_DONE ? SQLITE_OK : result;
}

static int take_steps(sqlite3 *db, const vsi_sql_schema *schema, state *is) {
  state now;
  vsi_sqlite_turn turn = {.fd = -1};
  (void)vsi_sqlite_turn_open(&turn, db, false);
  vsi_sqlite_turn_take(&turn, TURN_MS);
  int result = vsi_sqlite_exec(db, "BEGIN IMMEDIATE");
  if (!result) result = look(db, schema, &now);
  if (!result) *is = now; /* another process may have been faster */
  if (!result && vsi_sql_is_behind(&is->found, schema)) {
    for (vsi_sql_statement at = {0}; !result && vsi_sql_next_statement(schema, &at);)
      if (vsi_sql_is_due(&is->found, &at)) result = run_one(db, &at);
    if (!result) result = note_version(db, schema, is);
  }
  if (!result) result = vsi_sqlite_exec(db, "COMMIT");
  vsi_sqlite_turn_close(&turn);
  return result;
}

vestry_err vsi_sqlite_schema_bring(const vsi_call *call, sqlite3 *db, const vsi_sql_schema *schema) {
  state is;
  vestry_err error = VESTRY_OK;
  int result = look(db, schema, &is);
  const bool is_read = !result;
  if (!result && vsi_sql_is_behind(&is.found, schema)) result = take_steps(db, schema, &is);
  const bool goes_without = result && result != SQLITE_NOMEM && is_read && vsi_sql_has_due(&is.found, schema, true);
  if (goes_without)
    vsi_sql_log_missing_indexes(call, schema, &is.found, sqlite3_errmsg(db));
  else
    error = vsi_sqlite_fail(call, db, result, "cannot create vestry's tables");
  if (!sqlite3_get_autocommit(db)) vsi_sqlite_exec(db, "ROLLBACK");
  if (!error && !goes_without) vsi_sql_log_repaired(call, schema, &is.found);
  if (error || is.found.version <= schema->version) return error;
  return vsi_refuse(call, VESTRY_IO,
                    "vestry's tables (%s) have version %d, but this version of vestry supports at most version %d; "
                    "nothing was changed; use the program that wrote them, or a later vestry",
                    schema->part, (int)is.found.version, schema->version);
}
