/* SPDX-License-Identifier: MIT */
/* Reads that leave none of the usual locks: failed reads, reads in other transactions, rolled-back reads, and row
 * ids without a match. Their page must render again nevertheless. */
#include <pthread.h>
#include <stdatomic.h>

#include "postgres/shown.h"
#include "support/until.h"

/* ------------------------------------------------------------------------------------------ reads without locks --- */

#define ROWS "CREATE TABLE t(id int PRIMARY KEY, v int); INSERT INTO t SELECT i, i FROM generate_series(1, 2000) i; "
#define ONE  "CREATE TABLE t(id int PRIMARY KEY, v int); INSERT INTO t VALUES(1, 0); "
#define CATCHES(of, name)                                                                                              \
  "CREATE FUNCTION " name "() RETURNS text LANGUAGE plpgsql AS $$DECLARE n int; BEGIN BEGIN SELECT v INTO n FROM " of  \
  " WHERE id = 1; PERFORM 1 / n; RETURN 'some'; EXCEPTION WHEN division_by_zero THEN RETURN 'none'; END; END$$; "
#define WORKERS                                                                                                        \
  "CREATE TABLE a(x int); INSERT INTO a SELECT i % 5 FROM generate_series(1, 400000) i; CREATE TABLE b(y int);"        \
  "INSERT INTO b SELECT 3 + i FROM generate_series(1, 20) i; ANALYZE"

/* A page, a commit after its render, and the page's expected content. */
typedef struct one_case {
  const char *schema, *setup, *sql, *change, *text;
  shown_how how;
  vestry_postgres_level level;
  bool is_prepared; /* the pool's only connection has prepared the statement, so its plan is reused */
} one_case;

#define OF(made, set, read, changes, shows)                                                                            \
  .schema = (made), .setup = (set), .sql = (read), .change = (changes), .text = (shows)

static const char by_index[] = "SET enable_seqscan = off; SET max_parallel_workers_per_gather = 0";

static const one_case cases[] = {
    {OF(ROWS, by_index, "SELECT v FROM t WHERE id = 7", "UPDATE t SET v = 70 WHERE id = 7", "70 "),
     .how = SHOWN_HANDLED},
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
    /* Samples and row ids without a match. */
    {OF("CREATE TABLE s(id int)", NULL, "SELECT count(*) FROM s TABLESAMPLE BERNOULLI (100)", "INSERT INTO s VALUES(1)",
        "1 ")},
    {OF("CREATE TABLE s(id int); INSERT INTO s VALUES(1)", NULL, "SELECT count(*) FROM s WHERE ctid > '(0,1)'",
        "INSERT INTO s VALUES(2)", "1 ")},
    {OF("CREATE TABLE s(id int); INSERT INTO s VALUES(1)", NULL, "SELECT count(*) FROM s WHERE CTID = '(0,2)'",
        "INSERT INTO s VALUES(2)", "1 ")},
    {OF("CREATE TABLE s(id int); CREATE VIEW x AS SELECT * FROM s TABLESAMPLE SYSTEM (100)", NULL,
        "SELECT count(*) FROM x", "INSERT INTO s VALUES(1)", "1 ")},
    /* Rolled back within the render. */
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
    {OF(ONE "CREATE MATERIALIZED VIEW mv AS SELECT * FROM t; CREATE UNIQUE INDEX ON mv(id);" CATCHES("mv", "f"),
        by_index, "SELECT f()", "DELETE FROM t; REFRESH MATERIALIZED VIEW CONCURRENTLY mv", "some ")},
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
    /* Plans made earlier. */
    {OF(WORKERS, "SET parallel_leader_participation = off", "SELECT count(*) FROM a JOIN b ON a.x = b.y",
        "INSERT INTO b VALUES(3)", "160000 "),
     .is_prepared = true},
};

