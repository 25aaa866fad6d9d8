/* SPDX-License-Identifier: MIT */
/* Commits of connections that are attached in no process, after commits that have moved rows of pages to other file
 * pages without rendering the pages. */
#include "sqlite/level.h"
#include "sqlite/shown.h"

/* Rows of other keys were inserted until file pages were split, so rows of each page may have moved. */
/* capability: D22 */
TEST_CASE(commit_of_another_program_renders_no_moved_page_of_another_table) {
  static const char grow[] = "WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 99) "
                             "INSERT INTO message SELECT 5, 5000 + i, hex(zeroblob(400)), 0 FROM n";
  for (int of_same = 0; of_same < 2; of_same++) {
    shown_site s;
    shown_open(&s, shown_channels, VESTRY_SQLITE_FILE_PAGES);
    size_t one = shown_watch(&s, shown_first), eight = shown_watch(&s, shown_eighth);
    shown_run(s.writer, grow);
    assert_int_equal(shown_renders(&s, one), 0);
    assert_int_equal(shown_renders(&s, eight), 0);
    shown_run(s.other, of_same ? "INSERT INTO message VALUES(5, 9000, 'x', 0)" : "INSERT INTO other VALUES(1)");
    assert_int_equal(shown_renders(&s, one), of_same);
    assert_int_equal(shown_renders(&s, eight), of_same);
    shown_run(s.other, "INSERT INTO name VALUES(1, 'x')");
    assert_int_equal(shown_renders(&s, eight), 0);
    shown_run(s.other, "INSERT INTO message VALUES(8, 1000, 'x', 0)");
    assert_int_equal(shown_renders(&s, eight), 1);
    assert_string_equal(s.all[eight].text, "1000 399 ");
    (void)shown_renders(&s, one);
    shown_close(&s);
  }
}

/* The row of the first page may have moved; a page that reads the same file pages after that knows where its row is. */
/* capability: D22 */
TEST_CASE(page_opened_after_a_commit_to_its_file_pages_is_exact) {
  shown_site s;
  shown_open(&s, shown_channels, VESTRY_SQLITE_FILE_PAGES);
  shown_run(s.writer, "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 999) INSERT INTO name "
                      "SELECT i, hex(zeroblob(50)) FROM n");
  size_t one = shown_watch(&s, "SELECT text FROM name WHERE id = 1");
  shown_run(s.writer, "UPDATE name SET text = 'other' WHERE id = 3");
  assert_int_equal(shown_renders(&s, one), 0);
  size_t two = shown_watch(&s, "SELECT text FROM name WHERE id = 2");
  shown_run(s.other, "UPDATE name SET text = 'x' WHERE id = 999"); /* on another file page */
  assert_int_equal(shown_renders(&s, one), 1);
  assert_int_equal(shown_renders(&s, two), 0);
  shown_close(&s);
}

/* A row is removed from an inner page of the tree, and the one before it takes its place. Rows between the two, which
 * do not exist yet, then belong on a leaf that was neither read nor written. */
/* capability: D22 */
TEST_CASE(place_of_an_absent_row_that_moves_to_an_unread_file_page_is_followed) {
  enum { PAGES = SHOWN_MOST };
  char queries[PAGES][80], sql[120];
  shown_site s;
  shown_open_with(&s, "DELETE",
                  "PRAGMA page_size = 512; PRAGMA journal_mode = WAL; CREATE TABLE place(k INTEGER PRIMARY KEY, x) "
                  "WITHOUT ROWID; WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1000) "
                  "INSERT INTO place SELECT i * 10, hex(zeroblob(35)) FROM n",
                  (vestry_sqlite_options){.level = VESTRY_SQLITE_FILE_PAGES});
  for (int i = 0; i < PAGES; i++) { /* one row in six is on an inner page */
    const int removed = 1000 + 710 * i, absent = removed - 5;
    snprintf(queries[i], sizeof queries[i], "SELECT count(*) FROM place WHERE k = %d", absent);
    size_t page = shown_watch(&s, queries[i]);
    snprintf(sql, sizeof sql, "DELETE FROM place WHERE k = %d", removed);
    shown_run(s.writer, sql);
    assert_int_equal(shown_renders(&s, page), 0);
    snprintf(sql, sizeof sql, "INSERT INTO place VALUES(%d, 'x')", absent);
    shown_run(s.other, sql);
    assert_int_equal(shown_renders(&s, page), 1);
    assert_string_equal(s.all[page].text, "1 ");
  }
  shown_close(&s);
}

int main(void) {
  level_begin();
  return cases_run("sqlite/strangers", NULL, NULL);
}
