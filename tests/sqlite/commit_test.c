/* SPDX-License-Identifier: MIT */
/* A commit refreshes the pages that depend on it, after every connection can read it, and never for rolled-back
 * changes. */
#include <sys/stat.h>
#include <unistd.h>

#include "app/page/topic.h"
#include "data/sqlite/sqlite.h"
#include "sqlite/ledger.h"

/* The mode before the file is followed, which sets WAL mode. */
static const char *const modes[] = {"wal", "delete"};
#define EACH_MODE(mode) for (const char *const *mode = modes; mode < modes + sizeof modes / sizeof *modes; mode++)

/* Wraps the refreshes of commits, and records how many rows another connection reads at that moment. */
static ledger *observed;
static int visible;
static size_t refreshes;
uint64_t __real_vsi_pages_refresh_used(vestry_pages *pages, vsi_used_topic *topics, size_t count);
uint64_t __wrap_vsi_pages_refresh_used(vestry_pages *pages, vsi_used_topic *topics, size_t count);

uint64_t __wrap_vsi_pages_refresh_used(vestry_pages *pages, vsi_used_topic *topics, size_t count) {
  refreshes += count;
  if (observed) visible = ledger_number(observed->reader, "SELECT count(*) FROM t");
  return __real_vsi_pages_refresh_used(pages, topics, count);
}

static void open_watched(ledger *s, const char *mode) {
  ledger_open(s, mode, NULL);
  ledger_watch(s, "t");
  ledger_watch(s, "k");
  ledger_watch(s, "child");
  ledger_watch(s, "log");
  refreshes = 0;
}

/* Return the pages rendered since the last call, as bits: t, k, child, log. A sync afterwards must render none. */
static unsigned seen(ledger *s) {
  unsigned bits = 0;
  ledger_sync(s);
  for (unsigned i = 0; i < 4; i++)
    if (ledger_seen(s, s->tables[i])) bits |= 1u << i;
  ledger_sync(s);
  for (unsigned i = 0; i < 4; i++) assert_int_equal(ledger_seen(s, s->tables[i]), 0);
  return bits;
}
enum { T = 1, K = 2, CHILD = 4, LOG = 8, ALL = 15 };

static void forget_seen(ledger *s) {
  ledger_sync(s);
  for (unsigned i = 0; i < 4; i++) (void)ledger_seen(s, s->tables[i]);
}

/* capability: D10 */
TEST_CASE(each_kind_of_change_refreshes_its_tables) {
  static const struct {
    const char *sql;
    unsigned seen;
  } rows[] = {
      {"INSERT INTO t(x) VALUES(1)", T},
      {"SELECT * FROM t", 0},
      {"UPDATE t SET x = 2", T},
      {"UPDATE t SET x = 3 WHERE x = 77", 0},
      {"INSERT INTO k VALUES('a', 1)", K},
      {"REPLACE INTO k VALUES('a', 2)", K},
      {"UPDATE k SET b = 3", K},
      {"DELETE FROM k", K},
      {"INSERT INTO t(x) VALUES(4), (5), (6)", T},
      {"INSERT INTO child(t) VALUES(2)", CHILD},
      {"DELETE FROM t WHERE id = 2", T | CHILD},
      {"INSERT INTO child(t) VALUES(3)", CHILD},
      {"REPLACE INTO t(id, x) VALUES(3, 9)", T | CHILD},
      {"INSERT OR IGNORE INTO t(id, x) VALUES(3, 9)", 0},
      {"INSERT INTO t(id, x) VALUES(3, 10) ON CONFLICT DO UPDATE SET x = excluded.x", T},
      {"INSERT INTO watched VALUES(7)", LOG},
      {"BEGIN; INSERT INTO t(x) VALUES(20); INSERT INTO k VALUES('b', 1); COMMIT", T | K},
      {"BEGIN; INSERT INTO t(x) VALUES(21); ROLLBACK", 0},
      {"BEGIN; SAVEPOINT a; INSERT INTO t(x) VALUES(22); RELEASE a; INSERT INTO k VALUES('c', 1); COMMIT", T | K},
      {"SAVEPOINT a; INSERT INTO t(x) VALUES(23); RELEASE a", T},
      /* One render too many, which is harmless. */
      {"SAVEPOINT a; INSERT INTO t(x) VALUES(24); ROLLBACK TO a; RELEASE a", T},
      {"BEGIN IMMEDIATE; COMMIT", 0},
      {"BEGIN EXCLUSIVE; END", 0},
      {"INSERT INTO t(x) VALUES(25); INSERT INTO k VALUES('d', 1)", T | K},
      {"WITH n(i) AS (VALUES(30), (31)) INSERT INTO t(x) SELECT i FROM n", T},
      {"DELETE FROM t", T},
      {"INSERT INTO temp.mine VALUES(1)", 0},
      {"INSERT INTO other.mine VALUES(1)", 0},
      {"BEGIN; INSERT INTO other.mine VALUES(1); INSERT INTO k VALUES('e', 1); COMMIT", K},
      {"PRAGMA wal_checkpoint(TRUNCATE)", 0},
      {"CREATE TABLE more(a)", ALL},
      {"BEGIN; INSERT INTO k VALUES('f', 1); CREATE INDEX byx ON t(x); COMMIT", ALL},
      {"BEGIN; CREATE TABLE more2(a); INSERT INTO k VALUES('g', 1); COMMIT", ALL},
      {"BEGIN; /* no; row */ -- of these\n ;DROP TABLE more2; INSERT INTO k VALUES('h', 1); COMMIT", ALL},
      {"PRAGMA user_version = 5", ALL},
  };
  EACH_MODE(mode) {
    ledger s;
    open_watched(&s, *mode);
    ledger_run(s.db, "CREATE TEMP TABLE mine(a); ATTACH ':memory:' AS other; CREATE TABLE other.mine(a)");
    (void)seen(&s);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
      ledger_run(s.db, rows[i].sql);
      unsigned was = seen(&s);
      if (was != rows[i].seen) fail_msg("%s, in %s: %x instead of %x", rows[i].sql, *mode, was, rows[i].seen);
    }
    ledger_close(&s);
  }
}

