/* SPDX-License-Identifier: MIT */
/* vestry's tables: their versions, and objects that another client drops. */
#include "postgres/shop.h"
#include "support/test.h"
#include "vestry/data/jobs.h"

static void create_all(shop *s) {
  vestry_sql_sessions *sessions;
  vestry_sql_once *once;
  vestry_forms_storage *forms;
  vestry_jobs *jobs;
  assert_int_equal(vestry_sql_sessions_create(s->pool, NULL, &sessions), VESTRY_OK);
  vestry_sql_sessions_destroy(sessions);
  assert_int_equal(vestry_sql_once_create(s->pool, NULL, &once), VESTRY_OK);
  vestry_sql_once_destroy(once);
  assert_int_equal(vestry_sql_forms_create(s->pool, NULL, &forms), VESTRY_OK);
  vestry_sql_forms_destroy(forms);
  assert_int_equal(vestry_jobs_create(s->pool, NULL, &jobs), VESTRY_OK);
  vestry_jobs_destroy(jobs);
}

/* For example by a script that empties all tables. One table is older than the others. */
static void versions_are_written_again_after_vestry_schema_was_emptied(void **state) {
  (void)state;
  enum { PARTS = 6 };
  shop s;
  shop_begin(&s, (vestry_postgres_pool_options){.connections_count = 1});
  create_all(&s);
  assert_int_equal(shop_number(&s, "SELECT count(*) FROM vestry_schema"), PARTS);
  const int64_t versions = shop_number(&s, "SELECT sum(version)::bigint FROM vestry_schema");
  shop_do(&s, "INSERT INTO vestry_session(hash, name, created, used) VALUES('h', 'u', 1, 1)");
  shop_do(&s, "ALTER TABLE vestry_job_total DROP one");
  shop_do(&s, "TRUNCATE vestry_schema");
  for (int i = 0; i < 2; i++) {
    create_all(&s);
    assert_int_equal(s.th.log_lines, PARTS);
    assert_non_null(strstr(s.th.last_log, "vestry_schema had no version of vestry's tables (job_open)"));
    assert_int_equal(shop_number(&s, "SELECT sum(version)::bigint FROM vestry_schema"), versions);
  }
  assert_int_equal(shop_number(&s, "SELECT count(*) FROM vestry_session"), 1);
  assert_int_equal(shop_number(&s, "SELECT count(*) FROM vestry_job_total WHERE one"), 1);
  shop_end(&s);
}

/* An operator drops a table or an index, whose part still has its version. */
static void dropped_tables_are_created_again(void **state) {
  (void)state;
  static const char *const drops[] = {
      "DROP TABLE vestry_session",      "DROP TABLE vestry_once",      "DROP TABLE vestry_form",
      "DROP TABLE vestry_form_cleared", "DROP TABLE vestry_job",       "DROP TABLE vestry_job_slot",
      "DROP TABLE vestry_job_total",    "DROP TABLE vestry_job_lease", "DROP INDEX vestry_job_open"};
  static const char columns[] = "SELECT count(*) FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid WHERE "
                                "c.relname LIKE 'vestry%' AND a.attnum > 0 AND NOT a.attisdropped";
  shop s;
  shop_begin(&s, (vestry_postgres_pool_options){.connections_count = 1});
  create_all(&s);
  const int64_t columns_count = shop_number(&s, columns);
  shop_do(&s, "INSERT INTO vestry_once(hash, owner, run, began, leased) VALUES('h', 'o', 'r', 1, 1)");
  for (size_t i = 0; i < sizeof drops / sizeof *drops; i++) {
    shop_do(&s, drops[i]);
    assert_true(shop_number(&s, columns) < columns_count);
    s.th.log_lines = 0;
    create_all(&s);
    assert_in_range(s.th.log_lines, 1, 2); /* the index of open jobs is dropped with their table */
    assert_non_null(strstr(s.th.last_log, "although vestry_schema has its version"));
    assert_int_equal(shop_number(&s, columns), columns_count);
    s.th.log_lines = 0;
    create_all(&s);
    assert_int_equal(s.th.log_lines, 0);
    assert_int_equal(shop_number(&s, "SELECT count(*) FROM vestry_once"), i < 1);
  }
  vestry_jobs *jobs;
  vestry_sql_transaction *transaction;
  assert_int_equal(vestry_jobs_create(s.pool, NULL, &jobs), VESTRY_OK);
  assert_int_equal(vestry_sql_begin(s.pool, VESTRY_SQL_WRITE, &transaction), VESTRY_OK);
  assert_int_equal(vestry_jobs_enqueue(jobs, transaction, &(vestry_job_order){.kind = "k", .key = "one"}, NULL),
                   VESTRY_OK);
  assert_int_equal(vestry_sql_end(transaction, VESTRY_OK), VESTRY_OK);
  assert_int_equal(vestry_jobs_remove(jobs, shop_number(&s, "SELECT id FROM vestry_job")), VESTRY_OK);
  vestry_jobs_destroy(jobs);
  shop_end(&s);
}

int main(void) {
  if (!postgres_server_newest()) return POSTGRES_SKIPPED;
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(versions_are_written_again_after_vestry_schema_was_emptied),
      cmocka_unit_test(dropped_tables_are_created_again),
  };
  return cmocka_run_group_tests(tests, shop_open_server, shop_close_server);
}
