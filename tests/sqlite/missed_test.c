/* SPDX-License-Identifier: MIT */
/* Commits that were once missed, one test each. After any commit by any connection, each page must show its current
 * result. The oracle found all of them by seed, or finds them now. */
#include <stdlib.h>

#include "sqlite/level.h"
#include "sqlite/shown.h"

static const char notes[] =
    "CREATE TABLE note(id INTEGER PRIMARY KEY, text, likes);"
    "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2000) INSERT INTO "
    "note SELECT i, 'row ' || i || hex(zeroblob(40)), 0 FROM n;"
    "CREATE TABLE other(id INTEGER PRIMARY KEY, x); INSERT INTO other VALUES(1, 'same');"
    "CREATE TABLE made(id INTEGER PRIMARY KEY, b, g AS (b + 1), z DEFAULT 1, y) WITHOUT ROWID;"
    "INSERT INTO made(id) VALUES(1)";

/* Check that all pages show their current results. */
static void assert_all_shown(shown_site *s) {
  shown_settle(s);
  for (size_t i = 0; i < s->count; i++) {
    char expected[SHOWN_TEXT_BYTES];
    shown_text(s->reader, s->all[i].sql, expected);
    assert_string_equal(s->all[i].text, expected);
  }
}

static void step_once(sqlite3 *db, const char *sql) {
  sqlite3_stmt *statement;
  if (sqlite3_prepare_v2(db, sql, -1, &statement, NULL)) fail_msg("%s", sqlite3_errmsg(db));
  assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
  assert_int_equal(sqlite3_finalize(statement), SQLITE_OK);
}

/* A commit that changes no byte has announced a number, and the next commit, of another connection, gets that
 * number. */
TEST_CASE(commit_after_one_that_changes_nothing_is_seen) {
  static const char *const modes[] = {"WAL", "DELETE", "WAL"};
  static const vestry_sqlite_level levels[] = {VESTRY_SQLITE_TABLES, VESTRY_SQLITE_TABLES, VESTRY_SQLITE_FILE_PAGES};
  static const char *const idle[] = {
      "INSERT INTO other VALUES(1, 'same') ON CONFLICT(id) DO UPDATE SET x = excluded.x RETURNING id",
      "UPDATE other SET x = 'same' WHERE id = 1 RETURNING x", "UPDATE other SET x = x RETURNING x",
      /* For a table with a generated column, the hook reports values of the wrong columns. */
      "UPDATE made SET b = b + 1 WHERE id = 1 RETURNING id",
      /* The replaced row is reported as deleted, and then usually nothing is written. */
      "INSERT OR REPLACE INTO other VALUES(1, 'same') RETURNING id"};
  for (int i = 0; i < 3; i++) {
    for (int by_attached = 0; by_attached < 2; by_attached++) {
      for (size_t j = 0; j < sizeof idle / sizeof *idle; j++) {
        shown_site s;
        vestry_sqlite_connection *third = NULL;
        shown_open_with(&s, modes[i], notes, (vestry_sqlite_options){.level = levels[i]});
        if (by_attached) assert_int_equal(vestry_sqlite_attach(s.database, s.other, &third), VESTRY_OK);
        size_t at = shown_watch(&s, "SELECT likes FROM note WHERE id = 1000");
        step_once(s.writer, idle[j]);
        if (by_attached)
          step_once(s.other, "UPDATE note SET likes = 7 WHERE id = 1000 RETURNING id");
        else
          shown_run(s.other, "UPDATE note SET likes = 7 WHERE id = 1000");
        shown_settle(&s);
        assert_all_shown(&s);
        assert_string_equal(s.all[at].text, "7 ");
        vestry_sqlite_detach(third);
        shown_close(&s);
      }
    }
  }
}

/* Run a statement of a connection before another commit of it: it writes nothing, or the WAL hook is called late. */
static void begin_late(shown_site *s, bool writes) {
  if (writes)
    step_once(s->writer, "INSERT INTO other(x) VALUES('late') RETURNING id");
  else
    shown_run(s->writer, "DELETE FROM other WHERE id = 1000");
}

