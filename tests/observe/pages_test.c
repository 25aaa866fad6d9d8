/* SPDX-License-Identifier: MIT */
/* Lists of pages: how often each page was rendered, for which reason, how often without a change, and the time of its
 * handler. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>

#include "support/listed.h"
#include "support/site.h"

enum { TABS = 2000, PATHS = 4 };

typedef struct suite {
  site on;
  vestry_observe *observe;
  vestry_page *pages[PATHS], *shared;
  _Atomic(unsigned) numbers[PATHS]; /* the number that each page shows */
  _Atomic(unsigned) list;           /* the number that the part shows */
  unsigned takes_ms;                /* duration of the second page's handler */
  vestry_err error;                 /* its result */
} suite;

/* ---------------------------------------------------------------------------------------------------- pages ------- */

static vestry_err list(vestry_render *render, vestry_html *html, void *app) {
  suite *s = app;
  vestry_render_topic(render, "list");
  return vestry_html_add(html, "<li>%u</li>", (unsigned)s->list);
}

/* Depends on its own topic, and on a topic of all pages that does not change it. */
static vestry_err show(vestry_render *render, vestry_html *html, suite *s, size_t at) {
  vestry_render_topicf(render, "page/%zu", at);
  vestry_render_topic(render, "noise");
  if (at == 1) test_host_advance_ms(&s->on.th, s->takes_ms);
  if (at == 1 && s->error) return s->error;
  vestry_render_begin(render, html);
  vestry_html_add(html, "<p>%u</p>", (unsigned)s->numbers[at]);
  if (at == 3)
    vestry_render_part(render, html, &(vestry_page_part){.id = "list", .share = "", .render = list, .app = s});
  return vestry_render_end(render, html);
}

static vestry_err show_0(vestry_render *render, vestry_html *html, void *app) {
  return show(render, html, app, 0);
}
static vestry_err show_1(vestry_render *render, vestry_html *html, void *app) {
  return show(render, html, app, 1);
}
static vestry_err show_2(vestry_render *render, vestry_html *html, void *app) {
  return show(render, html, app, 2);
}
static vestry_err show_3(vestry_render *render, vestry_html *html, void *app) {
  return show(render, html, app, 3);
}

static vestry_err serve_shared(const vestry_request *req, vestry_reply *reply, void *app) {
  return vestry_page_serve(req, reply, ((suite *)app)->pages[2], "all");
}

static void begin(suite *s, vestry_options options) {
  static const vestry_page_fn shows[] = {show_0, show_1, show_2, show_3};
  static const char *const paths[] = {"/birds/{name}", "/slow", NULL, "/parts"};
  memset(s, 0, sizeof *s);
  site_begin_pages(&s->on, options, NULL);
  for (size_t i = 0; i < PATHS; i++) {
    assert_int_equal(
        vestry_page_create(s->on.pages, &(vestry_page_options){.render = shows[i], .app = s}, &s->pages[i]), VESTRY_OK);
    if (paths[i]) assert_int_equal(vestry_route(s->on.v, "GET", paths[i], vestry_page_handler, s->pages[i]), VESTRY_OK);
  }
  assert_int_equal(vestry_route(s->on.v, "GET", "/shared", serve_shared, s), VESTRY_OK);
  assert_int_equal(vestry_observe_create(
                       s->on.v, &(vestry_observe_options){.trusts_loopback = true, .pages = s->on.pages}, &s->observe),
                   VESTRY_OK);
}

static void end(suite *s) {
  vestry_observe_destroy(s->observe);
  site_end(&s->on);
}

static vestry_memory_exchange *open_tab(suite *s, const char *path) {
  return site_request(&s->on, &(vestry_memory_call){.path = path, .datastar = true});
}

/* ------------------------------------------------------------------------------------------------- the list ------- */

/* Return the listed pages, until the next call. */
static const json_t *list_pages(suite *s, const char *query) {
  static json_t *all;
  json_decref(all);
  all = listed(s->observe, vsi_list_pages, query);
  assert_non_null(all);
  return json_object_get(all, "pages");
}

static int64_t count_of(const json_t *pages, size_t at, const char *name) {
  return listed_number(json_array_get(pages, at), name);
}

static const char *text_of(const json_t *pages, size_t at, const char *name) {
  return listed_text(json_array_get(pages, at), name);
}

