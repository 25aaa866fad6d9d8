/* SPDX-License-Identifier: MIT */
/* A tab that goes from one address to another: which pages it may be shown, what they send it and what not, and what
 * their documents have for it. (What the tab does: tests/browser/navigate.test.js.) */
#include <stdlib.h>

#include "support/site.h"

#define HERE "shop/main/content"
#define MINE "00000000000000ad.900000001"

typedef struct suite {
  site on;
  const char *title; /* NULL: none; of all pages */
  int number;
} suite;

/* A page shows what its query says, and a number that changes. */
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

/* A stream, as of a tab that has gone to that address. had: NULL: nothing. The caller destroys it. */
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

/* What stands after `before` in a text, up to `until`. */
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
static void equal_content_is_not_sent_at_another_address(void **state) {
  (void)state;
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
    assert_true(content < seen); /* it is done when the content is there */
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
static void only_a_page_of_the_shell_answers(void **state) {
  (void)state;
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

/* capability: L3 */
static void the_content_has_the_title(void **state) {
  (void)state;
  suite s;
  begin(&s);
  expect_title(&s, "List", " data-title=\"List\"");
  expect_title(&s, "", " data-title=\"\"");
  expect_title(&s, NULL, "");
  expect_title(&s, "\"><script>x()</script>", " data-title=\"&quot;&gt;&lt;script&gt;x()&lt;/script&gt;\"");
  expect_title(&s, "</title><title>x", " data-title=\"&lt;/title&gt;&lt;title&gt;x\"");
  expect_title(&s, "\xC3\xA4 & ' b", " data-title=\"\xC3\xA4 &amp; &#39; b\"");
  end(&s);
}

/* The title is in the builder, which moves as it grows: at lengths about powers of two, and in the build whose arrays
 * move at each append at any. */
/* capability: L3 */
static void a_title_before_a_head_of_any_length(void **state) {
  (void)state;
  static char title[70000];
  suite s;
  begin(&s);
  for (size_t bits = 8; bits <= 16; bits++) {
    for (size_t step = 0; step < 4; step++) {
      static char wanted[sizeof title + 20];
      const size_t len = ((size_t)1 << bits) - 120 + 30 * step;
      memset(title, 'a' + (int)step, len);
      title[len] = '\0';
      snprintf(wanted, sizeof wanted, " data-title=\"%s\">", title);
      s.title = title;
      vestry_memory_exchange *document = site_request(&s.on, &(vestry_memory_call){.path = "/list"});
      assert_non_null(strstr(text_of(document), wanted));
      vestry_memory_destroy(document);
    }
  }
  end(&s);
}

static vestry_err render_raw(vestry_render *render, vestry_html *html, void *app) {
  vestry_html_add(html, "%-s", (const char *)app);
  vestry_render_begin(render, html);
  return vestry_render_end(render, html);
}

/* What an application writes by itself. */
/* capability: L3 */
static void a_title_as_it_stands_in_html(void **state) {
  (void)state;
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
static void a_shell_is_a_name(void **state) {
  (void)state;
  static const char *const bad[] = {"", "1a", "a b", "a/b", "a'b", "\xC3\xA4", "a\n"};
  suite s;
  vestry_page *page = NULL;
  begin(&s);
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    const vestry_page_options options = {.render = render, .layout = bad[i]};
    assert_int_equal(vestry_page_create(s.on.pages, &options, &page), VESTRY_INVALID);
  }
  assert_null(page);
  end(&s);
}

/* A page without a layout has nothing of it. */
static void a_page_without_a_shell_is_as_ever(void **state) {
  (void)state;
  suite s;
  begin(&s);
  vestry_memory_exchange *document = site_request(&s.on, &(vestry_memory_call){.path = "/plain"});
  vestry_memory_exchange *tab = go(&s, "/plain", NULL, NULL, NULL);
  vestry_memory_exchange *with_shell = site_request(&s.on, &(vestry_memory_call){.path = "/list"});
  print_message("a document with a layout: %zu bytes more\n",
                vestry_memory_look(with_shell).received.len - vestry_memory_look(document).received.len);
  vestry_memory_destroy(with_shell);
  assert_null(strstr(text_of(document), "vestryNavigate"));
  assert_non_null(strstr(text_of(document), "<main id=\"content\"><p>"));
  assert_null(strstr(text_of(tab), "data: has"));
  vestry_memory_destroy(document);
  leave(&s, tab);
  end(&s);
}

/* One allocation fails: the answer is an error or whole, and what comes later is right. */
/* capability: L3 */
static void without_memory(void **state) {
  (void)state;
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
    for (int i = 0; i < 10; i++) site_pass_ms(&s.on, 1000); /* a render that failed is tried again */
    if (tab && vestry_memory_look(tab).status == 200 && !vestry_memory_look(tab).ended)
      assert_non_null(strstr(text_of(tab), "<p>q=2 0</p>"));
    if (tab) leave(&s, tab);
    leave(&s, first);
    end(&s);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(equal_content_is_not_sent_at_another_address),
      cmocka_unit_test(only_a_page_of_the_shell_answers),
      cmocka_unit_test(the_content_has_the_title),
      cmocka_unit_test(a_title_before_a_head_of_any_length),
      cmocka_unit_test(a_title_as_it_stands_in_html),
      cmocka_unit_test(a_shell_is_a_name),
      cmocka_unit_test(a_page_without_a_shell_is_as_ever),
      cmocka_unit_test(without_memory),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