/* FTS5 writes what it has gathered within COMMIT, by statements that look like transactions by themselves. */
TEST_CASE(rows_beside_those_of_a_virtual_table_are_seen) {
  for (int level = VESTRY_SQLITE_TABLES; level <= VESTRY_SQLITE_FILE_PAGES; level++) {
    shown_site s;
    shown_open(&s, notes, (vestry_sqlite_level)level);
    shown_run(s.writer, "CREATE VIRTUAL TABLE doc USING fts5(text)");
    (void)shown_watch(&s, "SELECT likes FROM note WHERE id = 1000");
    for (int writes = 0; writes < 2; writes++) {
      begin_late(&s, writes);
      shown_run(s.writer, "BEGIN; INSERT INTO doc VALUES('one'); UPDATE note SET likes = likes + 1 WHERE id = 1000;"
                          "COMMIT; SELECT 1");
      assert_all_shown(&s);
    }
    shown_close(&s);
  }
}

/* SQLite calls no trace hook for a blob; other statements of the connection may run before it is closed. */
TEST_CASE(blob_beside_another_write_is_seen) {
  for (int level = VESTRY_SQLITE_TABLES; level <= VESTRY_SQLITE_FILE_PAGES; level++) {
    shown_site s;
    shown_open(&s, notes, (vestry_sqlite_level)level);
    (void)shown_watch(&s, "SELECT text FROM note WHERE id = 1000");
    for (int writes = 0; writes < 2; writes++) {
      sqlite3_blob *blob;
      begin_late(&s, writes);
      assert_int_equal(sqlite3_blob_open(s.writer, "main", "note", "text", 1000, 1, &blob), SQLITE_OK);
      assert_int_equal(sqlite3_blob_write(blob, writes ? "A" : "B", 1, 0), SQLITE_OK);
      shown_run(s.writer, "SELECT 1; UPDATE other SET x = x || 'a'");
      assert_int_equal(sqlite3_blob_close(blob), SQLITE_OK);
      shown_run(s.writer, "SELECT 1");
      assert_all_shown(&s);
    }
    shown_close(&s);
  }
}

/* Modules may cache what they read: FTS5 caches its segments, also for fts5vocab. */
TEST_CASE(change_cached_by_a_virtual_table_is_seen) {
  shown_site s;
  char text[SHOWN_TEXT_BYTES];
  shown_open(
      &s,
      "CREATE VIRTUAL TABLE doc USING fts5(text); INSERT INTO doc(doc, rank) VALUES('automerge', 0);"
      "CREATE VIRTUAL TABLE \"a USING b\" USING fts5(text); CREATE VIRTUAL TABLE word USING fts5vocab(doc, 'row');"
      "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 60000) INSERT INTO doc(rowid, text)"
      " SELECT i, 'w' || (i * 7919 % 60000) || ' q' || (i * 104729 % 60000) || ' z' || (i * 15485863 % 60000) FROM"
      " n; INSERT INTO doc(doc) VALUES('optimize'); INSERT INTO \"a USING b\" SELECT text FROM doc LIMIT 3000;"
      "INSERT INTO \"a USING b\"(\"a USING b\") VALUES('optimize');",
      VESTRY_SQLITE_FILE_PAGES);
  shown_run(s.writer, "PRAGMA wal_checkpoint(TRUNCATE)");
  /* As documents do: an unrecorded read comes first. */
  shown_text(s.reader, "SELECT rowid FROM doc WHERE doc MATCH 'w100'", text);
  shown_text(s.reader, "SELECT count(*) FROM \"a USING b\" WHERE \"a USING b\" MATCH 'w100'", text);
  (void)shown_watch(&s, "SELECT rowid FROM doc WHERE doc MATCH 'w30000'");
  (void)shown_watch(&s, "SELECT rowid FROM doc WHERE doc MATCH 'z12345'");
  (void)shown_watch(&s, "SELECT count(*) FROM \"a USING b\" WHERE \"a USING b\" MATCH 'w7919'");
  (void)shown_watch(&s, "SELECT doc FROM word WHERE term = 'w30000'");
  for (int i = 0; i < 4; i++) {
    char sql[100];
    sqlite3 *db = i % 2 ? s.writer : s.other;
    snprintf(sql, sizeof sql, "INSERT INTO doc(rowid, text) VALUES(%d, 'w30000 z12345')", 100000 + i);
    shown_run(db, sql);
    assert_all_shown(&s);
    shown_run(db, "INSERT INTO \"a USING b\" VALUES('w7919')");
    assert_all_shown(&s);
  }
  shown_close(&s);
}

