/* SPDX-License-Identifier: MIT */
/* Exact refresh: the reads of a render are recorded, and a commit renders only the pages that it affects. On the
 * stepped runtime. */
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#include "app/page/pages.h"
#include "data/sqlite/sqlite.h"
#include "sqlite/level.h"
#include "sqlite/shown.h"

static const char range[] = "SELECT max(id) FROM message WHERE channel > 0 AND channel < 2"; /* not by a key */

/* ------------------------------------------------------------------------------------------ affected pages -------- */

/* capability: D21 */
TEST_CASE(commit_renders_only_the_pages_it_affects) {
  static const char insert[] = "INSERT INTO message VALUES(8, 1000, 'x', 0)";
  for (int by_pages = 0; by_pages < 2; by_pages++) {
    shown_site s;
    shown_open(&s, shown_channels, by_pages ? VESTRY_SQLITE_FILE_PAGES : VESTRY_SQLITE_TABLES);
    shown_run(s.writer, "INSERT INTO message VALUES(9, 1000, 'x', 0)"); /* before anything is read */
    size_t one = shown_watch(&s, shown_first), eight = shown_watch(&s, shown_eighth),
           none = shown_watch(&s, "SELECT 1");
    size_t absent = shown_watch(&s, "SELECT EXISTS(SELECT 1 FROM message WHERE channel = 8 AND id = 1000)");
    size_t all = shown_watch(&s, "SELECT count(*) FROM message"), between = shown_watch(&s, range);
    shown_run(s.writer, insert);
    assert_int_equal(shown_renders(&s, eight), 1);
    assert_string_equal(s.all[eight].text, "1000 399 ");
    assert_int_equal(shown_renders(&s, one), 0); /* excluded by its key */
    assert_int_equal(shown_renders(&s, between), by_pages ? 0 : 1);
    assert_int_equal(shown_renders(&s, absent), 1); /* reads of absent rows count too */
    assert_int_equal(shown_renders(&s, all), 1);
    assert_int_equal(shown_renders(&s, none), 0);
    shown_run(s.writer, "INSERT INTO other VALUES(1)");
    for (size_t i = 0; i < s.count; i++) assert_int_equal(shown_renders(&s, i), 0);
    assert_int_equal(shown_stats(&s).whole_count, 0);
    assert_int_equal(shown_stats(&s).table_level_count, 0);
    assert_true(shown_stats(&s).recorded_count >= 4 && shown_stats(&s).recorded_bytes > 0);
    shown_close(&s);
  }
}

static size_t renders_of_all(shown_site *s) {
  size_t sum = 0;
  for (size_t i = 0; i < s->count; i++) sum += shown_renders(s, i);
  return sum;
}

/* Each render that a commit requests is counted. */
TEST_CASE(refreshed_count_counts_each_render) {
  for (int by_pages = 0; by_pages < 2; by_pages++) {
    shown_site s;
    shown_open(&s, shown_channels, by_pages ? VESTRY_SQLITE_FILE_PAGES : VESTRY_SQLITE_TABLES);
    static const char *const queries[] = {
        shown_first,           shown_first,          shown_first,  shown_first,
        shown_eighth,          shown_eighth,         shown_eighth, "SELECT count(*) FROM message",
        "SELECT x FROM other", "SELECT x FROM other"};
    for (size_t i = 0; i < sizeof queries / sizeof *queries; i++) shown_watch(&s, queries[i]);
    (void)renders_of_all(&s);
    vestry_sqlite_stats from = shown_stats(&s);
    size_t sum = 0;
    for (int i = 0; i < 60; i++) {
      char sql[100];
      sqlite3 *by = i % 3 ? s.writer : s.other;
      snprintf(sql, sizeof sql, "INSERT INTO message VALUES(%d, %d, 'x', 0)", i % 5 ? 8 : 1, 1000 + i);
      if (i % 7 == 0) snprintf(sql, sizeof sql, "INSERT INTO other VALUES(%d)", i);
      if (i == 40) snprintf(sql, sizeof sql, "CREATE TABLE another(x)"); /* refreshes all readers */
      shown_run(by, sql);
      shown_settle(&s);
      sum += renders_of_all(&s);
      assert_int_equal(shown_stats(&s).refreshed_count - from.refreshed_count, sum);
    }
    assert_true(sum >= 60 * 3);
    shown_close(&s);
  }
}

/* capability: D21 */
TEST_CASE(commit_of_another_program_renders_affected_pages) {
  for (int by_pages = 0; by_pages < 2; by_pages++) {
    shown_site s;
    shown_open(&s, shown_channels, by_pages ? VESTRY_SQLITE_FILE_PAGES : VESTRY_SQLITE_TABLES);
    size_t one = shown_watch(&s, shown_first), eight = shown_watch(&s, shown_eighth);
    shown_run(s.other, "INSERT INTO message VALUES(8, 1000, 'x', 0)");
    assert_int_equal(shown_renders(&s, eight), 1);
    assert_int_equal(shown_renders(&s, one), by_pages ? 0 : 1);
    assert_int_equal(shown_stats(&s).other_commits_count, 1);
    assert_int_equal(shown_stats(&s).whole_count, 0);
    shown_close(&s);
  }
}

