/* SPDX-License-Identifier: MIT */
/* The rows of a window for any address, and the attributes of its elements. (For the tab, see
 * tests/browser/window.test.js; over a database, tests/sqlite/window_test.c.) */
#include <inttypes.h>

#include "support/site.h"
#include "vestry/app/csp.h"
#include "vestry/app/window.h"

typedef struct suite {
  site on;
  vestry_window_options options;
  vestry_window window;
  vestry_err error;
  bool has_policy;
} suite;

static vestry_err render(vestry_render *render, vestry_html *html, void *app) {
  suite *s = app;
  vestry_render_topic(render, "rows");
  if (s->has_policy && !render->is_stream)
    vestry_reply_csp(render->reply, &(vestry_csp){.client = VESTRY_DATASTAR_CDN_URL});
  vestry_html_add(html, "<!doctype html><title>Rows</title>");
  vestry_render_begin(render, html);
  if ((s->error = vestry_window_begin(render, html, &s->options, &s->window))) return s->error;
  for (uint64_t i = 0; i < s->window.rows_count; i++) {
    vestry_html_add(html, "<p id=\"r%" PRIu64 "\"", s->window.first_row + i);
    vestry_window_row(html, &s->window, s->window.first_row + i);
    vestry_html_add(html, ">row</p>");
  }
  vestry_window_end(html, &s->window);
  return vestry_render_end(render, html);
}

static vestry_err inside(vestry_render *render, vestry_html *html, void *app) {
  suite *s = app;
  return s->error = vestry_window_begin(render, html, &s->options, &s->window);
}

static vestry_err with_part(vestry_render *render, vestry_html *html, void *app) {
  vestry_render_begin(render, html);
  vestry_render_part(render, html, &(vestry_page_part){.id = "part", .share = "", .render = inside, .app = app});
  return vestry_render_end(render, html);
}

static void begin(suite *s) {
  const struct {
    const char *path, *layout;
    vestry_page_fn render;
  } pages[] = {{"/rows", "lists", render}, {"/plain", NULL, render}, {"/part", "lists", with_part}};
  memset(s, 0, sizeof *s);
  s->options = (vestry_window_options){.id = "list", .rows = {.count = 1000000, .px = 40}};
  site_begin_pages(&s->on, (vestry_options){0}, NULL);
  for (size_t i = 0; i < sizeof pages / sizeof *pages; i++) {
    const vestry_page_options options = {.render = pages[i].render, .layout = pages[i].layout, .app = s};
    vestry_page *page;
    assert_int_equal(vestry_page_create(s->on.pages, &options, &page), VESTRY_OK);
    assert_int_equal(vestry_route(s->on.v, "GET", pages[i].path, vestry_page_handler, page), VESTRY_OK);
  }
}

/* Request the document of an address, assert that it contains the text unless it is NULL, and return the status. */
static int load(suite *s, const char *path, const char *query, const char *text) {
  s->window = (vestry_window){0};
  vestry_memory_exchange *document = site_request(&s->on, &(vestry_memory_call){.path = path, .query = query});
  vestry_memory_seen view = vestry_memory_look(document);
  if (text && !strstr(view.received.data, text)) fail_msg("no %s in %s", text, (const char *)view.received.data);
  int status = view.status;
  vestry_memory_destroy(document);
  return status;
}

static void assert_first(suite *s, const char *query, uint64_t first, uint64_t count) {
  assert_int_equal(load(s, "/rows", query, NULL), 200);
  if (s->window.first_row != first) fail_msg("%s begins at %" PRIu64, query, s->window.first_row);
  assert_int_equal(s->window.rows_count, count);
}

#define SUITE_CASE(name) TEST_CASE_WITH(name, suite, s, begin(s), site_end(&s->on))

/* capability: L2 */
SUITE_CASE(window_has_the_rows_around_its_address) {
  assert_first(s, "", 0, 90);
  assert_first(s, "list=44", 0, 90);
  assert_first(s, "list=45", 15, 90);
  assert_first(s, "list=500000", 499965, 90);
  assert_first(s, "list=500009", 499965, 90); /* a row nearby shows the same rows */
  assert_first(s, "q=1&list=999999&p=2", 999910, 90);
  s->options.rows.count = 50; /* fewer than the buffer */
  assert_first(s, "list=49", 0, 50);
  s->options.rows.count = 1;
  assert_first(s, "list=1", 0, 1);
  s->options.rows.count = 0;
  assert_first(s, "list=1", 0, 0);
}

/* capability: L2 */
TEST_CASE(invalid_address_is_ignored_and_large_one_clamped) {
  static const char *const first[] = {"list=",
                                      "list",
                                      "list=-1",
                                      "list=+1",
                                      "list=0x10",
                                      "list=7%00",
                                      "list=1e9",
                                      "list=70000000000000000000",
                                      "list=1.",
                                      "list=.5",
                                      "list=500.1.1",
                                      "list=5 0",
                                      "list=%",
                                      "list=%zz",
                                      "other=500",
                                      "LIST=500",
                                      "list=5000000000000000000000000000000000000000000000000000000000000000000000"};
  suite s;
  begin(&s);
  for (size_t i = 0; i < sizeof first / sizeof *first; i++) assert_first(&s, first[i], 0, 90);
  assert_first(&s, "list=1000000", 999910, 90);
  assert_first(&s, "list=999999999999999", 999910, 90);
  assert_first(&s, "list=500000.999999999999999", 499965, 90);
  s.options.columns = (vestry_window_axis){.count = 1000, .px = 60, .buffer_count = 30};
  assert_first(&s, "list=500000.999999999999999", 499965, 90);
  assert_int_equal(s.window.first_column, 970);
  assert_int_equal(s.window.columns_count, 30);
  site_end(&s.on);
}