/* The authorizer does not report the join columns of a TEMP view. */
TEST_CASE(commit_behind_a_temp_view_is_seen) {
  static const char *const views[] = {"CREATE TEMP VIEW both AS SELECT t, u FROM a JOIN b USING(c)",
                                      "CREATE TEMP VIEW both AS SELECT t, u FROM (SELECT t, c FROM a) NATURAL JOIN "
                                      "(SELECT u, c FROM b)"};
  for (int level = VESTRY_SQLITE_TABLES; level <= VESTRY_SQLITE_FILE_PAGES; level++) {
    for (int i = 0; i < 2; i++) {
      shown_site s;
      shown_open(&s,
                 "CREATE TABLE a(id INTEGER PRIMARY KEY, c, t); CREATE TABLE b(id INTEGER PRIMARY KEY, c, u);"
                 "INSERT INTO a VALUES(1, 5, 'x'); INSERT INTO b VALUES(1, 6, 'y')",
                 (vestry_sqlite_level)level);
      shown_run(s.reader, views[i]);
      size_t at = shown_watch(&s, "SELECT t, u FROM both");
      shown_run(s.writer, "UPDATE b SET c = 5");
      assert_all_shown(&s);
      assert_string_equal(s.all[at].text, "x y ");
      shown_close(&s);
    }
  }
}

/* A statement that could not be prepared depends on the schema. */
static vestry_err show_added(vestry_render *render, vestry_html *html, void *app) {
  shown_site *s = app;
  sqlite3_stmt *statement = NULL;
  vestry_render_begin(render, html);
  bool is_there = !sqlite3_prepare_v2(s->reader, "SELECT added FROM note", -1, &statement, NULL);
  sqlite3_finalize(statement);
  vestry_html_add(html, "<b>%s</b>", is_there ? "there" : "not there");
  return vestry_render_end(render, html);
}

TEST_CASE(statement_that_becomes_valid_is_seen) {
  for (int level = VESTRY_SQLITE_TABLES; level <= VESTRY_SQLITE_FILE_PAGES; level++) {
    shown_site s;
    vestry_page *page;
    vestry_memory_exchange *tab;
    shown_open(&s, notes, (vestry_sqlite_level)level);
    assert_int_equal(vestry_page_create(s.on.pages, &(vestry_page_options){.render = show_added, .app = &s}, &page),
                     VESTRY_OK);
    const vestry_memory_call call = {.datastar = true};
    assert_int_equal(vestry_memory_request(s.on.v, &call, vestry_page_handler, page, &tab), VESTRY_OK);
    shown_settle(&s);
    assert_non_null(strstr(vestry_memory_since(tab).data, "not there"));
    shown_run(s.other, "ALTER TABLE note ADD COLUMN added");
    shown_settle(&s);
    const char *text = vestry_memory_since(tab).data;
    assert_true(text && strstr(text, "there") && !strstr(text, "not there"));
    vestry_memory_destroy(tab);
    shown_close(&s);
  }
}

/* Each allocation for the first set of pages fails once. */
TEST_CASE(allocation_failure_in_the_first_render_hides_nothing) {
  for (int i = 0; i < 60; i++) {
    shown_site s;
    shown_open(&s, notes, VESTRY_SQLITE_FILE_PAGES);
    s.all[0].sql = "SELECT likes FROM note WHERE id = 1000";
    const vestry_memory_call call = {.path = "/page", .query = "0", .datastar = true};
    s.all[0].stream = site_request(&s.on, &call);
    s.count = 1;
    test_host_fail_in(&s.on.th, i);
    (void)vestry_pages_settle(s.on.pages, UINT64_MAX, 1000);
    bool has_failed = test_host_has_failed(&s.on.th);
    /* A stream that could not receive the change has ended, and reconnects. */
    if (vestry_memory_look(s.all[0].stream).ended) {
      vestry_memory_destroy(s.all[0].stream);
      shown_tab(&s, 0);
    }
    test_host_advance_ms(&s.on.th, 60000);
    shown_run(s.writer, "UPDATE note SET likes = 7 WHERE id = 1000");
    assert_all_shown(&s);
    shown_close(&s);
    if (!has_failed) return;
  }
  fail_msg("a render has more allocations than were tried");
}

int main(void) {
  level_begin();
  return cases_run("no commit is unheard", NULL, NULL);
}