/* capability: D21 */
TEST_CASE(change_of_an_unread_column_renders_nothing) {
  for (int by_pages = 0; by_pages < 2; by_pages++) {
    shown_site s;
    shown_open(&s, shown_channels, by_pages ? VESTRY_SQLITE_FILE_PAGES : VESTRY_SQLITE_TABLES);
    size_t eight = shown_watch(&s, shown_eighth);
    shown_run(s.writer, "UPDATE message SET likes = likes + 1 WHERE channel = 8 AND id = 399");
    assert_int_equal(shown_renders(&s, eight), 0);
    size_t likes = shown_watch(&s, "SELECT sum(likes) FROM message WHERE channel = 8");
    shown_run(s.writer, "UPDATE message SET likes = likes + 1 WHERE channel = 8 AND id = 399");
    assert_int_equal(shown_renders(&s, eight), 0);
    assert_int_equal(shown_renders(&s, likes), 1);
    assert_string_equal(s.all[likes].text, "2 ");
    shown_run(s.writer, "UPDATE message SET likes = likes WHERE channel = 8"); /* to their present values */
    assert_int_equal(shown_renders(&s, likes), 0);
    shown_run(s.writer, "UPDATE message SET id = 2000 WHERE channel = 8 AND id = 399");
    assert_int_equal(shown_renders(&s, eight), 1);
    assert_string_equal(s.all[eight].text, "2000 398 ");
    shown_close(&s);
  }
}

/* The row's pages were written without a render. Tables are followed from then on, for commits of other connections
 * too, until the page renders again. */
/* capability: D21 */
TEST_CASE(page_whose_rows_moved_is_still_followed) {
  for (int is_other = 0; is_other < 2; is_other++) {
    shown_site s;
    shown_open(&s, shown_channels, VESTRY_SQLITE_FILE_PAGES);
    size_t eight = shown_watch(&s, "SELECT id FROM message WHERE channel = 8 AND id = 200"),
           one = shown_watch(&s, shown_first);
    shown_run(s.writer, "UPDATE message SET body = hex(zeroblob(800)) WHERE channel = 8 AND id BETWEEN 190 AND 210");
    assert_int_equal(shown_renders(&s, eight), 0);
    shown_run(is_other ? s.other : s.writer, "DELETE FROM message WHERE channel = 8 AND id = 200");
    assert_int_equal(shown_renders(&s, eight), 1);
    assert_string_equal(s.all[eight].text, "");
    (void)shown_renders(&s, one); /* its read set contains the root page, which was written too */
    shown_close(&s);
  }
}

/* A commit of another row of the same file page leaves the set of a page void; a tab that is opened later gets another
 * one. */
/* capability: D21 */
SHOWN_CASE(page_after_a_void_set_is_exact) {
  static const char row[] = "SELECT text FROM name WHERE id = 1";
  size_t before = shown_watch(s, row);
  shown_run(s->writer, "INSERT INTO name VALUES(2, 'x')");
  size_t after = shown_watch(s, row);
  assert_int_equal(shown_renders(s, before), 0);
  shown_run(s->other, "INSERT INTO other VALUES(1)"); /* the row of the void set could be on its file pages by now */
  (void)shown_renders(s, before);
  assert_int_equal(shown_renders(s, after), 0);
  shown_run(s->other, "INSERT INTO name VALUES(1, 'y')");
  assert_int_equal(shown_renders(s, before), 1);
  assert_int_equal(shown_renders(s, after), 1);
  shown_run(s->other, "INSERT INTO other VALUES(1)");
  assert_int_equal(shown_renders(s, before), 0);
  assert_int_equal(shown_renders(s, after), 0);
}

/* SQLite's authorizer does not report these columns as read. */
/* capability: D21 */
TEST_CASE(join_columns_count_as_read) {
  static const char *const queries[] = {
      "SELECT count(*) FROM message JOIN name USING(id)",
      "SELECT count(*) FROM name NATURAL JOIN (SELECT id, likes AS text FROM message)", "SELECT n FROM joined"};
  for (int level = VESTRY_SQLITE_TABLES; level <= VESTRY_SQLITE_FILE_PAGES; level++) {
    shown_site s;
    shown_open(&s, shown_channels, (vestry_sqlite_level)level);
    shown_run(s.writer, "CREATE VIEW joined AS SELECT count(*) AS n FROM name n JOIN message m USING(id, body);"
                        "ALTER TABLE name ADD COLUMN body; INSERT INTO name VALUES(1000000, 7, 'y')");
    for (size_t i = 0; i < 3; i++) shown_watch(&s, queries[i]);
    size_t likes = shown_watch(&s, "SELECT max(likes), max(body) FROM message");
    shown_run(s.writer, "UPDATE message SET id = 1000000 WHERE channel = 8 AND id = 399");
    shown_run(s.writer, "UPDATE message SET likes = 7, body = 'y' WHERE channel = 8 AND id = 1000000");
    for (size_t i = 0; i <= likes; i++) assert_true(shown_renders(&s, i) >= 1);
    for (size_t i = 0; i < 3; i++) assert_string_equal(s.all[i].text, "1 ");
    shown_close(&s);
  }
}

