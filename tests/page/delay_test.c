/* SPDX-License-Identifier: MIT */
/* The time from a change until the bytes are written to the stream of a page that shows it. */
#include "app/page/tally.h"

#include "app/page/pages.h"
#include "app/page/topic.h"
#include "connection/group.h"
#include "instance/instance.h"
#include "page/tabs.h"

enum { BOUNDS = VSI_HISTOGRAM_BOUNDS_COUNT };

static vsi_histogram_counts changes_of(const suite *s) {
  vsi_group_stats stats;
  vsi_group_stats_get(s->on.v->group, &stats);
  return stats.changes;
}

/* Assert that this many changes were timed, all in the bucket of this time, with this sum. */
static void check(const suite *s, uint64_t count, uint64_t each_ms, uint64_t sum_ms) {
  const vsi_histogram_counts counts = changes_of(s);
  /* times are exact to a few microseconds */
  const double sum_s = (double)sum_ms / 1e3, off_s = 1e-5 + 2e-6 * (double)count;
  size_t at = 0;
  while (at < BOUNDS && (double)each_ms / 1e3 > counts.bounds_s[at]) at++;
  assert_int_equal(counts.count, count);
  assert_int_equal(counts.counts[at], count);
  assert_true(counts.sum_s > sum_s - off_s && counts.sum_s < sum_s + off_s);
}

/* Open a tab that is current, and observe the metrics. */
static void begin(suite *s, tab *t, const char *path) {
  tabs_begin(s);
  vsi_group_observe(s->on.v->group, true);
  tabs_open(s, t, path, NULL);
  site_settle_pages(&s->on);
  test_host_advance_ms(&s->on.th, 1000);
  check(s, 0, 0, 0); /* opening a stream delivers no change */
}

static void change(suite *s) {
  s->heading++;
  tabs_refresh(s, "all");
}

static void pass_ms(suite *s, uint64_t ms) {
  test_host_advance_ms(&s->on.th, ms);
}

/* capability: H2 */
TEST_CASE(change_is_timed_until_its_bytes_are_written) {
  static const char *const paths[] = {"/private", "/shared"};
  for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
    suite s;
    tab ada;
    begin(&s, &ada, paths[i]);
    for (uint64_t n = 1; n <= 3; n++) {
      change(&s);
      pass_ms(&s, 7);
      site_settle_pages(&s.on);
      tabs_check(&s, &ada);
      check(&s, n, 7, 7 * n);
      pass_ms(&s, 1000);
    }
    tabs_end_one(&s, &ada);
  }
}

/* capability: H2 */
TEST_CASE(render_of_several_changes_times_the_oldest) {
  suite s;
  tab ada;
  begin(&s, &ada, "/private");
  for (int i = 0; i < 3; i++) {
    change(&s);
    pass_ms(&s, 9);
  }
  site_settle_pages(&s.on);
  tabs_check(&s, &ada);
  check(&s, 1, 27, 27);
  tabs_end_one(&s, &ada);
}

/* capability: H2 */
TEST_CASE(render_that_sends_nothing_is_not_timed) {
  suite s;
  tab ada;
  begin(&s, &ada, "/private");
  tabs_refresh(&s, "all");
  pass_ms(&s, 7);
  site_settle_pages(&s.on);
  check(&s, 0, 0, 0);
  pass_ms(&s, 1000);
  change(&s); /* the render ends the measurement: the next change is timed from its own beginning */
  pass_ms(&s, 3);
  site_settle_pages(&s.on);
  check(&s, 1, 3, 3);
  tabs_end_one(&s, &ada);
}

/* capability: H2 */
TEST_CASE(change_is_timed_until_its_client_reads) {
  suite s;
  tab ada;
  begin(&s, &ada, "/private");
  vestry_memory_mode_set(ada.stream, VESTRY_MEMORY_BLOCKS);
  change(&s);
  pass_ms(&s, 2);
  site_settle(&s.on);
  check(&s, 0, 0, 0);
  pass_ms(&s, 600);
  vestry_memory_mode_set(ada.stream, VESTRY_MEMORY_READS);
  site_settle(&s.on);
  tabs_check(&s, &ada);
  check(&s, 1, 602, 602);
  pass_ms(&s, 1000);
  vestry_memory_mode_set(ada.stream, VESTRY_MEMORY_BLOCKS);
  change(&s);
  site_settle(&s.on);
  change(&s); /* its render waits for the previous write */
  pass_ms(&s, 1);
  site_settle(&s.on);
  tabs_leave(&s, &ada);
  check(&s, 1, 602, 602); /* the stream ended before the event was written */
  site_end(&s.on);
}

/* capability: H2 */
TEST_CASE(change_of_another_node_is_timed_from_its_arrival) {
  suite s;
  tab ada;
  begin(&s, &ada, "/private");
  s.heading++;
  vsi_pages_refresh(s.on.pages, "all", strlen("all"));
  pass_ms(&s, 40);
  site_settle_pages(&s.on);
  tabs_check(&s, &ada);
  check(&s, 1, 40, 40);
  tabs_end_one(&s, &ada);
}

