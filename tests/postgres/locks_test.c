/* SPDX-License-Identifier: MIT */
/* Renders that the server aborts: no memory for their locks, or a conflict with another transaction. */
#include <stdatomic.h>

#include "postgres/shown.h"
#include "support/until.h"

/* About 150 locks for all transactions together, each for a single row. */
static const char *const few_locks[] = {"max_pred_locks_per_transaction=10",
                                        "max_connections=10",
                                        "max_wal_senders=2",
                                        "max_worker_processes=1",
                                        "max_prepared_transactions=1",
                                        "autovacuum_max_workers=1",
                                        "max_pred_locks_per_relation=10000",
                                        "max_pred_locks_per_page=10000",
                                        "enable_seqscan=off",
                                        "enable_bitmapscan=off",
                                        NULL};
static const char schema[] = "CREATE TABLE t(id int PRIMARY KEY, n int);"
                             "INSERT INTO t SELECT i, 0 FROM generate_series(1, 4000) i;"
                             "CREATE TABLE other(id int PRIMARY KEY, n int); INSERT INTO other VALUES(1, 0); ANALYZE";
static const char one_row[] = "SELECT n FROM t WHERE id = 7";

/* A transaction of an application takes all available locks. */
static const char take_all[] = "DO $$ BEGIN FOR i IN 1..4000 LOOP BEGIN PERFORM n FROM t WHERE id = i;"
                               "EXCEPTION WHEN out_of_memory THEN EXIT; END; END LOOP; END $$";

static atomic_uint fallbacks_count;

static void look_at_log(void *ctx, vestry_log_level level, const char *line) {
  if (strstr(line, "a render is followed at level TABLES, because the server has no room for more locks (53200)")) {
    fallbacks_count++;
    assert_int_equal(level, VESTRY_LOG_WARN);
  }
}

static void run(PGconn *db, const char *sql) {
  PGresult *result = PQexec(db, sql);
  if (*PQresultErrorMessage(result)) fail_msg("%s: %s", sql, PQresultErrorMessage(result));
  PQclear(result);
}

/* capability: M2 */
TEST_CASE(renders_without_locks_are_followed_by_tables) {
  shown_site s;
  fallbacks_count = 0;
  shown_open_with(&s, schema, (vestry_postgres_pool_options){0}, look_at_log, NULL);
  size_t before = shown_watch(&s, one_row, NULL);
  PGconn *greedy = postgres_server_connect(shop_server());
  run(greedy, "BEGIN ISOLATION LEVEL SERIALIZABLE");
  run(greedy, take_all);
  size_t row = shown_watch(&s, "SELECT n FROM t WHERE id = 4000", NULL); /* not locked yet */
  assert_string_equal(s.all[row].text, "0 ");
  assert_true(fallbacks_count > 0);
  vestry_postgres_stats stats = shown_stats(&s);
  assert_true(stats.fallbacks_count > 0 && stats.again_count > 0);
  /* Earlier reads are followed exactly, new ones by their table. */
  shown_run(&s, "UPDATE t SET n = 1 WHERE id = 2000");
  assert_int_equal(shown_renders(&s, before), 0);
  assert_int_equal(shown_renders(&s, row), 1);
  run(greedy, "ROLLBACK");
  PQfinish(greedy);
  assert_int_equal(vestry_postgres_level_get(s.database), VESTRY_POSTGRES_READS);
  shown_run(&s, "UPDATE t SET n = 1 WHERE id = 4000");
  assert_int_equal(shown_renders(&s, row), 1);
  assert_string_equal(s.all[row].text, "1 ");
  shown_run(&s, "UPDATE t SET n = 2 WHERE id = 2000"); /* exact again */
  assert_int_equal(shown_renders(&s, row), 0);
  shown_close(&s);
}

/* A render that reads more rows than there are locks. */
TEST_CASE(render_of_too_many_rows_is_followed_by_tables) {
  shown_site s;
  shown_open(&s, schema, NULL);
  size_t sum = shown_watch(&s, "SELECT sum(n) FROM (SELECT n FROM t WHERE id BETWEEN 1 AND 2000 ORDER BY id) q", NULL);
  assert_string_equal(s.all[sum].text, "0 ");
  assert_true(shown_stats(&s).table_level_count > 0);
  shown_run(&s, "UPDATE t SET n = 1 WHERE id = 2000");
  assert_int_equal(shown_renders(&s, sum), 1);
  assert_string_equal(s.all[sum].text, "1 ");
  shown_close(&s);
}

/* -------------------------------------------------------------------------------------------------- conflicts ----- */

static PGconn *pivot;

static void commit_pivot(shown_site *s) {
  run(pivot, "COMMIT");
}

/* The pivot has read a row that another transaction has since written and committed, and it writes a row that the
 * render is about to read. No serial order of the three exists, and the render fails. */
