/* SPDX-License-Identifier: MIT */
/* Versions that another program writes. */
#include "sqlite/ledger.h"

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