/* capability: D10 */
TEST_CASE(vacuum_refreshes_all) {
  EACH_MODE(mode) {
    ledger s;
    open_watched(&s, *mode);
    ledger_run(s.db, "VACUUM");
    ledger_sync(&s);
    for (unsigned i = 0; i < 4; i++) assert_true(ledger_seen(&s, s.tables[i]) > 0);
    ledger_run(s.db, "INSERT INTO t(x) VALUES(1)");
    assert_int_equal(seen(&s), T);
    ledger_close(&s);
  }
}

/* capability: D10 */
TEST_CASE(transaction_refreshes_at_its_commit) {
  EACH_MODE(mode) {
    ledger s;
    open_watched(&s, *mode);
    ledger_run(s.db, "BEGIN; INSERT INTO t(x) VALUES(1); SAVEPOINT a; INSERT INTO t(x) VALUES(2)");
    ledger_sync(&s);
    ledger_run(s.db, "RELEASE a");
    ledger_sync(&s);
    assert_int_equal(refreshes, 0);
    ledger_run(s.db, "COMMIT");
    assert_int_equal(seen(&s), T);
    assert_int_equal(refreshes, 1);
    assert_int_equal(s.counted[0], 2);
    ledger_close(&s);
  }
}

/* capability: D10 */
TEST_CASE(refresh_comes_after_the_commit_is_visible) {
  EACH_MODE(mode) {
    ledger s;
    open_watched(&s, *mode);
    observed = &s;
    for (int i = 1; i <= 20; i++) {
      visible = -1;
      ledger_run(s.db, i % 2 ? "INSERT INTO t(x) VALUES(random())"
                             : "BEGIN; INSERT INTO t(x) VALUES(random()); SELECT count(*) FROM t; COMMIT");
      ledger_sync(&s);
      assert_int_equal(visible, i);
    }
    observed = NULL;
    ledger_close(&s);
  }
}

static sqlite3_stmt *prepare(sqlite3 *db, const char *sql) {
  sqlite3_stmt *statement;
  assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &statement, NULL), SQLITE_OK);
  return statement;
}

/* capability: D10 */
TEST_CASE(final_step_refreshes_before_the_reset) {
  EACH_MODE(mode) {
    ledger s;
    open_watched(&s, *mode);
    static const char *const sql[] = {"INSERT INTO t(x) VALUES(1)", "INSERT INTO t(x) VALUES(2) RETURNING id"};
    for (size_t i = 0; i < 2; i++) {
      sqlite3_stmt *statement = prepare(s.db, sql[i]);
      while (sqlite3_step(statement) == SQLITE_ROW) assert_int_equal(seen(&s), 0);
      assert_int_equal(seen(&s), T); /* the statement has not been reset yet */
      sqlite3_finalize(statement);
    }
    sqlite3_stmt *begin = prepare(s.db, "BEGIN"), *commit = prepare(s.db, "COMMIT");
    assert_int_equal(sqlite3_step(begin), SQLITE_DONE);
    ledger_run(s.db, "INSERT INTO k VALUES('a', 1)");
    assert_int_equal(sqlite3_step(commit), SQLITE_DONE);
    assert_int_equal(seen(&s), K);
    sqlite3_finalize(begin);
    sqlite3_finalize(commit);
    ledger_close(&s);
  }
}