SHOWN_CASE(rolled_back_changes_render_nothing) {
  size_t eight = shown_watch(s, shown_eighth);
  shown_run(s->writer, "BEGIN; INSERT INTO message VALUES(8, 1000, 'x', 0); ROLLBACK");
  assert_int_equal(shown_renders(s, eight), 0);
  shown_run(s->writer, "BEGIN; SAVEPOINT a; INSERT INTO message VALUES(8, 1000, 'x', 0); ROLLBACK TO a; COMMIT");
  assert_true(shown_renders(s, eight) <= 1); /* the pages are written with their old content */
  shown_run(s->writer, "BEGIN; INSERT INTO message VALUES(8, 1000, 'x', 0)");
  assert_int_equal(shown_renders(s, eight), 0); /* not before the commit is visible */
  shown_run(s->writer, "COMMIT");
  assert_int_equal(shown_renders(s, eight), 1);
}

/* On a single connection, which no application should use this way: the rows shown disappear with the rollback. */
TEST_CASE(render_of_uncommitted_rows_is_repeated) {
  for (int is_undone = 0; is_undone < 3; is_undone++) {
    shown_site s;
    shown_open(&s, shown_channels, VESTRY_SQLITE_FILE_PAGES);
    shown_run(s.reader, "BEGIN; SAVEPOINT a; INSERT INTO message VALUES(8, 1000, 'x', 0)");
    size_t eight = shown_watch(&s, shown_eighth);
    assert_string_equal(s.all[eight].text, "1000 399 ");
    shown_run(s.reader, is_undone == 0 ? "COMMIT" : is_undone == 1 ? "ROLLBACK" : "ROLLBACK TO a; COMMIT");
    assert_int_equal(shown_renders(&s, eight), 1);
    assert_string_equal(s.all[eight].text, is_undone ? "399 398 " : "1000 399 ");
    shown_close(&s);
  }
}

/* capability: D21 */
TEST_CASE(writes_of_a_render_cause_no_render) {
  for (int level = VESTRY_SQLITE_TABLES; level <= VESTRY_SQLITE_FILE_PAGES; level++) {
    shown_site s;
    shown_open(&s, shown_channels, (vestry_sqlite_level)level);
    shown_run(s.writer, "INSERT INTO other VALUES(0)");
    size_t counts = shown_watch(&s, "UPDATE other SET x = x + 1; SELECT x FROM other"),
           reads = shown_watch(&s, "SELECT x FROM other");
    assert_string_equal(s.all[counts].text, "1 ");
    for (int i = 0; i < 3; i++) shown_settle(&s);
    assert_int_equal(shown_renders(&s, counts), 0);
    shown_run(s.writer, "UPDATE other SET x = 10");
    assert_int_equal(shown_renders(&s, reads), 1);
    assert_int_equal(shown_renders(&s, counts), 1);
    assert_string_equal(s.all[counts].text, "11 ");
    shown_run(s.other, "UPDATE other SET x = 20");
    assert_int_equal(shown_renders(&s, counts), 1);
    assert_string_equal(s.all[counts].text, "21 ");
    shown_close(&s);
  }
}

/* ------------------------------------------------------- between a render and its dependencies -------------------- */

static void *sync_on_a_thread(void *database) {
  assert_int_equal(vestry_sqlite_sync(database, NULL), VESTRY_OK);
  return NULL;
}

/* The database's thread may do so at any time. */
static void follow(shown_site *s, vestry_render *render) {
  pthread_t thread;
  assert_int_equal(pthread_create(&thread, NULL, sync_on_a_thread, s->database), 0);
  assert_int_equal(pthread_join(thread, NULL), 0);
}

/* capability: D21 */
TEST_CASE(commit_followed_right_after_a_render_is_not_missed) {
  for (int level = VESTRY_SQLITE_TABLES; level <= VESTRY_SQLITE_FILE_PAGES; level++) {
    shown_site s;
    shown_open(&s, shown_channels, (vestry_sqlite_level)level);
    s.committed = "INSERT INTO message VALUES(8, 1000, 'x', 0)";
    s.behind = follow;
    size_t eight = shown_watch(&s, shown_eighth);
    assert_string_equal(s.all[eight].text, "1000 399 ");
    shown_run(s.other, "INSERT INTO message VALUES(8, 1001, 'x', 0)"); /* later commits are followed too */
    assert_int_equal(shown_renders(&s, eight), 1);
    shown_close(&s);
  }
}

/* Columns that the page does not read grow, so that its rows move to other file pages. */
/* capability: D21 */
SHOWN_CASE(change_of_a_moved_row_renders_a_page_that_has_read_a_range) {
  size_t all = shown_watch(s, "SELECT sum(length(body)) FROM message WHERE channel > 7 AND channel < 9");
  for (int i = 0; i < 8; i++) {
    char sql[120];
    snprintf(sql, sizeof sql, "UPDATE message SET likes = 'x' || hex(zeroblob(%d)) WHERE channel = 8", 200 * (i + 1));
    shown_run(s->writer, sql);
    assert_int_equal(shown_renders(s, all), 0);
    snprintf(sql, sizeof sql, "UPDATE message SET body = body || 'x' WHERE channel = 8 AND id = %d", 20 + 50 * i);
    shown_run(s->writer, sql);
    assert_int_equal(shown_renders(s, all), 1);
  }
}

static void grow_others(shown_site *s, vestry_render *render) {
  shown_run(s->writer, "UPDATE name SET text = hex(zeroblob(300)) WHERE id <> 18");
  assert_int_equal(vestry_sqlite_sync(s->database, NULL), VESTRY_OK);
}

