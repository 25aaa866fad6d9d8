/* SPDX-License-Identifier: MIT */
/* What a thread leaves on a connection of a pool, and the next thread must not get: settings, temporary objects, locks
 * of the session. */
#include "postgres/shop.h"
#include "support/test.h"

static void alter(const char *sql) {
  char all[1024];
  snprintf(all, sizeof all, "SET client_min_messages = error; %s", sql);
  postgres_server_run(shop_server(), all);
}

static void read_text(const vestry_sql_row *row, void *ctx) {
  snprintf(ctx, 64, "%s", vestry_sql_text(row, 0));
}

static vestry_err run_in(vestry_sql_transaction *transaction, void *sql) {
  return vestry_sql_run(transaction, sql, NULL, NULL, NULL);
}

/* Run alone (kind 0), or in a transaction of a kind. */
static vestry_err run_as(shop *s, int kind, const char *sql) {
  return kind ? vestry_sql_act(s->pool, (vestry_sql_kind)kind, run_in, (void *)(uintptr_t)sql)
              : vestry_sql_run_alone(s->pool, sql, NULL, NULL, NULL);
}

static const int kinds[] = {0, VESTRY_SQL_SERIALIZABLE, VESTRY_SQL_REPEATABLE_READ, VESTRY_SQL_WRITE};
enum { KINDS = sizeof kinds / sizeof *kinds };

/* Commands that change or undo the settings of the role, of the application's setup, and those that the library needs.
 * The next thread that gets the connection must not get them. */
static void connection_with_changed_settings_is_replaced(void **state) {
  static const struct {
    const char *sql;
    bool is_replaced, is_logged;
  } rows[] = {{"DISCARD ALL", true, false},
              {"RESET ALL", true, false},
              {" reset /* each */\n all ; -- one", true, false},
              {"RESET search_path", true, false},
              {"SET search_path = other", true, true},
              {"-- local\n set /* local */ session search_path TO other", true, true},
              {"SET ROLE other", true, true},
              {"SELECT set_config('search_path', '', false)", true, true},
              {"SELECT pg_catalog.SET_CONFIG('vestry.true', 'true', false)", true, true},
              {"set\nlocal search_path = other", false, false},
              {"SET TRANSACTION ISOLATION LEVEL READ COMMITTED", false, false},
              {"SELECT set_config('search_path', 'other', true)", false, false},
              {"SET CONSTRAINTS ALL DEFERRED", false, false},
              {"DISCARD PLANS", false, false}};
  alter("DROP ROLE IF EXISTS other; CREATE ROLE other");
  for (size_t r = 0; r < sizeof rows / sizeof *rows; r++)
    for (size_t i = 0; i < KINDS; i++) {
      const bool is_alone = kinds[i] == 0;
      if (!is_alone && r == 0) continue; /* it cannot run in a transaction */
      if (!is_alone && kinds[i] != VESTRY_SQL_WRITE && strstr(rows[r].sql, "ISOLATION")) continue;
      shop s;
      char text[64] = "";
      shop_begin(&s, (vestry_postgres_pool_options){.connections_count = 1, .setup = "SET search_path = shop, public"});
      assert_int_equal(run_as(&s, kinds[i], rows[r].sql), VESTRY_OK);
      assert_int_equal(s.th.log_lines, rows[r].is_logged);
      assert_int_equal(run_as(&s, kinds[i], rows[r].sql), VESTRY_OK);
      assert_int_equal(s.th.log_lines, rows[r].is_logged);
      assert_int_equal(vestry_sql_run_alone(s.pool, "SHOW search_path", NULL, read_text, text), VESTRY_OK);
      assert_string_equal(text, "shop, public");
      assert_int_equal(vestry_sql_run_alone(s.pool, "SELECT current_user", NULL, read_text, text), VESTRY_OK);
      assert_string_equal(text, "postgres");
      assert_int_equal(vestry_sql_run_alone(s.pool, "SHOW statement_timeout", NULL, read_text, text), VESTRY_OK);
      assert_string_equal(text, "10s");
      assert_int_equal(shop_stats(&s).connects_count, rows[r].is_replaced ? 3 : 1);
      shop_end(&s);
    }
  alter("DROP ROLE other");
}

/* Things besides settings that outlive a transaction. */
static void connection_on_which_something_is_left_is_replaced(void **state) {
  static const struct {
    const char *sql;
    bool is_replaced;
  } rows[] = {{"CREATE TEMP TABLE t(a int)", true},
              {"CREATE TABLE pg_temp.t AS SELECT 1", true},
              {"SELECT 1 AS a INTO TEMPORARY t", true},
              {"LISTEN news", true},
              {"PREPARE one AS SELECT 1", true},
              {"DECLARE one CURSOR WITH HOLD FOR SELECT 1", true},
              {"SELECT PG_ADVISORY_LOCK(1)", true},
              {"DO $$BEGIN PERFORM pg_try_advisory_lock_shared(1); END$$", true},
              {"SELECT pg_advisory_lock(1), pg_advisory_unlock(1)", false},
              {"SELECT pg_advisory_xact_lock(1)", false},
              {"CREATE TEMP TABLE t(a int) ON COMMIT DROP", false},
              {"CREATE TABLE IF NOT EXISTS template(a int)", false}};
  for (size_t r = 0; r < sizeof rows / sizeof *rows; r++)
    for (int kind = 0; kind <= VESTRY_SQL_WRITE; kind += VESTRY_SQL_WRITE) {
      shop s;
      shop_begin(&s, (vestry_postgres_pool_options){.connections_count = 1});
      for (int i = 0; i < 2; i++) {
        assert_int_equal(run_as(&s, kind, rows[r].sql), VESTRY_OK);
        assert_int_equal(s.th.log_lines, rows[r].is_replaced);
      }
      assert_int_equal(shop_number(&s, "SELECT count(*) FROM pg_class WHERE relnamespace = pg_my_temp_schema()"), 0);
      assert_int_equal(shop_stats(&s).connects_count, rows[r].is_replaced ? 3 : 1);
      shop_end(&s);
    }
  /* The lock stays although its statement fails. */
  shop s;
  shop_begin(&s, (vestry_postgres_pool_options){.connections_count = 1});
  assert_int_equal(run_as(&s, 0, "SELECT pg_advisory_lock(1), 1 / (random() * 0)::int"), VESTRY_IO);
  assert_int_equal(shop_number(&s, "SELECT 1"), 1);
  assert_int_equal(shop_stats(&s).connects_count, 2);
  shop_end(&s);
}

