/* SPDX-License-Identifier: MIT */
/* An operator can see the table, or the page of the file, whose commit made a page render again; never a value or
 * the text of a statement. */
#include "sqlite/level.h"
#include "sqlite/shown.h"
#include "support/listed.h"

#include <stdlib.h>

#define MARK   "planted-7f3a"
#define SCHEMA "CREATE TABLE messages(id INTEGER PRIMARY KEY, text); CREATE TABLE users(name); CREATE TABLE log(what)"

/* Get the reason of the only page's last render. */
static void look(const shown_site *s, char by[128]) {
  vestry_observe *observe;
  assert_int_equal(vestry_observe_create(
                       s->on.v, &(vestry_observe_options){.trusts_loopback = true, .pages = s->on.pages}, &observe),
                   VESTRY_OK);
  json_auto_t *all = listed(observe, vsi_list_pages, NULL);
  vestry_observe_destroy(observe);
  const json_t *pages = json_object_get(all, "pages"), *page = json_array_get(pages, 0);
  static const char *const texts[] = {"path", "part", "refreshed_by", "unchanged_by"};
  assert_int_equal(json_array_size(pages), 1);
  for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
    const char *text = listed_text(page, texts[i]);
    assert_true(!text || !strstr(text, MARK));
  }
  snprintf(by, 128, "%s", listed_text(page, "refreshed_by"));
}

static void expect(const shown_site *s, const char *by) {
  char found[128];
  look(s, found);
  assert_string_equal(found, by);
}

static void run_and_expect(shown_site *s, sqlite3 *db, const char *sql, const char *by) {
  shown_run(db, sql);
  (void)shown_renders(s, 0);
  expect(s, by);
}

/* capability: H8 */
TEST_CASE(attached_commit_is_reported_by_its_table) {
  static const vestry_sqlite_level levels[] = {VESTRY_SQLITE_TABLES, VESTRY_SQLITE_FILE_PAGES};
  static const char *const modes[] = {"WAL", "DELETE"};
  for (size_t i = 0; i < 4; i++) {
    shown_site s;
    if (levels[i / 2] == VESTRY_SQLITE_FILE_PAGES && (i % 2 || !level_has_pages())) continue;
    shown_open_with(&s, modes[i % 2], SCHEMA, (vestry_sqlite_options){.level = levels[i / 2]});
    shown_watch(&s, "SELECT text FROM messages; SELECT name FROM users");
    expect(&s, "first");
    run_and_expect(&s, s.writer, "INSERT INTO messages(text) VALUES('" MARK "') /* " MARK " */", "table messages");
    run_and_expect(&s, s.writer, "INSERT INTO users VALUES('" MARK "')", "table users");
    /* the page has not read the first table */
    run_and_expect(&s, s.writer, "BEGIN; INSERT INTO log VALUES(1); UPDATE messages SET text = '" MARK "2'; COMMIT",
                   "table messages");
    shown_run(s.writer, "INSERT INTO log VALUES('" MARK "')");
    assert_int_equal(shown_renders(&s, 0), 0);
    expect(&s, "table messages");
    run_and_expect(&s, s.writer, "ALTER TABLE log ADD COLUMN more DEFAULT '" MARK "'", "database");
    shown_close(&s);
  }
}

/* capability: H8 */
TEST_CASE(unattached_commit_is_reported_by_its_file_page) {
  shown_site s;
  shown_open(&s, SCHEMA, VESTRY_SQLITE_FILE_PAGES);
  shown_watch(&s, "SELECT text FROM messages");
  char root[SHOWN_TEXT_BYTES], by[300];
  shown_text(s.other, "SELECT rootpage FROM sqlite_schema WHERE name = 'messages'", root);
  root[strcspn(root, " ")] = '\0';
  snprintf(by, sizeof by, "page %s of the database", root);
  run_and_expect(&s, s.other, "INSERT INTO messages(text) VALUES('" MARK "')", by);
  shown_run(s.other, "INSERT INTO users VALUES('" MARK "')");
  assert_int_equal(shown_renders(&s, 0), 0);
  expect(&s, by);
  shown_close(&s);
}

/* capability: H8 */
TEST_CASE(commit_of_unknown_tables_is_reported_as_database) {
  shown_site s;
  shown_open_with(&s, "DELETE", SCHEMA, (vestry_sqlite_options){.level = VESTRY_SQLITE_TABLES});
  shown_watch(&s, "SELECT text FROM messages");
  run_and_expect(&s, s.other, "INSERT INTO messages(text) VALUES('" MARK "')", "database");
  shown_close(&s);
}

static void commit_behind(shown_site *s, vestry_render *render) {
  shown_run(s->writer, "INSERT INTO messages(text) VALUES('" MARK "')");
  assert_int_equal(vestry_sqlite_sync(s->database, NULL), VESTRY_OK);
}

/* A commit during the page's render, after its reads: the render runs again, for no reason that operators see. */
/* capability: H8 */
TEST_CASE(commit_before_a_render_is_reported_although_another_overtakes_it) {
  shown_site s;
  shown_open(&s, SCHEMA, VESTRY_SQLITE_TABLES);
  shown_watch(&s, "SELECT text FROM messages; SELECT name FROM users");
  s.behind = commit_behind;
  shown_run(s.writer, "INSERT INTO users VALUES('" MARK "')");
  assert_int_equal(shown_renders(&s, 0), 2);
  expect(&s, "table users");
  shown_close(&s);
}