/* It moves between the reads of a render and its end. */
/* capability: D21 */
SHOWN_CASE(change_of_a_row_that_moved_during_the_render_renders_its_page) {
  shown_run(s->writer, "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20) INSERT INTO name "
                       "SELECT i, 'x' FROM n");
  size_t one = shown_watch(s, "SELECT text FROM name WHERE id = 18");
  s->behind = grow_others;
  shown_run(s->writer, "UPDATE name SET text = 'y' WHERE id = 18");
  assert_int_equal(shown_renders(s, one), 1);
  s->behind = NULL;
  shown_run(s->writer, "UPDATE name SET text = 'z' WHERE id = 18");
  assert_int_equal(shown_renders(s, one), 1);
  assert_string_equal(s->all[one].text, "z ");
}

/* Other renders end meanwhile, each with a set of its own, of this number of tables. */
static void enter(shown_site *s, vestry_render *render, uint32_t count, uint32_t tables_count) {
  enum { TABLES_FROM = 1000 };
  vestry_sqlite *database = s->database;
  for (uint32_t i = 0; i < count; i++) {
    vsi_sqlite_recording recording;
    vsi_sqlite_reads_begin(&recording, database->host, database, render, 0);
    vsi_reads_begin(vsi_sqlite_index_reads(database->index), &recording.ticket);
    recording.has_read = true;
    for (uint32_t j = 0; j < tables_count; j++) {
      const vsi_sqlite_use use = {
          .columns = 1, .table = TABLES_FROM + i * tables_count + j, .column = VSI_SQLITE_ANY_ROW};
      assert_int_equal(vsi_sqlite_uses_add(database->host, &recording.uses, &use), VESTRY_OK);
    }
    vsi_sqlite_reads_end(&recording);
    vsi_sqlite_index_enter(database->index, &recording);
    vsi_sqlite_reads_finish(&recording);
  }
}

enum { FIRST_ENTERED = 1000, ENTERED = 600 };

/* The page depends on further sets, each of a row of its own. */
static void enter_rows(shown_site *s, vestry_render *render) {
  vestry_sqlite *database = s->database;
  vsi_sqlite_use use = {.columns = VSI_SQLITE_ALL_COLUMNS, .column = VSI_SQLITE_ROWID};
  assert_int_equal(vsi_sqlite_tables_find(&database->tables, "name", &use.table), VESTRY_OK);
  for (use.key = FIRST_ENTERED; use.key < FIRST_ENTERED + ENTERED; use.key++) {
    vsi_sqlite_recording recording;
    vsi_sqlite_reads_begin(&recording, database->host, database, render, 0);
    vsi_reads_begin(vsi_sqlite_index_reads(database->index), &recording.ticket);
    recording.has_read = true;
    assert_int_equal(vsi_sqlite_uses_add(database->host, &recording.uses, &use), VESTRY_OK);
    vsi_sqlite_reads_end(&recording);
    vsi_sqlite_index_enter(database->index, &recording);
    vsi_sqlite_reads_finish(&recording);
  }
}

/* The tables by which sets are found grow step by step; each render has its own sets, and the former ones are freed. */
/* capability: D21 */
TEST_CASE(each_of_many_sets_is_found) {
  shown_site s;
  shown_open(&s, shown_channels, VESTRY_SQLITE_TABLES);
  s.ahead = enter_rows;
  size_t one = shown_watch(&s, "SELECT text FROM name WHERE id = 1");
  const vestry_sqlite_stats before = shown_stats(&s);
  for (size_t i = 0; i < VSI_INBOX_INTERESTS; i++) /* the inbox counts no set */
    assert_int_equal(atomic_load(&vsi_pages_inbox(s.on.pages)->interests[i]), 0);
  for (int id = FIRST_ENTERED - 1; id <= FIRST_ENTERED + ENTERED;
       id += id < FIRST_ENTERED || id > FIRST_ENTERED + ENTERED - 3 ? 1 : 19) {
    char sql[100];
    snprintf(sql, sizeof sql, "INSERT INTO name VALUES(%d, 'x')", id);
    shown_run(s.writer, sql);
    assert_int_equal(shown_renders(&s, one), id >= FIRST_ENTERED && id < FIRST_ENTERED + ENTERED);
  }
  /* Twice as many as the page needs during a render (reads.c: sweep): its former sets and the new ones. */
  assert_in_range(shown_stats(&s).recorded_bytes, before.recorded_bytes, 4 * before.recorded_bytes);
  const uint64_t sets = shown_stats(&s).refreshed_count;
  shown_run(s.writer, "UPDATE name SET text = 'y'"); /* scattered rows */
  shown_run(s.writer, "WITH RECURSIVE n(i) AS (SELECT 5000 UNION ALL SELECT i + 1 FROM n WHERE i < 9000) "
                      "INSERT INTO name(id) SELECT i FROM n"); /* more rows than sets, which are compared then */
  assert_int_equal(shown_renders(&s, one), 1);
  assert_in_range(shown_stats(&s).refreshed_count - sets, 30, 50);
  s.ahead = NULL;
  shown_close(&s);
}

/* Expect the pages of one key, or of none, to have rendered. */
static void assert_only(shown_site *s, size_t key, bool renders_row, bool renders_count) {
  for (size_t at = 0; at < s->count; at++) {
    const bool is_wanted = at / 2 == key && (at % 2 ? renders_count : renders_row);
    if (shown_renders(s, at) != is_wanted) fail_msg("page %zu, %s", at, s->all[at].sql);
  }
}

