/* SPDX-License-Identifier: MIT */
/* Navigation of a tab between addresses: the pages that it may show, the events that they send, and the code in their
 * documents. (For the tab, see tests/browser/navigate.test.js.) */
#include <stdlib.h>

#include "support/site.h"

#define HERE "shop/main/content"
#define MINE "00000000000000ad.900000001"

typedef struct suite {
  site on;
  const char *title; /* of all pages; NULL: none */
  int number;
} suite;

/* A page shows its query, and a number that changes. */
static vestry_err render(vestry_render *render, vestry_html *html, void *app) {
  suite *s = app;
  vestry_render_topic(render, "number");
  vestry_html_add(html, "<!doctype html>");
  if (s->title) vestry_html_add(html, "<title>%s</title>", s->title);
  vestry_render_begin(render, html);
  vestry_html_add(html, "<p>%s %d</p>", strncmp(render->request->query, "same", 4) ? render->request->query : "",
                  s->number);
  return vestry_render_end(render, html);
}

static vestry_err serve_shared(const vestry_request *req, vestry_reply *reply, void *app) {
  return vestry_page_serve(req, reply, app, "all");
}

static void begin(suite *s) {
  static const struct {
    const char *path, *layout, *id;
    vestry_handler_fn handler;
  } pages[] = {{"/list", "shop", NULL, vestry_page_handler},
               {"/shared", "shop", NULL, serve_shared},
               {"/about", "info", NULL, vestry_page_handler},
               {"/plain", NULL, NULL, vestry_page_handler},
               {"/other", "shop", "other", vestry_page_handler}};
  memset(s, 0, sizeof *s);
  s->title = "List";
  site_begin_pages(&s->on, (vestry_options){0}, NULL);
  for (size_t i = 0; i < sizeof pages / sizeof *pages; i++) {
    const vestry_page_options options = {.render = render, .layout = pages[i].layout, .id = pages[i].id, .app = s};
    vestry_page *page;
    assert_int_equal(vestry_page_create(s->on.pages, &options, &page), VESTRY_OK);
    assert_int_equal(vestry_route(s->on.v, "GET", pages[i].path, pages[i].handler, page), VESTRY_OK);
  }
}

static void end(suite *s) {
  site_end(&s->on);
}

/* Open a stream as a tab that has navigated to this address. had: NULL: no tag. The caller destroys the exchange. */
static vestry_memory_exchange *go(suite *s, const char *path, const char *query, const char *layout, const char *had) {
  vestry_header headers[3];
  size_t count = 0;
  if (layout) headers[count++] = (vestry_header){"Vestry-Layout", layout};
  headers[count++] = (vestry_header){"Vestry-Sent", MINE};
  if (had) headers[count++] = (vestry_header){"Last-Event-ID", had};
  vestry_memory_exchange *tab = site_request(
      &s->on, &(vestry_memory_call){
                  .path = path, .query = query, .headers = headers, .headers_count = count, .datastar = true});
  site_settle_pages(&s->on);
  return tab;
}

static const char *text_of(vestry_memory_exchange *tab) {
  const char *text = vestry_memory_look(tab).received.data;
  return text ? text : "";
}

static void leave(suite *s, vestry_memory_exchange *tab) {
  vestry_memory_destroy(tab);
  site_settle(&s->on);
}

/* Copy the text between `before` and `until`. */
static void cut_out(const char *text, const char *before, char until, char *ret, size_t room) {
  const char *at = strstr(text, before);
  assert_non_null(at);
  at += strlen(before);
  const char *to = strchr(at, until);
  assert_non_null(to);
  assert_true((size_t)(to - at) < room);
  memcpy(ret, at, (size_t)(to - at));
  ret[to - at] = '\0';
}

/* capability: L3 */
TEST_CASE(equal_content_is_not_sent_at_another_address) {
  static const char *const paths[] = {"/list", "/shared"};
  for (size_t i = 0; i < 2; i++) {
    suite s;
    char had[200], id[200];
    begin(&s);
    vestry_memory_exchange *first = go(&s, paths[i], "same=1", HERE, NULL);
    assert_non_null(strstr(text_of(first), "data: elements <main id=\"content\" tabindex=\"-1\" data-title=\"List\">"));
    cut_out(text_of(first), "data: has ", '\n', had, sizeof had);
    cut_out(text_of(first), "\nid: ", '\n', id, sizeof id);
    assert_string_equal(had, id);
    vestry_memory_exchange *second = go(&s, paths[i], "same=2", HERE, had);
    assert_null(strstr(text_of(second), "patch-elements"));
    assert_non_null(strstr(text_of(second), "\"seen\":{\"900000001\":null}"));
    vestry_memory_exchange *third = go(&s, paths[i], "q=3", HERE, had);
    const char *content = strstr(text_of(third), "<p>q=3 0</p>"), *seen = strstr(text_of(third), "\"seen\"");
    assert_non_null(content);
    assert_true(content < seen); /* the action is seen after the content */
    s.number++;
    site_refresh(&s.on, "number");
    cut_out(text_of(second) + strlen(text_of(second)) - 300, "data: has ", '\n', id, sizeof id);
    assert_string_not_equal(id, had);
    assert_non_null(strstr(text_of(second), "<p> 1</p>"));
    leave(&s, first);
    leave(&s, second);
    leave(&s, third);
    end(&s);
  }
}

