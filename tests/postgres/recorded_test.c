/* SPDX-License-Identifier: MIT */
/* What a render reads, and what leaves none of the usual traces: reads that fail, that are another transaction's, that
 * are rolled back, that find nothing by a row id. Its page is rendered again all the same. */
#include <pthread.h>
#include <stdatomic.h>

#include "postgres/shown.h"
#include "support/until.h"

/* ------------------------------------------------------------------------------------------------ no locks -------- */

#define ROWS "CREATE TABLE t(id int PRIMARY KEY, v int); INSERT INTO t SELECT i, i FROM generate_series(1, 2000) i; "
#define ONE  "CREATE TABLE t(id int PRIMARY KEY, v int); INSERT INTO t VALUES(1, 0); "
#define CATCHES(of, name)                                                                                              \
  "CREATE FUNCTION " name "() RETURNS text LANGUAGE plpgsql AS $$DECLARE n int; BEGIN BEGIN SELECT v INTO n FROM " of  \
  " WHERE id = 1; PERFORM 1 / n; RETURN 'some'; EXCEPTION WHEN division_by_zero THEN RETURN 'none'; END; END$$; "
#define WORKERS                                                                                                        \
  "CREATE TABLE a(x int); INSERT INTO a SELECT i % 5 FROM generate_series(1, 400000) i; CREATE TABLE b(y int);"        \
  "INSERT INTO b SELECT 3 + i FROM generate_series(1, 20) i; ANALYZE"

/* A page, what is committed beside it, and what the page shows then. */
typedef struct one_case {
  const char *schema, *setup, *sql, *change, *text;
  shown_how how;
  vestry_postgres_level level;
  bool is_prepared; /* by the pool's only connection, before: the plan is kept */
} one_case;

#define OF(made, set, read, changes, shows)                                                                            \
  .schema = (made), .setup = (set), .sql = (read), .change = (changes), .text = (shows)

static const char by_index[] = "SET enable_seqscan = off; SET max_parallel_workers_per_gather = 0";

