/* SPDX-License-Identifier: MIT */
/* Server state that others can change: definitions, settings of roles, a pooler. */
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "data/postgres/pool.h"
#include "data/postgres/topics.h"
#include "postgres/pooler.h"
#include "postgres/shown.h"
#include "support/test.h"
#include "support/until.h"
#include "vestry/data/jobs.h"
#include "vestry/data/postgres.h"

/* ------------------------------------------------------------------------------------------- definitions ---------- */

typedef struct statement {
  const char *sql;
  const vestry_value *values;
  vestry_err in_act; /* its result in the transaction */
  int tries;
} statement;

static vestry_err run_and_count(vestry_sql_transaction *conn, void *ctx) {
  statement *of = ctx;
  of->tries++;
  return of->in_act = vestry_sql_run(conn, of->sql, of->values, NULL, NULL);
}

/* Run alone, or in a transaction of a kind. */
static vestry_err run_as(shop *s, int kind, const char *sql, const vestry_value *values) {
  statement of = {.sql = sql, .values = values};
  if (!kind) return vestry_sql_run_alone(s->pool, sql, values, NULL, NULL);
  return vestry_sql_act(s->pool, (vestry_sql_kind)kind, run_and_count, &of);
}

#define RUN(...) assert_int_equal(run_as(&s, kind, __VA_ARGS__), VESTRY_OK)

static const int kinds[] = {0, VESTRY_SQL_SERIALIZABLE, VESTRY_SQL_REPEATABLE_READ, VESTRY_SQL_WRITE};
enum { KINDS = sizeof kinds / sizeof *kinds };

static void alter(const char *sql) {
  char all[1024];
  snprintf(all, sizeof all, "SET client_min_messages = error; SET TimeZone = 'UTC'; %s", sql);
  postgres_server_run(shop_server(), all);
}

/* Stored and compared values are parsed as the current type of their column. */
TEST_CASE(parameters_have_the_types_of_altered_columns) {
  for (size_t i = 0; i < KINDS; i++) {
    const int kind = kinds[i];
    static const char insert[] = "INSERT INTO event(n, at, price, code) VALUES($1, $2, $3, $4)";
    static const char update[] = "UPDATE event SET at = $2, price = $3, code = $4 WHERE n = $1";
    static const char find[] = "SELECT count(*) FROM event WHERE price = $1";
    static const char drop[] = "DELETE FROM event WHERE n = $1";
    shop s;
    shop_begin(&s, (vestry_postgres_pool_options){.connections_count = 1, .setup = "SET TimeZone = 'UTC'"});
    alter("CREATE TABLE event(n int, at timestamp, price real, code int)");
    RUN(insert, VESTRY_LIST(1, "2026-01-01 12:00:00", 1.5, "7"));
    RUN(update, VESTRY_LIST(1, "2026-01-01 12:00:00", 1.5, "7"));
    RUN(find, VESTRY_LIST(1.5));
    RUN(drop, VESTRY_LIST(9));
    alter(
        "ALTER TABLE event ALTER at TYPE timestamptz, ALTER price TYPE double precision, ALTER code TYPE text, ALTER n "
        "TYPE bigint");
    RUN(insert, VESTRY_LIST(3000000000LL, "2026-01-01 12:00:00+05", 123456.789012, "007"));
    RUN(update, VESTRY_LIST(1, "2026-01-01 12:00:00+05", 123456.789012, "007"));
    assert_int_equal(shop_number(&s, "SELECT count(*) FROM event WHERE at = '2026-01-01 07:00:00Z' AND price = "
                                     "123456.789012 AND code = '007'"),
                     2);
    int64_t found = 0;
    assert_int_equal(vestry_sql_run_alone(s.pool, find, VESTRY_LIST(123456.789012), vestry_sql_row_integer, &found),
                     VESTRY_OK);
    assert_int_equal(found, 2);
    RUN(drop, VESTRY_LIST(3000000000LL));
    assert_int_equal(shop_number(&s, "SELECT count(*) FROM event"), 1);
    assert_int_equal(s.th.log_lines, 0);
    shop_end(&s);
  }
}