TEST_CASE(commit_renders_pages_whose_reads_left_no_lock) {
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

/* Renders without a caught error are not rendered for unrelated changes. */
TEST_CASE(reads_without_a_caught_error_stay_exact) {
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

#define WIDE                                                                                                           \
  "CREATE TABLE wide(id int PRIMARY KEY, v int, pad text); CREATE TABLE most(n int);"                                  \
  "INSERT INTO wide SELECT i, 0, repeat('x', 300) FROM generate_series(1, 2000) i; INSERT INTO most VALUES(3)"

TEST_CASE(page_whose_locks_are_replaced_later_is_counted) {
  shown_site s;
  shown_open_with(&s, WIDE, (vestry_postgres_pool_options){.setup = by_index}, NULL, NULL);
  const size_t at = shown_watch(&s, "SELECT sum(v) FROM wide WHERE id <= (SELECT n FROM most)", NULL);
  shown_run(&s, "UPDATE wide SET v = 1 WHERE id = 2");
  assert_int_equal(shown_renders(&s, at), 1);
  assert_int_equal(shown_stats(&s).promoted_count, 0);
  shown_run(&s, "UPDATE most SET n = 2000");
  assert_int_equal(shown_renders(&s, at), 1);
  assert_int_equal(shown_stats(&s).promoted_count, 1);
  assert_non_null(strstr(s.on.th.last_log, "promoted_count"));
  s.on.th.last_log[0] = '\0';
  shown_run(&s, "UPDATE wide SET v = 5 WHERE id = 1500");
  assert_int_equal(shown_renders(&s, at), 1);
  assert_int_equal(shown_stats(&s).promoted_count, 2);
  assert_string_equal(s.on.th.last_log, "");
  assert_string_equal(s.all[at].text, "6 ");
  shown_close(&s);
}

static void end_transaction(shown_site *s) {
  (void)vestry_sql_read(s->pool, "COMMIT AND CHAIN", NULL, NULL, NULL);
}

/* The transaction's locks are gone, and later locks do not belong to the render. */
TEST_CASE(transaction_ended_within_a_render_is_detected) {
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

static void lose_statements(shown_site *s) {
  (void)vestry_sql_read(s->pool, "DEALLOCATE ALL", NULL, NULL, NULL);
}

/* The statements that begin and end a render's transaction are prepared. The application deallocates them between
 * renders, or within one. */
TEST_CASE(render_without_its_prepared_statements_prepares_them) {
  char sql[80], wanted[20];
  for (int by_reads = 0; by_reads < 2; by_reads++) {
    shown_site s;
    shown_open_with(&s, ROWS, (vestry_postgres_pool_options){.setup = by_index, .connections_count = 1}, NULL,
                    &(vestry_postgres_options){.level = by_reads ? VESTRY_POSTGRES_READS : VESTRY_POSTGRES_TABLES});
    const size_t at = shown_watch(&s, "SELECT v FROM t WHERE id = 7", NULL);
    for (int round = 1; round <= 6; round++) {
      snprintf(sql, sizeof sql, "UPDATE t SET v = %d WHERE id = 7", 100 * round);
      snprintf(wanted, sizeof wanted, "%d ", 100 * round);
      shown_run(&s, sql);
      assert_int_equal(vestry_postgres_settle(s.database, SHOWN_WAIT_MS, NULL), VESTRY_OK);
      if (round % 3 == 0) s.inside = lose_statements;
      if (round % 3 == 1) lose_statements(&s);
      site_settle_pages(&s.on); /* the next statement is that of the render */
      const unsigned renders = shown_renders(&s, at);
      assert_true(renders >= 1 && renders <= 3);
      assert_string_equal(s.all[at].text, wanted);
    }
    vestry_sql_pool_stats stats = {0};
    vestry_sql_pool_stats_get(s.pool, &stats);
    assert_int_equal(stats.checked_out_count, 0);
    shown_close(&s);
  }
}

/* ------------------------------------------------------------------------------------------- failed reads --------- */

/* The page shows only that the server is away, and no commit follows its return. */
TEST_CASE(page_that_shows_a_server_failure_renders_again) {
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
  _Atomic(int) is_held; /* 1: held; 2: to be released */
} holder;

static void *hold(void *ctx) {
  holder *h = ctx;
  vestry_sql_transaction *transaction;
  const vestry_err error = vestry_sql_begin(h->s->pool, VESTRY_SQL_READ, &transaction);
  atomic_store(&h->is_held, 1);
  UNTIL(atomic_load(&h->is_held) == 2);
  return error || vestry_sql_end(transaction, VESTRY_OK) ? ctx : NULL;
}

/* Without a free connection the page renders again after a second, or after any commit. */
TEST_CASE(page_without_a_free_connection_renders_again) {
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
    site_pass_ms(&s.on, 20); /* not settling, because that would use up the retry delays */
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
    site_pass_ms(&s.on, 60000); /* the page is current */
    assert_int_equal(s.all[at].renders, 0);
    shown_close(&s);
  }
}

/* The server rejects the statement. Time does not help, but any commit may. */
TEST_CASE(page_with_a_failed_statement_depends_on_all_commits) {
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

/* ------------------------------------------------------------------------------ servers that reject followers ----- */

/* The server returns but rejects followers. Commits made meanwhile are shown once. */
TEST_CASE(server_that_rejects_followers_is_read_once) {
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

/* Another database rewrites a table that all databases share. */
TEST_CASE(shared_table_rewritten_by_another_database_is_followed) {
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

/* ------------------------------------------------------------------------------------------------ log lines ------- */

/* Uncovered relations are logged at most once a minute each, and 16 of them in a minute. */
TEST_CASE(log_names_each_uncovered_relation_once) {
  shown_site s;
  shown_open(&s, "CREATE UNLOGGED TABLE u1(v int); CREATE UNLOGGED TABLE u2(v int)", NULL);
  const size_t first = shown_watch_as(&s, "SELECT count(*) FROM u1", SHOWN_READS, true);
  (void)shown_watch_as(&s, "SELECT count(*) FROM u2", SHOWN_READS, true);
  const long lines = s.on.th.log_lines;
  for (int i = 0; i < 10; i++) site_refresh(&s.on, "own");
  assert_int_equal(s.all[first].renders, 10);
  assert_int_equal(s.on.th.log_lines, lines);
  (void)shown_watch_as(&s, "CREATE TEMP TABLE mine AS SELECT 1", SHOWN_READS, true); /* another table each time */
  for (int i = 0; i < 50; i++) site_refresh(&s.on, "own");
  assert_in_range(s.on.th.log_lines - lines, 10, 16);
  shown_close(&s);
}

int main(void) {
  if (!postgres_server_newest()) return POSTGRES_SKIPPED;
  return cases_run("postgres/recorded", shop_open_server, shop_close_server);
}
