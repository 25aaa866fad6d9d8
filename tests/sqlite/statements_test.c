/* SPDX-License-Identifier: MIT */
/* Statements: those that stay prepared while many others are used, and those that are refused. */
#include "support/folder.h"
#include "support/test.h"
#include "support/test_host.h"
#include "vestry/data/sqlite.h"

enum { KEPT = 64, CONTROLS = 3 /* BEGIN, COMMIT and ROLLBACK of the connection */ };

typedef struct fixture {
  test_host th;
  char folder[FOLDER_BYTES], path[96];
  vestry_sql_pool *pool;
  vestry_sql_transaction *transaction;
} fixture;

static void open_fixture(fixture *d) {
  memset(d, 0, sizeof *d);
  test_host_init(&d->th);
  folder_make(d->folder, "desk");
  snprintf(d->path, sizeof d->path, "%s/x.db", d->folder);
  const vestry_sqlite_pool_options options = {.host = &d->th.host,
                                              .path = d->path,
                                              .schema = "CREATE TABLE reply(id INTEGER PRIMARY KEY, parent INT);"
                                                        "CREATE INDEX parents ON reply(parent)",
                                              .schema_version = 1};
  assert_int_equal(vestry_sqlite_pool_create(&options, &d->pool), VESTRY_OK);
}

static void check_out(fixture *d) {
  assert_int_equal(vestry_sql_begin(d->pool, VESTRY_SQL_READ, &d->transaction), VESTRY_OK);
}

static void close_fixture(fixture *d) {
  vestry_sql_pool_destroy(d->pool);
  test_host_assert_clean(&d->th);
  folder_remove(d->folder);
}

static size_t count_statements(const fixture *d) {
  size_t count = 0;
  for (sqlite3_stmt *at = NULL; (at = sqlite3_next_stmt(vestry_sqlite_handle(d->transaction), at));) count++;
  return count;
}

static void run_others(fixture *d, int count) {
  for (int i = 0; i < count; i++) {
    char sql[40];
    int64_t found = 0;
    snprintf(sql, sizeof sql, "SELECT %d", i);
    assert_int_equal(vestry_sql_run(d->transaction, sql, NULL, vestry_sql_row_integer, &found), VESTRY_OK);
    assert_int_equal(found, i);
  }
}

typedef struct descent {
  fixture *d;
  int depth, deepest;
  vestry_err error;
} descent;

static void go_down(const vestry_sql_row *row, void *ctx) {
  descent *of = ctx;
  if (++of->depth > of->deepest) of->deepest = of->depth;
  vestry_err error = vestry_sql_run(of->d->transaction, "SELECT id FROM reply WHERE parent = ?",
                                    VESTRY_LIST((int64_t)vestry_sql_integer(row, 0)), go_down, of);
  if (error && error != VESTRY_NOT_FOUND) of->error = error;
  of->depth--;
}

/* A statement runs within its own rows, recursively. */
TEST_CASE(statement_nests_300_deep_in_its_rows) {
  enum { DEEP = 300 };
  fixture d;
  open_fixture(&d);
  for (int i = 1; i <= DEEP; i++)
    assert_int_equal(vestry_sql_run_alone(d.pool, "INSERT INTO reply VALUES(?, ?)", VESTRY_LIST(i, i - 1), NULL, NULL),
                     VESTRY_OK);
  descent of = {.d = &d};
  check_out(&d);
  assert_int_equal(vestry_sql_run(d.transaction, "SELECT id FROM reply WHERE parent = ?", VESTRY_LIST(0), go_down, &of),
                   VESTRY_OK);
  assert_int_equal(of.error, VESTRY_OK);
  assert_int_equal(of.deepest, DEEP);
  assert_int_equal(vestry_sql_end(d.transaction, VESTRY_OK), VESTRY_OK);
  check_out(&d);
  run_others(&d, 4 * KEPT);
  assert_in_range(count_statements(&d), 0, KEPT + CONTROLS);
  assert_int_equal(vestry_sql_end(d.transaction, VESTRY_OK), VESTRY_OK);
  close_fixture(&d);
}