/* Each change gives another type to a name in the statement. */
TEST_CASE(renamed_objects_do_not_break_statements) {
  static const char *const changes[] = {
      ("ALTER TABLE shop.event RENAME a TO c; ALTER TABLE shop.event RENAME b TO a; ALTER TABLE shop.event RENAME c TO "
       "b"),
      "ALTER TABLE shop.event RENAME TO old; CREATE TABLE shop.event(a text, b int)",
      "ALTER TABLE shop.event SET SCHEMA public; CREATE TABLE shop.event(a text, b int)",
      "ALTER SCHEMA shop RENAME TO old; CREATE SCHEMA shop; CREATE TABLE shop.event(a text, b int)",
      "DROP TABLE shop.event; CREATE TABLE shop.event(a text, b int)",
      "DROP TABLE shop.event; CREATE TABLE shop.real(a text, b int); CREATE VIEW shop.event AS SELECT * FROM shop.real",
      "ALTER TABLE shop.event DROP a, ADD a text",
  };
  for (size_t c = 0; c < sizeof changes / sizeof *changes; c++)
    for (size_t i = 0; i < KINDS; i++) {
      const int kind = kinds[i];
      static const char insert[] = "INSERT INTO event(a) VALUES($1)";
      shop s;
      alter("DROP SCHEMA IF EXISTS shop CASCADE; DROP SCHEMA IF EXISTS old CASCADE; CREATE SCHEMA shop; CREATE TABLE "
            "shop.event(a int, b text)");
      shop_begin(&s, (vestry_postgres_pool_options){.connections_count = 1, .setup = "SET search_path = shop"});
      RUN(insert, VESTRY_LIST("7"));
      alter(changes[c]);
      RUN(insert, VESTRY_LIST("007"));
      assert_int_equal(shop_number(&s, "SELECT count(*) FROM event WHERE a = '007'"), 1);
      assert_int_equal(s.th.log_lines, 0);
      shop_end(&s);
    }
}

/* A role that may write columns but not read them, and may read a view but not its table. */
TEST_CASE(role_without_select_can_write) {
  static const char insert[] = "INSERT INTO event(a) VALUES($1)", find[] = "SELECT count(*) FROM shown WHERE a = $1";
  shop s;
  shop_clear();
  alter(
      "DROP ROLE IF EXISTS clerk; CREATE ROLE clerk; GRANT USAGE ON SCHEMA public TO clerk; CREATE TABLE event(a int, "
      "b int); CREATE VIEW shown AS SELECT a FROM event; GRANT INSERT(a) ON event TO clerk; GRANT SELECT ON shown TO "
      "clerk");
  test_host_init(&s.th);
  assert_int_equal(shop_open(&s, (vestry_postgres_pool_options){.connections_count = 1, .setup = "SET ROLE clerk"}),
                   VESTRY_OK);
  for (int i = 0; i < 2; i++) {
    const int kind = 0;
    RUN(insert, VESTRY_LIST("7"));
    RUN(find, VESTRY_LIST("7"));
  }
  alter("DROP VIEW shown; ALTER TABLE event ALTER a TYPE text; CREATE VIEW shown AS SELECT a FROM event; GRANT SELECT "
        "ON shown TO clerk");
  assert_int_equal(run_as(&s, 0, insert, VESTRY_LIST("007")), VESTRY_OK);
  int64_t found = 0;
  assert_int_equal(vestry_sql_run_alone(s.pool, find, VESTRY_LIST("007"), vestry_sql_row_integer, &found), VESTRY_OK);
  assert_int_equal(found, 1);
  assert_int_equal(s.th.log_lines, 0);
  alter("REVOKE INSERT(a) ON event FROM clerk");
  assert_int_equal(run_as(&s, 0, insert, VESTRY_LIST("008")), VESTRY_IO);
  assert_non_null(strstr(s.th.last_log, "(42501)"));
  shop_end(&s);
  alter("DROP VIEW shown; DROP TABLE event; REVOKE ALL ON SCHEMA public FROM clerk; DROP ROLE clerk");
}