static const one_case cases[] = {
    /* In a transaction that the page begins itself. */
    {OF(ROWS, by_index, "SELECT v FROM t WHERE id = 7", "UPDATE t SET v = 70 WHERE id = 7", "70 "),
     .how = SHOWN_BEGINS},
    {OF(ROWS, by_index, "SELECT count(*) FROM t WHERE id > 1990", "INSERT INTO t VALUES(2500, 1)", "11 "),
     .how = SHOWN_BEGINS},
    {OF(ROWS, by_index, "SELECT v FROM t WHERE id = 7", "UPDATE t SET v = 70 WHERE id = 7", "70 "), .how = SHOWN_RUNS},
    {OF(ROWS, by_index, "SELECT count(*) FROM t WHERE id > 1990", "INSERT INTO t VALUES(2500, 1)", "11 "),
     .how = SHOWN_RUNS},
    {OF(ROWS, by_index, "SELECT v FROM t WHERE id = 7", "UPDATE t SET v = 70 WHERE id = 7", "70 "),
     .how = SHOWN_COMMITTED},
    {OF(ROWS, by_index, "SELECT v FROM t WHERE id = 7", "UPDATE t SET v = 70 WHERE id = 7", "70 "),
     .how = SHOWN_COMMITTED, .level = VESTRY_POSTGRES_TABLES},
    /* Samples and row ids that find nothing. */
    {OF("CREATE TABLE s(id int)", NULL, "SELECT count(*) FROM s TABLESAMPLE BERNOULLI (100)", "INSERT INTO s VALUES(1)",
        "1 ")},
    {OF("CREATE TABLE s(id int); INSERT INTO s VALUES(1)", NULL, "SELECT count(*) FROM s WHERE ctid > '(0,1)'",
        "INSERT INTO s VALUES(2)", "1 ")},
    {OF("CREATE TABLE s(id int); INSERT INTO s VALUES(1)", NULL, "SELECT count(*) FROM s WHERE CTID = '(0,2)'",
        "INSERT INTO s VALUES(2)", "1 ")},
    {OF("CREATE TABLE s(id int); CREATE VIEW x AS SELECT * FROM s TABLESAMPLE SYSTEM (100)", NULL,
        "SELECT count(*) FROM x", "INSERT INTO s VALUES(1)", "1 ")},
    /* Rolled back under the render. */
    {OF(ONE CATCHES("t", "f"), NULL, "SELECT f()", "UPDATE t SET v = 1", "some "), .level = VESTRY_POSTGRES_TABLES},
    {OF(ONE CATCHES("t", "f"), NULL, "SELECT f()", "UPDATE t SET v = 1", "some ")},
    {OF(ONE CATCHES("t", "f"), by_index, "SELECT f()", "DELETE FROM t; INSERT INTO t VALUES(1, 2)", "some "),
     .level = VESTRY_POSTGRES_TABLES},
    {OF(ONE CATCHES("t", "f"), NULL, "SELECT f()", "BEGIN; TRUNCATE t; INSERT INTO t VALUES(1, 5); COMMIT", "some "),
     .level = VESTRY_POSTGRES_TABLES},
    {OF(ONE "CREATE MATERIALIZED VIEW mv AS SELECT * FROM t; CREATE UNIQUE INDEX ON mv(id);" CATCHES("mv", "f"), NULL,
        "SELECT f()", "UPDATE t SET v = 1; REFRESH MATERIALIZED VIEW mv", "some ")},
    {OF(ONE "CREATE MATERIALIZED VIEW mv AS SELECT * FROM t; CREATE UNIQUE INDEX ON mv(id);" CATCHES("mv", "f"),
        by_index, "SELECT f()", "UPDATE t SET v = 1; REFRESH MATERIALIZED VIEW mv", "some ")},
    {OF(ONE "CREATE VIEW x AS SELECT id, v FROM t;" CATCHES("x", "f"), NULL, "SELECT f()",
        "CREATE OR REPLACE VIEW x AS SELECT id, v + 1 AS v FROM t", "some ")},
    {OF(ONE "CREATE VIEW x AS SELECT id, v FROM t;" CATCHES("x", "f"), NULL, "SELECT f()",
        "CREATE OR REPLACE VIEW x AS SELECT id, v + 1 AS v FROM t", "some "),
     .level = VESTRY_POSTGRES_TABLES},
    {OF("CREATE TABLE p(id int, v int) PARTITION BY RANGE (v); CREATE TABLE p0 PARTITION OF p FOR VALUES FROM (0) TO "
        "(1);"
        "INSERT INTO p VALUES(1, 0); CREATE TABLE p1(id int, v int); INSERT INTO p1 VALUES(1, -1);"
        "CREATE FUNCTION f() RETURNS text LANGUAGE plpgsql AS $$DECLARE n int; BEGIN BEGIN SELECT min(v) INTO n FROM "
        "p; "
        "PERFORM 1 / n; RETURN 'some'; EXCEPTION WHEN division_by_zero THEN RETURN 'none'; END; END$$",
        NULL, "SELECT f()", "ALTER TABLE p ATTACH PARTITION p1 FOR VALUES FROM (-9) TO (0)", "some ")},
    /* Plans of before. */
    {OF(WORKERS, "SET parallel_leader_participation = off", "SELECT count(*) FROM a JOIN b ON a.x = b.y",
        "INSERT INTO b VALUES(3)", "160000 "),
     .is_prepared = true},
};

static void a_commit_renders_what_left_no_lock(void **state) {
  (void)state;
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    const one_case *c = &cases[i];
    shown_site s;
    shown_open_with(&s, c->schema,
                    (vestry_postgres_pool_options){.setup = c->setup, .connections_count = c->is_prepared ? 1 : 4},
                    NULL, &(vestry_postgres_options){.level = c->level});
    for (int run = 0; c->is_prepared && run < 2; run++) (void)vestry_sql_run_alone(s.pool, c->sql, NULL, NULL, NULL);
    const size_t at = shown_watch_as(&s, c->sql, c->how, false);
    shown_run(&s, c->change);
    shown_settle(&s);
    if (strcmp(s.all[at].text, c->text) != 0)
      fail_msg("case %zu, %s; then %s: the page shows %s", i, c->sql, c->change, s.all[at].text);
    shown_close(&s);
  }
}

