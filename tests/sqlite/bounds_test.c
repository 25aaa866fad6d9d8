/* SPDX-License-Identifier: MIT */
/* Bounds of exact refresh: reads and changes that exceed them are followed less precisely, are counted, and are logged
 * once. On the stepped runtime. */
#include <inttypes.h>

#include "data/sqlite/sqlite.h"
#include "sqlite/level.h"
#include "sqlite/shown.h"

/* capability: D21 */
TEST_CASE(reads_over_the_limits_are_followed_by_tables) {
  const vestry_sqlite_options bounds[] = {{.max_file_pages = 3}, {.max_bytes = 700}, {.max_bytes = 1}};
  for (size_t i = 0; i < sizeof bounds / sizeof *bounds; i++) {
    shown_site s;
    shown_open_with(&s, "WAL", shown_channels, bounds[i]);
    size_t one = shown_watch(&s, "SELECT count(*), max(id) FROM message WHERE channel > 0 AND channel < 2"),
           name = shown_watch(&s, "SELECT * FROM name");
    assert_true(shown_stats(&s).table_level_count >= 1);
    assert_true((shown_stats(&s).over_pages_count >= 1) == (bounds[i].max_file_pages > 0));
    assert_true((shown_stats(&s).over_bytes_count >= 1) == (bounds[i].max_bytes > 0));
    assert_int_equal(s.on.th.log_lines, 1);
    assert_non_null(strstr(s.on.th.last_log, bounds[i].max_file_pages ? "max_file_pages" : "max_bytes"));
    shown_run(s.writer, "INSERT INTO message VALUES(8, 1000, 'x', 0)");
    assert_int_equal(shown_renders(&s, one), 1);
    assert_int_equal(shown_renders(&s, name), 0);
    shown_run(s.other, "INSERT INTO message VALUES(1, 1000, 'x', 0)");
    assert_int_equal(shown_renders(&s, one), 1);
    assert_string_equal(s.all[one].text, "401 1000 ");
    shown_close(&s);
  }
}

/* capability: D21 */
TEST_CASE(pages_over_max_bytes_are_followed_by_their_tables) {
  shown_site s;
  shown_open_with(&s, "WAL", shown_channels, (vestry_sqlite_options){.max_bytes = 1});
  size_t eight = shown_watch(&s, shown_eighth), one = shown_watch(&s, "SELECT text FROM name WHERE id = 1"),
         two = shown_watch(&s, "SELECT text FROM name WHERE id = 2");
  assert_int_equal(shown_stats(&s).table_level_count, 3);
  shown_run(s.writer, "INSERT INTO other VALUES(1)");
  shown_run(s.writer, "UPDATE message SET likes = 1 WHERE channel = 8 AND id = 399");
  for (size_t i = 0; i < s.count; i++) assert_int_equal(shown_renders(&s, i), 0);
  shown_run(s.writer, "INSERT INTO message VALUES(1, 1000, 'x', 0)"); /* another key */
  assert_int_equal(shown_renders(&s, eight), 1);
  assert_int_equal(shown_renders(&s, one), 0);
  shown_run(s.writer, "INSERT INTO name VALUES(2, 'x')");
  assert_int_equal(shown_renders(&s, eight), 0);
  assert_int_equal(shown_renders(&s, one), 1);
  assert_int_equal(shown_renders(&s, two), 1);
  assert_string_equal(s.all[two].text, "x ");
  assert_int_equal(shown_stats(&s).everything_count, 0);
  shown_close(&s);
}