/* No column determines the type of a function's parameter. */
TEST_CASE(recreated_function_does_not_break_statements) {
  static const char call[] = "SELECT twice($1)";
  shop s;
  shop_begin(&s, (vestry_postgres_pool_options){.connections_count = 1});
  for (size_t i = 0; i < KINDS; i++) {
    const int kind = kinds[i];
    alter("DROP FUNCTION IF EXISTS twice; CREATE FUNCTION twice(a int) RETURNS bigint LANGUAGE sql AS 'SELECT 2 * a'");
    RUN(call, VESTRY_LIST("1"));
    alter("DROP FUNCTION twice; CREATE FUNCTION twice(a bigint) RETURNS bigint LANGUAGE sql AS 'SELECT 2 * a'");
    RUN(call, VESTRY_LIST("3000000000"));
  }
  assert_int_equal(s.th.log_lines, 0);
  /* A value that does not fit fails the second time, too. */
  assert_int_equal(run_as(&s, 0, call, VESTRY_LIST("one")), VESTRY_IO);
  assert_int_equal(s.th.log_lines, 1);
  assert_int_equal(shop_stats(&s).conflicts_count, 0); /* a statement that calls it is prepared each time */
  shop_end(&s);
}

/* A transaction begun manually is not retried; that is up to the caller. */
TEST_CASE(manual_transaction_returns_busy_after_a_type_change) {
  static const char insert[] = "INSERT INTO t VALUES($1)";
  shop s;
  vestry_sql_transaction *conn;
  shop_begin(&s, (vestry_postgres_pool_options){.connections_count = 1});
  alter("CREATE TABLE t(a int); CREATE TABLE u(a int)");
  for (int i = 0; i < 3; i++) {
    assert_int_equal(vestry_sql_begin(s.pool, VESTRY_SQL_WRITE, &conn), VESTRY_OK);
    assert_int_equal(vestry_sql_run(conn, "INSERT INTO u VALUES($1)", VESTRY_LIST(i), NULL, NULL), VESTRY_OK);
    const vestry_err error = vestry_sql_run(conn, insert, VESTRY_LIST("7"), NULL, NULL);
    assert_int_equal(error, i == 1 ? VESTRY_BUSY : VESTRY_OK);
    assert_int_equal(vestry_sql_end(conn, error), error);
    if (i == 0) alter("ALTER TABLE t ALTER a TYPE text");
  }
  assert_int_equal(shop_number(&s, "SELECT sum(a) FROM u"), 2);
  assert_int_equal(shop_number(&s, "SELECT count(*) FROM t"), 2);
  shop_end(&s);
}

/* The application, or a pooler between two clients, may deallocate prepared statements. */
TEST_CASE(deallocated_statements_are_prepared_again) {
  shop s;
  shop_begin(&s, (vestry_postgres_pool_options){.connections_count = 1});
  alter("CREATE TABLE t(a int)");
  for (size_t i = 0; i < KINDS; i++) {
    const int kind = kinds[i];
    RUN("INSERT INTO t VALUES($1)", VESTRY_LIST(1));
    RUN("SELECT count(*) FROM t", NULL);
    shop_do(&s, "DEALLOCATE ALL");
    RUN("INSERT INTO t VALUES($1)", VESTRY_LIST(1));
    shop_do(&s, "DEALLOCATE ALL");
    RUN("SELECT count(*) FROM t", NULL);
  }
  assert_int_equal(shop_number(&s, "SELECT sum(a) FROM t"), 2 * KINDS);
  assert_int_equal(s.th.log_lines, 0);
  shop_end(&s);
}

/* All places for statements are taken, and the statement that a new one replaces is missing. */
TEST_CASE(full_connection_without_its_statements_accepts_new_ones) {
  static const char *const losses[] = {"DEALLOCATE ALL", "DISCARD ALL"};
  for (size_t l = 0; l < sizeof losses / sizeof *losses; l++)
    for (size_t i = 0; i < KINDS; i++) {
      const int kind = kinds[i];
      char sql[40];
      shop s;
      shop_begin(&s, (vestry_postgres_pool_options){.connections_count = 1});
      for (int n = 0; n < 200; n++) {
        snprintf(sql, sizeof sql, "SELECT %d", n);
        RUN(sql, NULL);
        if (n % 100 == 99) shop_do(&s, losses[l]);
      }
      assert_int_equal(s.th.log_lines, 0);
      shop_end(&s);
    }
}

/* ---------------------------------------------------------------------------------------------- settings ---------- */

static void read_text(const vestry_sql_row *row, void *ctx) {
  snprintf(ctx, 64, "%s", vestry_sql_text(row, 0));
}