/* Whoever catches nothing is not rendered for others' sake. */
static void what_is_not_caught_stays_exact(void **state) {
  (void)state;
  shown_site s;
  shown_open_with(&s, ROWS "CREATE TABLE other(id int); CREATE VIEW x AS SELECT 1 AS one",
                  (vestry_postgres_pool_options){.setup = by_index}, NULL, NULL);
  const size_t begins = shown_watch_as(&s, "SELECT v FROM t WHERE id = 7", SHOWN_BEGINS, false);
  const size_t runs = shown_watch_as(&s, "SELECT v FROM t WHERE id = 7", SHOWN_RUNS, true);
  shown_run(&s, "UPDATE t SET v = 1 WHERE id = 1900");
  shown_run(&s, "INSERT INTO other VALUES(1)");
  shown_run(&s, "CREATE OR REPLACE VIEW x AS SELECT 2 AS one");
  assert_int_equal(shown_renders(&s, begins) + shown_renders(&s, runs), 0);
  shown_close(&s);
}

static void end_transaction(shown_site *s) {
  (void)vestry_sql_read(s->pool, "COMMIT AND CHAIN", NULL, NULL, NULL);
}

/* Its locks are gone; those of what comes after are not those of a render. */
static void a_transaction_that_ends_under_a_render_is_noticed(void **state) {
  (void)state;
  for (int by_reads = 0; by_reads < 2; by_reads++) {
    shown_site s;
    shown_open_with(&s, ROWS, (vestry_postgres_pool_options){.setup = by_index}, NULL,
                    &(vestry_postgres_options){.level = by_reads ? VESTRY_POSTGRES_READS : VESTRY_POSTGRES_TABLES});
    s.inside = end_transaction;
    const size_t at = shown_watch(&s, "SELECT v FROM t WHERE id = 7", "SELECT 1");
    shown_run(&s, "UPDATE t SET v = 70 WHERE id = 7");
    shown_settle(&s);
    assert_string_equal(s.all[at].text, "70 1 ");
    shown_close(&s);
  }
}

/* ------------------------------------------------------------------------------------------- reads that fail ------ */

/* It does nothing but show that the server is away; and nothing is committed when that is over. */
static void a_page_that_shows_an_absence_comes_back(void **state) {
  (void)state;
  shown_site s;
  shown_open_with(&s, ROWS, (vestry_postgres_pool_options){.retry_ms = 1}, NULL, NULL);
  s.on.th.host.log = NULL;
  const size_t at = shown_watch_as(&s, "SELECT v FROM t WHERE id = 7", SHOWN_READS, true);
  assert_string_equal(s.all[at].text, "7 ");
  postgres_server_kill(shop_server());
  site_refresh(&s.on, "own");
  assert_string_equal(s.all[at].text, "LIMIT");
  postgres_server_start(shop_server(), NULL);
  UNTIL((site_pass_ms(&s.on, 1), strcmp(s.all[at].text, "7 ") == 0));
  PQreset(s.writer);
  shown_close(&s);
}

typedef struct holder {
  shown_site *s;
  _Atomic(int) is_held; /* 1: it is; 2: it is to be given back */
} holder;

static void *hold(void *ctx) {
  holder *h = ctx;
  vestry_sql_transaction *loan;
  const vestry_err error = vestry_sql_begin(h->s->pool, VESTRY_SQL_READ, &loan);
  atomic_store(&h->is_held, 1);
  UNTIL(atomic_load(&h->is_held) == 2);
  return error || vestry_sql_end(loan, VESTRY_OK) ? ctx : NULL;
}

/* No connection is free: the page is rendered again after a second; or by a commit, whatever that writes. */
static void a_page_without_a_connection_comes_back(void **state) {
  (void)state;
  static const shown_how hows[] = {SHOWN_READS, SHOWN_BEGINS, SHOWN_COMMITTED, SHOWN_READS};
  for (int i = 0; i < 8; i++) {
    const bool is_followed = i / 2 < 3, by_commit = i % 2 && is_followed;
    shown_site s;
    pthread_t thread;
    void *failed;
    shown_open_with(&s, ROWS, (vestry_postgres_pool_options){.connections_count = 1, .wait_ms = 1}, NULL,
                    &(vestry_postgres_options){.level = is_followed ? VESTRY_POSTGRES_READS : VESTRY_POSTGRES_TOPICS});
    const size_t at = shown_watch_as(&s, "SELECT v FROM t WHERE id = 7", hows[i / 2], true);
    holder h = {.s = &s};
    assert_int_equal(pthread_create(&thread, NULL, hold, &h), 0);
    UNTIL(atomic_load(&h.is_held));
    assert_int_equal(vestry_refresh(s.on.pages, "own", NULL), VESTRY_OK);
    site_pass_ms(&s.on, 20); /* and not by settling, which would use up the times of what is tried again */
    assert_string_equal(s.all[at].text, "LIMIT");
    site_pass_ms(&s.on, 1000);
    assert_string_equal(s.all[at].text, "LIMIT");
    atomic_store(&h.is_held, 2);
    pthread_join(thread, &failed);
    assert_null(failed);
    if (by_commit) shown_run(&s, "CREATE TABLE any_table()");
    if (by_commit)
      shown_settle(&s);
    else
      site_pass_ms(&s.on, 2000);
    assert_string_equal(s.all[at].text, "7 ");
    s.all[at].renders = 0;
    site_pass_ms(&s.on, 60000); /* it is well */
    assert_int_equal(s.all[at].renders, 0);
    shown_close(&s);
  }
}

