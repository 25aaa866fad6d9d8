/* SPDX-License-Identifier: MIT */
/* Memory limits of live pages, and their cost while they are blocked: streams that accept no bytes, topics of one
 * render, copied requests, kept renders. On the stepped runtime. */
#include <stdlib.h>

#include "support/site.h"

typedef struct suite {
  site on;
  vestry_page *page;
  int shown;
  unsigned calls;
  unsigned topics, step;   /* topics that the render names: 0, step, 2 · step …, modulo their number */
  const char *leads_to;    /* target of a redirect in a stream's render */
  const char *part_shares; /* share key of its part; NULL: no part */
} suite;

static vestry_err inside(vestry_render *render, vestry_html *html, void *app) {
  suite *s = app;
  vestry_render_topic(render, "part");
  return vestry_html_add(html, "part %d", s->shown);
}

static vestry_err make(vestry_render *render, vestry_html *html, void *app) {
  suite *s = app;
  s->calls++;
  vestry_render_topic(render, "all");
  for (unsigned i = 0; i < s->topics; i++) (void)vestry_render_topicf(render, "topic/%u", i * s->step % s->topics);
  if (s->leads_to && render->is_stream) { /* vestry_reply_redirect refuses some targets itself */
    vestry_reply_header(render->reply, "Location", s->leads_to);
    return vestry_reply_status(render->reply, 303);
  }
  if (s->shown < 0 && vestry_render_is_current(render, 7)) return VESTRY_OK;
  vestry_render_begin(render, html);
  vestry_html_add(html, "<p>%d</p>", s->shown);
  if (s->part_shares) {
    const vestry_page_part part = {.id = "part", .share = s->part_shares, .render = inside, .app = s};
    vestry_render_part(render, html, &part);
  }
  return vestry_render_end(render, html);
}

static vestry_err serve_shared(const vestry_request *req, vestry_reply *reply, void *app) {
  return vestry_page_serve(req, reply, ((suite *)app)->page, "all");
}

static vestry_err serve_twice(const vestry_request *req, vestry_reply *reply, void *app) {
  vestry_err error = vestry_page_serve(req, reply, ((suite *)app)->page, NULL);
  return error ? error : vestry_page_serve(req, reply, ((suite *)app)->page, "all");
}

static void open_site(suite *s, const vestry_pages_options *options) {
  memset(s, 0, sizeof *s);
  s->step = 1;
  site_begin_pages(&s->on, (vestry_options){0}, options);
  assert_int_equal(vestry_page_create(s->on.pages, &(vestry_page_options){.render = make, .app = s}, &s->page),
                   VESTRY_OK);
  assert_int_equal(vestry_route(s->on.v, "GET", "/", vestry_page_handler, s->page), VESTRY_OK);
  assert_int_equal(vestry_route(s->on.v, "GET", "/shared", serve_shared, s), VESTRY_OK);
  assert_int_equal(vestry_route(s->on.v, "GET", "/twice", serve_twice, s), VESTRY_OK);
}

static vestry_memory_exchange *begin(suite *s, const char *path, const char *query, bool is_stream, bool settles) {
  const vestry_memory_call call = {.path = path, .query = query, .datastar = is_stream};
  vestry_memory_exchange *exchange = site_request(&s->on, &call);
  if (settles) site_settle(&s->on);
  return exchange;
}

/* query: NULL: none. The caller destroys the exchange. */
static vestry_memory_exchange *request(suite *s, const char *path, const char *query, bool is_stream) {
  return begin(s, path, query, is_stream, true);
}

static void refresh(suite *s) {
  assert_int_equal(vestry_refresh(s->on.pages, "all", NULL), VESTRY_OK);
  site_settle(&s->on);
}

static bool has(vestry_memory_exchange *stream, const char *text) {
  return strstr(vestry_memory_look(stream).received.data, text) != NULL;
}

/* ------------------------------------------------------------------------------------------ blocked streams ------- */

#define SUITE_CASE(name) TEST_CASE_WITH(name, suite, s, open_site(s, NULL), site_end(&s->on))

/* While a stream accepts nothing, the page is postponed once, however often it changes. It is rendered without a delay
 * as soon as the stream has written its events. */
