/* SPDX-License-Identifier: MIT */
/* Values of many pages: read completely, in parts and as blobs; changed at one byte, extended, cut. SQLite stores
 * the part that does not fit on a row's page on a chain of overflow pages, and writes only the overflow pages whose
 * bytes change. */
#include <stdio.h>
#include <stdlib.h>

#include "sqlite/oracle.h"

#define chance oracle_chance

enum { SQL_BYTES = ORACLE_SQL_BYTES, MOST_BYTES = 300 << 6 };

/* Choose an offset within a value: near its beginning, or anywhere. */
static unsigned place(void) {
  return chance(4) ? chance(300u << chance(6)) : chance(200);
}

unsigned oracle_long_bytes(void) {
  return (300u << chance(6)) + chance(300);
}

/* piece(table, row, from, count): part of column d, read from a blob in pieces. */
static void piece(sqlite3_context *context, int count, sqlite3_value **arguments) {
  sqlite3_blob *blob = NULL;
  sqlite3 *db = sqlite3_context_db_handle(context);
  const char *table = (const char *)sqlite3_value_text(arguments[0]);
  int from = sqlite3_value_int(arguments[2]), wanted = sqlite3_value_int(arguments[3]),
      part = 1 + (from + wanted) % 900;
  char *taken = malloc(MOST_BYTES * 4);
  assert_non_null(taken);
  assert_int_equal(count, 4);
  int result = sqlite3_blob_open(db, "main", table, "d", sqlite3_value_int64(arguments[1]), 0, &blob), at = 0;
  int len = result ? 0 : sqlite3_blob_bytes(blob);
  if (wanted > len - from) wanted = len - from;
  if (wanted > MOST_BYTES * 4) wanted = MOST_BYTES * 4;
  while (!result && at < wanted) {
    int bytes = part < wanted - at ? part : wanted - at;
    result = sqlite3_blob_read(blob, taken + at, bytes, from + at);
    at += bytes;
  }
  if (result)
    sqlite3_result_int(context, result == SQLITE_ERROR ? -1 : result); /* a number or NULL has no blob */
  else
    sqlite3_result_blob(context, taken, at, SQLITE_TRANSIENT);
  (void)sqlite3_blob_close(blob);
  free(taken);
}

void oracle_long_prepare(sqlite3 *db) {
  assert_int_equal(sqlite3_create_function(db, "piece", 4, SQLITE_UTF8, NULL, piece, NULL, NULL), SQLITE_OK);
}

void oracle_long_make(oracle_world *w) {
  char sql[SQL_BYTES];
  for (int i = 0; i < ORACLE_TABLES; i++) { /* their keys are long, too */
    if (chance(3)) continue;
    snprintf(sql, sizeof sql, "CREATE INDEX long%d ON t%d(%s)", i, i, chance(2) ? "d" : "k, d");
    oracle_must(w->db[ORACLE_WRITER], sql);
  }
}

bool oracle_long_query(char *sql) {
  char one[8], two[8];
  unsigned k = chance(12), id = chance(400), at = 1 + place(), bytes = 1 + chance(300u << chance(6));
  oracle_table(one);
  oracle_table(two);
  switch (chance(16)) {
  case 0:
  case 1: snprintf(sql, SQL_BYTES, "SELECT d FROM %s WHERE id = %u", one, id); return false;
  case 2: snprintf(sql, SQL_BYTES, "SELECT * FROM %s WHERE k = %u", one, k); return false;
  case 3: snprintf(sql, SQL_BYTES, "SELECT substr(d, %u, %u) FROM %s WHERE k = %u", at, bytes, one, k); return false;
  case 4: snprintf(sql, SQL_BYTES, "SELECT substr(d, -%u) FROM %s WHERE id = %u", at, one, id); return false;
  case 5: snprintf(sql, SQL_BYTES, "SELECT id, instr(d, 'Z') FROM %s WHERE k = %u", one, k); return false;
  case 6:
  case 7:
    snprintf(sql, SQL_BYTES, "SELECT typeof(d), piece('%s', rowid, %u, %u) FROM %s WHERE k = %u", one, at, bytes, one,
             k);
    return false;
  case 8:
    snprintf(sql, SQL_BYTES, "SELECT length(d), piece('%s', rowid, 0, 100000) FROM %s WHERE id = %u", one, one, id);
    return false;
  /* Columns behind the long value. */
  case 9: snprintf(sql, SQL_BYTES, "SELECT e, u FROM %s WHERE id = %u", one, id); return false;
  case 10: snprintf(sql, SQL_BYTES, "SELECT count(DISTINCT d) FROM %s WHERE k < %u", one, k); return true;
  case 11: snprintf(sql, SQL_BYTES, "SELECT max(d), min(substr(d, %u)) FROM %s", at, one); return true;
  case 12: snprintf(sql, SQL_BYTES, "SELECT a FROM %s WHERE d LIKE '%%Z%%' AND k = %u", one, k); return false;
  case 13:
    snprintf(sql, SQL_BYTES, "SELECT x.id FROM %s x JOIN %s y ON x.d = y.d AND x.k = %u AND length(y.d) > 999", one,
             two, k);
    return false;
  case 14:
    snprintf(sql, SQL_BYTES, "SELECT id, d FROM %s WHERE d > 'Z' ORDER BY d DESC, id LIMIT %u", one, 1 + chance(3));
    return true;
  default:
    snprintf(sql, SQL_BYTES, "SELECT sum(length(replace(d, 'Z', ''))) FROM %s WHERE k = %u", one, k);
    return true;
  }
}

void oracle_long_change(char *sql) {
  char one[8], letter = (char)(chance(3) ? 'Z' : 'a' + (int)chance(8));
  unsigned k = chance(12), id = chance(400), at = 1 + place();
  oracle_table(one);
  switch (chance(12)) {
  case 0:
  case 1:
  case 2:
    snprintf(sql, SQL_BYTES,
             "UPDATE %s SET d = substr(d, 1, %u) || '%c' || substr(d, %u) WHERE k = %u AND length(d) > %u", one, at,
             letter, at + 2, k, at);
    return;
  case 3:
  case 4:
  case 5:
    snprintf(sql, SQL_BYTES,
             "UPDATE %s SET d = substr(d, 1, %u) || '%c' || substr(d, %u) WHERE id %% 40 = %u AND length(d) > %u", one,
             at, letter, at + 2, id % 40, at);
    return;
  case 6:
    snprintf(sql, SQL_BYTES, "UPDATE %s SET d = hex(zeroblob(%u)) WHERE id = %u", one, oracle_long_bytes(), id);
    return;
  case 7:
    snprintf(sql, SQL_BYTES, "UPDATE %s SET d = d || hex(zeroblob(%u)) WHERE id %% 50 = %u AND length(d) < 20000", one,
             chance(600), id % 50);
    return;
  case 8:
    snprintf(sql, SQL_BYTES, "UPDATE %s SET d = substr(d, 1, length(d) / 2) WHERE k = %u AND length(d) > 2000", one, k);
    return;
  case 9: snprintf(sql, SQL_BYTES, "UPDATE %s SET e = %u WHERE k = %u AND length(d) > 900", one, chance(6), k); return;
  case 10: snprintf(sql, SQL_BYTES, "DELETE FROM %s WHERE k = %u AND length(d) > %u", one, k, 1000 + at); return;
  default:
    snprintf(sql, SQL_BYTES, "INSERT OR REPLACE INTO %s(k, id, a, d, u) VALUES(%u, %u, 1, hex(zeroblob(%u)), %u)", one,
             k, id, oracle_long_bytes(), chance(300));
    return;
  }
}
