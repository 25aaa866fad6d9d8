/* SPDX-License-Identifier: MIT */
/* Metrics: their values equal the counters, in both formats; their number is limited. */
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "serve/wire.h"
#include "vestry/ops/observe.h"

typedef struct suite {
  site on;
  vestry_observe *observe;
} suite;

static void begin(suite *s, vestry_observe_options options) {
  site_begin_pages(&s->on, (vestry_options){.scope = NULL}, NULL);
  options.pages = s->on.pages;
  assert_int_equal(vestry_observe_create(s->on.v, &options, &s->observe), VESTRY_OK);
  assert_int_equal(vestry_observe_mount(s->observe, "/observe"), VESTRY_OK);
}

static void end(suite *s) {
  vestry_observe_destroy(s->observe);
  site_end(&s->on);
}

/* Return the metrics as text. The caller frees it. */
static char *text_of(vestry_observe *observe, vestry_metrics_format format) {
  size_t len = 0;
  assert_int_equal(vestry_observe_metrics(observe, format, NULL, 0, &len), VESTRY_TOO_LARGE);
  char *text = malloc(len + 100);
  assert_non_null(text);
  assert_int_equal(vestry_observe_metrics(observe, format, text, len + 100, &len), VESTRY_OK);
  assert_int_equal(strlen(text), len);
  return text;
}

/* Return the value of a series; -1: none. */
static double value_of(const char *text, const char *series) {
  const size_t len = strlen(series);
  for (const char *at = text; at; at = strchr(at, '\n'), at = at ? at + 1 : NULL)
    if (strncmp(at, series, len) == 0 && at[len] == ' ') return atof(at + len + 1);
  return -1;
}

static double sum_of(const char *text, const char *family) {
  char begins[128];
  double sum = 0;
  snprintf(begins, sizeof begins, "%s{", family);
  for (const char *at = text; at; at = strchr(at, '\n'), at = at ? at + 1 : NULL)
    if (strncmp(at, begins, strlen(begins)) == 0) sum += atof(strchr(at, '}') + 1);
  return sum;
}

static vestry_err live(const vestry_request *req, vestry_reply *reply, void *app) {
  vestry_reply_key(reply, VESTRY_KEY("page"));
  vestry_reply_patch_signals(reply, VESTRY_OBJECT("x", 1));
  return vestry_reply_keep(reply, VESTRY_KEEP_MANY, 100);
}

/* capability: H2 */
TEST_CASE(metrics_equal_the_counters) {
  enum { STREAMS = 5 };
  suite s;
  begin(&s, (vestry_observe_options){.trusts_loopback = true, .more = NULL});
  assert_int_equal(vestry_route(s.on.v, "GET", "/live", live, NULL), VESTRY_OK);
  vestry_memory_exchange *streams[STREAMS];
  for (int i = 0; i < STREAMS; i++)
    streams[i] = site_request(&s.on, &(vestry_memory_call){.path = "/live", .datastar = true});
  site_settle(&s.on);
  for (int i = 0; i < 2; i++) vestry_memory_destroy(streams[i]);
  site_settle(&s.on);
  vestry_stats stats = {0};
  vestry_stats_get(s.on.v, &stats);
  for (int format = VESTRY_METRICS_OPEN; format <= VESTRY_METRICS_TEXT; format++) {
    char *text = text_of(s.observe, (vestry_metrics_format)format);
    assert_true(value_of(text, "vestry_streams_open") == STREAMS - 2);
    assert_true(value_of(text, "vestry_streams_opened_total") == STREAMS);
    assert_true(sum_of(text, "vestry_streams_closed_total") == 2);
    assert_true(value_of(text, "vestry_streams_closed_total{cause=\"hangup\"}") ==
                (double)stats.closed_by_cause[VESTRY_CAUSE_HANGUP]);
    assert_true(value_of(text, "vestry_events_accepted_total") == (double)stats.accepted_count);
    assert_true(sum_of(text, "vestry_events_settled_total") ==
                (double)(stats.written_count + stats.discarded_count + stats.conflated_count));
    assert_true(sum_of(text, "vestry_event_bytes_total") == (double)stats.written_bytes);
    assert_true(value_of(text, "vestry_wire_bytes_total{coding=\"identity\"}") == (double)stats.wire_bytes);
    assert_true(sum_of(text, "vestry_events_refused_total") == (double)stats.refused_count);
    assert_true(value_of(text, "vestry_stream_age_seconds_count") == 2);
    assert_true(value_of(text, "vestry_stream_age_seconds_bucket{le=\"+Inf\"}") == 2);
    assert_true(value_of(text, "vestry_store_entries") == STREAMS - 2);
    assert_true(value_of(text, "vestry_page_renders_total{outcome=\"changed\"}") == 0);
    assert_true(value_of(text, "vestry_build_info{version=\"" VESTRY_VERSION "\"}") == 1);
    free(text);
  }
  for (int i = 2; i < STREAMS; i++) vestry_memory_destroy(streams[i]);
  site_settle(&s.on);
  end(&s);
}