/* capability: L3 */
TEST_CASE(page_of_another_layout_gets_409) {
  static const struct {
    const char *path, *layout;
    int status;
  } cases[] = {
      {"/list", HERE, 200},
      {"/list", NULL, 200},
      {"/plain", NULL, 200},
      {"/about", HERE, 409},
      {"/plain", HERE, 409},
      {"/other", HERE, 409},
      {"/list", "", 409},
      {"/list", "shop", 409},
      {"/list", HERE "/", 409},
      {"/list", "Shop/main", 409},
      {"/about", "info/main/content", 200},
      {"/other", "shop/main/other", 200},
  };
  suite s;
  char large[8192];
  memset(large, 'a', sizeof large - 1);
  large[sizeof large - 1] = '\0';
  begin(&s);
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    vestry_memory_exchange *tab = go(&s, cases[i].path, NULL, cases[i].layout, NULL);
    assert_int_equal(vestry_memory_look(tab).status, cases[i].status);
    assert_true((strstr(text_of(tab), "patch-elements") != NULL) == (cases[i].status == 200));
    leave(&s, tab);
  }
  vestry_memory_exchange *tab = go(&s, "/list", NULL, large, NULL);
  assert_int_equal(vestry_memory_look(tab).status, 409);
  leave(&s, tab);
  assert_int_equal(site_pages_stats(&s.on).streams_count, 0);
  end(&s);
}

static void expect_title(suite *s, const char *title, const char *wanted) {
  char attribute[600];
  s->title = title;
  vestry_memory_exchange *document = site_request(&s->on, &(vestry_memory_call){.path = "/list"});
  vestry_memory_exchange *tab = go(s, "/list", NULL, HERE, NULL);
  snprintf(attribute, sizeof attribute, "<main id=\"content\" tabindex=\"-1\"%s>", wanted);
  assert_non_null(strstr(text_of(document), attribute));
  assert_non_null(strstr(text_of(tab), attribute));
  vestry_memory_destroy(document);
  leave(s, tab);
}

#define SUITE_CASE(name) TEST_CASE_WITH(name, suite, s, begin(s), end(s))

/* capability: L3 */
SUITE_CASE(content_has_the_escaped_title) {
  expect_title(s, "List", " data-title=\"List\"");
  expect_title(s, "", " data-title=\"\"");
  expect_title(s, NULL, "");
  expect_title(s, "\"><script>x()</script>", " data-title=\"&quot;&gt;&lt;script&gt;x()&lt;/script&gt;\"");
  expect_title(s, "</title><title>x", " data-title=\"&lt;/title&gt;&lt;title&gt;x\"");
  expect_title(s, "\xC3\xA4 & ' b", " data-title=\"\xC3\xA4 &amp; &#39; b\"");
}

/* The title is in the builder's array, which is moved as it grows: at lengths near powers of two. */
/* capability: L3 */
SUITE_CASE(title_of_any_length_survives_buffer_growth) {
  static char title[70000];
  for (size_t bits = 8; bits <= 16; bits++) {
    for (size_t step = 0; step < 4; step++) {
      static char wanted[sizeof title + 20];
      const size_t len = ((size_t)1 << bits) - 120 + 30 * step;
      memset(title, 'a' + (int)step, len);
      title[len] = '\0';
      snprintf(wanted, sizeof wanted, " data-title=\"%s\">", title);
      s->title = title;
      vestry_memory_exchange *document = site_request(&s->on, &(vestry_memory_call){.path = "/list"});
      assert_non_null(strstr(text_of(document), wanted));
      vestry_memory_destroy(document);
    }
  }
}

static vestry_err render_raw(vestry_render *render, vestry_html *html, void *app) {
  vestry_html_add(html, "%-s", (const char *)app);
  vestry_render_begin(render, html);
  return vestry_render_end(render, html);
}