TEST_CASE(max_bytes_are_logged_once) {
  static const char *const names[] = {"SELECT text FROM name WHERE id = 1", "SELECT text FROM name WHERE id = 2",
                                      "SELECT text FROM name WHERE id = 3", "SELECT text FROM name WHERE id = 4",
                                      "SELECT text FROM name WHERE id = 5", "SELECT text FROM name WHERE id = 6",
                                      "SELECT text FROM name WHERE id = 7", "SELECT text FROM name WHERE id = 8"};
  shown_site s;
  shown_open_with(&s, "WAL", shown_channels, (vestry_sqlite_options){.max_bytes = 600});
  (void)shown_watch(&s, names[0]);
  assert_int_equal(s.on.th.log_lines, 0);
  for (size_t i = 1; i < sizeof names / sizeof *names; i++) (void)shown_watch(&s, names[i]);
  assert_non_null(strstr(s.on.th.last_log, "max_bytes"));
  assert_int_equal(s.on.th.log_lines, 1);
  shown_close(&s);
}

/* capability: D21 */
TEST_CASE(transaction_of_many_rows_is_followed_by_their_keys) {
  shown_site s;
  shown_open(&s, "CREATE TABLE name(id INTEGER PRIMARY KEY, owner INT, text); CREATE INDEX by_owner ON name(owner)",
             VESTRY_SQLITE_DEFAULT);
  size_t one = shown_watch(&s, "SELECT text FROM name WHERE id = 1"),
         last = shown_watch(&s, "SELECT text FROM name WHERE id = 9000"),
         owner = shown_watch(&s, "SELECT count(*) FROM name WHERE owner = 7");
  shown_run(s.writer, "WITH RECURSIVE n(i) AS (SELECT 2 UNION ALL SELECT i + 1 FROM n WHERE i < 3000) "
                      "INSERT INTO name SELECT i, 10 * i, '' FROM n"); /* one run of ids, and 2,999 owners */
  assert_int_equal(shown_renders(&s, one), 0);
  assert_int_equal(shown_renders(&s, owner), 0);
  s.database->tables.max_changes_count = 1;
  shown_run(s.writer, "DROP INDEX by_owner"); /* owners are keys no more */
  s.all[owner].sql = "SELECT 1";
  (void)shown_renders(&s, owner);
  (void)shown_renders(&s, one);
  (void)shown_renders(&s, last);
  shown_run(s.writer, "WITH RECURSIVE n(i) AS (SELECT 8000 UNION ALL SELECT i + 1 FROM n WHERE i < 9000) "
                      "INSERT INTO name(id, text) SELECT i, 'x' FROM n");
  assert_int_equal(shown_renders(&s, one), 0);
  assert_int_equal(shown_renders(&s, last), 1);
  assert_string_equal(s.all[last].text, "x ");
  assert_int_equal(shown_stats(&s).large_commits_count, 0);
  shown_run(s.writer, "DELETE FROM name WHERE id IN (8000, 8500, 9000)"); /* three runs */
  assert_int_equal(shown_renders(&s, last), 1);
  assert_string_equal(s.all[last].text, "");
  assert_int_equal(shown_stats(&s).large_commits_count, 1);
  assert_int_equal(s.on.th.log_lines, 1);
  shown_run(s.writer, "UPDATE name SET text = '' WHERE id IN (8001, 8501)");
  (void)shown_renders(&s, one);
  assert_int_equal(shown_stats(&s).large_commits_count, 2);
  assert_int_equal(s.on.th.log_lines, 1);
  shown_close(&s);
}

static void *sync_on_a_thread(void *database) {
  assert_int_equal(vestry_sqlite_sync(database, NULL), VESTRY_OK);
  return NULL;
}

/* Within another render, more commits come than are kept for it. */
static void commit_much(shown_site *s, vestry_render *render) {
  enum { COMMITS = 1100 };
  vestry_sqlite *database = s->database;
  vsi_sqlite_use use = {.columns = VSI_SQLITE_ALL_COLUMNS, .column = VSI_SQLITE_ANY_ROW};
  vsi_sqlite_recording recording;
  pthread_t thread;
  assert_int_equal(vsi_sqlite_tables_find(&database->tables, "name", &use.table), VESTRY_OK);
  vsi_sqlite_reads_begin(&recording, database->host, database, render, 0);
  vsi_reads_begin(vsi_sqlite_index_reads(database->index), &recording.ticket);
  recording.has_read = true;
  assert_int_equal(vsi_sqlite_uses_add(database->host, &recording.uses, &use), VESTRY_OK);
  vsi_sqlite_reads_end(&recording);
  shown_run(s->other, "PRAGMA wal_autocheckpoint = 0"); /* no commit is lost */
  for (int i = 0; i < COMMITS; i++) shown_run(s->other, "INSERT INTO other VALUES(1)");
  assert_int_equal(pthread_create(&thread, NULL, sync_on_a_thread, database), 0);
  assert_int_equal(pthread_join(thread, NULL), 0);
  vsi_sqlite_index_enter(database->index, &recording);
  vsi_sqlite_reads_finish(&recording);
  s->ahead = NULL;
}