/* Settings of a role, of the application's setup, and those that the library needs. */
TEST_CASE(required_settings_override_role_and_setup) {
  static const char *const settings[][3] = {
      {"bytea_output", "escape", "hex"},
      {"client_encoding", "LATIN1", "UTF8"},
      {"standard_conforming_strings", "off", "on"},
      {"exit_on_error", "on", "off"},
      {"default_transaction_isolation", "serializable", "read committed"},
      {"default_transaction_read_only", "on", "off"},
      {"default_transaction_deferrable", "on", "off"},
      {"idle_session_timeout", "1h", "0"},
      {"statement_timeout", "1h", "10s"},
  };
  for (size_t i = 0; i < sizeof settings / sizeof *settings; i++) {
    if (i == 7 && shop_server()->major < 14) continue;
    for (int in_setup = 0; in_setup < 2; in_setup++) {
      shop s;
      char sql[128], text[64] = "";
      shop_clear();
      snprintf(sql, sizeof sql, "ALTER ROLE postgres SET %s = '%s'", settings[i][0], settings[i][1]);
      if (!in_setup) alter(sql);
      snprintf(sql, sizeof sql, "SET %s = '%s'", settings[i][0], settings[i][1]);
      test_host_init(&s.th);
      const bool is_statement_ms = in_setup && i == 8; /* setup may choose it */
      assert_int_equal(
          shop_open(&s, (vestry_postgres_pool_options){.setup = in_setup && !is_statement_ms ? sql : NULL}), VESTRY_OK);
      snprintf(sql, sizeof sql, "SELECT current_setting('%s')", settings[i][0]);
      assert_int_equal(vestry_sql_run_alone(s.pool, sql, NULL, read_text, text), VESTRY_OK);
      assert_string_equal(text, settings[i][2]);
      shop_do(&s, "CREATE TABLE t(a text UNIQUE)");
      assert_int_equal(vestry_sql_run_alone(s.pool, "INSERT INTO t VALUES($1)", VESTRY_LIST("\u03b1"), NULL, NULL),
                       VESTRY_OK);
      assert_int_equal(vestry_sql_run_alone(s.pool, "INSERT INTO t VALUES($1)", VESTRY_LIST("\u03b1"), NULL, NULL),
                       VESTRY_EXISTS);
      assert_int_equal(vestry_sql_run_alone(s.pool, "SELECT a FROM t", NULL, read_text, text), VESTRY_OK);
      assert_string_equal(text, "\u03b1");
      assert_int_equal(shop_stats(&s).connects_count, 1);
      shop_end(&s);
      if (!in_setup) {
        snprintf(sql, sizeof sql, "BEGIN READ WRITE; ALTER ROLE postgres RESET %s; COMMIT", settings[i][0]);
        postgres_server_run(shop_server(), sql);
      }
    }
  }
}

static vestry_err order_see(vestry_sql_transaction *conn, void *ctx) {
  return vestry_jobs_enqueue(ctx, conn, &(vestry_job_order){.kind = "see", .payload = {"a payload", 9}}, NULL);
}

static vestry_err see(vestry_job *job, void *ctx) {
  snprintf(ctx, 64, "%.*s", (int)job->payload.len, (const char *)job->payload.data);
  return VESTRY_OK;
}

static vestry_err never(vestry_job *job, void *ctx) {
  return VESTRY_OK;
}

/* Only the rows were restored, or a logical replica has become the primary: sequences are not replicated. EXISTS would
 * mean another job of the key. */
TEST_CASE(order_whose_id_exists_fails_with_a_remedy) {
  shop s;
  vestry_jobs *jobs;
  shop_begin(&s, (vestry_postgres_pool_options){.connections_count = 1});
  assert_int_equal(vestry_jobs_create(s.pool, NULL, &jobs), VESTRY_OK);
  assert_int_equal(vestry_sql_act(s.pool, VESTRY_SQL_WRITE, order_see, jobs), VESTRY_OK);
  alter("ALTER TABLE vestry_job ALTER id RESTART WITH 1");
  assert_int_equal(vestry_sql_act(s.pool, VESTRY_SQL_WRITE, order_see, jobs), VESTRY_IO);
  assert_non_null(strstr(s.th.last_log, "set the sequences of all tables beyond their rows"));
  alter("ALTER TABLE vestry_job ALTER id RESTART WITH 1");
  assert_int_equal(vestry_jobs_every(jobs, "never", 60000, 0, never, NULL), VESTRY_IO);
  alter("ALTER TABLE vestry_job ALTER id RESTART WITH 10");
  assert_int_equal(vestry_jobs_every(jobs, "never", 60000, 0, never, NULL), VESTRY_OK);
  assert_int_equal(shop_number(&s, "SELECT count(*) FROM vestry_job WHERE period IS NOT NULL"), 1);
  /* A trigger that drops rows. */
  alter("CREATE FUNCTION drops() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'; CREATE TRIGGER drops "
        "BEFORE INSERT ON vestry_job FOR EACH ROW EXECUTE FUNCTION drops()");
  assert_int_equal(vestry_sql_act(s.pool, VESTRY_SQL_WRITE, order_see, jobs), VESTRY_IO);
  assert_non_null(strstr(s.th.last_log, "look for a trigger, a rule or a policy"));
  vestry_jobs_destroy(jobs);
  shop_end(&s);
}

