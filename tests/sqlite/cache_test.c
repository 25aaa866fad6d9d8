/* SPDX-License-Identifier: MIT */
/* Recording of pages must be requested before SQLite is initialized, and once. */
#include "data/sqlite/cache.h"

#include <stdarg.h>

#include "sqlite/ledger.h"

static bool rejects_cache; /* SQLite rejects the page cache */

int __real_sqlite3_config(int what, ...);
int __wrap_sqlite3_config(int what, ...);
int __wrap_sqlite3_config(int what, ...) {
  va_list arguments;
  va_start(arguments, what);
  void *methods = va_arg(arguments, void *);
  va_end(arguments);
  return rejects_cache ? SQLITE_ERROR : __real_sqlite3_config(what, methods);
}

/* The call fails. A program that follows a database at the default level gets one log line with the level and the
 * reason. */
TEST_CASE(rejected_page_cache_is_logged_with_the_level) {
  ledger s;
  vestry_sqlite *again;
  rejects_cache = true;
  assert_int_equal(vestry_sqlite_record_pages(), VESTRY_UNSUPPORTED);
  ledger_open(&s, "WAL", &(vestry_sqlite_options){.level = VESTRY_SQLITE_TABLES, .poll_ms = 60000});
  long lines = s.on.th.log_lines;
  assert_int_equal(vestry_sqlite_create(s.on.pages, &(vestry_sqlite_options){.path = s.path}, &again), VESTRY_OK);
  assert_int_equal(s.on.th.log_lines, lines + 1);
  assert_non_null(strstr(s.on.th.last_log, "the level is TABLES"));
  vestry_sqlite_destroy(again);
  const vestry_sqlite_options options = {.path = s.path, .level = VESTRY_SQLITE_FILE_PAGES};
  assert_int_equal(vestry_sqlite_create(s.on.pages, &options, &again), VESTRY_UNSUPPORTED);
  assert_int_equal(s.on.th.log_lines, lines + 2);
  assert_non_null(strstr(s.on.th.last_log, "page cache"));
  ledger_close(&s);
  assert_int_equal(sqlite3_shutdown(), SQLITE_OK);
  rejects_cache = false;
}

/* Before the recording is set, which stays. */
TEST_CASE(level_file_pages_needs_recording) {
  ledger s;
  vestry_sqlite *again;
  ledger_open(&s, "WAL", &(vestry_sqlite_options){.level = VESTRY_SQLITE_TABLES, .poll_ms = 60000});
  const vestry_sqlite_options options = {.path = s.path, .level = VESTRY_SQLITE_FILE_PAGES};
  assert_int_equal(vestry_sqlite_create(s.on.pages, &options, &again), VESTRY_UNSUPPORTED);
  ledger_close(&s);
}

TEST_CASE(recording_is_set_before_sqlite_is_initialized) {
  assert_int_equal(sqlite3_initialize(), SQLITE_OK);
  assert_int_equal(vestry_sqlite_record_pages(), VESTRY_BUSY);
  assert_false(vsi_sqlite_cache_is_recorded());
  assert_int_equal(sqlite3_shutdown(), SQLITE_OK);
  assert_int_equal(vestry_sqlite_record_pages(), VESTRY_OK);
  assert_true(vsi_sqlite_cache_is_recorded());
  assert_int_equal(sqlite3_initialize(), SQLITE_OK);
  assert_int_equal(vestry_sqlite_record_pages(), VESTRY_OK); /* already done */
}

TEST_CASE(cache_has_one_owner_until_it_forgets) {
  vsi_sqlite_cache cache = {NULL, NULL, false, 0}, second = {NULL, NULL, false, 0};
  sqlite3 *db;
  assert_int_equal(sqlite3_open(":memory:", &db), SQLITE_OK);
  ledger_run(db, "CREATE TABLE t(x)");
  assert_true(vsi_sqlite_cache_learn(&cache, db, &cache));
  assert_false(vsi_sqlite_cache_learn(&second, db, &second)); /* another owner has learned it */
  vsi_sqlite_cache_forget(&cache);
  assert_true(vsi_sqlite_cache_learn(&second, db, &second));
  assert_int_equal(sqlite3_close(db), SQLITE_OK);
  assert_null(second.cache);
  assert_true(second.is_lost);
}