static const char *skip_name(const char *at) {
  return at + strspn(at, "abcdefghijklmnopqrstuvwxyz_0123456789");
}

/* capability: H2 */
TEST_CASE(text_follows_its_format) {
  suite s;
  begin(&s, (vestry_observe_options){.trusts_loopback = true, .more = NULL});
  for (int format = VESTRY_METRICS_OPEN; format <= VESTRY_METRICS_TEXT; format++) {
    char *text = text_of(s.observe, (vestry_metrics_format)format), family[128] = "";
    unsigned series = 0, families = 0;
    bool has_end = false;
    for (char *at = text, *line; *at;) {
      line = at;
      at = strchr(at, '\n');
      assert_non_null(at); /* each line is terminated */
      *at++ = '\0';
      assert_false(has_end);
      if (strcmp(line, "# EOF") == 0) {
        has_end = true;
      } else if (strncmp(line, "# TYPE ", 7) == 0) {
        const char *after = skip_name(line + 7);
        snprintf(family, sizeof family, "%.*s", (int)(after - line - 7), line + 7);
        assert_true(strcmp(after, " counter") == 0 || strcmp(after, " gauge") == 0 || strcmp(after, " histogram") == 0);
        const bool has_total = strlen(family) > 6 && strcmp(family + strlen(family) - 6, "_total") == 0;
        assert_int_equal(has_total, format == VESTRY_METRICS_TEXT && strcmp(after, " counter") == 0);
        families++;
      } else if (strncmp(line, "# HELP ", 7) == 0) {
        assert_int_equal(strncmp(line + 7, family, strlen(family)), 0);
        assert_int_equal(line[strlen(line) - 1], '.');
      } else {
        assert_int_equal(strncmp(line, family, strlen(family)), 0); /* the series of a family are consecutive */
        const char *after = skip_name(line);
        if (*after == '{') after = strchr(after, '}') + 1;
        assert_int_equal(*after, ' ');
        char *rest;
        (void)strtod(after + 1, &rest);
        assert_int_equal(*rest, '\0');
        series++;
      }
    }
    assert_int_equal(has_end, format == VESTRY_METRICS_OPEN);
    assert_true(series > 80 && series < 400 && families > 40);
    print_message("%u series of %u families\n", series, families);
    free(text);
  }
  end(&s);
}

/* ------------------------------------------------------------------------------- metrics of the application ------- */

static vestry_err add_own(vestry_metrics *metrics, void *ctx) {
  static const vestry_metric own = {.name = "orders", .help = "Orders \"so far\".\nAll.", .label = "state", .value = 3};
  vestry_metric metric = own;
  metric.label_value = "a\"b\\c\nd";
  assert_int_equal(vestry_metrics_add(metrics, &metric), VESTRY_OK);
  metric.label_value = NULL;
  metric.value = .25;
  assert_int_equal(vestry_metrics_add(metrics, &metric), VESTRY_OK);
  metric = (vestry_metric){.name = "temperature_celsius", .kind = VESTRY_METRIC_GAUGE, .value = -3.5};
  assert_int_equal(vestry_metrics_add(metrics, &metric), VESTRY_OK);
  assert_int_equal(vestry_metrics_add(metrics, &own), VESTRY_EXISTS); /* its family has ended */
  static const vestry_metric bad[] = {{.name = NULL},
                                      {.name = ""},
                                      {.name = "1st"},
                                      {.name = "a b"},
                                      {.name = "a\nb"},
                                      {.name = "a{b=\"c\"}"},
                                      {.name = "a_total"},
                                      {.name = "a_count"},
                                      {.name = "a_sum"},
                                      {.name = "a_bucket"},
                                      {.name = "a", .is_library = true},
                                      {.name = "a", .label = "b c"},
                                      {.name = "a", .label = "b", .label_value = "\xff"},
                                      {.name = "a", .kind = (vestry_metric_kind)7},
                                      {.name = "a", .value = -1},
                                      {.name = "a", .value = 1e300 * 1e300}};
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
    assert_int_equal(vestry_metrics_add(metrics, &bad[i]), VESTRY_INVALID);
  assert_int_equal(vestry_metrics_add(metrics, &(vestry_metric){.name = "vestry_streams_open"}), VESTRY_EXISTS);
  assert_int_equal(vestry_metrics_add(NULL, &own), VESTRY_INVALID);
  assert_int_equal(vestry_metrics_add(metrics, NULL), VESTRY_INVALID);
  return VESTRY_OK;
}

