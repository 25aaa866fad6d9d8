/* SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <string.h>

#include "sqlite/oracle.h"

bool oracle_try(oracle_world *w, oracle_who who, const char *sql) {
  char *message = NULL;
  if (who == ORACLE_PROCESS) return oracle_process_run(sql);
  int result = sqlite3_exec(w->db[who], sql, NULL, NULL, &message);
  if (result && result != SQLITE_CONSTRAINT && result != SQLITE_BUSY && result != SQLITE_LOCKED &&
      result != SQLITE_ERROR)
    fail_msg("%s: %s", sql, message);
  sqlite3_free(message);
  /* A COMMIT that finds the file busy leaves the transaction open; the following thread locks the file for moments. */
  if (result && strstr(sql, "COMMIT") && !sqlite3_get_autocommit(w->db[who])) (void)oracle_try(w, who, "ROLLBACK");
  return !result;
}

void oracle_must(sqlite3 *db, const char *sql) {
  char *message = NULL;
  sqlite3_busy_timeout(db, 10000);
  if (sqlite3_exec(db, sql, NULL, NULL, &message)) fail_msg("%s: %s", sql, message);
  sqlite3_busy_timeout(db, 0);
}

static uint64_t mix(uint64_t hash, const void *data, size_t len) {
  const unsigned char *at = data;
  for (uint64_t word; len >= sizeof word; at += sizeof word, len -= sizeof word) {
    memcpy(&word, at, sizeof word);
    hash = (hash ^ word) * UINT64_C(0x9e3779b97f4a7c15);
    hash ^= hash >> 32;
  }
  for (; len; at++, len--) hash = (hash ^ *at) * UINT64_C(1099511628211);
  return hash;
}

static uint64_t hash_row(sqlite3_stmt *row) {
  uint64_t hash = UINT64_C(14695981039346656037);
  for (int i = 0, count = sqlite3_column_count(row); i < count; i++) {
    int type = sqlite3_column_type(row, i);
    const void *text = sqlite3_column_blob(row, i);
    hash = mix(hash, &type, sizeof type);
    hash = mix(hash, text, (size_t)sqlite3_column_bytes(row, i));
  }
  return hash;
}

/* Hash the rows, with or without their order. */
static uint64_t run(sqlite3_stmt *statement, bool is_ordered) {
  uint64_t all = 7;
  int result;
  while ((result = sqlite3_step(statement)) == SQLITE_ROW) {
    uint64_t hash = hash_row(statement);
    all = is_ordered ? mix(all, &hash, sizeof hash) : all + hash * 31;
  }
  if (result != SQLITE_DONE) all = (uint64_t)result & 0xff; /* an error is a result too */
  sqlite3_reset(statement);
  return all;
}

static void bind(sqlite3_stmt *statement, const oracle_query *query) {
  for (int i = 0; i < 2; i++) {
    char text[12];
    switch (query->value_types[i]) {
    case 'i': sqlite3_bind_int(statement, i + 1, query->values[i]); break;
    case 'r': sqlite3_bind_double(statement, i + 1, query->values[i]); break;
    case 't':
      snprintf(text, sizeof text, "%d", query->values[i]);
      sqlite3_bind_text(statement, i + 1, text, -1, SQLITE_TRANSIENT);
      break;
    default: sqlite3_bind_null(statement, i + 1); break;
    }
  }
}

uint64_t oracle_ask(sqlite3 *db, const oracle_query *query, sqlite3_stmt **kept) {
  sqlite3_stmt *statement = kept ? *kept : NULL;
  if (!statement) {
    if (sqlite3_prepare_v2(db, query->sql, -1, &statement, NULL)) return 1;
    bind(statement, query);
  }
  uint64_t result = run(statement, query->is_ordered);
  if (kept)
    *kept = statement;
  else
    sqlite3_finalize(statement);
  return result;
}

void oracle_note(oracle_world *w, const char *sql) {
  if (w->last_count < ORACLE_STATEMENTS_MOST) snprintf(w->last_sql[w->last_count++], ORACLE_SQL_BYTES, "%s", sql);
}