/* The application may have changed the setting since the connection was made. */
TEST_CASE(bytes_are_read_despite_changed_session_settings) {
  shop s;
  vestry_jobs *jobs;
  char seen[64] = "";
  bool has_run = false;
  shop_begin(&s, (vestry_postgres_pool_options){.connections_count = 1});
  assert_int_equal(vestry_jobs_create(s.pool, NULL, &jobs), VESTRY_OK);
  assert_int_equal(vestry_jobs_on(jobs, "see", see, seen), VESTRY_OK);
  assert_int_equal(vestry_sql_act(s.pool, VESTRY_SQL_WRITE, order_see, jobs), VESTRY_OK);
  shop_set(&s, "SET bytea_output = escape");
  assert_int_equal(vestry_jobs_step(jobs, &has_run), VESTRY_OK);
  assert_string_equal(seen, "a payload");
  assert_int_equal(shop_stats(&s).connects_count, 1);
  vestry_jobs_destroy(jobs);
  shop_end(&s);
}

/* A new connection of a pool reads the same tables as the others, even if its role has got another search_path. */
TEST_CASE(new_connections_keep_the_search_path) {
  shop s;
  alter("DROP SCHEMA IF EXISTS blue CASCADE; DROP SCHEMA IF EXISTS green CASCADE; CREATE SCHEMA blue; CREATE SCHEMA "
        "green; CREATE TABLE blue.t(a int); CREATE TABLE green.t(a int); INSERT INTO blue.t VALUES(1); INSERT INTO "
        "green.t VALUES(2); ALTER ROLE postgres SET search_path = blue");
  test_host_init(&s.th);
  assert_int_equal(shop_open(&s, (vestry_postgres_pool_options){.connections_count = 1}), VESTRY_OK);
  assert_int_equal(shop_number(&s, "SELECT a FROM t"), 1);
  postgres_server_run(shop_server(), "ALTER ROLE postgres SET search_path = green; SELECT pg_terminate_backend(pid, "
                                     "10000) FROM pg_stat_activity WHERE application_name = 'vestry'");
  assert_int_equal(shop_number(&s, "SELECT a FROM t"), 1);
  assert_int_equal(shop_stats(&s).connects_count, 2);
  shop_end(&s);
  postgres_server_run(shop_server(), "ALTER ROLE postgres RESET search_path; DROP SCHEMA blue, green CASCADE");
}

/* Change two settings of the server, and wait until the connection has the second one. */
static void reload(shop *s, const char *path_sql, const char *memory_sql, int64_t memory_kb) {
  postgres_server_run(shop_server(), path_sql);
  postgres_server_run(shop_server(), memory_sql);
  postgres_server_run(shop_server(), "SELECT pg_reload_conf()");
  UNTIL(shop_number(s, "SELECT setting::bigint FROM pg_settings WHERE name = 'work_mem'") == memory_kb);
}

/* The configuration of the server is loaded again: the connections of a pool keep their search_path. */
TEST_CASE(reloaded_configuration_keeps_the_search_path) {
  shop s;
  shop_begin(&s, (vestry_postgres_pool_options){.connections_count = 1});
  shop_do(&s, "CREATE TABLE t(a int)");
  const int64_t memory_kb = shop_number(&s, "SELECT setting::bigint FROM pg_settings WHERE name = 'work_mem'");
  reload(&s, "ALTER SYSTEM SET search_path = elsewhere", "ALTER SYSTEM SET work_mem = '7MB'", 7168);
  const vestry_err error = vestry_sql_run_alone(s.pool, "INSERT INTO t VALUES(1)", NULL, NULL, NULL);
  reload(&s, "ALTER SYSTEM RESET search_path", "ALTER SYSTEM RESET work_mem", memory_kb);
  assert_int_equal(error, VESTRY_OK);
  assert_int_equal(shop_stats(&s).connects_count, 1);
  shop_end(&s);
}