/* Runs of keys end where integers end, and do not wrap. */
/* capability: D21 */
TEST_CASE(keys_at_the_ends_of_their_range_are_exact) {
  enum { KEYS = 5, NONE = KEYS };
  static const struct {
    const char *row, *count, *key, *near;
  } keys[KEYS] = {
#define FAR_KEY(key, near)                                                                                             \
  {"SELECT text FROM far WHERE id = " key, "SELECT count(*) FROM far WHERE k = " key, key, near}
      FAR_KEY("9223372036854775807", "9223372036854775806"),
      FAR_KEY("-9223372036854775808", "-9223372036854775807"),
      FAR_KEY("-1", "-2"),
      FAR_KEY("1", "2"),
      FAR_KEY("9007199254740993", "9007199254740992"),
  };
  shown_site s;
  shown_open(&s, "CREATE TABLE far(id INTEGER PRIMARY KEY, k INT, text); CREATE INDEX by_k ON far(k)",
             VESTRY_SQLITE_FILE_PAGES);
  for (size_t i = 0; i < KEYS; i++) {
    (void)shown_watch(&s, keys[i].row);
    (void)shown_watch(&s, keys[i].count);
  }
  for (size_t i = 0; i < KEYS; i++) {
    char sql[300];
    snprintf(sql, sizeof sql, "INSERT INTO far VALUES(%s, %s, 'x')", keys[i].near, keys[i].near);
    shown_run(s.writer, sql);
    assert_only(&s, NONE, false, false);
    snprintf(sql, sizeof sql, "UPDATE far SET text = 'y' WHERE id = %s; INSERT INTO far VALUES(%s, %s, 'x')",
             keys[i].near, keys[i].key, keys[i].key); /* the two are one run */
    shown_run(s.writer, "BEGIN");
    shown_run(s.writer, sql);
    shown_run(s.writer, "COMMIT");
    assert_only(&s, i, true, true);
    assert_string_equal(s.all[2 * i].text, "x ");
    assert_string_equal(s.all[2 * i + 1].text, "1 ");
    snprintf(sql, sizeof sql, "UPDATE far SET text = 'z' WHERE k = %s", keys[i].key);
    shown_run(s.writer, sql);
    assert_only(&s, i, true, false);
    snprintf(sql, sizeof sql, "UPDATE far SET k = 0 WHERE id = %s", keys[i].key);
    shown_run(s.writer, sql);
    assert_only(&s, i, true, true); /* columns of indexes always count as read */
    snprintf(sql, sizeof sql, "DELETE FROM far WHERE id IN (%s, %s)", keys[i].near, keys[i].key);
    shown_run(s.writer, sql);
    assert_only(&s, i, true, false);
  }
  shown_close(&s);
}

/* So many that unused sets are dropped. */
static void enter_many(shown_site *s, vestry_render *render) {
  enter(s, render, 200, 1);
}

/* So many tables that the reserve for sets without keys has no room for them. */
static void enter_large(shown_site *s, vestry_render *render) {
  enter(s, render, 1, 2000);
}

TEST_CASE(render_without_room_in_the_reserve_is_counted) {
  shown_site s;
  shown_open_with(&s, "WAL", shown_channels, (vestry_sqlite_options){.max_bytes = 1});
  s.behind = enter_large;
  (void)shown_watch(&s, shown_eighth);
  assert_int_equal(shown_stats(&s).everything_count, 1);
  assert_int_equal(shown_stats(&s).table_level_count, 1);
  shown_close(&s);
}

/* capability: D21 */
SHOWN_CASE(reads_are_kept_until_the_page_depends_on_them) {
  s->behind = enter_many;
  size_t eight = shown_watch(s, shown_eighth);
  shown_run(s->writer, "INSERT INTO message VALUES(8, 1000, 'x', 0)");
  assert_int_equal(shown_renders(s, eight), 1);
  assert_string_equal(s->all[eight].text, "1000 399 ");
}

/* ----------------------------------------------------------------------------- schema, virtual tables and views --- */

/* capability: D21 */
TEST_CASE(schema_change_refreshes_all_readers) {
  static const char *const changes[] = {"CREATE INDEX i ON message(body)",
                                        "DROP VIEW v; CREATE VIEW v AS SELECT 2 AS x",
                                        "ALTER TABLE message ADD COLUMN more", "VACUUM"};
  for (int is_other = 0; is_other < 2; is_other++) {
    shown_site s;
    shown_open(&s, shown_channels, VESTRY_SQLITE_FILE_PAGES);
    shown_run(s.writer, "CREATE VIEW v AS SELECT 1 AS x");
    size_t eight = shown_watch(&s, shown_eighth),
           view = shown_watch(&s, "SELECT x FROM v, message WHERE channel = 1 AND id = 1");
    for (size_t i = 0; i < sizeof changes / sizeof *changes; i++) {
      shown_run(is_other ? s.other : s.writer, changes[i]);
      assert_true(shown_renders(&s, eight) >= 1);
      assert_true(shown_stats(&s).whole_count >= i + 1);
    }
    assert_string_equal(s.all[view].text, "2 ");
    shown_run(s.writer, "INSERT INTO message(channel, id) VALUES(8, 1000)");
    assert_int_equal(shown_renders(&s, eight), 1);
    shown_close(&s);
  }
}