TEST_CASE(conflicting_render_is_repeated) {
  shown_site s;
  shown_open(&s, schema, NULL);
  size_t both = shown_watch(&s, "SELECT n FROM other WHERE id = 1", one_row);
  assert_string_equal(s.all[both].text, "0 0 ");
  pivot = postgres_server_connect(shop_server());
  run(pivot, "BEGIN ISOLATION LEVEL SERIALIZABLE; SELECT n FROM other WHERE id = 1");
  run(s.writer, "BEGIN ISOLATION LEVEL SERIALIZABLE; UPDATE other SET n = 1 WHERE id = 1; COMMIT");
  run(pivot, "UPDATE t SET n = 1 WHERE id = 7");
  s.inside = commit_pivot;
  const uint64_t again = shown_stats(&s).again_count;
  assert_true(shown_renders(&s, both) >= 2);
  assert_true(shown_stats(&s).again_count > again);
  assert_string_equal(s.all[both].text, "1 1 ");
  shown_run(&s, "UPDATE t SET n = 2 WHERE id = 7");
  assert_int_equal(shown_renders(&s, both), 1);
  assert_string_equal(s.all[both].text, "1 2 ");
  PQfinish(pivot);
  shown_close(&s);
}

/* A conflict that only repeats a render is not logged. */
static long complaints_count;
static void count_complaints(void *ctx, vestry_log_level level, const char *line) {
  if (level == VESTRY_LOG_ERROR || level == VESTRY_LOG_WARN) {
    complaints_count++;
    print_message("%s\n", line);
  }
}

/* The same with a pivot whose commit is prepared and does not come, as with a commit that waits for a standby. Each
 * read of its rows fails, and renders that meet it follow tables. The level stays READS: concurrent writers also
 * cause such conflicts, and other pages remain exact. */
TEST_CASE(lasting_conflict_makes_its_renders_follow_tables) {
  shown_site s;
  complaints_count = 0;
  shown_open_with(&s, schema, (vestry_postgres_pool_options){0}, count_complaints, NULL);
  size_t both = shown_watch(&s, "SELECT n FROM other WHERE id = 1", one_row);
  size_t one = shown_watch(&s, one_row, NULL);
  size_t beside = shown_watch(&s, "SELECT n FROM t WHERE id = 4000", NULL);
  pivot = postgres_server_connect(shop_server());
  run(pivot, "BEGIN ISOLATION LEVEL SERIALIZABLE; SELECT n FROM other WHERE id = 1");
  run(s.writer, "BEGIN ISOLATION LEVEL SERIALIZABLE; UPDATE other SET n = 1 WHERE id = 1; COMMIT");
  run(pivot, "UPDATE t SET n = 1 WHERE id = 7");
  run(pivot, "PREPARE TRANSACTION 'pivot'");
  assert_int_equal(shown_renders(&s, both), 2); /* it had read a row, so it was repeated */
  assert_string_equal(s.all[both].text, "1 0 ");
  site_refresh(&s.on, NULL);
  assert_int_equal(shown_renders(&s, one), 1); /* it had read nothing */
  assert_int_equal(shown_renders(&s, both), 2);
  assert_int_equal(shown_renders(&s, beside), 1);
  assert_string_equal(s.all[one].text, "0 ");
  vestry_postgres_stats stats = shown_stats(&s);
  assert_true(stats.level == VESTRY_POSTGRES_READS && stats.fallbacks_count == 0);
  assert_int_equal(stats.table_level_count, 3);
  /* Both pages follow their tables, and the third page its row. */
  shown_run(&s, "UPDATE t SET n = 1 WHERE id = 2000");
  assert_int_equal(shown_renders(&s, one), 1);
  assert_int_equal(shown_renders(&s, both), 2);
  assert_int_equal(shown_renders(&s, beside), 0);
  run(pivot, "COMMIT PREPARED 'pivot'");
  assert_int_equal(shown_renders(&s, both), 1);
  assert_int_equal(shown_renders(&s, one), 1);
  assert_int_equal(shown_renders(&s, beside), 0);
  assert_string_equal(s.all[both].text, "1 1 ");
  assert_string_equal(s.all[one].text, "1 ");
  shown_run(&s, "UPDATE t SET n = 2 WHERE id = 2000"); /* exact again */
  assert_int_equal(shown_renders(&s, one) + shown_renders(&s, both), 0);
  assert_int_equal(complaints_count, 0);
  PQfinish(pivot);
  shown_close(&s);
}

static int open_server(void **state) {
  shop_start_server(few_locks);
  return 0;
}

int main(void) {
  if (!postgres_server_newest()) return POSTGRES_SKIPPED;
  return cases_run("postgres/locks", open_server, shop_close_server);
}