/* part: "": the page itself */
static size_t find(const json_t *pages, const char *path, const char *part) {
  for (size_t i = 0; i < json_array_size(pages); i++) {
    const char *found = text_of(pages, i, "path"), *of = text_of(pages, i, "part");
    if (strcmp(found ? found : "", path) == 0 && strcmp(of ? of : "", part) == 0) return i;
  }
  fail_msg("%s %s is not listed", path, part);
  return 0;
}

/* ---------------------------------------------------------------------------------------------------- tests ------- */

/* capability: H8 */
TEST_CASE(page_rendered_without_change_is_first_of_2000_tabs) {
  static suite s;
  static vestry_memory_exchange *tabs[TABS];
  begin(&s, (vestry_options){.scope = NULL});
  for (size_t i = 0; i < TABS; i++) tabs[i] = open_tab(&s, i % 2 ? "/birds/owl" : "/slow");
  site_settle_pages(&s.on);
  const json_t *t = list_pages(&s, "sort=unchanged");
  size_t birds = find(t, "/birds/{name}", "");
  assert_int_equal(count_of(t, birds, "streams_count"), TABS / 2);
  assert_int_equal(count_of(t, birds, "first_count"), TABS / 2);
  assert_string_equal(text_of(t, birds, "refreshed_by"), "first");
  assert_int_equal(count_of(t, birds, "unchanged_minute_count"), 0);
  site_pass_ms(&s.on, 20);
  site_refresh(&s.on, "page/0"); /* the page depends on it, and is unchanged */
  s.numbers[1]++;
  site_refresh(&s.on, "page/1");
  t = list_pages(&s, "sort=unchanged&limit=1");
  assert_int_equal(json_array_size(t), 1);
  assert_string_equal(text_of(t, 0, "path"), "/birds/{name}");
  assert_int_equal(count_of(t, 0, "unchanged_count"), TABS / 2);
  assert_int_equal(count_of(t, 0, "unchanged_minute_count"), TABS / 2);
  assert_string_equal(text_of(t, 0, "unchanged_by"), "topic page/0");
  t = list_pages(&s, "sort=path");
  size_t slow = find(t, "/slow", "");
  assert_string_equal(text_of(t, slow, "refreshed_by"), "topic page/1");
  assert_string_equal(text_of(t, slow, "unchanged_by"), "");
  assert_int_equal(count_of(t, slow, "changed_count"), TABS);
  for (size_t i = 0; i < TABS; i++) vestry_memory_destroy(tabs[i]);
  site_settle(&s.on);
  t = list_pages(&s, "sort=path");
  for (size_t i = 0; i < json_array_size(t); i++) assert_int_equal(count_of(t, i, "streams_count"), 0);
  end(&s);
}

#define SUITE_CASE(name) TEST_CASE_WITH(name, suite, s, begin(s, (vestry_options){.scope = NULL}), end(s))

/* capability: H8 */
SUITE_CASE(slowest_handler_is_listed_first) {
  vestry_memory_exchange *tabs[] = {open_tab(s, "/birds/owl"), open_tab(s, "/slow")};
  site_settle_pages(&s->on);
  static const unsigned takes_ms[] = {30, 70, 20};
  for (size_t i = 0; i < 3; i++) {
    s->takes_ms = takes_ms[i];
    for (int times = 0; times < 2; times++) site_refresh(&s->on, times ? "page/0" : "noise");
  }
  s->takes_ms = 0;
  const json_t *t = list_pages(s, "sort=handler");
  assert_string_equal(text_of(t, 0, "path"), "/slow");
  assert_true(json_real_value(json_object_get(json_array_get(t, 0), "handler_ms")) == 120);
  assert_true(json_real_value(json_object_get(json_array_get(t, 0), "handler_longest_ms")) == 70);
  assert_true(json_real_value(json_object_get(json_array_get(t, 1), "handler_ms")) == 0);
  t = list_pages(s, "sort=renders");
  assert_string_equal(text_of(t, 0, "path"), "/birds/{name}");
  assert_int_equal(count_of(t, 0, "renders_count"), 7);
  static char text[65536];
  char lines[64];
  assert_int_equal(vestry_observe_metrics(s->observe, VESTRY_METRICS_OPEN, text, sizeof text, NULL), VESTRY_OK);
  const unsigned renders = 7 + (unsigned)count_of(t, 1, "renders_count");
  snprintf(lines, sizeof lines, "\nvestry_page_render_seconds_count %u\n", renders);
  assert_non_null(strstr(text, lines));
  snprintf(lines, sizeof lines, "vestry_page_render_seconds_bucket{le=\"0.05\"} %u\n", renders - 1);
  assert_non_null(strstr(text, lines));
  for (size_t i = 0; i < 2; i++) vestry_memory_destroy(tabs[i]);
}

