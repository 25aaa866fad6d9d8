/* SPDX-License-Identifier: MIT */
/* Schemas: tables with and without rowid, generated columns, foreign keys, indexes of all kinds, views, triggers,
 * virtual tables, TEMP tables and views; and changes of the schema. */
#include <stdio.h>

#include "sqlite/oracle.h"

#define chance oracle_chance

enum { SQL_BYTES = ORACLE_SQL_BYTES, DOCUMENTS = 260 };

const char *oracle_table(char name[8]) {
  snprintf(name, 8, "t%u", chance(ORACLE_TABLES));
  return name;
}

static void table_sql(oracle_world *w, int number, char sql[SQL_BYTES]) {
  static const char *const generated[] = {"", ", g AS (a + b)", ", g AS (a * 2) STORED"};
  w->without_rowid[number] = chance(3) == 0;
  const char *key = w->without_rowid[number] ? "k INTEGER, id INTEGER"
                    : chance(3)              ? "k, id INTEGER PRIMARY KEY"
                                             : "k, id";
  const char *end = w->without_rowid[number] ? ", PRIMARY KEY(k, id)) WITHOUT ROWID" : ")";
  const char *parent = number == 1 && chance(2) ? " REFERENCES t0(u) ON DELETE CASCADE ON UPDATE CASCADE" : "";
  snprintf(sql, SQL_BYTES, "CREATE TABLE t%d(%s, a INT, b INT, c TEXT, d, e%s, u INT%s%s%s", number, key, parent,
           number == 0 || chance(4) == 0 ? " UNIQUE" : "", generated[chance(3)], end);
}

static void index_sql(oracle_world *w, char sql[SQL_BYTES]) {
  static const char *const of[] = {"a",    "b, c", "a) WHERE (b > 3", "a + b",      "e",
                                   "k, a", "c, d", "u, a, b",         "k, id DESC", "e DESC, u"};
  char name[8];
  snprintf(sql, SQL_BYTES, "CREATE INDEX IF NOT EXISTS i%d ON %s(%s)", w->indexes++ % 12, oracle_table(name),
           of[chance(10)]);
}

static void view_sql(int number, char sql[SQL_BYTES]) {
  snprintf(sql, SQL_BYTES, "DROP VIEW IF EXISTS v%d; CREATE VIEW v%d AS SELECT k, a, b, c FROM t%u WHERE a < %u",
           number, number, chance(ORACLE_TABLES), 5 + chance(20));
}

static void make_trigger(oracle_world *w, int number) {
  char sql[SQL_BYTES];
  unsigned to = chance(ORACLE_TABLES - 1) + 1; /* never into t0, so that triggers do not recurse */
  static const char *const when[] = {"INSERT", "UPDATE OF a", "DELETE"};
  snprintf(sql, sizeof sql, "CREATE TRIGGER r%d AFTER %s ON t0 BEGIN UPDATE t%u SET b = b + 1 WHERE k = %s.k; END",
           number, when[number % 3], to, number % 3 == 2 ? "old" : "new");
  oracle_must(w->db[ORACLE_WRITER], sql);
}

static void make_virtual(sqlite3 *db) {
  char sql[SQL_BYTES];
  oracle_must(db, "CREATE VIRTUAL TABLE doc USING fts5(text); INSERT INTO doc(doc, rank) VALUES('automerge', 0);"
                  "CREATE VIRTUAL TABLE word USING fts5vocab(doc, 'row');"
                  "CREATE VIRTUAL TABLE old_doc USING fts4(text);"
                  "CREATE VIRTUAL TABLE box USING rtree(id, left, right)");
  for (int i = 0; i < DOCUMENTS; i++) {
    snprintf(sql, sizeof sql,
             "INSERT INTO doc(rowid, text) VALUES(%d, 'w%u w%u q%u q%u'); INSERT INTO old_doc(docid, text) VALUES(%d, "
             "'w%u w%u'); INSERT INTO box VALUES(%d, %u, %u)",
             i, chance(100), chance(100), chance(1000), chance(1000), i, chance(100), chance(100), i, chance(1000),
             1000 + chance(100));
    oracle_must(db, sql);
  }
  if (chance(2)) oracle_must(db, "INSERT INTO doc(doc) VALUES('optimize')");
}

void oracle_schema_make_temporary(const oracle_world *w, sqlite3 *db) {
  char sql[SQL_BYTES];
  snprintf(sql, sizeof sql, "ATTACH '%s' AS side", w->side);
  oracle_must(db, sql);
  oracle_must(db, "CREATE TEMP TABLE own(k, name); INSERT INTO own VALUES(1, 'one'), (3, 'three'), (5, 'five');"
                  "CREATE TEMP VIEW both AS SELECT x.k, x.b, y.c FROM t1 x JOIN t2 y USING(k, a);"
                  "CREATE TEMP VIEW same AS SELECT count(*) AS n FROM (SELECT k, a FROM t2) NATURAL JOIN (SELECT k, a "
                  "FROM t3);"
                  "CREATE TEMP VIEW v9 AS SELECT a, e FROM t3 WHERE e < 4");
}

