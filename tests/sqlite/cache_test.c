/* SPDX-License-Identifier: MIT */
/* Recording of pages is asked for before SQLite is used, and once. */
#include "data/sqlite/cache.h"

#include <stdarg.h>

#include "sqlite/ledger.h"

static bool has_no_cache_to_give; /* SQLite */

int __real_sqlite3_config(int what, ...);
int __wrap_sqlite3_config(int what, ...);
int __wrap_sqlite3_config(int what, ...) {
  va_list arguments;
  va_start(arguments, what);
  void *methods = va_arg(arguments, void *);
  va_end(arguments);
  return has_no_cache_to_give ? SQLITE_ERROR : __real_sqlite3_config(what, methods);
}

/* It is refused, and whoever follows a database is told once, that the level is another one and why. */
static void where_the_cache_cannot_be_had_the_log_says_so(void **state) {
  (void)state;
  ledger s;
  vestry_sqlite *again;
  has_no_cache_to_give = true;
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
  has_no_cache_to_give = false;
}

static void it_is_a_setting_of_the_process(void **state) {
  (void)state;
  assert_int_equal(sqlite3_initialize(), SQLITE_OK);
  assert_int_equal(vestry_sqlite_record_pages(), VESTRY_BUSY);
  assert_false(vsi_sqlite_cache_is_recorded());
  assert_int_equal(sqlite3_shutdown(), SQLITE_OK);
  assert_int_equal(vestry_sqlite_record_pages(), VESTRY_OK);
  assert_true(vsi_sqlite_cache_is_recorded());
  assert_int_equal(sqlite3_initialize(), SQLITE_OK);
  assert_int_equal(vestry_sqlite_record_pages(), VESTRY_OK); /* done before */
}

static void without_it_there_is_no_level_pages(void **state) {
  (void)state;
  ledger s;
  vestry_sqlite *again;
  ledger_open(&s, "WAL", &(vestry_sqlite_options){.level = VESTRY_SQLITE_TABLES, .poll_ms = 60000});
  const vestry_sqlite_options options = {.path = s.path, .level = VESTRY_SQLITE_FILE_PAGES};
  assert_int_equal(vestry_sqlite_create(s.on.pages, &options, &again), VESTRY_UNSUPPORTED);
  ledger_close(&s);
}

static void a_cache_is_learned_and_forgotten(void **state) {
  (void)state;
  vsi_sqlite_cache cache = {NULL, NULL, false, 0}, second = {NULL, NULL, false, 0};
  sqlite3 *db;
  assert_int_equal(sqlite3_open(":memory:", &db), SQLITE_OK);
  ledger_run(db, "CREATE TABLE t(x)");
  assert_true(vsi_sqlite_cache_learn(&cache, db, &cache));
  assert_false(vsi_sqlite_cache_learn(&second, db, &second)); /* it is somebody's */
  vsi_sqlite_cache_forget(&cache);
  assert_true(vsi_sqlite_cache_learn(&second, db, &second));
  assert_int_equal(sqlite3_close(db), SQLITE_OK);
  assert_null(second.cache);
  assert_true(second.is_lost);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(where_the_cache_cannot_be_had_the_log_says_so),
                                     cmocka_unit_test(without_it_there_is_no_level_pages),
                                     cmocka_unit_test(it_is_a_setting_of_the_process),
                                     cmocka_unit_test(a_cache_is_learned_and_forgotten)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