/* The statement commits when it is reset, and the WAL hook is called at the end of the next one. */
static void reset_before_its_end(ledger *s, int x) {
  sqlite3_stmt *statement = prepare(s->db, "INSERT INTO t(x) VALUES(?1) RETURNING id");
  sqlite3_bind_int(statement, 1, x);
  assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
  sqlite3_finalize(statement);
}

/* The database's thread may come before the WAL hook, and then follows the commit like that of a stranger. */
/* capability: D10 */
TEST_CASE(commit_by_an_early_reset_is_seen) {
  static const char *const next[] = {"SELECT 1", "BEGIN; INSERT INTO k VALUES('a', 1)", "INSERT INTO k VALUES('b', 1)",
                                     "BEGIN; ROLLBACK"};
  ledger s;
  open_watched(&s, "wal");
  reset_before_its_end(&s, 1);
  ledger_sync(&s); /* as the database's thread does */
  assert_true(ledger_seen(&s, "t") > 0);
  for (int i = 0; i < 4; i++) {
    forget_seen(&s);
    reset_before_its_end(&s, 2 + i);
    ledger_run(s.db, next[i]); /* the connection runs its next statement */
    ledger_sync(&s);
    assert_true(ledger_seen(&s, "t") > 0);
    if (i == 1) ledger_run(s.db, "ROLLBACK");
  }
  forget_seen(&s);
  ledger_run(s.db, "INSERT INTO k VALUES('c', 1)");
  assert_int_equal(seen(&s), K); /* the former call of the WAL hook was not for this commit */
  reset_before_its_end(&s, 6);
  reset_before_its_end(&s, 7);
  ledger_sync(&s);
  assert_true(ledger_seen(&s, "t") > 0);
  ledger_close(&s);
}

/* The WAL hook is called late, at the end of a statement that changes nothing, and whose number a stranger takes. */
TEST_CASE(late_call_of_the_wal_hook_hides_no_commit_of_a_stranger) {
  ledger s;
  open_watched(&s, "wal");
  ledger_run(s.db, "INSERT INTO k VALUES('a', 1)");
  reset_before_its_end(&s, 1);
  ledger_run(s.db, "UPDATE k SET b = 1");
  ledger_run(s.reader, "INSERT INTO child(t) VALUES(NULL)");
  forget_seen(&s);
  reset_before_its_end(&s, 2);
  forget_seen(&s);
  ledger_run(s.db, "UPDATE k SET b = 1");
  ledger_run(s.reader, "INSERT INTO child(t) VALUES(NULL)");
  ledger_sync(&s);
  assert_true(ledger_seen(&s, "child") > 0);
  ledger_close(&s);
}

/* An application's pragma takes the WAL hook away: its commits are followed like a stranger's. */
TEST_CASE(commit_without_the_wal_hook_is_seen) {
  for (int i = 0; i < 3; i++) {
    ledger s;
    open_watched(&s, "wal");
    if (i == 0) ledger_run(s.db, "PRAGMA wal_autocheckpoint = 100");
    if (i == 1) ledger_run(s.db, "PRAGMA wal_autocheckpoint = 0");
    if (i == 2) (void)sqlite3_wal_hook(s.db, NULL, NULL);
    forget_seen(&s);
    for (int j = 0; j < 3; j++) {
      ledger_run(s.db, "INSERT INTO t(x) VALUES(NULL)");
      ledger_sync(&s);
      assert_true(ledger_seen(&s, "t") > 0);
      assert_int_equal(s.counted[0], j + 1);
    }
    ledger_close(&s);
  }
}

/* capability: D10 */
TEST_CASE(blob_write_is_seen_after_its_close) {
  EACH_MODE(mode) {
    ledger s;
    sqlite3_blob *blob;
    open_watched(&s, *mode);
    ledger_run(s.db, "INSERT INTO log(what) VALUES(zeroblob(10))");
    assert_int_equal(seen(&s), LOG);
    assert_int_equal(sqlite3_blob_open(s.db, "main", "log", "what", 1, 1, &blob), SQLITE_OK);
    assert_int_equal(sqlite3_blob_write(blob, "abc", 3, 2), SQLITE_OK);
    ledger_sync(&s);
    assert_int_equal(ledger_seen(&s, "log"), 0);
    assert_int_equal(sqlite3_blob_close(blob), SQLITE_OK);
    ledger_sync(&s);
    assert_int_equal(ledger_seen(&s, "log"), 1);
    ledger_close(&s);
  }
}