/* capability: D5 */
SUITE_CASE(blocked_stream_is_not_rendered_until_it_reads) {
  vestry_memory_exchange *tab = request(s, "/", NULL, true);
  site_pass_ms(&s->on, 20);
  vestry_memory_mode_set(tab, VESTRY_MEMORY_BLOCKS);
  s->shown = 1;
  refresh(s);
  site_pass_ms(&s->on, 20);
  unsigned calls = s->calls;
  for (int i = 0; i < 100; i++) {
    s->shown++;
    refresh(s);
    site_pass_ms(&s->on, 15);
  }
  assert_int_equal(vestry_refresh(s->on.pages, NULL, NULL), VESTRY_OK);
  site_settle(&s->on);
  assert_int_equal(s->calls, calls);
  assert_int_equal(site_pages_stats(&s->on).postponed_count, 1);
  vestry_memory_mode_set(tab, VESTRY_MEMORY_READS);
  site_settle(&s->on);
  assert_int_equal(s->calls, calls + 1);
  assert_true(has(tab, "<p>101</p>"));
  assert_false(has(tab, "<p>100</p>"));
  vestry_memory_destroy(tab);
}

/* The interval between two renders is kept nevertheless. */
/* capability: D5, D13 */
TEST_CASE(unblocked_stream_is_rendered_after_its_interval) {
  suite s;
  open_site(&s, &(vestry_pages_options){.interval_ms = 1000});
  vestry_memory_exchange *tab = request(&s, "/", NULL, true);
  site_pass_ms(&s.on, 2000);
  vestry_memory_mode_set(tab, VESTRY_MEMORY_BLOCKS);
  s.shown = 1;
  refresh(&s); /* rendered, but not written */
  unsigned calls = s.calls;
  site_pass_ms(&s.on, 100);
  s.shown = 2;
  refresh(&s);
  site_pass_ms(&s.on, 700);
  vestry_memory_mode_set(tab, VESTRY_MEMORY_READS);
  site_pass_ms(&s.on, 199);
  assert_int_equal(s.calls, calls);
  site_pass_ms(&s.on, 1);
  assert_int_equal(s.calls, calls + 1);
  assert_true(has(tab, "<p>2</p>"));
  vestry_memory_destroy(tab);
  site_end(&s.on);
}

/* capability: D5 */
SUITE_CASE(stream_that_ends_while_blocked_is_settled) {
  vestry_memory_exchange *tab = request(s, "/", NULL, true);
  site_pass_ms(&s->on, 20);
  vestry_memory_mode_set(tab, VESTRY_MEMORY_BLOCKS);
  s->shown = 1;
  refresh(s);
  site_pass_ms(&s->on, 20);
  s->shown = 2;
  refresh(s);
  assert_int_equal(site_pages_stats(&s->on).postponed_count, 1);
  assert_int_equal(vestry_pages_settle(s->on.pages, UINT64_MAX, 0), VESTRY_TIMEOUT);
  vestry_memory_mode_set(tab, VESTRY_MEMORY_HANGS_UP);
  site_settle(&s->on);
  assert_int_equal(vestry_pages_settle(s->on.pages, UINT64_MAX, 0), VESTRY_OK);
  vestry_memory_destroy(tab);
}

/* ------------------------------------------------------------------------------------------------- topics --------- */

/* capability: D4 */
SUITE_CASE(render_over_topic_limit_fails_and_recovers) {
  s->topics = VESTRY_PAGE_TOPICS_MAX - 1; /* plus the topic "all" */
  vestry_memory_exchange *tab = request(s, "/", NULL, true);
  site_pass_ms(&s->on, 20);
  assert_int_equal(site_pages_stats(&s->on).topics_count, VESTRY_PAGE_TOPICS_MAX);
  s->step = 1009; /* in another order */
  for (unsigned i = 0; i < 3; i++) {
    s->shown++;
    assert_int_equal(vestry_refreshf(s->on.pages, NULL, "topic/%u", i * (s->topics - 1) / 2), VESTRY_OK);
    site_pass_ms(&s->on, 20);
    assert_int_equal(s->calls, 2 + i);
    assert_int_equal(site_pages_stats(&s->on).topics_count, VESTRY_PAGE_TOPICS_MAX);
  }
  s->topics = 2; /* the other topics are dropped */
  assert_int_equal(vestry_refreshf(s->on.pages, NULL, "topic/%u", 5u), VESTRY_OK);
  site_pass_ms(&s->on, 20);
  assert_int_equal(site_pages_stats(&s->on).topics_count, 3);
  assert_int_equal(vestry_refreshf(s->on.pages, NULL, "topic/%u", 5u), VESTRY_OK);
  site_pass_ms(&s->on, 20);
  assert_int_equal(s->calls, 5);
  s->topics = VESTRY_PAGE_TOPICS_MAX;
  s->shown++;
  refresh(s);
  assert_int_equal(site_pages_stats(&s->on).failed_count, 1);
  /* the request for the document gets the error at once */
  vestry_memory_exchange *document = request(s, "/", NULL, false);
  assert_int_equal(vestry_memory_look(document).status, 503);
  vestry_memory_destroy(document);
  s->topics = 1;
  site_pass_ms(&s->on, 1000);
  assert_int_equal(site_pages_stats(&s->on).topics_count, 2);
  vestry_memory_destroy(tab);
}