/* capability: H2 */
TEST_CASE(application_adds_metrics_and_bad_ones_are_refused) {
  suite s;
  begin(&s, (vestry_observe_options){.trusts_loopback = true, .more = add_own});
  char *text = text_of(s.observe, VESTRY_METRICS_OPEN);
  assert_non_null(strstr(text, "\n# TYPE orders counter\n# HELP orders Orders 'so far'. All.\n"
                               "orders_total{state=\"a\\\"b\\\\c\\nd\"} 3\norders_total{state=\"\"} 0.25\n"
                               "# TYPE temperature_celsius gauge\n"));
  assert_non_null(strstr(text, "\ntemperature_celsius -3.5\n# EOF\n"));
  free(text);
  end(&s);
}

static vestry_err add_histograms(vestry_metrics *metrics, void *ctx) {
  static const double bounds[] = {.0025, .1, 1, 2.5};
  static const uint64_t counts[] = {1, 0, 2, 3, 4};
  const vestry_metric good = {.name = "wait_seconds",
                              .help = "How long it took.",
                              .kind = VESTRY_METRIC_HISTOGRAM,
                              .label = "queue",
                              .label_value = "a",
                              .value = 36.5,
                              .bounds = bounds,
                              .counts = counts,
                              .bounds_count = 4};
  vestry_metric metric = good;
  assert_int_equal(vestry_metrics_add(metrics, &metric), VESTRY_OK);
  metric.label = NULL;
  metric.bounds_count = 1;
  assert_int_equal(vestry_metrics_add(metrics, &metric), VESTRY_OK);
  static const double nan = 0. / 0., falling[] = {1, 1}, infinite[] = {1, 1e300 * 1e300};
  vestry_metric bad[] = {good, good, good, good, good, good, good, good, good, good};
  bad[0].bounds = NULL;
  bad[1].counts = NULL;
  bad[2].bounds_count = 0;
  bad[3].bounds_count = VESTRY_METRICS_BOUNDS_MAX_COUNT + 1;
  bad[4].bounds_count = 2, bad[4].bounds = falling;
  bad[5].bounds_count = 2, bad[5].bounds = infinite;
  bad[6].bounds_count = 1, bad[6].bounds = &nan;
  bad[7].value = -1;
  bad[8].label = "le";
  bad[9].kind = VESTRY_METRIC_COUNTER; /* a counter in a family of histograms */
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
    assert_int_equal(vestry_metrics_add(metrics, &bad[i]), VESTRY_INVALID);
  return VESTRY_OK;
}

/* capability: H2 */
TEST_CASE(histogram_has_a_bucket_for_each_bound_and_infinity) {
  static const char open[] = "\n# TYPE wait_seconds histogram\n# HELP wait_seconds How long it took.\n"
                             "wait_seconds_bucket{queue=\"a\",le=\"0.0025\"} 1\n"
                             "wait_seconds_bucket{queue=\"a\",le=\"0.1\"} 1\n"
                             "wait_seconds_bucket{queue=\"a\",le=\"1.0\"} 3\n"
                             "wait_seconds_bucket{queue=\"a\",le=\"2.5\"} 6\n"
                             "wait_seconds_bucket{queue=\"a\",le=\"+Inf\"} 10\n"
                             "wait_seconds_sum{queue=\"a\"} 36.5\n"
                             "wait_seconds_count{queue=\"a\"} 10\n"
                             "wait_seconds_bucket{le=\"0.0025\"} 1\n"
                             "wait_seconds_bucket{le=\"+Inf\"} 1\n"
                             "wait_seconds_sum 36.5\n"
                             "wait_seconds_count 1\n# EOF\n";
  suite s;
  begin(&s, (vestry_observe_options){.trusts_loopback = true, .more = add_histograms});
  char *text = text_of(s.observe, VESTRY_METRICS_OPEN);
  assert_non_null(strstr(text, open));
  free(text);
  text = text_of(s.observe, VESTRY_METRICS_TEXT);
  assert_non_null(strstr(text, "\nwait_seconds_bucket{queue=\"a\",le=\"1\"} 3\n"));
  free(text);
  end(&s);
}

