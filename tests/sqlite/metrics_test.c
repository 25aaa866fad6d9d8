/* SPDX-License-Identifier: MIT */
/* Metrics of a database and its pool, beside those of the instance. */
#include "sqlite/shown.h"
#include "vestry/data/sqlite.h"
#include "vestry/ops/observe.h"

typedef struct suite {
  site on;
  char folder[FOLDER_BYTES], path[96];
  sqlite3 *writer;
  vestry_sqlite *database;
  vestry_sql_pool *pool;
} suite;

static vestry_err add_both(vestry_metrics *metrics, void *ctx) {
  const suite *s = ctx;
  vestry_err error = vestry_sqlite_metrics(metrics, s->database);
  return error ? error : vestry_sqlite_pool_metrics(metrics, s->pool);
}

static void assert_has(const char *text, const char *line) {
  if (!strstr(text, line)) fail_msg("%s is not in\n%s", line, text);
}

/* capability: H2 */
TEST_CASE(metrics_count_commits_and_checkouts) {
  enum { COMMITS = 3 };
  static char text[65536];
  suite s = {0};
  vestry_sqlite_connection *attached;
  vestry_observe *observe;
  folder_make(s.folder, "metrics");
  snprintf(s.path, sizeof s.path, "%s/metrics.db", s.folder);
  assert_int_equal(sqlite3_open(s.path, &s.writer), SQLITE_OK);
  shown_run(s.writer, "PRAGMA journal_mode = WAL; PRAGMA synchronous = OFF; CREATE TABLE t(x)");
  site_begin_pages(&s.on, (vestry_options){0}, NULL);
  const vestry_sqlite_options options = {.path = s.path, .poll_ms = 60000};
  assert_int_equal(vestry_sqlite_create(s.on.pages, &options, &s.database), VESTRY_OK);
  assert_int_equal(vestry_sqlite_attach(s.database, s.writer, &attached), VESTRY_OK);
  assert_int_equal(vestry_sqlite_pool_create(&(vestry_sqlite_pool_options){.path = s.path}, &s.pool), VESTRY_OK);
  for (int i = 0; i < COMMITS; i++) shown_run(s.writer, "INSERT INTO t VALUES(1)");
  int64_t rows = 0;
  assert_int_equal(vestry_sql_run_alone(s.pool, "SELECT count(*) FROM t", NULL, vestry_sql_row_integer, &rows),
                   VESTRY_OK);
  assert_int_equal(rows, COMMITS);
  assert_int_equal(
      vestry_observe_create(
          s.on.v, &(vestry_observe_options){.trusts_loopback = true, .more = add_both, .more_ctx = &s}, &observe),
      VESTRY_OK);
  assert_int_equal(vestry_observe_metrics(observe, VESTRY_METRICS_OPEN, text, sizeof text, NULL), VESTRY_OK);
  assert_has(text, "\nvestry_sqlite_commits_total{by=\"attached\"} 3\n");
  assert_has(text, "\nvestry_sqlite_connections 1\n");
  assert_has(text, "\nvestry_sqlite_pool_checkouts_total 1\n");
  assert_has(text, "\nvestry_sqlite_pool_checked_out 0\n");
  assert_has(text, "\n# TYPE vestry_sqlite_pool_transactions counter\n");
  assert_int_equal(vestry_sqlite_metrics(NULL, s.database), VESTRY_INVALID);
  assert_int_equal(vestry_sqlite_pool_metrics(NULL, s.pool), VESTRY_INVALID);
  vestry_observe_destroy(observe);
  vestry_sql_pool_destroy(s.pool);
  vestry_sqlite_detach(attached);
  vestry_sqlite_destroy(s.database);
  site_end(&s.on);
  sqlite3_close(s.writer);
  folder_remove(s.folder);
}