/* capability: D21 */
TEST_CASE(virtual_tables_and_pragmas_are_followed) {
  for (int level = VESTRY_SQLITE_TABLES; level <= VESTRY_SQLITE_FILE_PAGES; level++) {
    shown_site s;
    shown_open(&s,
               "CREATE VIRTUAL TABLE note USING fts5(text); CREATE TABLE counted(id INTEGER PRIMARY KEY AUTOINCREMENT);"
               "INSERT INTO note VALUES('one two'); INSERT INTO counted VALUES(NULL); CREATE TABLE other(x);"
               "CREATE VIRTUAL TABLE place USING rtree(id, a, b); INSERT INTO place VALUES(1, 2, 3)",
               (vestry_sqlite_level)level);
    size_t found = shown_watch(&s, "SELECT text FROM note WHERE note MATCH 'two'");
    size_t last = shown_watch(&s, "SELECT seq FROM sqlite_sequence"), version = shown_watch(&s, "PRAGMA user_version");
    size_t schema = shown_watch(&s, "SELECT count(*) FROM sqlite_master"),
           pragma = shown_watch(&s, "SELECT * FROM pragma_user_version");
    size_t each = shown_watch(&s, "SELECT count(*) FROM json_each('[1, 2]')"),
           both = shown_watch(&s, "SELECT count(*) FROM note, json_each('[1]') WHERE note MATCH 'two'"),
           all = shown_watch(&s, "SELECT user_version FROM pragma_user_version, json_each('[1]')");
    size_t near = shown_watch(&s, "SELECT count(*) FROM place WHERE a > 1"),
           blob = shown_watch(&s, "EXPLAIN SELECT * FROM other");
    for (int i = 0; i < 2; i++) {
      sqlite3 *db = i ? s.other : s.writer;
      shown_run(db, "INSERT INTO note VALUES('two three')");
      assert_true(shown_renders(&s, found) >= 1);
      assert_string_equal(s.all[both].text, i ? "3 " : "2 ");
      assert_string_equal(s.all[found].text, i ? "one two two three two three " : "one two two three ");
      shown_run(db, "INSERT INTO counted VALUES(NULL)");
      assert_true(shown_renders(&s, last) >= 1);
      assert_string_equal(s.all[last].text, i ? "3 " : "2 ");
      shown_run(db, "INSERT INTO place VALUES(NULL, 5, 6)");
      assert_true(shown_renders(&s, near) >= 1);
      shown_run(db, i ? "PRAGMA user_version = 8" : "PRAGMA user_version = 7");
      assert_true(shown_renders(&s, version) >= 1);
      assert_true(shown_renders(&s, pragma) >= 1);
      assert_string_equal(s.all[version].text, i ? "8 " : "7 ");
      assert_string_equal(s.all[pragma].text, i ? "8 " : "7 ");
      assert_string_equal(s.all[all].text, i ? "8 " : "7 ");
    }
    shown_run(s.writer, "CREATE TABLE more(x)");
    assert_true(shown_renders(&s, schema) >= 1);
    s.all[each].renders = s.all[blob].renders = s.all[near].renders = 0;
    shown_run(s.writer, "INSERT INTO more VALUES(1)");
    assert_int_equal(shown_renders(&s, near), 1); /* what a module keeps of the file is not known */
    assert_int_equal(shown_renders(&s, each), 0);
    assert_int_equal(shown_renders(&s, blob), 0);
    shown_close(&s);
  }
}

TEST_CASE(temporary_view_hides_the_table_of_its_name) {
  shown_site s;
  shown_open(&s, shown_channels, VESTRY_SQLITE_TABLES);
  shown_run(s.writer, "INSERT INTO other VALUES(1)");
  size_t page = shown_watch(&s, "SELECT count(*) FROM name");
  shown_run(s.reader, "CREATE TEMP VIEW name AS SELECT * FROM other");
  assert_int_equal(vestry_refresh(s.on.pages, NULL, NULL), VESTRY_OK);
  assert_int_equal(shown_renders(&s, page), 1);
  assert_string_equal(s.all[page].text, "1 ");
  shown_run(s.writer, "INSERT INTO other VALUES(2)");
  assert_int_equal(shown_renders(&s, page), 1);
  assert_string_equal(s.all[page].text, "2 ");
  shown_run(s.reader, "DROP VIEW temp.name");
  assert_int_equal(vestry_refresh(s.on.pages, NULL, NULL), VESTRY_OK);
  assert_int_equal(shown_renders(&s, page), 1);
  shown_run(s.writer, "INSERT INTO name VALUES(1, 'x')");
  assert_int_equal(shown_renders(&s, page), 1);
  assert_string_equal(s.all[page].text, "1 ");
  shown_close(&s);
}

/* ------------------------------------------------------------------------------------------- memory and WAL ------ */

SHOWN_CASE(sets_of_closed_pages_are_freed) {
  size_t before = 0;
  for (int i = 0; i < 1000; i++) {
    char sql[100];
    snprintf(sql, sizeof sql, "SELECT body FROM message WHERE channel = %d AND id = %d", i % 10, i * 7 % 400);
    s->count = 0;
    size_t at = shown_watch(s, sql);
    vestry_memory_destroy(s->all[at].stream);
    site_settle(&s->on);
    s->count = 0;
    if (i == 200) before = shown_stats(s).recorded_bytes;
  }
  assert_in_range(shown_stats(s).recorded_bytes, 1, 4 * before); /* of one or two sets */
}

