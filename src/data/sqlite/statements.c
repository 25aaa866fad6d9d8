/* SPDX-License-Identifier: MIT */
#include "data/sqlite/statements.h"

#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/ascii.h"
#include "data/sql/syntax.h"

const char *vsi_sqlite_text_rest(const char *sql) {
  for (;;) {
    while (vsi_is_space(*sql) || *sql == '\v' || *sql == ';') sql++;
    const bool is_comment = (sql[0] == '-' && sql[1] == '-') || (sql[0] == '/' && sql[1] == '*');
    if (!is_comment) return sql;
    sql = vsi_sql_skip(VSI_SQL_SQLITE, sql);
  }
}

bool vsi_sqlite_text_begins(const char *sql, const char *const *words) {
  for (sql = vsi_sqlite_text_rest(sql); *words; words++) {
    const size_t len = strlen(*words);
    if (sqlite3_strnicmp(sql, *words, (int)len) == 0 && !vsi_sql_is_word(sql[len])) return true;
  }
  return false;
}

bool vsi_sqlite_is_odd_action(int action, const char *schema) {
  return action == SQLITE_CREATE_TEMP_TABLE || action == SQLITE_CREATE_TEMP_VIEW || action == SQLITE_ATTACH ||
         action == SQLITE_DETACH || (action == SQLITE_CREATE_VTABLE && schema && sqlite3_stricmp(schema, "temp") == 0);
}

/* Return whether a PRAGMA with an argument leaves no setting that the next transaction of the connection must not have.
 * Most of these query the schema, do something with the file, or set a value in the file. defer_foreign_keys ends with
 * its transaction, and max_page_count bounds the size of the file. */
static bool leaves_nothing(const char *pragma) {
  static const char *const words[] = {"table_info",         "table_xinfo",  "table_list",       "index_info",
                                      "index_xinfo",        "index_list",   "foreign_key_list", "foreign_key_check",
                                      "integrity_check",    "quick_check",  "optimize",         "wal_checkpoint",
                                      "incremental_vacuum", "user_version", "application_id",   "defer_foreign_keys",
                                      "max_page_count"};
  for (size_t i = 0; i < sizeof words / sizeof *words; i++)
    if (sqlite3_stricmp(pragma, words[i]) == 0) return true;
  return false;
}

bool vsi_sqlite_leaves(int action, const char *first, const char *second, const char *schema) {
  if (action == SQLITE_PRAGMA) return second && !leaves_nothing(first);
  return action == SQLITE_CREATE_TEMP_TRIGGER || vsi_sqlite_is_odd_action(action, schema);
}

vestry_err vsi_sqlite_statements_init(vsi_sqlite_statements *statements, const vestry_host *host, size_t most) {
  statements->host = host;
  statements->most = statements->room = most;
  statements->all = vsi_calloc(host, most, sizeof *statements->all);
  return statements->all ? VESTRY_OK : VESTRY_NO_MEMORY;
}

void vsi_sqlite_statements_finish(vsi_sqlite_statements *statements) {
  for (size_t i = 0; i < statements->count; i++) sqlite3_finalize(statements->all[i].statement);
  vsi_free(statements->host, statements->all);
  statements->all = NULL;
  statements->count = 0;
}

/* Return whether a text is that of a statement. SQLite keeps it up to its semicolon. */
static bool is_text_of(const vsi_sqlite_prepared *prepared, const char *sql, size_t len) {
  const size_t own = prepared->len;
  return len >= own && (len == own || !sql[own + strspn(sql + own, " \t\r\n;")]) &&
         memcmp(sqlite3_sql(prepared->statement), sql, own) == 0;
}

/* Find a kept statement. If it is running, for example in a function that receives its rows, a second one is
 * prepared. */
static vsi_sqlite_prepared *look(vsi_sqlite_statements *statements, const char *sql) {
  const size_t len = strlen(sql);
  for (size_t i = 0; i < statements->count; i++) {
    vsi_sqlite_prepared *at = &statements->all[i];
    if (is_text_of(at, sql, len) && !sqlite3_stmt_busy(at->statement)) return at;
  }
  return NULL;
}

/* Return the least recently used statement that is not in use; NULL: all are in use. */
static vsi_sqlite_prepared *oldest_of(vsi_sqlite_statements *statements) {
  vsi_sqlite_prepared *oldest = NULL;
  for (size_t i = 0; i < statements->count; i++) {
    vsi_sqlite_prepared *at = &statements->all[i];
    if (!sqlite3_stmt_busy(at->statement) && (!oldest || at->used < oldest->used)) oldest = at;
  }
  return oldest;
}

/* Find room for a statement; NULL: no memory. There are more than `most` only while statements are nested deeper than
 * that. */
static vsi_sqlite_prepared *make_place(vsi_sqlite_statements *statements) {
  for (vsi_sqlite_prepared *oldest; statements->count >= statements->most && (oldest = oldest_of(statements));) {
    sqlite3_finalize(oldest->statement);
    *oldest = statements->all[--statements->count];
  }
  if (VSI_ARRAY_RESERVE(statements->host, statements->all, statements->count, statements->room, 1)) return NULL;
  return &statements->all[statements->count++];
}

size_t vsi_sqlite_statements_value(const vsi_sqlite_prepared *prepared, int parameter) {
  const char *name = sqlite3_bind_parameter_name(prepared->statement, parameter);
  return name && *name == '$' ? strtoul(name + 1, NULL, 10) : (size_t)parameter;
}

int vsi_sqlite_statements_find(vsi_sqlite_statements *statements, sqlite3 *db, const char *sql,
                               const vsi_sqlite_prepared **ret_prepared) {
  vsi_sqlite_prepared *found = look(statements, sql);
  if (found) {
    found->used = ++statements->looks;
    *ret_prepared = found;
    return SQLITE_OK;
  }
  sqlite3_stmt *made = NULL;
  const char *tail = "";
  int result = sqlite3_prepare_v3(db, sql, -1, SQLITE_PREPARE_PERSISTENT, &made, &tail);
  if (!result && !made) result = SQLITE_MISUSE; /* only a comment */
  if (!result && *vsi_sqlite_text_rest(tail)) result = VSI_SQLITE_SEVERAL;
  found = result ? NULL : make_place(statements);
  if (!result && !found) result = SQLITE_NOMEM;
  if (result) {
    sqlite3_finalize(made);
    return result;
  }
  *found = (vsi_sqlite_prepared){.statement = made,
                                 .used = ++statements->looks,
                                 .len = strlen(sqlite3_sql(made)),
                                 .parameters_count = sqlite3_bind_parameter_count(made)};
  statements->prepared++;
  *ret_prepared = found;
  return SQLITE_OK;
}
