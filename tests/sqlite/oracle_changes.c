/* SPDX-License-Identifier: MIT */
/* The commits: rows, transactions, blobs, statements that are stepped once, the schema, the file. */
#include <stdio.h>

#include "sqlite/oracle.h"

#define chance oracle_chance

enum { SQL_BYTES = ORACLE_SQL_BYTES };

/* Statements that change no byte, or none that a hook reports. */
static void make_idle(char *sql, const char *one, unsigned k) {
  switch (chance(9)) {
  case 0: snprintf(sql, SQL_BYTES, "UPDATE %s SET c = c WHERE k = %u", one, k); return;
  case 1: snprintf(sql, SQL_BYTES, "UPDATE %s SET a = a, e = e", one); return;
  case 2:
    snprintf(
        sql, SQL_BYTES,
        "INSERT INTO %s(k, id, a, u) SELECT k, id, a, u FROM %s WHERE k = %u LIMIT 2 ON CONFLICT DO UPDATE SET e = e",
        one, one, k);
    return;
  case 3: snprintf(sql, SQL_BYTES, "UPDATE %s SET e = e WHERE id = %u", one, chance(400)); return;
  case 4: snprintf(sql, SQL_BYTES, "BEGIN IMMEDIATE; COMMIT"); return;
  case 5: snprintf(sql, SQL_BYTES, "UPDATE %s SET b = b + NULL WHERE b IS NULL AND k = %u", one, k); return;
  case 6:
  case 7:
    snprintf(sql, SQL_BYTES,
             "INSERT OR REPLACE INTO %s(k, id, a, b, c, d, e, u) SELECT k, id, a, b, c, d, e, u FROM %s WHERE k = %u "
             "LIMIT %u",
             one, one, k, 1 + chance(3));
    return;
  default: snprintf(sql, SQL_BYTES, "DELETE FROM %s WHERE k = 999", one); return;
  }
}

static void make_added(char *sql, const char *one, unsigned k) {
  unsigned column = chance(ORACLE_ADDED);
  switch (chance(4)) {
  case 0: snprintf(sql, SQL_BYTES, "UPDATE %s SET z%u = NULL WHERE k = %u", one, column, k); return;
  case 1: snprintf(sql, SQL_BYTES, "UPDATE %s SET z%u = NULL WHERE id = %u", one, column, chance(400)); return;
  case 2: snprintf(sql, SQL_BYTES, "UPDATE %s SET z%u = 'open' WHERE k = %u", one, column, k); return;
  default:
    snprintf(sql, SQL_BYTES, "UPDATE %s SET z%u = %u WHERE id = %u", one, column, chance(3), chance(400));
    return;
  }
}

static void make_virtual(char *sql) {
  unsigned id = chance(320), n = chance(100);
  switch (chance(9)) {
  case 0:
  case 1: snprintf(sql, SQL_BYTES, "INSERT INTO doc(text) VALUES('w%u q%u')", n, chance(1000)); return;
  case 2: snprintf(sql, SQL_BYTES, "DELETE FROM doc WHERE rowid = %u", id); return;
  case 3: snprintf(sql, SQL_BYTES, "UPDATE doc SET text = 'w%u' WHERE rowid = %u", n, id); return;
  case 4: snprintf(sql, SQL_BYTES, "INSERT INTO doc(doc) VALUES('%s')", chance(2) ? "optimize" : "rebuild"); return;
  case 5: snprintf(sql, SQL_BYTES, "INSERT INTO old_doc(text) VALUES('w%u')", n); return;
  case 6: snprintf(sql, SQL_BYTES, "DELETE FROM old_doc WHERE docid = %u", id); return;
  case 7: snprintf(sql, SQL_BYTES, "INSERT INTO box VALUES(NULL, %u, %u)", n, 1000 + n); return;
  default: snprintf(sql, SQL_BYTES, "UPDATE box SET left = %u WHERE id = %u", n, id); return;
  }
}

/* Keys of one or several rows change. */
static void make_keyed(char *sql, const char *one, unsigned k) {
  unsigned id = chance(400), other = chance(12);
  switch (chance(9)) {
  case 0:
  case 1: snprintf(sql, SQL_BYTES, "UPDATE OR IGNORE %s SET k = %u WHERE k = %u", one, other, k); return;
  case 2: snprintf(sql, SQL_BYTES, "UPDATE OR IGNORE %s SET k = %u WHERE id < 200 AND k = %u", one, other, k); return;
  case 3: snprintf(sql, SQL_BYTES, "UPDATE %s SET e = %u WHERE k = %u", one, other, k); return;
  case 4: snprintf(sql, SQL_BYTES, "UPDATE %s SET a = a + 1, e = %u WHERE e = %u", one, other, chance(6)); return;
  case 5: snprintf(sql, SQL_BYTES, "UPDATE OR REPLACE %s SET id = %u WHERE id = %u", one, chance(400), id); return;
  case 6: snprintf(sql, SQL_BYTES, "UPDATE OR IGNORE %s SET id = id + 1 WHERE k = %u", one, k); return;
  case 7: snprintf(sql, SQL_BYTES, "DELETE FROM %s WHERE k = %u AND id < %u", one, k, id); return;
  default: snprintf(sql, SQL_BYTES, "UPDATE %s SET e = %s WHERE k = %u", one, chance(2) ? "NULL" : "'2'", k); return;
  }
}