/* The WAL was reset, and its frames overwritten, before they were read. */
/* capability: D21 */
SHOWN_CASE(commit_with_lost_wal_frames_refreshes_all) {
  size_t eight = shown_watch(s, shown_eighth), one = shown_watch(s, shown_first);
  uint64_t before = shown_stats(s).whole_count;
  shown_run(s->other, "INSERT INTO message VALUES(8, 1000, 'x', 0); PRAGMA wal_checkpoint(TRUNCATE);"
                      "INSERT INTO message VALUES(2, 1000, 'x', 0)");
  assert_int_equal(shown_renders(s, eight), 1);
  assert_string_equal(s->all[eight].text, "1000 399 ");
  assert_int_equal(shown_stats(s).whole_count, before + 1);
  assert_int_equal(shown_renders(s, one), 1);
  shown_run(s->other, "INSERT INTO message VALUES(8, 1001, 'x', 0)"); /* later commits are followed exactly again */
  assert_int_equal(shown_renders(s, eight), 1);
  assert_int_equal(shown_renders(s, one), 0);
  shown_run(s->other, "PRAGMA wal_checkpoint(RESTART)");
  shown_run(s->other, "INSERT INTO message VALUES(8, 1002, 'x', 0)"); /* all earlier frames had been read */
  assert_int_equal(shown_renders(s, eight), 1);
  assert_int_equal(shown_renders(s, one), 0);
}

/* Let no thread look for commits before this one does. */
static void keep_asleep(shown_site *s) {
  vsi_mutex_lock(&s->database->lock);
  s->database->is_roused = true;
  vsi_mutex_unlock(&s->database->lock);
}

/* The same, but attached connections have announced the rows. A commit of another connection among them is lost. */
/* capability: D21 */
TEST_CASE(own_commits_with_lost_wal_frames_are_followed_by_their_rows) {
  static const char checkpoint[] = "PRAGMA wal_checkpoint(TRUNCATE)";
  for (int has_stranger = 0; has_stranger < 2; has_stranger++) {
    shown_site s;
    shown_open(&s, shown_channels, VESTRY_SQLITE_FILE_PAGES);
    size_t eight = shown_watch(&s, shown_eighth), one = shown_watch(&s, shown_first);
    const uint64_t before = shown_stats(&s).whole_count;
    keep_asleep(&s);
    shown_run(s.writer, "INSERT INTO message VALUES(8, 1000, 'x', 0)");
    shown_run(s.writer, checkpoint);
    shown_run(has_stranger ? s.other : s.writer, "INSERT INTO other VALUES(1)");
    shown_run(s.writer, checkpoint);
    shown_run(s.writer, "INSERT INTO message VALUES(8, 1001, 'x', 0)");
    assert_int_equal(shown_renders(&s, eight), 1);
    assert_string_equal(s.all[eight].text, "1001 1000 ");
    assert_int_equal(shown_renders(&s, one), has_stranger);
    assert_int_equal(shown_stats(&s).whole_count, before + (unsigned)has_stranger);
    shown_run(s.writer, "INSERT INTO message VALUES(8, 1002, 'x', 0)"); /* with its file pages */
    assert_int_equal(shown_renders(&s, eight), 1);
    assert_int_equal(shown_renders(&s, one), 0);
    keep_asleep(&s);
    shown_run(s.writer, "CREATE TABLE further(id)");
    shown_run(s.writer, checkpoint);
    shown_run(s.writer, "INSERT INTO other VALUES(2)");
    assert_int_equal(shown_renders(&s, one), 1); /* a change of the schema concerns everything */
    shown_close(&s);
  }
}

/* Without memory a page renders needlessly, or later, but every change is shown. */
/* capability: D21 */
TEST_CASE(allocation_failure_hides_no_change) {
  for (int level = VESTRY_SQLITE_TABLES; level <= VESTRY_SQLITE_FILE_PAGES; level++) {
    shown_site s;
    shown_open(&s, shown_channels, (vestry_sqlite_level)level);
    size_t eight = shown_watch(&s, shown_eighth),
           one = shown_watch(&s, "SELECT count(*) FROM message WHERE channel = 1");
    int ended = 0;
    for (int i = 0; i < 60; i++) {
      char sql[100], expected[SHOWN_TEXT_BYTES];
      snprintf(sql, sizeof sql, "INSERT INTO message VALUES(%d, %d, 'x', 0)", i % 2 ? 8 : 1, 1000 + i);
      test_host_fail_in(&s.on.th, i % 30);
      shown_run(i % 3 ? s.writer : s.other, sql);
      (void)vestry_sqlite_sync(s.database, NULL);
      (void)vestry_pages_settle(s.on.pages, UINT64_MAX, 1000);
      test_host_fail_no_more(&s.on.th);
      test_host_advance_ms(&s.on.th, 60000);
      shown_settle(&s);
      /* A stream that could not receive the change has ended, and reconnects. */
      for (size_t at = 0; at < s.count; at++) {
        if (!vestry_memory_look(s.all[at].stream).ended) continue;
        vestry_memory_destroy(s.all[at].stream);
        shown_tab(&s, at);
        ended++;
      }
      shown_text(s.other, s.all[eight].sql, expected);
      assert_string_equal(s.all[eight].text, expected);
      shown_text(s.other, s.all[one].sql, expected);
      assert_string_equal(s.all[one].text, expected);
    }
    assert_true(ended < 20);
    shown_close(&s);
  }
}

/* With threads: writers, attached and not, renders, and the database's thread. */
enum { WRITERS = 3, INSERTS = 150, RACE_PAGES = 10 };

