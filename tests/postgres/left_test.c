/* SPDX-License-Identifier: MIT */
/* What a thread leaves on a connection of a pool, and the next thread must not get: settings, temporary objects, locks
 * of the session. */
#include "postgres/shop.h"
#include "support/test.h"

static void read_text(const vestry_sql_row *row, void *ctx) {
  snprintf(ctx, 64, "%s", vestry_sql_text(row, 0));
}

/* All of a session that a transaction can leave behind, besides its setup. A setting that RESET ALL does not know has
 * an empty value afterwards. */
static const char session_sql[] =
    "SELECT md5(concat_ws('|', session_user, current_user, (SELECT string_agg(name || '=' || setting, ',' ORDER BY "
    "name)"
    " FROM pg_settings WHERE name NOT SIMILAR TO '(transaction|plpgsql)%' AND setting <> ''), (SELECT count(*) FROM "
    "pg_class"
    " WHERE relnamespace = pg_my_temp_schema()), (SELECT count(*) FROM pg_listening_channels()), (SELECT count(*)"
    " FROM pg_cursors WHERE is_holdable), (SELECT count(*) FROM pg_prepared_statements WHERE from_sql),"
    " (SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid())))";

enum { ALONE, HANDLE = VESTRY_SQL_WRITE + 1, KINDS };

static vestry_err run_in(vestry_sql_transaction *transaction, void *sql) {
  return vestry_sql_run(transaction, sql, NULL, NULL, NULL);
}

static vestry_err run_by_handle(vestry_sql_transaction *transaction, void *sql) {
  PQclear(PQexec(vestry_postgres_handle(transaction), sql));
  return VESTRY_OK;
}

static vestry_err run_inside(shop *s, int kind, vestry_sql_act_fn fn, void *ctx) {
  vestry_sql_transaction *transaction;
  vestry_err error = vestry_sql_begin(s->pool, kind == HANDLE ? VESTRY_SQL_WRITE : (vestry_sql_kind)kind, &transaction);
  return error ? error : vestry_sql_end(transaction, fn(transaction, ctx));
}

/* Run alone, in a transaction of a kind, or by libpq. */
static vestry_err run_as(shop *s, int kind, const char *sql) {
  if (kind == ALONE) return vestry_sql_run_alone(s->pool, sql, NULL, NULL, NULL);
  return run_inside(s, kind, kind == HANDLE ? run_by_handle : run_in, (void *)(uintptr_t)sql);
}

static vestry_err read_session(vestry_sql_transaction *transaction, void *text) {
  return vestry_sql_run(transaction, session_sql, NULL, read_text, text);
}

static void check_session(shop *s, int kind, const char *expected, const char *sql) {
  char text[64] = "";
  vestry_err error = kind == ALONE || kind == HANDLE ? vestry_sql_run_alone(s->pool, session_sql, NULL, read_text, text)
                                                     : run_inside(s, kind, read_session, text);
  if (error || strcmp(text, expected) != 0) fail_msg("%s, then kind %d: %s", sql, kind, s->th.last_log);
}

/* Statements that leave something, in all forms: at the top, in a comment, by a query, in a function, in a table of the
 * server, and as an error or the end of the transaction. */
static const char *const leaving[] = {
    "SET ROLE boss",
    "/* LOCAL */ SET/**/ROLE -- LOCAL\n boss",
    "SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY",
    "SET SESSION AUTHORIZATION boss",
    "SET search_path = pg_catalog",
    "SET DateStyle = German",
    "SET vestry.tenant = 7",
    "SET statement_timeout = '9s'",
    "SET default_transaction_isolation = serializable",
    "RESET ALL",
    "RESET search_path",
    "RESET ROLE",
    "DISCARD ALL",
    "DISCARD PLANS",
    "SELECT set_config('role', 'boss', false), (true)",
    "SELECT set_config('role', 'boss', false) -- true)",
    "SELECT set_config('search_path', '', not true), set_config('vestry.other', '1', true)",
    "WITH a AS (SELECT pg_catalog.\"set_config\"('role', 'boss', 'f')) SELECT true FROM a",
    "UPDATE pg_settings SET setting = 'pg_catalog' WHERE name = 'search_path'",
    "DO $$BEGIN SET search_path = pg_catalog; SET ROLE boss; END$$",
    "SELECT kept.become('boss')",
    "CREATE TEMP TABLE t(a int)",
    "CREATE TABLE pg_temp.t AS SELECT 1",
    "SELECT 1 AS a INTO TEMPORARY t",
    "DO $$BEGIN CREATE TEMP TABLE t(a int); LISTEN news; END$$",
    "LISTEN news",
    "PREPARE one AS SELECT 1",
    "DECLARE one CURSOR WITH HOLD FOR SELECT 1",
    "SELECT PG_ADVISORY_LOCK(1)",
    "SELECT kept.lock_shared()",
    "SELECT pg_advisory_lock(1), 1 / (random() * 0)::int",
    "SELECT kept.become('boss'), 1 / (random() * 0)::int",
    "COMMIT",
    "COMMIT AND CHAIN",
    "ROLLBACK AND CHAIN"};