/* Only the first statement would run, and the result would be that of all. */
TEST_CASE(text_of_several_statements_is_not_run) {
  static const char *const several[] = {
      "INSERT INTO reply VALUES(1, 0); INSERT INTO reply VALUES(2, 0)",
      "DELETE FROM reply; SELEKT 1",
      "INSERT INTO reply VALUES(1, 0); -- one\n PRAGMA user_version = 7",
  };
  static const char *const one[] = {"INSERT INTO reply VALUES(1, 0);", "DELETE FROM reply; -- all\n ; /* of them */"};
  fixture d;
  int64_t found = -1;
  open_fixture(&d);
  for (size_t i = 0; i < sizeof several / sizeof *several; i++) {
    assert_int_equal(vestry_sql_run_alone(d.pool, several[i], NULL, NULL, NULL), VESTRY_INVALID);
    assert_int_equal(d.th.log_lines, (long)i + 1);
    assert_non_null(strstr(d.th.last_log, "the text has several statements"));
  }
  assert_int_equal(vestry_sql_run_alone(d.pool, "SELECT count(*) FROM reply", NULL, vestry_sql_row_integer, &found),
                   VESTRY_OK);
  assert_int_equal(found, 0);
  assert_int_equal(vestry_sql_run_alone(d.pool, "PRAGMA user_version", NULL, vestry_sql_row_integer, &found),
                   VESTRY_OK);
  assert_int_equal(found, 1);
  for (size_t i = 0; i < sizeof one / sizeof *one; i++)
    assert_int_equal(vestry_sql_run_alone(d.pool, one[i], NULL, NULL, NULL), VESTRY_OK);
  vestry_sql_pool_stats before = {0}, after = {0};
  check_out(&d);
  vestry_sql_pool_stats_get(d.pool, &before);
  for (int i = 0; i < 3; i++) /* what follows a semicolon is not a part of the kept text */
    assert_int_equal(vestry_sql_run(d.transaction, "SELECT 7;\n", NULL, vestry_sql_row_integer, &found), VESTRY_OK);
  vestry_sql_pool_stats_get(d.pool, &after);
  assert_int_equal(after.prepared_count, before.prepared_count + 1);
  assert_int_equal(vestry_sql_end(d.transaction, VESTRY_OK), VESTRY_OK);
  close_fixture(&d);
}

TEST_CASE(wrong_arguments_are_logged_with_the_function) {
  fixture d;
  open_fixture(&d);
  assert_int_equal(vestry_sql_begin(d.pool, VESTRY_SQL_READ, NULL), VESTRY_INVALID);
  assert_int_equal(vestry_sql_begin(d.pool, (vestry_sql_kind)0, &d.transaction), VESTRY_INVALID);
  assert_non_null(strstr(d.th.last_log, "vestry_sql_begin: "));
  assert_int_equal(vestry_sql_act(d.pool, VESTRY_SQL_WRITE, NULL, NULL), VESTRY_INVALID);
  assert_non_null(strstr(d.th.last_log, "vestry_sql_act: "));
  assert_int_equal(vestry_sql_run_alone(d.pool, NULL, NULL, NULL, NULL), VESTRY_INVALID);
  assert_non_null(strstr(d.th.last_log, "vestry_sql_run_alone: sql is NULL"));
  assert_int_equal(vestry_sql_read(d.pool, NULL, NULL, NULL, NULL), VESTRY_INVALID);
  assert_non_null(strstr(d.th.last_log, "vestry_sql_read: sql is NULL"));
  check_out(&d);
  assert_int_equal(vestry_sql_run(d.transaction, NULL, NULL, NULL, NULL), VESTRY_INVALID);
  assert_non_null(strstr(d.th.last_log, "vestry_sql_run: sql is NULL"));
  assert_int_equal(vestry_sql_end(d.transaction, VESTRY_OK), VESTRY_OK);
  assert_int_equal(d.th.log_lines, 6);
  close_fixture(&d);
}