/* A statement prepared without hooks would delete all rows at once, and call no hook. */
/* capability: D10 */
TEST_CASE(statement_prepared_before_attach_is_seen) {
  EACH_MODE(mode) {
    ledger s;
    open_watched(&s, *mode);
    vestry_sqlite_detach(s.connection);
    ledger_run(s.db, "INSERT INTO t(x) VALUES(1)");
    sqlite3_stmt *statement = prepare(s.db, "DELETE FROM t");
    assert_int_equal(vestry_sqlite_attach(s.database, s.db, &s.connection), VESTRY_OK);
    ledger_sync(&s);
    (void)seen(&s);
    ledger_run(s.db, "BEGIN; INSERT INTO k VALUES('a', 1)");
    assert_int_equal(sqlite3_step(statement), SQLITE_DONE);
    sqlite3_finalize(statement);
    ledger_run(s.db, "COMMIT");
    assert_int_equal(seen(&s), T | K);
    ledger_close(&s);
  }
}

/* capability: D10 */
TEST_CASE(other_journal_mode_becomes_that_of_a_wal) {
  ledger s;
  open_watched(&s, "persist");
  assert_int_equal(ledger_number(s.reader, "SELECT journal_mode = 'wal' FROM pragma_journal_mode"), 1);
  assert_int_not_equal(sqlite3_exec(s.reader, "PRAGMA journal_mode = delete", NULL, NULL, NULL), SQLITE_OK);
  ledger_run(s.reader, "INSERT INTO k VALUES('b', 1)");
  ledger_sync(&s);
  assert_true(ledger_seen(&s, "t") > 0);
  ledger_close(&s);
}

/* ------------------------------------------------------------------------------------------------- attaching ------ */

LEDGER_CASE(attach_and_create_reject_invalid_arguments) {
  vestry_sqlite *database = NULL;
  vestry_sqlite_connection *connection = NULL;
  sqlite3 *other, *same;
  char path[128];
  assert_int_equal(vestry_sqlite_attach(s->database, s->db, &connection), VESTRY_EXISTS);
  assert_int_equal(sqlite3_open(":memory:", &other), SQLITE_OK);
  assert_int_equal(vestry_sqlite_attach(s->database, other, &connection), VESTRY_INVALID);
  sqlite3_close(other);
  snprintf(path, sizeof path, "%s/other.db", s->folder);
  assert_int_equal(sqlite3_open(path, &other), SQLITE_OK);
  ledger_run(other, "CREATE TABLE t(a)");
  assert_int_equal(vestry_sqlite_attach(s->database, other, &connection), VESTRY_INVALID);
  sqlite3_close(other);
  snprintf(path, sizeof path, "%s/./site.db", s->folder);
  assert_int_equal(sqlite3_open(path, &same), SQLITE_OK);
  ledger_run(same, "BEGIN");
  assert_int_equal(vestry_sqlite_attach(s->database, same, &connection), VESTRY_BUSY);
  assert_null(connection);
  ledger_run(same, "COMMIT");
  assert_int_equal(vestry_sqlite_attach(s->database, same, &connection), VESTRY_OK);
  vestry_sqlite_stats stats = {0};
  vestry_sqlite_stats_get(s->database, &stats);
  assert_int_equal(stats.connections_count, 3);
  vestry_sqlite_detach(connection);
  vestry_sqlite_detach(NULL);
  sqlite3_close(same);

  const vestry_sqlite_options good = {.path = s->path, .level = VESTRY_SQLITE_TABLES};
  vestry_sqlite_options bad = good;
  assert_int_equal(vestry_sqlite_create(NULL, &good, &database), VESTRY_INVALID);
  assert_int_equal(vestry_sqlite_create(s->on.pages, NULL, &database), VESTRY_INVALID);
  assert_int_equal(vestry_sqlite_create(s->on.pages, &good, NULL), VESTRY_INVALID);
  bad.path = NULL;
  assert_int_equal(vestry_sqlite_create(s->on.pages, &bad, &database), VESTRY_INVALID);
  bad.path = ":memory:";
  assert_int_equal(vestry_sqlite_create(s->on.pages, &bad, &database), VESTRY_INVALID);
  bad = good;
  bad.poll_ms = 60001;
  assert_int_equal(vestry_sqlite_create(s->on.pages, &bad, &database), VESTRY_INVALID);
  bad = good;
  bad.path = "/nowhere/at/all.db";
  long lines = s->on.th.log_lines;
  assert_int_equal(vestry_sqlite_create(s->on.pages, &bad, &database), VESTRY_IO);
  assert_int_equal(s->on.th.log_lines, lines + 1);
  assert_null(database);
  vestry_sqlite_destroy(NULL);
}

