/* SPDX-License-Identifier: MIT */
#include "sqlite/statements.h"

vestry_err vsi_sqlite_statements_init(vsi_sqlite_statements *statements, const vestry_host *host, size_t most) {
  statements->host = host;
  statements->most = most;
  statements->all = vsi_calloc(host, most, sizeof *statements->all);
  return statements->all ? VESTRY_OK : VESTRY_NO_MEMORY;
}

void vsi_sqlite_statements_finish(vsi_sqlite_statements *statements) {
  for (size_t i = 0; i < statements->count; i++) sqlite3_finalize(statements->all[i].statement);
  vsi_free(statements->host, statements->all);
  statements->all = NULL;
  statements->count = 0;
}

/* One that runs, in the function of one of its rows, say, has another beside it. */
static vsi_sqlite_prepared *look(vsi_sqlite_statements *statements, const char *sql) {
  for (size_t i = 0; i < statements->count; i++) {
    vsi_sqlite_prepared *at = &statements->all[i];
    if (strcmp(sqlite3_sql(at->statement), sql) == 0 && !sqlite3_stmt_busy(at->statement)) return at;
  }
  return NULL;
}

/* A place; NULL: there is none. */
static vsi_sqlite_prepared *make_place(vsi_sqlite_statements *statements) {
  vsi_sqlite_prepared *oldest = NULL;
  if (statements->count < statements->most) return &statements->all[statements->count++];
  for (size_t i = 0; i < statements->count; i++) {
    vsi_sqlite_prepared *at = &statements->all[i];
    if (!sqlite3_stmt_busy(at->statement) && (!oldest || at->used < oldest->used)) oldest = at;
  }
  if (oldest) sqlite3_finalize(oldest->statement);
  return oldest;
}

int vsi_sqlite_statements_find(vsi_sqlite_statements *statements, sqlite3 *db, const char *sql,
                               sqlite3_stmt **ret_statement) {
  vsi_sqlite_prepared *found = look(statements, sql);
  if (found) {
    found->used = ++statements->looks;
    *ret_statement = found->statement;
    return SQLITE_OK;
  }
  sqlite3_stmt *made = NULL;
  int result = sqlite3_prepare_v3(db, sql, -1, SQLITE_PREPARE_PERSISTENT, &made, NULL);
  if (!result && !made) result = SQLITE_MISUSE; /* nothing but a comment */
  if (result) return result;
  found = make_place(statements);
  if (!found) {
    sqlite3_finalize(made);
    return SQLITE_NOMEM; /* statements inside of statements, of which there are only so many */
  }
  *found = (vsi_sqlite_prepared){made, ++statements->looks};
  statements->prepared++;
  *ret_statement = made;
  return SQLITE_OK;
}

void vsi_sqlite_statements_reset(vsi_sqlite_statements *statements) {
  for (size_t i = 0; i < statements->count; i++) {
    if (sqlite3_stmt_busy(statements->all[i].statement)) sqlite3_reset(statements->all[i].statement);
    sqlite3_clear_bindings(statements->all[i].statement);
  }
}