/* capability: H8 */
TEST_CASE(parts_and_shared_pages_have_stream_and_byte_counts) {
  suite s;
  enum { EACH = 5 };
  begin(&s, (vestry_options){.scope = NULL});
  vestry_memory_exchange *tabs[2 * EACH], *document;
  for (size_t i = 0; i < 2 * EACH; i++) tabs[i] = open_tab(&s, i % 2 ? "/parts" : "/shared");
  document = site_request(&s.on, &(vestry_memory_call){.path = "/parts"});
  site_settle_pages(&s.on);
  const json_t *t = list_pages(&s, "sort=path");
  assert_int_equal(json_array_size(t), 3);
  const uint64_t part_had = count_of(t, find(t, "/parts", "list"), "sent_bytes");
  s.list++;
  site_refresh(&s.on, "list");
  t = list_pages(&s, "sort=path");
  size_t parts = find(t, "/parts", ""), part = find(t, "/parts", "list"), shared = find(t, "/shared", "");
  assert_true(parts < part);
  assert_int_equal(count_of(t, parts, "streams_count"), EACH);
  assert_int_equal(count_of(t, parts, "documents_count"), 1);
  assert_int_equal(count_of(t, part, "streams_count"), EACH);
  assert_int_equal(count_of(t, shared, "streams_count"), EACH);
  assert_int_equal(count_of(t, shared, "renders_count"), 1); /* for all streams */
  assert_string_equal(text_of(t, part, "refreshed_by"), "topic list");
  assert_string_equal(text_of(t, parts, "refreshed_by"), "first");
  const uint64_t sent = count_of(t, part, "sent_bytes") - part_had; /* the same event to each stream */
  assert_true(sent > 0 && sent % EACH == 0);
  vestry_slice got = vestry_memory_since(tabs[1]);
  assert_non_null(strstr(got.data, "<li>1</li>"));
  for (size_t i = 0; i < 2 * EACH; i++) vestry_memory_destroy(tabs[i]);
  vestry_memory_destroy(document);
  site_settle(&s.on);
  t = list_pages(&s, "sort=path");
  for (size_t i = 0; i < json_array_size(t); i++) assert_int_equal(count_of(t, i, "streams_count"), 0);
  end(&s);
}

/* capability: H8 */
SUITE_CASE(unchanged_count_of_last_minute_expires) {
  vestry_memory_exchange *tab = open_tab(s, "/birds/owl");
  site_settle_pages(&s->on);
  for (int i = 0; i < 10; i++) {
    site_pass_ms(&s->on, 1000);
    site_refresh(&s->on, "noise");
  }
  const json_t *t = list_pages(s, "sort=unchanged");
  assert_int_equal(count_of(t, 0, "unchanged_minute_count"), 10);
  assert_int_equal(count_of(t, 0, "renders_minute_count"), 11);
  site_pass_ms(&s->on, 50000);
  t = list_pages(s, "sort=unchanged");
  assert_in_range(count_of(t, 0, "unchanged_minute_count"), 5, 10);
  assert_int_equal(count_of(t, 0, "refreshed_ago_ms"), 50000);
  site_pass_ms(&s->on, 15000);
  t = list_pages(s, "sort=unchanged");
  assert_int_equal(count_of(t, 0, "unchanged_minute_count"), 0);
  assert_int_equal(count_of(t, 0, "unchanged_count"), 10);
  site_pass_ms(&s->on, 600000);
  site_refresh(&s->on, "noise");
  t = list_pages(s, "sort=unchanged");
  assert_int_equal(count_of(t, 0, "unchanged_minute_count"), 1);
  vestry_memory_destroy(tab);
}

static vestry_err refresh_for(const suite *s, const char *topic, vestry_refresh_kind kind, const char *name) {
  return vestry_refresh_for(s->on.pages, topic, &(vestry_change){.kind = kind, .name = name}, NULL);
}