/* capability: D4 */
TEST_CASE(refreshf_formats_the_topic_and_checks_its_size) {
  suite s;
  uint64_t first, second;
  char name[VESTRY_PAGE_TOPIC_MAX_BYTES + 2];
  memset(name, 'x', sizeof name);
  name[sizeof name - 1] = '\0';
  open_site(&s, NULL);
  assert_int_equal(vestry_refreshf(s.on.pages, &first, "%s/%d", "room", 7), VESTRY_OK);
  assert_int_equal(vestry_refreshf(s.on.pages, &second, "%s", name + 1), VESTRY_OK);
  assert_int_equal(second, first + 1);
  assert_int_equal(vestry_refreshf(s.on.pages, NULL, "%s", name), VESTRY_TOO_LARGE);
  assert_non_null(strstr(s.on.th.last_log, "vestry_refresh: the topic is longer than"));
  assert_int_equal(vestry_refreshf(s.on.pages, NULL, "%s", ""), VESTRY_INVALID);
  assert_int_equal(vestry_refreshf(NULL, NULL, "%s", "room"), VESTRY_INVALID);
  site_end(&s.on);
}

/* --------------------------------------------------------------------------------------- copied requests ---------- */

/* capability: D17 */
TEST_CASE(stream_over_request_budget_gets_503) {
  enum { TABS = 8 };
  suite s;
  char query[1500];
  vestry_memory_exchange *tabs[TABS];
  memset(query, 'q', sizeof query);
  query[sizeof query - 1] = '\0';
  open_site(&s, &(vestry_pages_options){.max_requests_bytes = 5000});
  for (size_t i = 0; i < TABS; i++) {
    query[0] = (char)('a' + i); /* queries of shared pages differ, so each has its own fragment */
    tabs[i] = request(&s, i % 2 ? "/" : "/shared", query, true);
  }
  site_pass_ms(&s.on, 20);
  vestry_pages_stats stats = site_pages_stats(&s.on);
  assert_int_equal(stats.streams_count, 3);
  assert_in_range(stats.requests_bytes, 3 * 1500, 5000);
  assert_int_equal(stats.requests_refused_count, TABS - 3);
  for (size_t i = 3; i < TABS; i++) {
    assert_int_equal(vestry_memory_look(tabs[i]).status, 503);
    assert_non_null(vestry_memory_header(tabs[i], "Retry-After", 0));
  }
  vestry_memory_exchange *document = request(&s, "/", query, false);
  assert_int_equal(vestry_memory_look(document).status, 200);
  vestry_memory_destroy(document);
  vestry_memory_exchange *same = request(&s, "/shared", query, true); /* no room for another fragment */
  assert_int_equal(vestry_memory_look(same).status, 503);
  vestry_memory_destroy(same);
  query[0] = 'a';
  same = request(&s, "/shared", query, true); /* shares an existing fragment */
  assert_int_equal(vestry_memory_look(same).status, 200);
  vestry_memory_destroy(same);
  vestry_memory_destroy(tabs[1]);
  site_settle(&s.on);
  tabs[1] = request(&s, "/", query, true); /* its memory is free again */
  assert_int_equal(vestry_memory_look(tabs[1]).status, 200);
  for (size_t i = 0; i < TABS; i++) vestry_memory_destroy(tabs[i]);
  site_end(&s.on);
}

/* capability: D17 */
SUITE_CASE(second_page_in_one_reply_gets_500) {
  vestry_memory_exchange *stream = request(s, "/twice", NULL, true);
  assert_int_equal(vestry_memory_look(stream).status, 500);
  assert_null(vestry_memory_look(stream).connection);
  vestry_memory_destroy(stream);
}

/* ------------------------------------------------------------------------------------------ kept renders ---------- */