/* The server refuses the statement, and time will not help: a commit may, whatever it writes. */
static void a_refused_statement_depends_on_all_commits(void **state) {
  (void)state;
  shown_site s;
  shown_open(&s, "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1 / 0'; CREATE TABLE other(id int)", NULL);
  const size_t at = shown_watch_as(&s, "SELECT f()", SHOWN_READS, true);
  assert_string_equal(s.all[at].text, "IO");
  site_pass_ms(&s.on, 60000);
  assert_int_equal(s.all[at].renders, 0);
  shown_run(&s, "INSERT INTO other VALUES(1)");
  assert_int_equal(shown_renders(&s, at), 1);
  shown_run(&s, "CREATE OR REPLACE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 5'");
  shown_settle(&s);
  assert_string_equal(s.all[at].text, "5 ");
  shown_close(&s);
}

/* ------------------------------------------------------------------------------ a server that cannot be followed -- */

/* It comes back, and lets nobody follow: what was committed meanwhile is shown, once. */
static void a_server_that_cannot_be_followed_any_more_is_read_once(void **state) {
  (void)state;
  static const char *const none[] = {"max_wal_senders=0", NULL};
  static const char *const minimal[] = {"wal_level=minimal", "max_wal_senders=0", NULL};
  for (size_t i = 0; i < 2; i++) {
    shown_site s;
    shown_open_with(&s, ROWS, (vestry_postgres_pool_options){.retry_ms = 1}, NULL, NULL);
    const size_t at = shown_watch(&s, "SELECT v FROM t WHERE id = 7", NULL);
    postgres_server_stop(shop_server());
    postgres_server_start(shop_server(), i ? minimal : none);
    PQreset(s.writer);
    shown_run(&s, "UPDATE t SET v = 71 WHERE id = 7");
    UNTIL((site_pass_ms(&s.on, 1), strcmp(s.all[at].text, "71 ") == 0));
    assert_int_equal(vestry_postgres_level_get(s.database), VESTRY_POSTGRES_TOPICS);
    shown_close(&s);
    postgres_server_stop(shop_server());
    postgres_server_start(shop_server(), NULL);
  }
}

/* A role that may have so many connections, which are all the pool's when the server is back. */
static void a_follower_without_a_connection_is_missed_by_none(void **state) {
  (void)state;
  shown_site s;
  char url[256], sql[160];
  int64_t own = 0;
  postgres_server_run(shop_server(), "DROP ROLE IF EXISTS narrow; CREATE ROLE narrow LOGIN REPLICATION");
  snprintf(url, sizeof url, "host=%s port=%d user=narrow dbname=postgres", shop_server()->folder, shop_server()->port);
  shown_open_with(&s, ROWS "GRANT SELECT ON t TO narrow; GRANT USAGE ON SCHEMA public TO narrow",
                  (vestry_postgres_pool_options){.url = url, .connections_count = 1, .retry_ms = 1}, NULL, NULL);
  const size_t at = shown_watch(&s, "SELECT v FROM t WHERE id = 7", NULL);
  shown_run(&s, "ALTER ROLE narrow CONNECTION LIMIT 1");
  assert_int_equal(vestry_sql_run_alone(s.pool, "SELECT pg_backend_pid()", NULL, vestry_sql_row_integer, &own),
                   VESTRY_OK);
  snprintf(sql, sizeof sql,
           "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'narrow' AND pid <> %d", (int)own);
  shown_run(&s, sql);
  shown_run(&s, "UPDATE t SET v = 71 WHERE id = 7");
  UNTIL((site_pass_ms(&s.on, 1), strcmp(s.all[at].text, "71 ") == 0));
  shown_close(&s);
  postgres_server_run(shop_server(), "DROP OWNED BY narrow; DROP ROLE narrow");
}