static void make_change(const oracle_world *w, char *sql) {
  char one[8], two[8], row[ORACLE_ROW_BYTES];
  unsigned k = chance(12), n = chance(25);
  oracle_table(one);
  oracle_table(two);
  oracle_schema_row(w, row);
  if (w->is_long && chance(2)) {
    oracle_long_change(sql);
    return;
  }
  unsigned how = chance(30);
  if (how < 3) {
    make_idle(sql, one, k);
    return;
  }
  if (how == 3) {
    make_added(sql, one, k);
    return;
  }
  if (how < 10 && w->has_virtual) {
    make_virtual(sql);
    return;
  }
  if (w->is_keyed && chance(3) == 0) {
    make_keyed(sql, one, k);
    return;
  }
  if (w->is_plain && chance(4)) {
    unsigned tail = chance(50);
    switch (chance(4)) {
    case 0: snprintf(sql, SQL_BYTES, "UPDATE %s SET d = hex(zeroblob(%u)) WHERE k = %u", one, chance(120), k); return;
    case 1:
      snprintf(sql, SQL_BYTES, "UPDATE %s SET d = hex(zeroblob(%u)) WHERE id %% 50 = %u", one, chance(120), tail);
      return;
    case 2: snprintf(sql, SQL_BYTES, "UPDATE %s SET a = %u WHERE id %% 50 = %u", one, n, tail); return;
    default: snprintf(sql, SQL_BYTES, "UPDATE %s SET a = %u WHERE k = %u", one, n, k); return;
    }
  }
  switch (chance(31)) {
  case 0:
  case 1:
  case 2:
  case 3:
  case 4:
  case 5:
  case 6:
  case 7: snprintf(sql, SQL_BYTES, "INSERT INTO %s(k, id, a, b, c, d, e, u) VALUES(%s)", one, row); return;
  case 8:
  case 9: snprintf(sql, SQL_BYTES, "INSERT OR REPLACE INTO %s(k, id, a, b, c, d, e, u) VALUES(%s)", one, row); return;
  case 10: snprintf(sql, SQL_BYTES, "UPDATE %s SET a = %u WHERE id = %u", one, n, chance(400)); return;
  case 11: snprintf(sql, SQL_BYTES, "UPDATE %s SET b = b + 1 WHERE k = %u", one, k); return;
  case 12:
    snprintf(sql, SQL_BYTES, "UPDATE OR IGNORE %s SET k = %u WHERE k = %u AND a = %u", one, k, chance(12), n);
    return;
  case 13: snprintf(sql, SQL_BYTES, "UPDATE OR REPLACE %s SET id = id + 1 WHERE k = %u AND a = %u", one, k, n); return;
  case 14:
    snprintf(sql, SQL_BYTES, "UPDATE %s SET d = hex(zeroblob(%u)) WHERE id = %u", one, chance(3000), chance(400));
    return;
  case 15:
    snprintf(sql, SQL_BYTES, "UPDATE %s SET d = substr(d, 1, length(d) - 1) || 'x' WHERE k = %u AND length(d) > 900",
             one, k);
    return;
  case 16:
  case 17: snprintf(sql, SQL_BYTES, "DELETE FROM %s WHERE id = %u", one, chance(400)); return;
  case 18: snprintf(sql, SQL_BYTES, "DELETE FROM %s WHERE k = %u AND a > %u", one, k, n); return;
  case 19: snprintf(sql, SQL_BYTES, chance(20) ? "UPDATE %s SET c = c WHERE k = 1" : "DELETE FROM %s", one); return;
  case 20:
    snprintf(sql, SQL_BYTES,
             "INSERT OR IGNORE INTO %s(k, id, a, b, c, d, e, u) SELECT k, id + 1, a, b, c, d, e, u + 300 FROM %s WHERE "
             "k = %u LIMIT 30",
             one, two, k);
    return;
  case 21: snprintf(sql, SQL_BYTES, "UPDATE %s SET e = e + 1 WHERE k = %u", one, k); return;
  case 22: snprintf(sql, SQL_BYTES, "UPDATE %s SET u = u + 1000 WHERE u = %u", one, chance(300)); return;
  case 23: snprintf(sql, SQL_BYTES, "UPDATE %s SET c = '%c' || c WHERE k = %u", one, 'a' + (int)chance(9), k); return;
  case 24:
    snprintf(sql, SQL_BYTES, "INSERT INTO %s(k, id, a, b, c, d, e, u) VALUES(%s) ON CONFLICT DO UPDATE SET e = 9", one,
             row);
    return;
  case 25:
    snprintf(
        sql, SQL_BYTES,
        "UPDATE %s SET e = y.e FROM (SELECT k, max(e) AS e FROM %s GROUP BY k) AS y WHERE y.k = %s.k AND %s.a = %u",
        one, two, one, one, n);
    return;
  case 26: snprintf(sql, SQL_BYTES, "DELETE FROM %s WHERE k IN (SELECT k FROM %s WHERE a = %u)", one, two, n); return;
  case 27: snprintf(sql, SQL_BYTES, "UPDATE OR IGNORE %s SET b = NULL, u = NULL WHERE k = %u", one, k); return;
  case 28: snprintf(sql, SQL_BYTES, "UPDATE %s SET c = upper(c), b = b WHERE k = %u", one, k); return;
  case 29:
    snprintf(sql, SQL_BYTES, "UPDATE OR IGNORE %s SET k = %u.0, id = %u WHERE id = %u", one, k, chance(400),
             chance(400));
    return;
  default: snprintf(sql, SQL_BYTES, "UPDATE %s SET d = '%u' WHERE k = %u", one, n, k); return;
  }
}