/* The version is unchanged, but the content is not kept, and a new tab does not have it. */
/* capability: D6 */
TEST_CASE(new_stream_is_rendered_if_current_version_is_not_kept) {
  suite s;
  open_site(&s, &(vestry_pages_options){.max_kept_bytes = 1});
  s.shown = -5;
  vestry_memory_exchange *first = request(&s, "/shared", NULL, true);
  site_pass_ms(&s.on, 20);
  assert_true(has(first, "<p>-5</p>"));
  vestry_memory_exchange *other = request(&s, "/", NULL, true); /* its render takes the place in the cache */
  site_pass_ms(&s.on, 20);
  assert_int_equal(site_pages_stats(&s.on).kept_dropped_count, 1);
  vestry_memory_exchange *second = request(&s, "/shared", NULL, true);
  site_pass_ms(&s.on, 20);
  assert_true(has(second, "<p>-5</p>"));
  assert_int_equal(site_pages_stats(&s.on).failed_count, 0);
  vestry_memory_destroy(first);
  vestry_memory_destroy(other);
  vestry_memory_destroy(second);
  site_end(&s.on);
}

/* ------------------------------------------------------------------------------------------------ redirects ------- */

/* capability: D17 */
TEST_CASE(stream_redirects_only_to_web_urls) {
  static const struct {
    const char *url, *says;
  } rows[] = {{"/login?next=%2Froom", "{\"_vestry\":{\"go\":\"/login?next=%2Froom\"}}"},
              {"https://sso.example/\"x", "{\"_vestry\":{\"go\":\"https://sso.example/\\\"x\"}}"},
              {"javascript:alert(1)", NULL},
              {" jAvascript:alert(1)", NULL},
              {"data:text/html,x", NULL}};
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    suite s;
    open_site(&s, NULL);
    vestry_memory_exchange *tab = request(&s, "/", NULL, true);
    site_pass_ms(&s.on, 20);
    s.leads_to = rows[i].url;
    refresh(&s);
    if (rows[i].says) assert_true(has(tab, rows[i].says));
    if (!rows[i].says) assert_false(has(tab, "\"go\""));
    assert_false(has(tab, "<script"));
    assert_true(vestry_memory_look(tab).ended);
    vestry_memory_destroy(tab);
    site_end(&s.on);
  }
}

/* ------------------------------------------------------------------------------------- refresh of all pages ------- */

/* While all pages are marked, some streams open, some end and some wait. Each open stream is rendered exactly once. */
/* capability: D4 */
TEST_CASE(refresh_all_renders_each_stream_once_as_streams_change) {
  enum { TABS = 700 }; /* more than one walk marks */
  suite s;
  unsigned seed = 7;
  static vestry_memory_exchange *tabs[TABS];
  open_site(&s, NULL);
  for (size_t i = 0; i < TABS; i++) tabs[i] = request(&s, "/", NULL, true);
  site_pass_ms(&s.on, 20);
  for (int round = 0; round < 20; round++) {
    char wanted[32];
    s.shown++;
    site_pass_ms(&s.on, 20);
    assert_int_equal(vestry_refresh(s.on.pages, NULL, NULL), VESTRY_OK);
    for (int i = 0; i < 200; i++) {
      size_t at = (size_t)rand_r(&seed) % TABS;
      vestry_memory_destroy(tabs[at]);
      tabs[at] = begin(&s, "/", NULL, true, false);
      (void)vestry_runtime_step(vestry_parts_of(s.on.v)->runtime);
    }
    site_pass_ms(&s.on, 20);
    snprintf(wanted, sizeof wanted, "<p>%d</p>", s.shown);
    for (size_t i = 0; i < TABS; i++) assert_true(has(tabs[i], wanted));
    unsigned calls = s.calls;
    assert_int_equal(vestry_refresh(s.on.pages, NULL, NULL), VESTRY_OK);
    site_pass_ms(&s.on, 20);
    assert_int_equal(s.calls, calls + TABS);
  }
  for (size_t i = 0; i < TABS; i++) vestry_memory_destroy(tabs[i]);
  site_end(&s.on);
}

/* A shared cache must not serve a private document to another user. */
SUITE_CASE(private_document_is_no_store) {
  vestry_memory_exchange *private = begin(s, "/", NULL, false, true), *shared = begin(s, "/shared", NULL, false, true);
  assert_int_equal(vestry_memory_look(private).status, 200);
  assert_string_equal(vestry_memory_header(private, "Cache-Control", 0), "private, no-store");
  assert_int_equal(vestry_memory_look(shared).status, 200);
  assert_null(vestry_memory_header(shared, "Cache-Control", 0));
  vestry_memory_destroy(private);
  vestry_memory_destroy(shared);
}