/* A schema that comes earlier in the search_path is created between the tables of two parts. */
TEST_CASE(new_tables_are_created_beside_the_existing_ones) {
  static const char in_shop[] = "SELECT count(*) FROM pg_class WHERE relnamespace = 'shop'::regnamespace";
  static const char in_public[] = "SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace AND "
                                  "relname IN ('vestry_schema', 'vestry_session', 'vestry_job')";
  shop s;
  vestry_sql_sessions *sessions = NULL;
  vestry_jobs *jobs = NULL;
  char path[64] = "";
  alter("DROP SCHEMA IF EXISTS shop CASCADE");
  shop_begin(&s, (vestry_postgres_pool_options){.connections_count = 1, .setup = "SET search_path = shop, public"});
  assert_int_equal(vestry_sql_sessions_create(s.pool, NULL, &sessions), VESTRY_OK);
  vestry_sql_sessions_destroy(sessions);
  assert_int_equal(s.th.log_lines, 0);
  alter("CREATE SCHEMA shop");
  for (int i = 0; i < 2; i++) { /* the tables exist when they are created again, for example after a restart */
    assert_int_equal(vestry_jobs_create(s.pool, NULL, &jobs), VESTRY_OK);
    vestry_jobs_destroy(jobs);
    assert_int_equal(vestry_sql_sessions_create(s.pool, NULL, &sessions), VESTRY_OK);
    vestry_sql_sessions_destroy(sessions);
    assert_int_equal(shop_number(&s, in_shop), 0);
    assert_int_equal(shop_number(&s, in_public), 3);
  }
  assert_int_equal(vestry_sql_run_alone(s.pool, "SHOW search_path", NULL, read_text, path), VESTRY_OK);
  assert_string_equal(path, "shop, public");
  shop_end(&s);
  alter("DROP SCHEMA shop");
}

/* ------------------------------------------------------------------------------------------- time limits ---------- */

/* A larger time limit of the server also applies to the wait of the pool: the server would otherwise commit what the
 * caller was told to have failed. */
TEST_CASE(wait_for_a_statement_follows_its_time_limit) {
  static const struct {
    const char *setup, *sql;
    uint32_t limit_ms, later_ms;
  } rows[] = {{"SET statement_timeout = '1h'", NULL, 3600000, 3600000},
              {"SET statement_timeout = 0", NULL, 0, 0},
              {"SET statement_timeout = '5s'", NULL, 5000, 5000},
              {NULL, "SET LOCAL statement_timeout = '1h'", 3600000, 10000},
              {NULL, "SET LOCAL statement_timeout = '5s'", 10000, 10000}};
  shop s;
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    vestry_sql_transaction *transaction;
    shop_begin(&s, (vestry_postgres_pool_options){.connections_count = 1, .setup = rows[i].setup});
    const vsi_postgres_conn *conn = ((vsi_postgres_pool *)s.pool)->conns;
    assert_int_equal(vestry_sql_begin(s.pool, VESTRY_SQL_WRITE, &transaction), VESTRY_OK);
    if (rows[i].sql) assert_int_equal(vestry_sql_run(transaction, rows[i].sql, NULL, NULL, NULL), VESTRY_OK);
    assert_int_equal(conn->limit_ms, rows[i].limit_ms);
    assert_int_equal(vestry_sql_end(transaction, VESTRY_OK), VESTRY_OK);
    assert_int_equal(conn->limit_ms, rows[i].later_ms);
    shop_end(&s);
  }
  shop_begin(&s, (vestry_postgres_pool_options){.setup = "SET statement_timeout = '1h'", .statement_ms = 1000});
  assert_int_equal(vestry_sql_run_alone(s.pool, "SELECT pg_sleep(3.5)", NULL, NULL, NULL), VESTRY_OK);
  shop_end(&s);
}

/* ---------------------------------------------------------------------------------------------- poolers ----------- */