static void write_blob(oracle_world *w, sqlite3 *db) {
  sqlite3_blob *blob;
  char name[8], text[40];
  int row = (int)chance(400);
  snprintf(text, sizeof text, "-- a blob of row %d of %s", row, oracle_table(name));
  oracle_note(w, text);
  if (!sqlite3_blob_open(db, "main", name, "d", row, 1, &blob)) {
    int len = sqlite3_blob_bytes(blob);
    if (len) (void)sqlite3_blob_write(blob, chance(4) ? "Z" : "0", 1, (int)chance((unsigned)len));
  }
  sqlite3_blob_close(blob);
}

/* Step a statement once, as callers do that need only the first returned row. It commits in its reset. */
static void step_once(oracle_world *w, oracle_who who, char *sql) {
  sqlite3_stmt *once = NULL;
  strcat(sql, chance(2) ? " RETURNING k" : " RETURNING a, b");
  oracle_note(w, sql);
  oracle_note(w, "-- stepped once");
  bool is_reset = chance(3) == 0;
  if (who == ORACLE_PROCESS) {
    oracle_process_step(sql);
    return;
  }
  if (sqlite3_prepare_v2(w->db[who], sql, -1, &once, NULL)) return;
  (void)sqlite3_step(once);
  if (is_reset) (void)sqlite3_reset(once);
  sqlite3_finalize(once);
}

void oracle_change(oracle_world *w, oracle_who who) {
  char sql[SQL_BYTES + 40];
  /* Pages in the WAL are read through the cache, pages in the file past it. */
  if (w->is_long && chance(3) == 0) (void)oracle_try(w, who, "PRAGMA wal_checkpoint(PASSIVE)");
  unsigned how = chance(40);
  if (how < (w->is_long ? 10 : 1) && who != ORACLE_PROCESS) {
    write_blob(w, w->db[who]);
    return;
  }
  make_change(w, sql);
  if (how < 8 && strncmp(sql, "BEGIN", 5) != 0) {
    step_once(w, who, sql);
    return;
  }
  oracle_note(w, sql);
  (void)oracle_try(w, who, sql);
}

/* The same transaction also writes to another file or to TEMP, perhaps exclusively. */
static void change_beside(oracle_world *w, oracle_who who) {
  static const char *const all[] = {"INSERT INTO side.log VALUES(1)", "UPDATE side.log SET x = x + 1",
                                    "CREATE TEMP TABLE IF NOT EXISTS mine(x)", "INSERT INTO temp.mine VALUES(1)"};
  const char *sql = all[chance(4)];
  oracle_note(w, sql);
  (void)oracle_try(w, who, sql);
}

/* The other process receives a transaction as one text, and does not roll back to savepoints. */
static void change_together_elsewhere(oracle_world *w) {
  char all[4 * SQL_BYTES - 200], sql[SQL_BYTES];
  size_t len = (size_t)snprintf(all, sizeof all, "BEGIN");
  for (unsigned i = 1 + chance(5); i--;) {
    make_change(w, sql);
    if (strncmp(sql, "BEGIN", 5) == 0 || len + strlen(sql) + 20 > sizeof all) continue;
    oracle_note(w, sql);
    len += (size_t)snprintf(all + len, sizeof all - len, "; %s", sql);
  }
  snprintf(all + len, sizeof all - len, "; COMMIT");
  (void)oracle_process_run(all);
}

