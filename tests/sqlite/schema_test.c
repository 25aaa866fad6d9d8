/* SPDX-License-Identifier: MIT */
/* Objects of vestry that another client drops, and versions that it writes. */
#include "data/sqlite/schema.h"
#include "sqlite/ledger.h"

static void expect_bring(const vsi_call *call, sqlite3 *db, const vsi_sql_schema *schema, const char *expected_log) {
  test_host *th = call->host->ctx;
  th->log_lines = 0;
  assert_int_equal(vsi_sqlite_schema_bring(call, db, schema), VESTRY_OK);
  assert_int_equal(th->log_lines, expected_log != NULL);
  if (expected_log) assert_non_null(strstr(th->last_log, expected_log));
}

/* Another client drops an object, whose part still has its version, or has none any more. */
TEST_CASE(dropped_objects_are_created_again) {
  static const char *const object_steps[] = {
      ("CREATE TABLE a(x);CREATE INDEX a_x ON a(x);CREATE TABLE c(x);INSERT INTO c VALUES(1);"
       "CREATE TRIGGER a_comes AFTER INSERT ON a BEGIN UPDATE c SET x = 2; DELETE FROM c WHERE x = 3; END"),
      "ALTER TABLE a ADD COLUMN y", "CREATE UNIQUE INDEX a_y ON a(y)"};
  static const char *const index_steps[] = {"CREATE INDEX a_z ON a(y, x)"};
  static const vsi_sql_schema earlier = {"a", object_steps, 1}, objects = {"a", object_steps, 3};
  static const vsi_sql_schema later_index = {"a_later", index_steps, 1};
  static const char *const drops[] = {"DROP TABLE a",
                                      "DROP INDEX a_x",
                                      "DROP INDEX a_y",
                                      "DROP TABLE c",
                                      "DROP TRIGGER a_comes",
                                      "DROP TABLE a; DROP TABLE c",
                                      "DROP INDEX a_y; ALTER TABLE a DROP COLUMN y",
                                      "SELECT count(*)"};
  static const char all[] = "SELECT count(*) FROM sqlite_schema WHERE name IN ('a', 'a_x', 'a_y', 'c', 'a_comes')";
  test_host th;
  sqlite3 *db, *other;
  char folder[FOLDER_BYTES], file[128];
  test_host_init(&th);
  folder_make(folder, "schema");
  snprintf(file, sizeof file, "%s/site.db", folder);
  assert_int_equal(sqlite3_open(file, &db), SQLITE_OK);
  assert_int_equal(sqlite3_open(file, &other), SQLITE_OK);
  const vsi_call call = {&th.host, "vestry_sqlite_test", file, NULL};
  expect_bring(&call, db, &earlier, NULL);
  ledger_run(other, "DROP TABLE c");
  expect_bring(&call, db, &objects, "although vestry_schema has its version");
  for (size_t i = 0; i < sizeof drops / sizeof *drops; i++) {
    const bool is_dropped = strncmp(drops[i], "DROP", 4) == 0;
    ledger_run(other, drops[i]);
    expect_bring(&call, db, &objects, is_dropped ? "although vestry_schema has its version" : NULL);
    assert_int_equal(ledger_number(other, all), 5);
    assert_int_equal(ledger_number(other, "SELECT count(*) FROM pragma_table_info('a')"), 2);
    expect_bring(&call, db, &objects, NULL);
    ledger_run(other, "DELETE FROM vestry_schema; DROP TRIGGER a_comes");
    expect_bring(&call, db, &objects, "vestry_schema had no version");
    assert_int_equal(ledger_number(other, all), 5);
    ledger_run(other, "INSERT INTO a(x) VALUES(1); DELETE FROM a");
  }
  /* A later version is not changed. */
  ledger_run(other, "UPDATE vestry_schema SET version = 9; DROP INDEX a_x");
  assert_int_equal(vsi_sqlite_schema_bring(&call, db, &objects), VESTRY_IO);
  assert_int_equal(ledger_number(other, all), 4);
  /* Without an index that cannot be created, statements are slower; other objects are needed. */
  ledger_run(other, "UPDATE vestry_schema SET version = 3; BEGIN IMMEDIATE");
  expect_bring(&call, db, &objects, "run: CREATE INDEX a_x ON a(x)");
  assert_non_null(strstr(th.last_log, "database is locked"));
  assert_true(sqlite3_get_autocommit(db));
  expect_bring(&call, db, &later_index, "run: CREATE INDEX a_z ON a(y, x)");
  ledger_run(other, "DROP INDEX a_y; COMMIT; BEGIN IMMEDIATE");
  assert_int_equal(vsi_sqlite_schema_bring(&call, db, &objects), VESTRY_BUSY);
  ledger_run(other, "CREATE INDEX a_z ON a(y, x); COMMIT");
  expect_bring(&call, db, &later_index, "vestry_schema had no version");
  expect_bring(&call, db, &objects, "although vestry_schema has its version");
  assert_int_equal(ledger_number(other, all), 5);
  assert_int_equal(sqlite3_close(db), SQLITE_OK);
  assert_int_equal(sqlite3_close(other), SQLITE_OK);
  folder_remove(folder);
}

/* A program of a later version, which writes when a connection begins its first transaction. */
static sqlite3 *later;

static int write_later_version(void *ctx, int action, const char *first, const char *second, const char *schema,
                               const char *inside) {
  if (action == SQLITE_TRANSACTION && strcmp(first, "BEGIN") == 0)
    ledger_run(later, "PRAGMA user_version = 9; CREATE TABLE IF NOT EXISTS later(x)");
  return SQLITE_OK;
}

static int watch_connection(sqlite3 *db, char **ret_message, const struct sqlite3_api_routines *api) {
  return sqlite3_set_authorizer(db, write_later_version, NULL);
}

/* The version is read, and then another program writes a later one, before the tables are created. */
TEST_CASE(pool_rejects_a_later_version_that_comes_meanwhile) {
  test_host th;
  char folder[FOLDER_BYTES], file[128];
  vestry_sql_pool *pool = NULL;
  test_host_init(&th);
  folder_make(folder, "schema");
  snprintf(file, sizeof file, "%s/site.db", folder);
  assert_int_equal(sqlite3_open(file, &later), SQLITE_OK);
  assert_int_equal(sqlite3_auto_extension((void (*)(void))watch_connection), SQLITE_OK);
  const vestry_sqlite_pool_options options = {
      .host = &th.host, .path = file, .schema = "CREATE TABLE t(x)", .schema_version = 1, .connections_count = 1};
  assert_int_equal(vestry_sqlite_pool_create(&options, &pool), VESTRY_IO);
  assert_int_equal(sqlite3_cancel_auto_extension((void (*)(void))watch_connection), 1);
  assert_null(pool);
  assert_int_equal(th.log_lines, 1);
  assert_non_null(strstr(th.last_log, "the tables have version 9"));
  assert_int_equal(ledger_number(later, "SELECT count(*) FROM sqlite_schema"), 1);
  assert_int_equal(sqlite3_close(later), SQLITE_OK);
  test_host_assert_clean(&th);
  folder_remove(folder);
}