/* capability: L2 */
SUITE_CASE(window_at_end_shows_the_last_rows) {
  s->options.rows.count = 10000;
  s->options.is_at_end = true;
  assert_first(s, "", 9910, 90);
  s->options.rows.count = 10001; /* and stays there */
  assert_first(s, "", 9911, 90);
  assert_first(s, "list=0", 0, 90);
  assert_first(s, "list=x", 9911, 90);
}

/* capability: L2 */
SUITE_CASE(window_has_spacers_and_links) {
  load(s, "/rows", "", "width=\"0\" height=\"0\"></svg>");
  load(s, "/rows", "list=999999", "<svg aria-hidden=\"true\" width=\"1\" height=\"0\"></svg>");
  load(s, "/rows", "list=999999", "width=\"0\" height=\"7996400\"></svg>"); /* a scaled one: 8,000,000 - 90 * 40 */
  load(s, "/rows", "list=999999&q=%22%3C\"<", "<a href=\"?q=%22%3C&quot;&lt;&amp;list=999850#list-rows\">Earlier</a>");
  load(s, "/rows", "", "<a href=\"?list=120#list-rows\">Later</a>");
  assert_first(s, "list=120", 90, 90);
  s->options.rows.count = 1000;
  load(s, "/rows", "list=500", "width=\"0\" height=\"18600\"></svg>"); /* 465 * 40 */
  s->options.label = "<b>";
  load(s, "/rows", "", "aria-label=\"&lt;b&gt;\"");
}

/* capability: L2 */
SUITE_CASE(aria_roles_and_indexes_match_the_rows) {
  load(s, "/rows", "", "<div id=\"list-rows\"><p id=\"r0\">row</p>");
  s->options.role = VESTRY_WINDOW_LIST;
  load(s, "/rows", "", "<div id=\"list-rows\" role=\"list\"><p");
  load(s, "/rows", "list=500000",
       "<p id=\"r500000\" role=\"listitem\" aria-posinset=\"500001\" aria-setsize=\"1000000\">row</p>");
  s->options.role = VESTRY_WINDOW_TABLE;
  load(s, "/rows", "", "<div id=\"list-rows\" role=\"table\" aria-rowcount=\"1000000\"><p");
  load(s, "/rows", "list=500000", "<p id=\"r500000\" role=\"row\" aria-rowindex=\"500001\">row</p>");
  s->options.columns = (vestry_window_axis){.count = 1000, .px = 60, .buffer_count = 30};
  load(s, "/rows", "", "role=\"table\" aria-rowcount=\"1000000\" aria-colcount=\"1000\"><p");
  load(s, "/rows", "list=7.500", "<p id=\"r7\" role=\"row\" aria-rowindex=\"8\" aria-colindex=\"491\">row</p>");
}

/* capability: L2 */
SUITE_CASE(document_has_scroll_script_with_nonce) {
  load(s, "/rows", "list=500", "</main><script>for(const el of document.querySelectorAll('.vestry-window'))");
  s->has_policy = true; /* the nonce is not in the content, or the status would not be 200 */
  assert_int_equal(load(s, "/rows", "list=500", "</main><script nonce=\""), 200);
}

/* capability: L2 */
TEST_CASE(window_without_layout_or_with_bad_options_gets_500) {
  static const vestry_window_options bad[] = {
      {.id = NULL, .rows = {.count = 1}},
      {.id = "a b", .rows = {.count = 1}},
      {.id = "list", .rows = {.count = VESTRY_WINDOW_COUNT_MAX + 1}},
      {.id = "list", .rows = {.count = 1, .px = 10001}},
      {.id = "list", .rows = {.count = 1}, .role = (vestry_window_role)3},
      {.id = "list", .rows = {.count = 100000, .buffer_count = 10001}},
      {.id = "list", .rows = {.count = 1000, .buffer_count = 101}, .columns = {.count = 1000, .buffer_count = 100}},
  };
  suite s;
  begin(&s);
  assert_int_equal(load(&s, "/plain", "", NULL), 500);
  assert_int_equal(s.error, VESTRY_INVALID);
  assert_true(atomic_load(&s.on.th.log_lines) > 0);
  assert_int_equal(load(&s, "/part", "", NULL), 500);
  assert_int_equal(s.error, VESTRY_INVALID);
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    s.options = bad[i];
    assert_int_equal(load(&s, "/rows", "", NULL), 500);
    assert_int_equal(s.error, VESTRY_INVALID);
  }
  s.options = (vestry_window_options){.id = "list",
                                      .rows = {.count = VESTRY_WINDOW_COUNT_MAX, .px = 10000, .buffer_count = 10000}};
  assert_first(&s, "list=999999999999", VESTRY_WINDOW_COUNT_MAX - 10000, 10000);
  site_end(&s.on);
}

/* capability: L2 */
TEST_CASE(failed_allocation_gets_an_error_or_the_rows) {
  bool failed = true;
  for (long number = 0; failed; number++) {
    suite s;
    vestry_memory_exchange *document = NULL;
    begin(&s);
    test_host_fail_in(&s.on.th, number);
    if (vestry_memory_request(s.on.v, &(vestry_memory_call){.path = "/rows", .query = "list=500"}, NULL, NULL,
                              &document))
      document = NULL;
    failed = test_host_has_failed(&s.on.th);
    test_host_fail_no_more(&s.on.th);
    if (document && vestry_memory_look(document).status == 200)
      assert_non_null(strstr(vestry_memory_look(document).received.data, "<p id=\"r500\">row</p>"));
    if (document) vestry_memory_destroy(document);
    site_end(&s.on);
  }
}