/* A table that all databases have is rewritten by another one. */
static void a_shared_table_that_is_rewritten_elsewhere_is_followed(void **state) {
  (void)state;
  shown_site s;
  char url[256];
  postgres_server_run(shop_server(), "DROP ROLE IF EXISTS web; CREATE ROLE web; DROP ROLE IF EXISTS staff;"
                                     "CREATE ROLE staff");
  postgres_server_run(shop_server(), "CREATE DATABASE elsewhere");
  shown_open_with(&s,
                  ONE "GRANT USAGE ON SCHEMA public TO web; GRANT ALL ON t TO web; ALTER TABLE t ENABLE ROW LEVEL "
                      "SECURITY; CREATE POLICY p ON t USING (pg_has_role('web', 'staff', 'MEMBER'))",
                  (vestry_postgres_pool_options){.setup = "SET ROLE web"}, NULL, NULL);
  const size_t at = shown_watch(&s, "SELECT count(*) FROM t", NULL);
  assert_string_equal(s.all[at].text, "0 ");
  snprintf(url, sizeof url, "host=%s port=%d user=postgres dbname=elsewhere", shop_server()->folder,
           shop_server()->port);
  PGconn *db = PQconnectdb(url);
  PGresult *result = PQexec(db, "VACUUM FULL pg_auth_members");
  assert_int_equal(PQresultStatus(result), PGRES_COMMAND_OK);
  PQclear(result);
  PQfinish(db);
  shown_settle(&s);
  shown_run(&s, "GRANT staff TO web");
  shown_settle(&s);
  assert_string_equal(s.all[at].text, "1 ");
  shown_close(&s);
  postgres_server_run(shop_server(), "DROP DATABASE elsewhere");
  postgres_server_run(shop_server(), "DROP OWNED BY web; DROP ROLE web; DROP ROLE staff");
}

/* ------------------------------------------------------------------------------------------------ the log --------- */

/* What is not covered is said of each relation once, and of so many. */
static void the_log_names_each_uncovered_relation_once(void **state) {
  (void)state;
  shown_site s;
  shown_open(&s, "CREATE UNLOGGED TABLE u1(v int); CREATE UNLOGGED TABLE u2(v int)", NULL);
  const size_t first = shown_watch_as(&s, "SELECT count(*) FROM u1", SHOWN_READS, true);
  (void)shown_watch_as(&s, "SELECT count(*) FROM u2", SHOWN_READS, true);
  const long lines = s.on.th.log_lines;
  for (int i = 0; i < 10; i++) site_refresh(&s.on, "own");
  assert_int_equal(s.all[first].renders, 10);
  assert_int_equal(s.on.th.log_lines, lines);
  (void)shown_watch_as(&s, "CREATE TEMP TABLE mine AS SELECT 1", SHOWN_READS, true); /* another one each time */
  for (int i = 0; i < 50; i++) site_refresh(&s.on, "own");
  assert_true(s.on.th.log_lines - lines <= 32);
  assert_non_null(strstr(s.on.th.last_log, "Further ones are not logged"));
  shown_close(&s);
}

int main(void) {
  if (!postgres_server_newest()) return POSTGRES_SKIPPED;
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_commit_renders_what_left_no_lock),
      cmocka_unit_test(what_is_not_caught_stays_exact),
      cmocka_unit_test(a_transaction_that_ends_under_a_render_is_noticed),
      cmocka_unit_test(a_page_that_shows_an_absence_comes_back),
      cmocka_unit_test(a_page_without_a_connection_comes_back),
      cmocka_unit_test(a_refused_statement_depends_on_all_commits),
      cmocka_unit_test(a_server_that_cannot_be_followed_any_more_is_read_once),
      cmocka_unit_test(a_follower_without_a_connection_is_missed_by_none),
      cmocka_unit_test(a_shared_table_that_is_rewritten_elsewhere_is_followed),
      cmocka_unit_test(the_log_names_each_uncovered_relation_once),
  };
  return cmocka_run_group_tests(tests, shop_open_server, shop_close_server);
}