/* Each stream is timed once in 16 changes. */
/* capability: H2 */
TEST_CASE(shared_page_times_one_stream_in_16) {
  enum { TABS = 48, IN = 16 };
  static tab all[TABS];
  suite s;
  begin(&s, &all[0], "/shared");
  for (size_t i = 1; i < TABS; i++) tabs_open(&s, &all[i], "/shared", NULL);
  site_settle_pages(&s.on);
  for (uint64_t n = 1; n <= IN; n++) {
    change(&s);
    pass_ms(&s, 7);
    site_settle_pages(&s.on);
    check(&s, n * TABS / IN, 7, 7 * n * TABS / IN);
    pass_ms(&s, 1000);
  }
  for (size_t i = 0; i < TABS; i++) tabs_check(&s, &all[i]);
  for (size_t i = 1; i < TABS; i++) tabs_leave(&s, &all[i]);
  tabs_end_one(&s, &all[0]);
}

/* capability: H2 */
TEST_CASE(change_of_data_is_timed_from_its_detection) {
  suite s;
  tab ada;
  begin(&s, &ada, "/private");
  vestry_change is = {.kind = VESTRY_REFRESH_TABLE, .at_ns = vestry_change_now_ns(s.on.pages)};
  assert_int_equal(is.at_ns, vsi_now_ns(&s.on.th.host));
  pass_ms(&s, 30);
  s.heading++;
  assert_int_equal(vestry_refresh_for(s.on.pages, "all", &is, NULL), VESTRY_OK);
  pass_ms(&s, 7);
  site_settle_pages(&s.on);
  tabs_check(&s, &ada);
  check(&s, 1, 37, 37);
  is.at_ns = 0; /* without a time, the change begins at the refresh */
  pass_ms(&s, 1000);
  s.heading++;
  assert_int_equal(vestry_refresh_for(s.on.pages, "all", &is, NULL), VESTRY_OK);
  pass_ms(&s, 37);
  site_settle_pages(&s.on);
  check(&s, 2, 37, 74);
  tabs_end_one(&s, &ada);
}

/* capability: H2 */
TEST_CASE(nothing_is_timed_without_an_observer) {
  suite s;
  tab ada;
  tabs_begin_one(&s, &ada);
  pass_ms(&s, 1000);
  change(&s);
  for (size_t i = 0; i < VSI_DELAYS; i++) assert_int_equal(s.on.pages->delays.last[i].seq, 0);
  assert_int_equal(vestry_change_now_ns(s.on.pages), 0);
  assert_int_equal(vestry_change_now_ns(NULL), 0);
  vsi_group_observe(s.on.v->group, true); /* too late for that change */
  site_settle_pages(&s.on);
  tabs_check(&s, &ada);
  check(&s, 0, 0, 0);
  pass_ms(&s, 1000);
  change(&s);
  vsi_group_observe(s.on.v->group, false);
  pass_ms(&s, 7);
  site_settle_pages(&s.on);
  check(&s, 1, 7, 7);
  tabs_end_one(&s, &ada);
}

static vestry_err render(vestry_render *of, vestry_html *html, void *app) {
  const int *number = app;
  vestry_render_topic(of, "n");
  vestry_render_begin(of, html);
  vestry_html_add(html, "%d", *number);
  return vestry_render_end(of, html);
}

static vestry_err change_without_memory(test_host *th, void *ctx) {
  site on = {.pages = NULL};
  vestry_page *page;
  vestry_memory_exchange *stream = NULL;
  int number = 1;
  vestry_err error = vestry_create(&(vestry_options){.host = &th->host, .threads_count = VESTRY_THREADS_NONE}, &on.v);
  if (error) return error;
  error = vestry_pages_create(on.v, NULL, &on.pages);
  if (!error) error = vestry_page_create(on.pages, &(vestry_page_options){.render = render, .app = &number}, &page);
  if (!error) error = vestry_route(on.v, "GET", "/", vestry_page_handler, page);
  vsi_group_observe(on.v->group, true);
  if (!error) error = vestry_memory_request(on.v, &(vestry_memory_call){.datastar = true}, NULL, NULL, &stream);
  for (int i = 0; !error && i < 3; i++) {
    vestry_memory_settle(on.v);
    number++;
    (void)vestry_refresh(on.pages, "n", NULL);
    test_host_advance_ms(th, 2000); /* also for renders that are repeated */
  }
  vestry_memory_settle(on.v);
  vsi_group_stats stats;
  vsi_group_stats_get(on.v->group, &stats);
  assert_true(stats.changes.count <= 3);
  vestry_memory_destroy(stream);
  vestry_pages_destroy(on.pages);
  vestry_destroy(on.v);
  return error;
}

TEST_CASE(change_is_not_timed_twice_after_failed_allocation) {
  test_host_fail_each(change_without_memory, NULL, true);
}

/* --------------------------------------------------------------------------------------- times of refreshes ------- */

TEST_CASE(last_refreshes_are_found_exactly) {
  static vsi_delays delays;
  assert_int_equal(vsi_delays_find(&delays, 1), 0);
  for (uint64_t i = 0; i < VSI_DELAYS; i += 2) vsi_delays_add(&delays, 10 + i, 1000 + i);
  for (uint64_t i = 0; i < VSI_DELAYS; i++) assert_int_equal(vsi_delays_find(&delays, 10 + i), i % 2 ? 0 : 1000 + i);
  vsi_delays_add(&delays, 10 + VSI_DELAYS, 9000);
  assert_int_equal(vsi_delays_find(&delays, 10), 9000); /* a later one */
  assert_int_equal(vsi_delays_find(&delays, 12), 1002);
}