TEST_CASE(statement_names_depend_only_on_their_text) {
  shop one, two;
  int64_t found;
  shop_begin(&one, (vestry_postgres_pool_options){.connections_count = 1});
  memset(&two, 0, sizeof two);
  test_host_init(&two.th);
  assert_int_equal(shop_open(&two, (vestry_postgres_pool_options){.connections_count = 1}), VESTRY_OK);
  static const char names[] = "SELECT hashtext(string_agg(name || statement, ' ' ORDER BY statement)) FROM "
                              "pg_prepared_statements WHERE statement LIKE 'SELECT $1%'";
  shop *const both[] = {&one, &two};
  int64_t said[2];
  for (int i = 0; i < 2; i++) {
    shop *s = both[i];
    for (int k = 0; k < 2; k++)
      assert_int_equal(vestry_sql_run_alone(s->pool, k == i ? "SELECT $1::int" : "SELECT $1::int + 1", VESTRY_LIST(1),
                                            vestry_sql_row_integer, &found),
                       VESTRY_OK);
    said[i] = shop_number(s, names);
  }
  assert_int_equal(said[0], said[1]);
  vestry_sql_pool_destroy(two.pool);
  test_host_assert_clean(&two.th);
  shop_end(&one);
}

TEST_CASE(pooler_in_session_mode_serves_a_pool) {
  if (!postgres_pooler_is_installed()) TEST_SKIP("there is no PgBouncer here (apt-get install pgbouncer)");
  postgres_pooler pooler;
  shop s = {.pool = NULL};
  shop_clear();
  test_host_init(&s.th);
  postgres_pooler_start(&pooler, shop_server(), "session");
  assert_int_equal(shop_open(&s, (vestry_postgres_pool_options){.url = pooler.url, .connections_count = 2}), VESTRY_OK);
  shop_do(&s, "CREATE TABLE t(a int)");
  for (size_t k = 0; k < KINDS; k++)
    assert_int_equal(run_as(&s, kinds[k], "INSERT INTO t VALUES($1)", VESTRY_LIST((int)k)), VESTRY_OK);
  assert_int_equal(shop_number(&s, "SELECT sum(a) FROM t"), 0 + 1 + 2 + 3);
  assert_int_equal(s.th.log_lines, 0);
  shop_end(&s);
  postgres_pooler_finish(&pooler);
}

/* --------------------------------------------------------------------------------------------- server processes --- */

/* Followed pages, and a listener for topics. */
typedef struct followed {
  shown_site site;
  vestry_postgres_topics *topics;
} followed;

static void follow(followed *f, uint32_t silence_ms) {
  shown_open_with(&f->site, "CREATE TABLE t(a int); INSERT INTO t VALUES(1)",
                  (vestry_postgres_pool_options){.statement_ms = silence_ms ? 1000 : 0}, NULL,
                  &(vestry_postgres_options){.silence_ms = silence_ms});
  assert_int_equal(vestry_postgres_topics_create(f->site.on.pages, f->site.pool,
                                                 &(vestry_postgres_topics_options){.silence_ms = silence_ms},
                                                 &f->topics),
                   VESTRY_OK);
}

static void unfollow(followed *f) {
  vestry_postgres_topics_destroy(f->topics);
  shown_close(&f->site);
}

static uint64_t topics_starts(const followed *f) {
  return f->topics->is_listening ? f->topics->starts_count : 0;
}

static uint64_t starts(followed *f) {
  return shown_stats(&f->site).is_following ? shown_stats(&f->site).starts_count : 0;
}

/* The server ends idle connections of the role, but not those that wait for commits. */
TEST_CASE(idle_session_timeout_ends_no_waiting_connection) {
  if (shop_server()->major < 14) TEST_SKIP("PostgreSQL has idle_session_timeout from version 14 on");
  followed f;
  char url[256];
  postgres_server_run(shop_server(), "ALTER ROLE postgres SET idle_session_timeout = '2s'");
  follow(&f, 0);
  snprintf(url, sizeof url, "%s application_name=pausing", shop_server()->url);
  PGconn *other = PQconnectdb(url); /* has been idle for less time than the others when it ends */
  assert_int_equal(PQstatus(other), CONNECTION_OK);
  UNTIL(postgres_server_number(shop_server(), "SELECT count(*) FROM pg_stat_activity WHERE application_name = "
                                              "'pausing'") == 0);
  PQfinish(other);
  assert_int_equal(starts(&f), 1);
  assert_int_equal(topics_starts(&f), 1);
  PQfinish(f.site.writer); /* the test's own connection ended, too */
  f.site.writer = postgres_server_connect(shop_server());
  postgres_server_run(shop_server(), "ALTER ROLE postgres RESET idle_session_timeout");
  assert_int_equal(f.site.on.th.log_lines, 0);
  unfollow(&f);
}