static vestry_err add_library(vestry_metrics *metrics, void *ctx) {
  vestry_metric metric = {.name = "vestry_other_things", .help = "Things.", .is_library = true, .value = 1};
  assert_int_equal(vestry_metrics_add(metrics, &metric), VESTRY_OK);
  metric.name = "vestry_streams_open";
  assert_int_equal(vestry_metrics_add(metrics, &metric), VESTRY_EXISTS);
  return VESTRY_OK;
}

/* capability: H2 */
TEST_CASE(library_adds_metrics_with_vestry_names) {
  suite s;
  begin(&s, (vestry_observe_options){.trusts_loopback = true, .more = add_library});
  char *text = text_of(s.observe, VESTRY_METRICS_OPEN);
  assert_true(value_of(text, "vestry_other_things_total") == 1);
  free(text);
  end(&s);
}

static vestry_err add_many_histograms(vestry_metrics *metrics, void *ctx) {
  static const double bounds[] = {1, 2};
  static const uint64_t counts[] = {0, 0, 0};
  unsigned *added = ctx;
  vestry_err error = VESTRY_OK;
  char name[16];
  for (*added = 0; !error && *added < 1000; *added += !error) {
    snprintf(name, sizeof name, "h%u", *added);
    error = vestry_metrics_add(
        metrics,
        &(vestry_metric){
            .name = name, .kind = VESTRY_METRIC_HISTOGRAM, .bounds = bounds, .counts = counts, .bounds_count = 2});
  }
  assert_int_equal(error, VESTRY_LIMIT);
  return VESTRY_OK;
}

static vestry_err add_many(vestry_metrics *metrics, void *ctx) {
  unsigned *added = ctx;
  vestry_err error = VESTRY_OK;
  char value[16];
  for (*added = 0; !error && *added < 1000; *added += !error) {
    snprintf(value, sizeof value, "%u", *added);
    error = vestry_metrics_add(metrics, &(vestry_metric){.name = "many", .label = "of", .label_value = value});
  }
  assert_int_equal(error, VESTRY_LIMIT);
  return add_library(metrics, NULL);
}

static vestry_err fail_always(vestry_metrics *metrics, void *ctx) {
  return VESTRY_FAILED;
}

/* capability: H2 */
TEST_CASE(series_over_limit_are_refused) {
  suite s;
  unsigned added = 0;
  begin(&s, (vestry_observe_options){.trusts_loopback = true, .more = add_many, .more_ctx = &added});
  const long lines = atomic_load(&s.on.th.log_lines);
  char *text = text_of(s.observe, VESTRY_METRICS_OPEN); /* two scrapes */
  assert_int_equal(added, VESTRY_METRICS_MAX_COUNT);    /* vestry's own series do not count */
  assert_non_null(strstr(text, "\nmany_total{of=\"399\"}"));
  assert_true(value_of(text, "vestry_other_things_total") == 1); /* nor does the one of a library */
  assert_int_equal(atomic_load(&s.on.th.log_lines), lines + 1);
  assert_non_null(strstr(s.on.th.last_log, "lacks some of many;"));
  free(text);
  end(&s);
  begin(&s, (vestry_observe_options){.trusts_loopback = true, .more = add_many_histograms, .more_ctx = &added});
  free(text_of(s.observe, VESTRY_METRICS_OPEN));
  assert_int_equal(added, VESTRY_METRICS_MAX_COUNT / 5);
  end(&s);
  begin(&s, (vestry_observe_options){.trusts_loopback = true, .more = fail_always});
  char room[8] = "x";
  assert_int_equal(vestry_observe_metrics(s.observe, VESTRY_METRICS_OPEN, room, sizeof room, NULL), VESTRY_FAILED);
  assert_string_equal(room, "");
  end(&s);
}

/* ------------------------------------------------------------------------------------------------- mounting ------- */

static int request_metrics(suite *s) {
  wire r = {.path = "/observe/metrics", .peer = "127.0.0.1", .headers = {{"Host", "localhost"}}};
  wire_request(&s->on, &r, NULL, NULL);
  const int status = r.status;
  wire_finish(&r);
  return status;
}