typedef struct race {
  shown_site *s;
  pthread_mutex_t reading;
  char shown[RACE_PAGES][SHOWN_TEXT_BYTES];
} race;

typedef struct race_writer {
  pthread_t thread;
  sqlite3 *db;
  vestry_sqlite_connection *attached;
  unsigned seed;
} race_writer;

static void *write_many(void *ctx) {
  race_writer *w = ctx;
  for (int i = 0; i < INSERTS; i++) {
    char sql[120];
    w->seed = w->seed * 1103515245 + 12345;
    unsigned channel = (w->seed >> 16) % RACE_PAGES;
    snprintf(sql, sizeof sql, "INSERT INTO message(channel, id, body) SELECT %u, max(id) + 1, 'x' FROM message",
             channel);
    shown_run(w->db, sql);
  }
  return NULL;
}

static const char race_sql[] = "SELECT count(*), max(id) FROM message WHERE channel = %zu";

static vestry_err race_render(vestry_render *render, vestry_html *html, void *app) {
  race *r = app;
  char sql[100];
  size_t at = strtoul(render->request->query, NULL, 10);
  snprintf(sql, sizeof sql, race_sql, at);
  pthread_mutex_lock(&r->reading);
  shown_text(r->s->reader, sql, r->shown[at]);
  vestry_html_add(html, "<title>%s</title>", r->shown[at]);
  vestry_render_begin(render, html);
  vestry_html_add(html, "<b>%s</b>", r->shown[at]);
  pthread_mutex_unlock(&r->reading);
  return vestry_render_end(render, html);
}

TEST_CASE(pages_are_current_after_concurrent_writes) {
  shown_site s;
  race r = {&s, PTHREAD_MUTEX_INITIALIZER, {""}};
  race_writer writers[WRITERS];
  vestry_memory_exchange *tabs[RACE_PAGES];
  vestry *v;
  vestry_pages *pages;
  vestry_page *page;
  vestry_sqlite *database;
  vestry_sqlite_connection *attached;
  shown_open(&s, shown_channels, VESTRY_SQLITE_FILE_PAGES); /* creates the files */
  assert_int_equal(vestry_create(NULL, &v), VESTRY_OK);
  assert_int_equal(vestry_pages_create(v, &(vestry_pages_options){.interval_ms = 1}, &pages), VESTRY_OK);
  assert_int_equal(vestry_page_create(pages, &(vestry_page_options){.render = race_render, .app = &r}, &page),
                   VESTRY_OK);
  vestry_sqlite_detach(s.attached[1]); /* one connection belongs to one database */
  s.attached[1] = NULL;
  const vestry_sqlite_options options = {.path = s.path, .level = VESTRY_SQLITE_FILE_PAGES, .poll_ms = 5};
  assert_int_equal(vestry_sqlite_create(pages, &options, &database), VESTRY_OK);
  assert_int_equal(vestry_sqlite_attach(database, s.reader, &attached), VESTRY_OK);
  for (size_t i = 0; i < RACE_PAGES; i++) {
    char query[8];
    snprintf(query, sizeof query, "%zu", i);
    const vestry_memory_call call = {.query = query, .datastar = true};
    assert_int_equal(vestry_memory_request(v, &call, vestry_page_handler, page, &tabs[i]), VESTRY_OK);
  }
  for (size_t i = 0; i < WRITERS; i++) {
    writers[i] = (race_writer){.seed = (unsigned)i * 77 + 1};
    assert_int_equal(sqlite3_open(s.path, &writers[i].db), SQLITE_OK);
    sqlite3_busy_timeout(writers[i].db, 60000);
    shown_run(writers[i].db, "PRAGMA synchronous = OFF; PRAGMA wal_autocheckpoint = 20");
    if (i) assert_int_equal(vestry_sqlite_attach(database, writers[i].db, &writers[i].attached), VESTRY_OK);
  }
  for (size_t i = 0; i < WRITERS; i++)
    assert_int_equal(pthread_create(&writers[i].thread, NULL, write_many, &writers[i]), 0);
  for (size_t i = 0; i < WRITERS; i++) assert_int_equal(pthread_join(writers[i].thread, NULL), 0);
  uint64_t seq = UINT64_MAX;
  assert_int_equal(vestry_sqlite_sync(database, &seq), VESTRY_OK);
  assert_int_equal(vestry_pages_settle(pages, seq, 60000), VESTRY_OK);
  for (size_t i = 0; i < RACE_PAGES; i++) {
    char sql[100], expected[SHOWN_TEXT_BYTES];
    snprintf(sql, sizeof sql, race_sql, i);
    shown_text(s.other, sql, expected);
    pthread_mutex_lock(&r.reading);
    assert_string_equal(r.shown[i], expected);
    pthread_mutex_unlock(&r.reading);
    vestry_memory_destroy(tabs[i]);
  }
  vestry_stop(v, 1000);
  for (size_t i = 0; i < WRITERS; i++) {
    vestry_sqlite_detach(writers[i].attached);
    assert_int_equal(sqlite3_close(writers[i].db), SQLITE_OK);
  }
  vestry_sqlite_detach(attached);
  vestry_sqlite_destroy(database);
  vestry_pages_destroy(pages);
  vestry_destroy(v);
  shown_close(&s);
}

int main(void) {
  level_begin();
  return cases_run("sqlite/exact", NULL, NULL);
}
