/* SPDX-License-Identifier: MIT */
/* Metrics of a database and its pool, beside those of the instance. */
#include "postgres/shown.h"
#include "vestry/ops/observe.h"

static const char schema[] =
    "CREATE TABLE t(id int PRIMARY KEY, n int); INSERT INTO t SELECT i, 0 FROM generate_series(1, 4000) i;"
    "CREATE TABLE other(n int); ANALYZE";

static vestry_err add_both(vestry_metrics *metrics, void *ctx) {
  const shown_site *s = ctx;
  vestry_err error = vestry_postgres_metrics(metrics, s->database);
  return error ? error : vestry_postgres_pool_metrics(metrics, s->pool);
}

static void assert_has(const char *text, const char *line) {
  if (!strstr(text, line)) fail_msg("%s is not in\n%s", line, text);
}

/* Return the text of all metrics, valid until the next call. */
static const char *scrape(shown_site *s) {
  static char text[65536];
  vestry_observe *observe;
  const vestry_observe_options options = {
      .trusts_loopback = true, .pages = s->on.pages, .more = add_both, .more_ctx = s};
  assert_int_equal(vestry_observe_create(s->on.v, &options, &observe), VESTRY_OK);
  assert_int_equal(vestry_observe_metrics(observe, VESTRY_METRICS_OPEN, text, sizeof text, NULL), VESTRY_OK);
  vestry_observe_destroy(observe);
  return text;
}

/* capability: H2 */
TEST_CASE(metrics_count_commits_and_renders) {
  shown_site s;
  shown_open(&s, schema, NULL);
  size_t by_key = shown_watch(&s, "SELECT n FROM t WHERE id = 7", NULL);
  const char *text = scrape(&s);
  assert_has(text, "\nvestry_postgres_level{level=\"reads\"} 1\nvestry_postgres_level{level=\"tables\"} 0\n");
  assert_has(text, "\nvestry_postgres_following 1\n");
  assert_has(text, "\nvestry_postgres_starts_total 1\n");
  assert_has(text, "\nvestry_postgres_renders_recorded_total 1\n");
  assert_has(text, "\nvestry_postgres_sets 1\n");
  assert_has(text, "\nvestry_postgres_refreshed_total{by=\"row\"} 0\n");
  assert_has(text, "\nvestry_postgres_over_bound_total{bound=\"max_bytes\"} 0\n");
  assert_has(text, "\nvestry_postgres_over_bound_total{bound=\"ring\"} 0\n");
  assert_has(text, "\n# TYPE vestry_postgres_lag_bytes gauge\n");
  assert_has(text, "\n# TYPE vestry_postgres_lag_seconds gauge\n");
  assert_has(text, "\nvestry_postgres_pool_checked_out 0\n");
  assert_has(text, "\n# TYPE vestry_postgres_pool_transactions counter\n");
  shown_run(&s, "UPDATE t SET n = 1 WHERE id = 7");
  shown_run(&s, "UPDATE t SET n = 1 WHERE id = 8");
  assert_int_equal(shown_renders(&s, by_key), 1);
  shown_run(&s, "INSERT INTO other VALUES(1)");
  shown_run(&s, "UPDATE t SET n = n WHERE id = 7"); /* a needless render */
  assert_int_equal(shown_renders(&s, by_key), 1);
  text = scrape(&s);
  assert_has(text, "\nvestry_postgres_commits_total 4\n");
  assert_has(text, "\nvestry_postgres_refreshed_total{by=\"row\"} 2\n");
  assert_has(text, "\nvestry_postgres_refreshed_total{by=\"table\"} 0\n");
  assert_has(text, "\nvestry_page_renders_total{outcome=\"unchanged\"} 1\n");
  shown_close(&s);
}

TEST_CASE(null_metrics_are_rejected) {
  assert_int_equal(vestry_postgres_metrics(NULL, state), VESTRY_INVALID);
  assert_int_equal(vestry_postgres_pool_metrics(NULL, state), VESTRY_INVALID);
}

TEST_CASE(metrics_count_what_exceeds_a_bound) {
  shown_site s;
  shown_open(&s, schema, &(vestry_postgres_options){.max_transaction_keys = 2, .max_render_keys = 1});
  (void)shown_watch(&s, "SELECT n FROM t WHERE id = 7", NULL);
  shown_run(&s, "UPDATE t SET n = 1 WHERE id = 8");
  shown_settle(&s);
  const char *text = scrape(&s);
  assert_has(text, "\nvestry_postgres_over_bound_total{bound=\"max_render_keys\"} 2\n");
  assert_has(text, "\nvestry_postgres_over_bound_total{bound=\"max_transaction_keys\"} 1\n");
  shown_close(&s);
}

int main(void) {
  if (!postgres_server_newest()) return POSTGRES_SKIPPED;
  return cases_run("postgres/metrics", shop_open_server, shop_close_server);
}