static vestry_err call_and_replace(vestry_sql_transaction *transaction, void *replaces) {
  vestry_err error = vestry_sql_run(transaction, "SELECT leave()", NULL, NULL, NULL);
  if (*(bool *)replaces) vestry_postgres_replace(transaction);
  return error;
}

/* No statement shows what functions leave. The server reports changes of some settings; the application knows the
 * rest. */
static void connection_on_which_a_function_leaves_something_is_replaced(void **state) {
  static const struct {
    const char *body, *query; /* query: the number of things that are left */
    bool is_reported;
  } rows[] = {
      {"SET TimeZone = 'Asia/Tokyo'", "SELECT count(*) FROM pg_settings WHERE setting = 'Asia/Tokyo'", true},
      {"PERFORM set_config('DateStyle', 'German', false)",
       "SELECT count(*) FROM pg_settings WHERE setting LIKE 'German%'", true},
      {"SET SESSION AUTHORIZATION other",
       "SELECT count(*) FROM pg_roles WHERE rolname = 'other' AND rolname = "
       "session_user",
       true},
      {"PERFORM set_config('vestry.tenant', '7', false)",
       "SELECT count(*) FROM pg_settings WHERE name = 'vestry.tenant'", false},
      {"PERFORM pg_advisory_lock(1)",
       "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = "
       "pg_backend_pid()",
       false},
      {"EXECUTE 'PREPARE one AS SELECT 1'", "SELECT count(*) FROM pg_prepared_statements WHERE from_sql", false},
      {"CREATE TEMP TABLE t(a int)", "SELECT count(*) FROM pg_class WHERE relnamespace = pg_my_temp_schema()", false},
      {"LISTEN news", "SELECT count(*) FROM pg_listening_channels()", false}};
  alter("DROP ROLE IF EXISTS other; CREATE ROLE other");
  for (size_t r = 0; r < sizeof rows / sizeof *rows; r++)
    for (int i = rows[r].is_reported ? 0 : 1; i < 2; i++) {
      char sql[200];
      bool replaces = i == 1;
      shop s;
      shop_begin(&s, (vestry_postgres_pool_options){.connections_count = 1});
      snprintf(sql, sizeof sql, "CREATE FUNCTION leave() RETURNS int LANGUAGE plpgsql AS $$ BEGIN %s; RETURN 1; END $$",
               rows[r].body);
      alter(sql);
      assert_int_equal(vestry_sql_act(s.pool, VESTRY_SQL_WRITE, call_and_replace, &replaces), VESTRY_OK);
      assert_int_equal(s.th.log_lines, !replaces);
      assert_int_equal(shop_number(&s, rows[r].query), 0);
      assert_int_equal(shop_stats(&s).connects_count, 2);
      if (!replaces) {
        shop_do(&s, "SELECT leave()"); /* by itself */
        assert_int_equal(shop_number(&s, rows[r].query), 0);
        assert_int_equal(shop_stats(&s).connects_count, 3);
      }
      shop_end(&s);
    }
  alter("DROP ROLE other");
  vestry_postgres_replace(NULL);
}

/* A setting that ends with its transaction, or that setup has made, is no reason. */
static void connection_with_passing_settings_is_kept(void **state) {
  shop s;
  shop_begin(&s, (vestry_postgres_pool_options){.connections_count = 1,
                                                .setup = "SET TimeZone = 'Asia/Tokyo'; SET search_path = public"});
  for (size_t i = 0; i < KINDS; i++) {
    assert_int_equal(
        run_as(&s, kinds[i],
               "SELECT set_config('TimeZone', 'UTC', true), set_config('search_path', 'pg_catalog', true)"),
        VESTRY_OK);
    if (i) assert_int_equal(run_as(&s, kinds[i], "SET LOCAL DateStyle = German"), VESTRY_OK);
  }
  assert_int_equal(s.th.log_lines, 0);
  assert_int_equal(shop_stats(&s).connects_count, 1);
  shop_end(&s);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(connection_with_changed_settings_is_replaced),
      cmocka_unit_test(connection_on_which_something_is_left_is_replaced),
      cmocka_unit_test(connection_on_which_a_function_leaves_something_is_replaced),
      cmocka_unit_test(connection_with_passing_settings_is_kept),
  };
  if (!postgres_server_newest()) return POSTGRES_SKIPPED;
  return cmocka_run_group_tests(tests, shop_open_server, shop_close_server);
}