TEST_CASE(render_that_many_commits_overtake_is_counted) {
  shown_site s;
  shown_open(&s, shown_channels, VESTRY_SQLITE_TABLES);
  size_t one = shown_watch(&s, "SELECT text FROM name WHERE id = 1");
  for (uint64_t i = 1; i <= 2; i++) {
    s.ahead = commit_much;
    shown_run(s.writer, "INSERT INTO name VALUES(1, 'x') ON CONFLICT DO UPDATE SET text = text || 'x'");
    assert_in_range(shown_renders(&s, one), 1, 3);
    assert_int_equal(shown_stats(&s).over_recent_count, i);
    assert_int_equal(s.on.th.log_lines, 1);
    assert_non_null(strstr(s.on.th.last_log, "over_recent_count"));
  }
  shown_close(&s);
}

/* capability: D21 */
TEST_CASE(tables_without_room_for_their_names_are_logged_once) {
  shown_site s;
  char name[24];
  uint32_t table;
  shown_open(&s, shown_channels, VESTRY_SQLITE_TABLES);
  for (int i = 0; i < VSI_SQLITE_TABLES_MAX; i++) {
    snprintf(name, sizeof name, "named%d", i);
    assert_int_equal(vsi_sqlite_tables_find(&s.database->tables, name, &table), VESTRY_OK);
  }
  assert_int_equal(s.on.th.log_lines, 0);
  size_t one = shown_watch(&s, "SELECT text FROM name WHERE id = 1");
  (void)shown_watch(&s, shown_first);
  assert_int_equal(s.on.th.log_lines, 1);
  assert_non_null(strstr(s.on.th.last_log, "65536 names"));
  assert_non_null(strstr(s.on.th.last_log, s.path));
  assert_int_equal(shown_stats(&s).everything_count, 2);
  shown_run(s.writer, "INSERT INTO name VALUES(1, 'x')");
  assert_int_equal(shown_renders(&s, one), 1);
  assert_string_equal(s.all[one].text, "x ");
  assert_int_equal(s.on.th.log_lines, 1);
  shown_close(&s);
}

/* Beside the pages of the file, which many sets share. */
TEST_CASE(set_of_one_row_takes_at_most_160_bytes) {
  static const char *const rows[] = {
      "SELECT body FROM message WHERE channel = 1", "SELECT text FROM name WHERE id = 1",
      "SELECT text FROM name WHERE id = 2",         "SELECT text FROM name WHERE id = 3",
      "SELECT text FROM name WHERE id = 4",         "SELECT text FROM name WHERE id = 5"};
  enum { FIRST = 2, COUNT = sizeof rows / sizeof *rows };
  shown_site s;
  shown_open(&s, shown_channels, VESTRY_SQLITE_FILE_PAGES);
  for (size_t i = 0; i < FIRST; i++) (void)shown_watch(&s, rows[i]);
  const size_t before = shown_stats(&s).recorded_bytes;
  for (size_t i = FIRST; i < COUNT; i++) (void)shown_watch(&s, rows[i]);
  assert_in_range(shown_stats(&s).recorded_bytes - before, COUNT - FIRST, (COUNT - FIRST) * 160);
  assert_int_equal(shown_stats(&s).table_level_count, 0);
  shown_close(&s);
}

int main(void) {
  level_begin();
  return cases_run("sqlite/bounds", NULL, NULL);
}