/* capability: H8 */
SUITE_CASE(page_has_the_reason_of_its_last_refresh) {
  vestry_memory_exchange *tab = open_tab(s, "/birds/owl");
  site_settle_pages(&s->on);
  site_refresh(&s->on, NULL);
  assert_string_equal(text_of(list_pages(s, "sort=path"), 0, "refreshed_by"), "all");
  assert_int_equal(refresh_for(s, "noise", VESTRY_REFRESH_TABLE, "messages"), VESTRY_OK);
  site_settle_pages(&s->on);
  assert_string_equal(text_of(list_pages(s, "sort=path"), 0, "refreshed_by"), "table messages");
  assert_int_equal(refresh_for(s, "noise", VESTRY_REFRESH_DATABASE_PAGE, "12"), VESTRY_OK);
  site_settle_pages(&s->on);
  assert_string_equal(text_of(list_pages(s, "sort=path"), 0, "refreshed_by"), "page 12 of the database");
  assert_int_equal(refresh_for(s, NULL, VESTRY_REFRESH_DATABASE, NULL), VESTRY_OK);
  site_settle_pages(&s->on);
  assert_string_equal(text_of(list_pages(s, "sort=path"), 0, "refreshed_by"), "database");
  assert_int_equal(refresh_for(s, "noise", VESTRY_REFRESH_TOPIC, "a"), VESTRY_INVALID);
  assert_int_equal(refresh_for(s, "", VESTRY_REFRESH_TABLE, "a"), VESTRY_INVALID);
  assert_int_equal(vestry_refresh_for(s->on.pages, "noise", NULL, NULL), VESTRY_INVALID);
  /* a topic that no page depends on has no effect */
  site_refresh(&s->on, "elsewhere");
  assert_string_equal(text_of(list_pages(s, "sort=path"), 0, "refreshed_by"), "database");
  vestry_memory_destroy(tab);
}

static vestry_err hostile(vestry_render *render, vestry_html *html, void *app) {
  char id[32];
  const char *number = vestry_request_value(render->request, VESTRY_IN_QUERY, "n");
  vestry_render_topic(render, "<b>\"\x01\n\xFF");
  snprintf(id, sizeof id, "part%s", number ? number : "");
  vestry_render_begin(render, html);
  vestry_render_part(render, html, &(vestry_page_part){.id = id, .share = "", .render = list, .app = app});
  return vestry_render_end(render, html);
}

/* capability: H8 */
TEST_CASE(user_chosen_names_are_limited_and_shown_as_text) {
  enum { NAMES = 300 };
  static suite s;
  static vestry_memory_exchange *tabs[NAMES];
  begin(&s, (vestry_options){.scope = NULL});
  vestry_page *page;
  assert_int_equal(vestry_page_create(s.on.pages, &(vestry_page_options){.render = hostile, .app = &s}, &page),
                   VESTRY_OK);
  assert_int_equal(vestry_route(s.on.v, "GET", "/hostile", vestry_page_handler, page), VESTRY_OK);
  for (int i = 0; i < NAMES; i++) {
    char query[32];
    snprintf(query, sizeof query, "n=%d", i);
    tabs[i] = site_request(&s.on, &(vestry_memory_call){.path = "/hostile", .query = query, .datastar = true});
  }
  site_settle_pages(&s.on);
  site_refresh(&s.on, "<b>\"\x01\n\xFF");
  const json_t *t = list_pages(&s, "sort=path");
  assert_int_equal(json_array_size(t), 1 + 128 + 1);
  assert_string_equal(text_of(t, find(t, "/hostile", ""), "refreshed_by"),
                      "topic <b>\"\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD");
  assert_null(text_of(t, json_array_size(t) - 1, "path"));
  assert_int_equal(count_of(t, json_array_size(t) - 1, "streams_count"), NAMES - 128);
  assert_int_equal(count_of(t, json_array_size(t) - 1, "renders_count"), NAMES - 128);
  for (int i = 0; i < NAMES; i++) vestry_memory_destroy(tabs[i]);
  site_settle(&s.on);
  t = list_pages(&s, "sort=path");
  for (size_t i = 0; i < json_array_size(t); i++) assert_int_equal(count_of(t, i, "streams_count"), 0);
  end(&s);
}