/* Another file by the same name. */
TEST_CASE(connection_to_a_replaced_file_is_not_attached) {
  ledger s;
  sqlite3 *same;
  char moved[128];
  ledger_open(&s, "delete", NULL);
  vestry_sqlite_connection *connection = NULL;
  snprintf(moved, sizeof moved, "%s/moved.db", s.folder);
  assert_int_equal(rename(s.path, moved), 0);
  assert_int_equal(sqlite3_open(s.path, &same), SQLITE_OK);
  ledger_run(same, "CREATE TABLE t(a)");
  assert_int_equal(vestry_sqlite_attach(s.database, same, &connection), VESTRY_INVALID);
  sqlite3_close(same);
  assert_int_equal(rename(moved, s.path), 0);
  assert_int_equal(sqlite3_open(s.path, &same), SQLITE_OK);
  assert_int_equal(vestry_sqlite_attach(s.database, same, &connection), VESTRY_OK);
  vestry_sqlite_detach(connection);
  sqlite3_close(same);
  ledger_close(&s);
}

/* By another name, SQLite uses another WAL and another journal. */
TEST_CASE(connection_by_a_hard_link_is_not_attached) {
  static const char *const journals[] = {"wal", "delete"};
  for (int i = 0; i < 2; i++) {
    ledger s;
    sqlite3 *same;
    char links[2][128], folder[120];
    ledger_open(&s, journals[i], NULL);
    vestry_sqlite_connection *connection = NULL;
    snprintf(folder, sizeof folder, "%s/links", s.folder);
    assert_int_equal(mkdir(folder, 0700), 0);
    snprintf(links[0], sizeof links[0], "%s/link.db", s.folder);
    snprintf(links[1], sizeof links[1], "%s/site.db", folder);
    for (int j = 0; j < 2; j++) {
      assert_int_equal(link(s.path, links[j]), 0);
      assert_int_equal(sqlite3_open(links[j], &same), SQLITE_OK);
      assert_int_equal(vestry_sqlite_attach(s.database, same, &connection), VESTRY_INVALID);
      assert_non_null(strstr(s.on.th.last_log, "not by a hard link"));
      sqlite3_close(same);
      assert_int_equal(unlink(links[j]), 0);
    }
    assert_int_equal(rmdir(folder), 0);
    ledger_close(&s);
  }
}

LEDGER_CASE(other_names_of_the_file_are_logged) {
  char other[128];
  snprintf(other, sizeof other, "%s/link.db", s->folder);
  const long lines = s->on.th.log_lines;
  ledger_sync(s);
  assert_int_equal(s->on.th.log_lines, lines);
  assert_int_equal(link(s->path, other), 0);
  for (int i = 0; i < 2; i++) ledger_sync(s);
  assert_int_equal(s->on.th.log_lines, lines + 1);
  assert_non_null(strstr(s->on.th.last_log, "several names (hard links)"));
  assert_non_null(strstr(s->on.th.last_log, s->path));
  assert_int_equal(unlink(other), 0);
}

TEST_CASE(commit_of_a_detached_connection_refreshes_all) {
  ledger s;
  open_watched(&s, "wal");
  vestry_sqlite_detach(s.connection);
  ledger_run(s.db, "INSERT INTO t(x) VALUES(1)");
  ledger_sync(&s); /* the connection counts as another program's now */
  for (unsigned i = 0; i < 4; i++) assert_int_equal(ledger_seen(&s, s.tables[i]), 1);
  reset_before_its_end(&s, 2);
  ledger_sync(&s);
  assert_int_equal(vestry_sqlite_attach(s.database, s.db, &s.connection), VESTRY_OK);
  (void)seen(&s);
  reset_before_its_end(&s, 3); /* its commit came before the detach */
  vestry_sqlite_detach(s.connection);
  assert_int_equal(seen(&s), T);
  assert_int_equal(vestry_sqlite_attach(s.database, s.db, &s.connection), VESTRY_OK);
  ledger_close(&s);
}