/* Titles that an application writes as raw HTML. */
/* capability: L3 */
TEST_CASE(raw_html_title_is_found_as_a_parser_would) {
  static const char *const cases[][2] = {
      {"<title>a \"b\" &amp; c</title>", " data-title=\"a &quot;b&quot; &amp; c\""},
      {"<title>a</title ><title>b</title>", " data-title=\"a\""},
      {"<TITLE>a</TITLE>", ""},
      {"", ""},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    site on;
    char attribute[200];
    vestry_page *page;
    site_begin_pages(&on, (vestry_options){0}, NULL);
    const vestry_page_options options = {.render = render_raw, .layout = "shop", .app = (void *)(uintptr_t)cases[i][0]};
    assert_int_equal(vestry_page_create(on.pages, &options, &page), VESTRY_OK);
    assert_int_equal(vestry_route(on.v, "GET", "/", vestry_page_handler, page), VESTRY_OK);
    vestry_memory_exchange *document = site_request(&on, NULL);
    snprintf(attribute, sizeof attribute, "<main id=\"content\" tabindex=\"-1\"%s>", cases[i][1]);
    assert_non_null(strstr(text_of(document), attribute));
    vestry_memory_destroy(document);
    site_end(&on);
  }
}

/* capability: L3 */
SUITE_CASE(invalid_layout_name_is_refused) {
  static const char *const bad[] = {"", "1a", "a b", "a/b", "a'b", "\xC3\xA4", "a\n"};
  vestry_page *page = NULL;
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    const vestry_page_options options = {.render = render, .layout = bad[i]};
    assert_int_equal(vestry_page_create(s->on.pages, &options, &page), VESTRY_INVALID);
  }
  assert_null(page);
}

/* A page without a layout has no navigation code. */
SUITE_CASE(page_without_layout_has_no_navigation) {
  vestry_memory_exchange *document = site_request(&s->on, &(vestry_memory_call){.path = "/plain"});
  vestry_memory_exchange *tab = go(s, "/plain", NULL, NULL, NULL);
  vestry_memory_exchange *with_shell = site_request(&s->on, &(vestry_memory_call){.path = "/list"});
  print_message("a document with a layout: %zu bytes more\n",
                vestry_memory_look(with_shell).received.len - vestry_memory_look(document).received.len);
  vestry_memory_destroy(with_shell);
  assert_null(strstr(text_of(document), "vestryNavigate"));
  assert_non_null(strstr(text_of(document), "<main id=\"content\"><p>"));
  assert_null(strstr(text_of(tab), "data: has"));
  vestry_memory_destroy(document);
  leave(s, tab);
}

/* If one allocation fails, the answer is an error or complete, and later events are correct. */
/* capability: L3 */
TEST_CASE(failed_allocation_gets_an_error_or_a_whole_answer) {
  bool failed = true;
  for (long number = 0; failed; number++) {
    suite s;
    char had[200];
    begin(&s);
    vestry_memory_exchange *first = go(&s, "/list", "same=1", HERE, NULL), *document = NULL, *tab = NULL;
    cut_out(text_of(first), "data: has ", '\n', had, sizeof had);
    const vestry_header headers[] = {{"Vestry-Layout", HERE}, {"Vestry-Sent", MINE}, {"Last-Event-ID", had}};
    const vestry_memory_call call = {
        .path = "/list", .query = "q=2", .headers = headers, .headers_count = 3, .datastar = true};
    long before = atomic_load(&s.on.th.allocations);
    atomic_store(&s.on.th.fail_at, before + number);
    if (vestry_memory_request(s.on.v, &(vestry_memory_call){.path = "/list"}, NULL, NULL, &document)) document = NULL;
    if (vestry_memory_request(s.on.v, &call, NULL, NULL, &tab)) tab = NULL;
    site_settle(&s.on);
    failed = atomic_load(&s.on.th.allocations) > before + number;
    test_host_fail_no_more(&s.on.th);
    if (document && vestry_memory_look(document).status == 200) {
      assert_non_null(strstr(text_of(document), " data-title=\"List\">"));
      assert_non_null(strstr(text_of(document), "window.vestryNavigate"));
    }
    if (document) vestry_memory_destroy(document);
    for (int i = 0; i < 10; i++) site_pass_ms(&s.on, 1000); /* a failed render is repeated */
    if (tab && vestry_memory_look(tab).status == 200 && !vestry_memory_look(tab).ended)
      assert_non_null(strstr(text_of(tab), "<p>q=2 0</p>"));
    if (tab) leave(&s, tab);
    leave(&s, first);
    end(&s);
  }
}