/* capability: H8 */
SUITE_CASE(failed_render_is_counted_and_retry_keeps_its_reason) {
  vestry_memory_exchange *tab = open_tab(s, "/slow");
  site_settle_pages(&s->on);
  s->error = VESTRY_IO;
  assert_int_equal(vestry_refresh(s->on.pages, "page/1", NULL), VESTRY_OK);
  site_pass_ms(&s->on, 20);
  const json_t *t = list_pages(s, "sort=path");
  assert_int_equal(count_of(t, 0, "failed_count"), 1);
  s->error = VESTRY_OK;
  site_pass_ms(&s->on, 1100);
  site_settle_pages(&s->on);
  t = list_pages(s, "sort=path");
  assert_int_equal(count_of(t, 0, "renders_count"), 3);
  assert_string_equal(text_of(t, 0, "unchanged_by"), "topic page/1");
  vestry_memory_destroy(tab);
}

/* Each allocation of the list and of a stream fails in turn: a page without its own tally is counted with the
 * others. */
TEST_CASE(list_survives_failed_allocations) {
  for (long number = 0;; number++) {
    suite s;
    begin(&s, (vestry_options){.scope = NULL});
    long before = atomic_load(&s.on.th.allocations);
    atomic_store(&s.on.th.fail_at, before + number);
    vestry_memory_exchange *tab = NULL;
    (void)vestry_memory_request(s.on.v, &(vestry_memory_call){.path = "/parts", .datastar = true}, NULL, NULL, &tab);
    site_settle(&s.on);
    json_t *all = listed(s.observe, vsi_list_pages, NULL);
    bool failed = atomic_load(&s.on.th.allocations) > before + number;
    test_host_fail_no_more(&s.on.th);
    assert_true(all || failed);
    json_decref(all);
    site_pass_ms(&s.on, 5000);
    vestry_memory_destroy(tab);
    end(&s); /* checks that the counters are consistent */
    if (!failed) return;
  }
}

/* --------------------------------------------------------------------------------------------- with threads ------- */

static void *refresh_often(void *ctx) {
  suite *s = ctx;
  for (int i = 0; i < 300; i++) {
    atomic_fetch_add(&s->numbers[i % 2 ? 0 : 3], (unsigned)(i % 3 == 0));
    assert_int_equal(vestry_refresh(s->on.pages, i % 2 ? "page/0" : "noise", NULL), VESTRY_OK);
  }
  return NULL;
}

/* Check the sum of the outcomes of each page. The outcome of a private page is counted after its render, so a render
 * may be in progress. */
static void check_sums(suite *s, const char *query, bool is_over) {
  const json_t *t = list_pages(s, query);
  for (size_t i = 0; i < json_array_size(t); i++) {
    const int64_t renders = count_of(t, i, "renders_count");
    const int64_t sum = count_of(t, i, "changed_count") + count_of(t, i, "unchanged_count") +
                        count_of(t, i, "current_count") + count_of(t, i, "failed_count") +
                        count_of(t, i, "dropped_count");
    assert_true(is_over ? renders == sum : renders >= sum);
  }
}

TEST_CASE(lists_are_consistent_while_threads_render) {
  enum { STREAMS = 20 };
  suite s;
  begin(&s, (vestry_options){.threads_count = 2});
  vestry_memory_exchange *tabs[STREAMS];
  for (size_t i = 0; i < STREAMS; i++) tabs[i] = open_tab(&s, i % 2 ? "/parts" : "/birds/owl");
  pthread_t thread;
  assert_int_equal(pthread_create(&thread, NULL, refresh_often, &s), 0);
  static const char *const queries[] = {"sort=path", "sort=handler", "sort=renders", "sort=unchanged"};
  for (int i = 0; i < 200; i++) check_sums(&s, queries[i % 4], false);
  pthread_join(thread, NULL);
  for (size_t i = 0; i < STREAMS; i++) vestry_memory_destroy(tabs[i]);
  vestry_observe_destroy(s.observe);
  s.observe = NULL;
  assert_int_equal(vestry_pages_settle(s.on.pages, UINT64_MAX, 10000), VESTRY_OK);
  assert_int_equal(vestry_observe_create(
                       s.on.v, &(vestry_observe_options){.trusts_loopback = true, .pages = s.on.pages}, &s.observe),
                   VESTRY_OK);
  check_sums(&s, NULL, true);
  end(&s);
}

SUITE_CASE(observer_without_pages_lists_none) {
  vestry_observe *without;
  assert_int_equal(vestry_observe_create(s->on.v, &(vestry_observe_options){.trusts_loopback = true}, &without),
                   VESTRY_OK);
  json_auto_t *all = listed(without, vsi_list_pages, NULL);
  assert_int_equal(json_array_size(json_object_get(all, "pages")), 0);
  vestry_observe_destroy(without);
}