/* Roles and functions for the statements. */
static int open_server(void **state) {
  (void)shop_open_server(state);
  postgres_server_run(shop_server(),
                      "CREATE SCHEMA kept; GRANT USAGE ON SCHEMA kept TO public; CREATE ROLE boss; CREATE ROLE worker; "
                      "GRANT boss TO worker;"
                      "CREATE FUNCTION kept.become(name text) RETURNS text LANGUAGE sql AS"
                      " 'SELECT set_config(''role'', name, false)';"
                      "CREATE FUNCTION kept.lock_shared() RETURNS void LANGUAGE plpgsql AS"
                      " 'BEGIN PERFORM pg_try_advisory_lock_shared(1); END'; CREATE SEQUENCE kept.numbers");
  return 0;
}

/* Each statement runs in each kind of transaction, and then a transaction of each kind (without a setup; with one, of a
 * kind) finds the session as the setup has left it. (What libpq prepares by SQL is for vestry_postgres_replace.) */
TEST_CASE(transaction_begins_with_the_session_of_the_setup) {
  static const char *const setups[] = {
      NULL, "SET search_path = shop, public; SET TimeZone = 'Asia/Tokyo'; SET vestry.tenant = 'it''s \\ none'",
      "SET search_path = public; SET ROLE worker", "SET SESSION AUTHORIZATION worker; SET DateStyle = SQL"};
  for (size_t n = 0; n < sizeof setups / sizeof *setups; n++) {
    shop s;
    char expected[64] = "";
    shop_begin(&s, (vestry_postgres_pool_options){.connections_count = 1, .setup = setups[n]});
    assert_int_equal(vestry_sql_run_alone(s.pool, session_sql, NULL, read_text, expected), VESTRY_OK);
    for (size_t r = 0; r < sizeof leaving / sizeof *leaving; r++)
      for (int kind = ALONE; kind < KINDS; kind++)
        for (int next = n ? (int)(n + r + (size_t)kind) % KINDS : ALONE;
             next < KINDS && !(kind == HANDLE && strncmp(leaving[r], "PREPARE", 7) == 0); next += n ? KINDS : 1) {
          (void)run_as(&s, kind, leaving[r]);
          check_session(&s, next, expected, leaving[r]);
        }
    shop_end(&s);
  }
}

static void read_number(const vestry_sql_row *row, void *ctx) {
  *(int64_t *)ctx = vestry_sql_integer(row, 0);
}

/* Undoing takes no other connection, and lasts also if the transaction after it is rolled back. A sequence has no
 * current value for the next transaction. */
TEST_CASE(session_is_undone_on_its_connection) {
  shop s;
  int64_t value = 0;
  shop_begin(&s, (vestry_postgres_pool_options){.connections_count = 1});
  for (int kind = ALONE; kind <= VESTRY_SQL_WRITE; kind++) {
    assert_int_equal(run_as(&s, ALONE, "SELECT nextval('kept.numbers'), kept.become('boss')"), VESTRY_OK);
    assert_int_equal(run_as(&s, VESTRY_SQL_WRITE, "SELECT 1 / (random() * 0)::int"), VESTRY_IO);
    assert_int_equal(vestry_sql_run_alone(s.pool, "SELECT (current_user = 'postgres')::int", NULL, read_number, &value),
                     VESTRY_OK);
    assert_int_equal(value, 1);
    assert_int_equal(run_as(&s, kind, "SELECT currval('kept.numbers')"), VESTRY_IO);
  }
  assert_int_equal(shop_stats(&s).connects_count, 1);
  shop_end(&s);
}

/* A statement of SQL's PREPARE, and the loss of all prepared statements, replace the connection. So does a state that
 * cannot be restored. */
TEST_CASE(connection_that_cannot_be_undone_is_replaced) {
  shop s;
  shop_begin(&s, (vestry_postgres_pool_options){.connections_count = 1, .setup = "SET ROLE worker"});
  assert_int_equal(run_as(&s, ALONE, "PREPARE one AS SELECT 1"), VESTRY_OK);
  assert_int_equal(run_as(&s, ALONE, "PREPARE one AS SELECT 1"), VESTRY_OK);
  assert_int_equal(shop_stats(&s).connects_count, 2);
  assert_int_equal(run_as(&s, ALONE, "DISCARD ALL"), VESTRY_OK);
  assert_int_equal(shop_number(&s, "SELECT (current_user = 'worker')::int"), 1);
  shop_end(&s);
}

static vestry_err replace(vestry_sql_transaction *transaction, void *ctx) {
  vestry_postgres_replace(transaction);
  return VESTRY_OK;
}

TEST_CASE(connection_is_replaced_on_request) {
  shop s;
  shop_begin(&s, (vestry_postgres_pool_options){.connections_count = 1});
  assert_int_equal(vestry_sql_act(s.pool, VESTRY_SQL_WRITE, replace, NULL), VESTRY_OK);
  assert_int_equal(shop_number(&s, "SELECT 1"), 1);
  assert_int_equal(shop_stats(&s).connects_count, 2);
  shop_end(&s);
  vestry_postgres_replace(NULL);
}

int main(void) {
  if (!postgres_server_newest()) return POSTGRES_SKIPPED;
  return cases_run("postgres/left", open_server, shop_close_server);
}