void oracle_schema_row(const oracle_world *w, char sql[ORACLE_ROW_BYTES]) {
  char text[4] = {(char)('a' + chance(8)), (char)('a' + chance(26)), '\0'};
  unsigned len = w->is_long && chance(5) == 0 ? oracle_long_bytes() : chance(12) == 0 ? 500 + chance(4000) : chance(30);
  snprintf(sql, ORACLE_ROW_BYTES, "%u, %u, %u, %u, '%s', %s(%u), %u, %u", chance(12), chance(400), chance(25),
           chance(10), text, chance(2) ? "zeroblob" : "hex", len, chance(6), chance(300));
}

void oracle_schema_make(oracle_world *w) {
  sqlite3 *db = w->db[ORACLE_WRITER];
  char sql[SQL_BYTES];
  oracle_must(db, "BEGIN");
  for (int i = 0; i < ORACLE_TABLES; i++) {
    table_sql(w, i, sql);
    oracle_must(db, sql);
  }
  for (unsigned i = w->is_plain ? 0 : chance(7); i--;) {
    index_sql(w, sql);
    oracle_must(db, sql);
  }
  for (int i = 0; w->is_keyed && i < ORACLE_TABLES; i++) {
    snprintf(sql, sizeof sql, "CREATE INDEX key%d ON t%d(k, a%s); CREATE INDEX e%d ON t%d(e)", i, i,
             chance(2) ? " DESC" : "", i, i);
    oracle_must(db, sql);
  }
  if (w->is_long) oracle_long_make(w);
  for (int i = 0; i < ORACLE_VIEWS; i++) {
    view_sql(i, sql);
    oracle_must(db, sql);
  }
  for (int i = 0; i < 3; i++)
    if (!w->is_plain && chance(2)) make_trigger(w, i);
  if (w->has_virtual) make_virtual(db);
  for (unsigned i = 30 + chance(chance(3) ? 100 : 400); i--;) {
    char row[ORACLE_ROW_BYTES], name[8];
    oracle_schema_row(w, row);
    snprintf(sql, sizeof sql, "INSERT OR IGNORE INTO %s(k, id, a, b, c, d, e, u) VALUES(%s)", oracle_table(name), row);
    (void)oracle_try(w, ORACLE_WRITER, sql);
  }
  oracle_must(db, "COMMIT");
}

void oracle_schema_change(oracle_world *w, oracle_who who) {
  static const char *const defaults[] = {"", " DEFAULT 1", " DEFAULT 'open'", " DEFAULT NULL", " INT DEFAULT '7'"};
  char sql[SQL_BYTES], made[SQL_BYTES], name[8];
  unsigned one = chance(ORACLE_TABLES), two = (one + 1) % ORACLE_TABLES, column = chance(ORACLE_ADDED);
  oracle_table(name);
  if (w->has_temporary && who == ORACLE_READER) who = ORACLE_WRITER; /* RENAME would rewrite the reader's own views */
  switch (chance(15)) {
  case 0:
  case 1: index_sql(w, sql); break;
  case 2: snprintf(sql, sizeof sql, "DROP INDEX IF EXISTS i%u", chance(12)); break;
  case 3:
  case 4: view_sql((int)chance(ORACLE_VIEWS), sql); break;
  case 5:
  case 6:
  case 7:
  case 8: snprintf(sql, sizeof sql, "ALTER TABLE %s ADD COLUMN z%u%s", name, column, defaults[chance(5)]); break;
  case 9: snprintf(sql, sizeof sql, "ALTER TABLE %s DROP COLUMN z%u", name, column); break;
  case 10:
    snprintf(sql, sizeof sql, "ALTER TABLE %s RENAME COLUMN z%u TO z%u", name, column, chance(ORACLE_ADDED));
    break;
  case 11:
    snprintf(sql, sizeof sql,
             "BEGIN; ALTER TABLE t%u RENAME TO t; ALTER TABLE t%u RENAME TO t%u; ALTER TABLE t RENAME TO t%u; COMMIT",
             one, two, one, two);
    break;
  case 12:
    if (one == 0) one = 2;
    table_sql(w, (int)one, made);
    snprintf(sql, sizeof sql, "BEGIN; DROP TABLE t%u; %.600s; INSERT INTO t%u(k, id, a) VALUES(1, 1, 1); COMMIT", one,
             made, one);
    break;
  case 13: snprintf(sql, sizeof sql, "PRAGMA user_version = %u", chance(100)); break;
  default: snprintf(sql, sizeof sql, w->is_analyzed ? "ANALYZE" : "REINDEX"); break;
  }
  oracle_note(w, sql);
  (void)oracle_try(w, who, sql);
}