/* A role can get messages that are for interactive use, from the first moment of a connection on. */
TEST_CASE(messages_of_the_server_are_not_written_to_stderr) {
  shop s;
  struct stat written;
  char path[] = "/tmp/vestry-stderr-XXXXXX";
  shop_clear();
  postgres_server_run(shop_server(), "ALTER ROLE postgres SET client_min_messages = debug5");
  const int file = mkstemp(path), own = dup(STDERR_FILENO);
  assert_true(file >= 0 && own >= 0);
  assert_int_equal(unlink(path), 0);
  test_host_init(&s.th);
  assert_int_equal(dup2(file, STDERR_FILENO), STDERR_FILENO);
  const vestry_err error = shop_open(&s, (vestry_postgres_pool_options){.connections_count = 1});
  assert_int_equal(dup2(own, STDERR_FILENO), STDERR_FILENO);
  assert_int_equal(error, VESTRY_OK);
  assert_int_equal(fstat(file, &written), 0);
  assert_int_equal(written.st_size, 0);
  assert_int_equal(s.th.log_lines, 0);
  close(file);
  close(own);
  shop_end(&s);
  postgres_server_run(shop_server(), "BEGIN; SET LOCAL client_min_messages = error; ALTER ROLE postgres RESET "
                                     "client_min_messages; COMMIT");
}

/* Stopped server processes do not answer. Their connections are replaced, and other processes serve the new ones. */
TEST_CASE(stopped_server_processes_are_replaced) {
  followed f;
  follow(&f, 100);
  const size_t page = shown_watch(&f.site, "SELECT a, a FROM t", NULL);
  PGresult *pids = PQexec(f.site.writer, "SELECT pid FROM pg_stat_activity WHERE application_name = 'vestry'");
  const int count = PQntuples(pids);
  assert_true(count >= 4); /* the pool's, two of the follower, the listener */
  for (int i = 0; i < count; i++) assert_int_equal(kill((pid_t)atoi(PQgetvalue(pids, i, 0)), SIGSTOP), 0);
  UNTIL(starts(&f) > 1 && topics_starts(&f) > 1);
  shown_run(&f.site, "UPDATE t SET a = 2");
  shown_settle_again(&f.site, page);
  assert_string_equal(f.site.all[page].text, "2 2 ");
  for (int i = 0; i < count; i++) (void)kill((pid_t)atoi(PQgetvalue(pids, i, 0)), SIGCONT);
  PQclear(pids);
  unfollow(&f);
}

/* The same connection, before and after the promotion. */
TEST_CASE(pool_writes_after_standby_promotion) {
  static const char insert[] = "INSERT INTO t VALUES($1)";
  postgres_server standby;
  shop s;
  shop_clear();
  alter("CREATE TABLE t(a int)");
  postgres_server_init_standby(&standby, shop_server());
  postgres_server_start(&standby, NULL);
  test_host_init(&s.th);
  assert_int_equal(shop_open(&s, (vestry_postgres_pool_options){.url = standby.url, .connections_count = 1}),
                   VESTRY_OK);
  assert_int_equal(shop_number(&s, "SELECT count(*) FROM t"), 0);
  for (size_t i = 0; i < KINDS; i++) assert_int_equal(run_as(&s, kinds[i], insert, VESTRY_LIST(1)), VESTRY_IO);
  postgres_server_run(&standby, "SELECT pg_promote()");
  UNTIL(postgres_server_number(&standby, "SELECT pg_is_in_recovery()::int") == 0);
  for (size_t i = 0; i < KINDS; i++) assert_int_equal(run_as(&s, kinds[i], insert, VESTRY_LIST(1)), VESTRY_OK);
  assert_int_equal(shop_number(&s, "SELECT count(*) FROM t"), KINDS);
  assert_int_equal(shop_stats(&s).connects_count, 1);
  shop_end(&s);
  postgres_server_finish(&standby);
}

int main(void) {
  if (!postgres_server_newest()) return POSTGRES_SKIPPED;
  return cases_run("postgres/state", shop_open_server, shop_close_server);
}