TEST_CASE(routes_are_mounted_and_removed_by_destroy) {
  suite s;
  begin(&s, (vestry_observe_options){.trusts_loopback = true, .more = NULL});
  assert_int_equal(vestry_observe_mount(s.observe, "/observe"), VESTRY_EXISTS);
  assert_int_equal(vestry_observe_mount(s.observe, "/other"), VESTRY_OK);
  vestry_observe *second;
  assert_int_equal(vestry_observe_create(s.on.v, &(vestry_observe_options){.trusts_loopback = true}, &second),
                   VESTRY_OK);
  assert_int_equal(vestry_observe_mount(second, "/observe"), VESTRY_EXISTS);
  assert_int_equal(vestry_observe_mount(second, "observe/"), VESTRY_INVALID);
  assert_int_equal(vestry_observe_mount(second, NULL), VESTRY_INVALID);
  vestry_observe_destroy(second);
  vestry_observe_destroy(NULL);
  assert_int_equal(vestry_observe_create(NULL, NULL, &second), VESTRY_INVALID);
  assert_int_equal(vestry_observe_metrics(s.observe, (vestry_metrics_format)9, NULL, 0, NULL), VESTRY_INVALID);
  assert_int_equal(vestry_observe_metrics(s.observe, VESTRY_METRICS_OPEN, NULL, 1, NULL), VESTRY_INVALID);
  vestry_observe_destroy(s.observe);
  s.observe = NULL;
  assert_int_equal(request_metrics(&s), 404);
  end(&s);
}

/* --------------------------------------------------------------------------------------------- with threads ------- */

typedef struct churn {
  vestry *v;
  atomic_bool is_over;
} churn;

/* On a busy machine, streams could open faster than the pool closes them, until memory is exhausted. */
enum { OPEN_MOST = 1000 };

static void *open_and_close(void *of) {
  churn *c = of;
  while (!atomic_load(&c->is_over)) {
    vestry_memory_exchange *stream = NULL;
    vestry_stats stats = {0};
    vestry_stats_get(c->v, &stats);
    if (stats.open_count > OPEN_MOST) {
      sched_yield();
      continue;
    }
    if (!vestry_memory_request(c->v, &(vestry_memory_call){.path = "/live", .datastar = true}, NULL, NULL, &stream))
      vestry_memory_destroy(stream);
  }
  return NULL;
}

/* capability: H2 */
TEST_CASE(metrics_are_consistent_while_streams_come_and_go) {
  enum { THREADS = 3, LOOKS = 300 };
  churn c = {.v = NULL};
  vestry_observe *observe;
  assert_int_equal(vestry_create(&(vestry_options){.threads_count = 2}, &c.v), VESTRY_OK);
  assert_int_equal(vestry_route(c.v, "GET", "/live", live, NULL), VESTRY_OK);
  assert_int_equal(vestry_observe_create(c.v, &(vestry_observe_options){.trusts_loopback = true}, &observe), VESTRY_OK);
  pthread_t threads[THREADS];
  for (int i = 0; i < THREADS; i++) assert_int_equal(pthread_create(&threads[i], NULL, open_and_close, &c), 0);
  static char text[1 << 16];
  double last = 0;
  for (int i = 0; i < LOOKS; i++) {
    assert_int_equal(vestry_observe_metrics(observe, VESTRY_METRICS_OPEN, text, sizeof text, NULL), VESTRY_OK);
    const double opened = value_of(text, "vestry_streams_opened_total");
    assert_true(opened == value_of(text, "vestry_streams_open") + sum_of(text, "vestry_streams_closed_total"));
    assert_true(opened >= last);
    assert_true(sum_of(text, "vestry_store_removed_total") <= value_of(text, "vestry_store_put_total"));
    last = opened;
  }
  atomic_store(&c.is_over, true);
  for (int i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
  print_message("%.0f streams came and went\n", last);
  vestry_observe_destroy(observe);
  vestry_destroy(c.v);
}

static vestry_err create_and_look(test_host *th, void *ctx) {
  vestry *v;
  vestry_observe *observe = NULL;
  vestry_err error = vestry_create(&(vestry_options){.host = &th->host, .threads_count = VESTRY_THREADS_NONE}, &v);
  if (error) return error;
  static char text[1 << 16];
  error = vestry_observe_create(v, &(vestry_observe_options){.trusts_loopback = true}, &observe);
  if (!error) error = vestry_observe_mount(observe, "/observe");
  if (!error) error = vestry_observe_metrics(observe, VESTRY_METRICS_OPEN, text, sizeof text, NULL);
  vestry_observe_destroy(observe);
  vestry_destroy(v);
  return error;
}

TEST_CASE(failed_allocation_is_reported) {
  test_host_fail_each(create_and_look, NULL, false);
}