static void change_together(oracle_world *w, oracle_who who) {
  if (who == ORACLE_PROCESS) {
    change_together_elsewhere(w);
    return;
  }
  if (!oracle_try(w, who, chance(2) ? "BEGIN IMMEDIATE" : "BEGIN")) return;
  for (unsigned i = 1 + chance(5); i--;) {
    unsigned how = chance(8);
    if (how == 0) (void)oracle_try(w, who, "SAVEPOINT s");
    if (how == 1 && w->has_temporary && who < ORACLE_READER)
      change_beside(w, who);
    else
      oracle_change(w, who);
    if (how == 0 && chance(2)) {
      oracle_note(w, "ROLLBACK TO s");
      (void)oracle_try(w, who, "ROLLBACK TO s");
    }
  }
  const char *end = chance(5) ? "COMMIT" : "ROLLBACK";
  oracle_note(w, end);
  (void)oracle_try(w, who, end);
}

static void maintain_file(oracle_world *w, oracle_who who) {
  static const char *const all[] = {"PRAGMA wal_checkpoint(PASSIVE)",
                                    "PRAGMA wal_checkpoint(FULL)",
                                    "PRAGMA wal_checkpoint(RESTART)",
                                    "PRAGMA wal_checkpoint(TRUNCATE)",
                                    "PRAGMA incremental_vacuum(3)",
                                    "PRAGMA incremental_vacuum",
                                    "PRAGMA mmap_size = 268435456",
                                    "PRAGMA cache_size = 7",
                                    "PRAGMA cache_spill = 2",
                                    "PRAGMA shrink_memory",
                                    "PRAGMA optimize",
                                    "PRAGMA journal_mode = TRUNCATE",
                                    "PRAGMA journal_mode = PERSIST",
                                    "PRAGMA journal_mode = MEMORY",
                                    "PRAGMA journal_mode = DELETE",
                                    "PRAGMA reverse_unordered_selects = 1",
                                    "VACUUM",
                                    "REINDEX",
                                    "PRAGMA journal_mode = WAL"};
  const char *sql = all[chance(chance(4) ? 16 : 19)];
  /* The mode also affects the other connections, and decides how the file is followed. */
  if (strcmp(sql, "PRAGMA journal_mode = WAL") == 0 && (w->is_alone || chance(6))) return;
  if (w->is_wal && strncmp(sql, "PRAGMA journal_mode", 19) == 0) return;
  oracle_note(w, sql);
  (void)oracle_try(w, who, sql);
}

/* A connection requests exclusive locking, mostly in vain, and continues normally. */
static void exclude(oracle_world *w, oracle_who who) {
  (void)oracle_try(w, who, "PRAGMA main.locking_mode = EXCLUSIVE");
  oracle_change(w, who);
  (void)oracle_try(w, who, "PRAGMA main.locking_mode = NORMAL; SELECT count(*) FROM sqlite_schema");
}

static oracle_who random_writer(const oracle_world *w) {
  static const oracle_who all[] = {ORACLE_WRITER, ORACLE_WRITER, ORACLE_WRITER, ORACLE_SECOND,
                                   ORACLE_SECOND, ORACLE_READER, ORACLE_OTHER,  ORACLE_OTHER};
  unsigned at = chance(10);
  if (w->is_alone) return ORACLE_READER;
  return at < 8 ? all[at] : w->has_process ? ORACLE_PROCESS : ORACLE_OTHER;
}

oracle_step oracle_commit(oracle_world *w) {
  static const char *const names[] = {"-- writer", "-- second", "-- reader", "-- not attached", "", "-- elsewhere"};
  oracle_who who = random_writer(w);
  unsigned how = chance(100);
  w->last_count = 0;
  oracle_note(w, names[who]);
  oracle_step is = who < ORACLE_OTHER                      ? ORACLE_OF_ATTACHED
                   : who == ORACLE_PROCESS && w->has_peers ? ORACLE_OF_PEERS
                                                           : ORACLE_OF_OTHERS;
  if (how < 45) {
    oracle_change(w, who);
  } else if (how < 58) {
    change_together(w, who);
  } else if (how < 60) {
    oracle_schema_change(w, who);
    is = ORACLE_OF_SCHEMA;
  } else if (how < 64) {
    maintain_file(w, who);
    is = ORACLE_OF_SCHEMA;
  } else if (how < 65 && who < ORACLE_READER && !w->is_alone && !w->is_wal) {
    exclude(w, who);
  } else {
    for (unsigned i = 2 + chance(7); i--;) {
      who = random_writer(w);
      oracle_note(w, names[who]);
      oracle_change(w, who);
    }
    is = ORACLE_OF_SEVERAL;
  }
  return is;
}