/* The time from a commit to its page is measured for all writers, but not for a commit that does not change the
 * page. */
/* capability: H2 */
TEST_CASE(time_from_commit_to_page_is_measured) {
  shown_site s;
  vestry_observe *observe;
  char text[60000];
  shown_open(&s, SCHEMA, VESTRY_SQLITE_FILE_PAGES);
  const vestry_observe_options options = {.trusts_loopback = true, .pages = s.on.pages};
  assert_int_equal(vestry_observe_create(s.on.v, &options, &observe), VESTRY_OK);
  shown_watch(&s, "SELECT text FROM messages");
  static const char *const counts[] = {"0", "1", "2", "2"};
  for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
    if (i == 1) shown_run(s.writer, "INSERT INTO messages(text) VALUES('a')");
    if (i == 2) shown_run(s.other, "INSERT INTO messages(text) VALUES('b')");
    if (i == 3) shown_run(s.writer, "UPDATE messages SET text = text");
    (void)shown_renders(&s, 0);
    char line[80];
    snprintf(line, sizeof line, "\nvestry_page_change_seconds_count %s\n", counts[i]);
    assert_int_equal(vestry_observe_metrics(observe, VESTRY_METRICS_OPEN, text, sizeof text, NULL), VESTRY_OK);
    assert_non_null(strstr(text, line));
  }
  vestry_observe_destroy(observe);
  shown_close(&s);
}

/* Check the number of measured changes, and their total time. */
static void check_times(const shown_site *s, unsigned long long count, double sum_ms) {
  static char text[1 << 16];
  static const char sum[] = "\nvestry_page_change_seconds_sum ", number[] = "\nvestry_page_change_seconds_count ";
  vestry_observe *observe;
  const vestry_observe_options options = {.trusts_loopback = true, .pages = s->on.pages};
  assert_int_equal(vestry_observe_create(s->on.v, &options, &observe), VESTRY_OK);
  assert_int_equal(vestry_observe_metrics(observe, VESTRY_METRICS_OPEN, text, sizeof text, NULL), VESTRY_OK);
  vestry_observe_destroy(observe);
  const double is_ms = strtod(strstr(text, sum) + strlen(sum), NULL) * 1e3;
  assert_true(is_ms > sum_ms - .01 && is_ms < sum_ms + .01);
  assert_int_equal(strtoull(strstr(text, number) + strlen(number), NULL, 10), count);
}

/* From the end of the commit's statement, whenever pages follow it. */
/* capability: H2 */
TEST_CASE(attached_commit_is_timed_from_its_end) {
  static const vestry_sqlite_level levels[] = {VESTRY_SQLITE_TABLES, VESTRY_SQLITE_FILE_PAGES};
  static const char *const modes[] = {"WAL", "DELETE"};
  for (size_t i = 0; i < 4; i++) {
    shown_site s;
    vestry_observe *observe;
    if (levels[i / 2] == VESTRY_SQLITE_FILE_PAGES && (i % 2 || !level_has_pages())) continue;
    shown_open_with(&s, modes[i % 2], SCHEMA, (vestry_sqlite_options){.level = levels[i / 2]});
    assert_int_equal(vestry_observe_create(s.on.v, &(vestry_observe_options){.trusts_loopback = true}, &observe),
                     VESTRY_OK);
    shown_watch(&s, "SELECT text FROM messages");
    shown_run(s.writer, "BEGIN; INSERT INTO messages(text) VALUES('a')");
    test_host_advance_ms(&s.on.th, 400); /* not committed yet */
    shown_run(s.writer, "COMMIT");
    test_host_advance_ms(&s.on.th, 25);
    assert_int_equal(shown_renders(&s, 0), 1);
    check_times(&s, 1, 25);
    vestry_observe_destroy(observe);
    shown_close(&s);
  }
}

/* Vestry detects such a commit when it reads the counter. */
/* capability: H2 */
TEST_CASE(unattached_commit_is_timed_from_its_detection) {
  shown_site s;
  vestry_observe *observe;
  shown_open(&s, SCHEMA, VESTRY_SQLITE_FILE_PAGES);
  assert_int_equal(vestry_observe_create(s.on.v, &(vestry_observe_options){.trusts_loopback = true}, &observe),
                   VESTRY_OK);
  shown_watch(&s, "SELECT text FROM messages");
  shown_run(s.other, "INSERT INTO messages(text) VALUES('a')");
  test_host_advance_ms(&s.on.th, 400);
  assert_int_equal(vestry_sqlite_sync(s.database, NULL), VESTRY_OK); /* reads the counter */
  test_host_advance_ms(&s.on.th, 30);
  assert_int_equal(shown_renders(&s, 0), 1);
  check_times(&s, 1, 30);
  vestry_observe_destroy(observe);
  shown_close(&s);
}

int main(void) {
  level_begin();
  return cases_run("sqlite/reason", NULL, NULL);
}
