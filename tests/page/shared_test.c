/* SPDX-License-Identifier: MIT */
/* Content that many pages share and that is rendered once: a whole page, or a part. */
#include "page/rooms.h"

/* --------------------------------------------------------------------------------------------- shared pages ------- */

/* capability: D7 */
TEST_CASE(shared_page_is_rendered_once_for_all_streams) {
  enum { TABS = 50 };
  suite s;
  tab tabs[TABS];
  rooms_begin(&s, NULL);
  rooms_put(&s, 1, "first");
  for (size_t i = 0; i < TABS; i++) rooms_open(&s, &tabs[i], "/shared", "room=1", i % 2 ? "one" : "two");
  site_settle_pages(&s.on);
  for (size_t i = 0; i < TABS; i++) assert_string_equal(rooms_since(&tabs[i]), "");
  size_t before = s.calls;
  rooms_put(&s, 1, "second");
  site_refresh(&s.on, "room/1");
  assert_int_equal(s.calls, before + 1);
  for (size_t i = 0; i < TABS; i++) assert_non_null(strstr(rooms_since(&tabs[i]), "<p>second</p>"));
  vestry_pages_stats stats = {0};
  vestry_pages_stats_get(s.on.pages, &stats);
  assert_int_equal(stats.fragments_count, 1);
  assert_int_equal(stats.streams_count, TABS);
  tab late;
  rooms_get(&s, "/shared", "room=1", NULL, tabs[0].tag, true, &late.stream);
  site_settle_pages(&s.on);
  assert_non_null(strstr(rooms_since(&late), "<p>second</p>"));
  assert_int_equal(s.calls, before + 1); /* the kept render was used */
  rooms_close(&late);
  for (size_t i = 0; i < TABS; i++) rooms_close(&tabs[i]);
  site_end(&s.on);
}

static vestry_err show_request(vestry_render *render, vestry_html *html, void *app) {
  const vestry_request *req = render->request;
  suite *s = app;
  vestry_render_topic(render, "look");
  if (render->is_stream) s->calls++;
  vestry_render_begin(render, html);
  assert_null(vestry_request_header(req, "Cookie"));
  assert_null(req->signals);
  assert_int_equal(req->scope.len, 0);
  assert_null(vestry_session_user(req));
  assert_string_equal(req->query, "a=1");
  vestry_html_add(html, "%s", render->share);
  return vestry_render_end(render, html);
}

static vestry_err serve_look(const vestry_request *req, vestry_reply *reply, void *app) {
  return vestry_page_serve(req, reply, app, "k");
}

/* capability: D7 */
ROOMS_CASE(shared_render_has_no_cookie_signals_scope_or_user) {
  vestry_page *page;
  assert_int_equal(vestry_page_create(s->on.pages, &(vestry_page_options){.render = show_request, .app = s}, &page),
                   VESTRY_OK);
  assert_int_equal(vestry_route(s->on.v, "GET", "/look", serve_look, page), VESTRY_OK);
  vestry_memory_exchange *document, *stream;
  rooms_get(s, "/look", "a=1", "secret", NULL, false, &document);
  assert_int_equal(vestry_memory_look(document).status, 200);
  rooms_get(s, "/look", "a=1&datastar=%7B%22mine%22%3A1%7D", "secret", NULL, true, &stream);
  site_settle_pages(&s->on);
  assert_int_equal(s->calls, 1);
  assert_non_null(strstr(vestry_memory_look(stream).received.data, "<main id=\"content\">k</main>"));
  vestry_memory_destroy(document);
  vestry_memory_destroy(stream);
}

/* ---------------------------------------------------------------------------------------------------- parts ------- */

static void took(suite *s, const char *what, uint64_t ms) {
  size_t len = strlen(s->order);
  test_host_advance_ms(&s->on.th, ms);
  if (len + 1 < sizeof s->order) memcpy(s->order + len, what, 2);
}

static vestry_err list(vestry_render *render, vestry_html *html, void *app) {
  suite *s = app;
  char topic[32];
  const char *share = render->share;
  took(s, "l", s->part_ms);
  s->parts++;
  assert_null(render->request);
  assert_null(render->reply);
  snprintf(topic, sizeof topic, "list/%s", share);
  if (!s->has_no_topic) vestry_render_topic(render, topic);
  if (s->part_again && s->part_again--) assert_int_equal(vestry_refresh(s->on.pages, topic, NULL), VESTRY_OK);
  return vestry_html_add(html, "<li>%s</li>", rooms_at(s, share)->text);
}

/* A private page with its own heading, and a shared list. */
static vestry_err make_with_list(vestry_render *render, vestry_html *html, void *app) {
  suite *s = app;
  const vestry_scope who = render->request->scope;
  took(s, "p", s->page_ms);
  s->calls++;
  vestry_render_topic(render, "who");
  if (s->refreshes) assert_int_equal(vestry_refresh(s->on.pages, s->refreshes, NULL), VESTRY_OK);
  s->refreshes = NULL;
  vestry_render_begin(render, html);
  vestry_html_add(html, "<h1>%.*s in %s</h1>", (int)who.len, (const char *)who.data, s->rooms[0].text);
  vestry_render_part(
      render, html,
      &(vestry_page_part){.id = "list", .element = "ul", .share = s->rooms[0].text, .render = list, .app = s});
  return vestry_render_end(render, html);
}

static void open_list_site_with(suite *s, const vestry_pages_options *given) {
  rooms_begin(s, given);
  vestry_page *page;
  const vestry_page_options options = {.render = make_with_list, .app = s};
  assert_int_equal(vestry_page_create(s->on.pages, &options, &page), VESTRY_OK);
  assert_int_equal(vestry_route(s->on.v, "GET", "/list", vestry_page_handler, page), VESTRY_OK);
  rooms_put(s, 0, "1");
  rooms_put(s, 1, "first");
  rooms_put(s, 2, "other");
}

static void open_list_site(suite *s) {
  open_list_site_with(s, NULL);
}

#define SUITE_CASE(name) TEST_CASE_WITH(name, suite, s, open_list_site(s), site_end(&s->on))

/* capability: D15 */
SUITE_CASE(part_is_rendered_once_for_all_pages) {
  tab ada, bob;
  vestry_memory_exchange *document;
  rooms_get(s, "/list", NULL, "ada", NULL, false, &document);
  assert_non_null(strstr(vestry_memory_look(document).received.data,
                         "<main id=\"content\"><h1>ada in 1</h1><ul id=\"list\" data-ignore-morph>"
                         "<li>first</li></ul></main>"));
  vestry_memory_destroy(document);
  rooms_open(s, &ada, "/list", NULL, "ada");
  rooms_open(s, &bob, "/list", NULL, "bob");
  site_settle_pages(&s->on);
  assert_string_equal(rooms_since(&ada), "");
  assert_string_equal(rooms_since(&bob), "");
  size_t calls = s->calls, parts = s->parts;
  rooms_put(s, 1, "second");
  site_refresh(&s->on, "list/1");
  assert_int_equal(s->calls, calls);
  assert_int_equal(s->parts, parts + 1);
  static const char event[] = "event: datastar-patch-elements\nid:\ndata: selector #list\ndata: mode inner\n"
                              "data: elements <li>second</li>\n\nid: ";
  assert_memory_equal(rooms_since(&ada), event, sizeof event - 1);
  assert_non_null(strstr(rooms_since(&bob), "<li>second</li>"));
  site_refresh(&s->on, "who"); /* the pages are rendered, and nothing differs */
  assert_int_equal(s->calls, calls + 2);
  assert_string_equal(rooms_since(&ada), "");
  rooms_close(&ada);
  rooms_close(&bob);
}

static vestry_err make_with_attributes(vestry_render *render, vestry_html *html, void *app) {
  suite *s = app;
  vestry_page_part part = {.id = "list", .element = "ul", .share = "1", .render = list, .app = s};
  const bool is_second = vestry_request_value(render->request, VESTRY_IN_QUERY, "second");
  part.attributes = is_second ? "class=\"second\" data-on:click=\"$n > 1\"" : "class=\"first\"";
  vestry_render_topic(render, "who");
  vestry_render_begin(render, html);
  vestry_html_add(html, "<h1>%s</h1>", s->rooms[0].text);
  vestry_render_part(render, html, &part);
  return vestry_render_end(render, html);
}

/* Two pages give one part different attributes; its events have none. */
/* capability: D15 */
SUITE_CASE(part_has_the_attributes_of_its_page) {
  tab ada, bob;
  vestry_page *page;
  const vestry_page_options options = {.render = make_with_attributes, .app = s};
  assert_int_equal(vestry_page_create(s->on.pages, &options, &page), VESTRY_OK);
  assert_int_equal(vestry_route(s->on.v, "GET", "/dressed", vestry_page_handler, page), VESTRY_OK);
  vestry_memory_exchange *document;
  rooms_get(s, "/dressed", "second=1", "ada", NULL, false, &document);
  assert_non_null(strstr(vestry_memory_look(document).received.data,
                         "<ul id=\"list\" data-ignore-morph class=\"second\" data-on:click=\"$n > 1\">"
                         "<li>first</li></ul></main>"));
  vestry_memory_destroy(document);
  rooms_open(s, &ada, "/dressed", NULL, "ada");
  rooms_open(s, &bob, "/dressed", "second=1", "bob");
  site_settle_pages(&s->on);
  (void)rooms_since(&ada), (void)rooms_since(&bob);
  const size_t parts = s->parts;
  rooms_put(s, 1, "other");
  site_refresh(&s->on, "list/1");
  assert_int_equal(s->parts, parts + 1); /* both pages have the same part */
  static const char event[] = "event: datastar-patch-elements\nid:\ndata: selector #list\ndata: mode inner\n"
                              "data: elements <li>other</li>\n\nid: ";
  assert_memory_equal(rooms_since(&ada), event, sizeof event - 1);
  assert_memory_equal(rooms_since(&bob), event, sizeof event - 1);
  rooms_put(s, 0, "2");
  site_refresh(&s->on, "who");
  assert_non_null(strstr(rooms_since(&ada), "<ul id=\"list\" data-ignore-morph class=\"first\"></ul>"));
  assert_non_null(strstr(rooms_since(&bob), "data-ignore-morph class=\"second\" data-on:click"));
  rooms_close(&ada);
  rooms_close(&bob);
}

enum { TABS_MANY = 8 };

static void open_many(suite *s, tab tabs[TABS_MANY]) {
  char who[16];
  for (int i = 0; i < TABS_MANY; i++) {
    snprintf(who, sizeof who, "person %d", i);
    rooms_open(s, &tabs[i], "/list", NULL, who);
  }
  site_settle(&s->on);
  site_pass_ms(&s->on, 1000);
  *s->order = '\0';
}

static void close_many(tab tabs[TABS_MANY]) {
  for (int i = 0; i < TABS_MANY; i++) rooms_close(&tabs[i]);
}

/* All pages are due, and their shared part changes while the first one is rendered. */
SUITE_CASE(shared_part_is_rendered_before_private_pages) {
  tab tabs[TABS_MANY];
  open_many(s, tabs);
  s->page_ms = 1;
  s->refreshes = "list/1";
  rooms_put(s, 1, "second");
  assert_int_equal(vestry_refresh(s->on.pages, "who", NULL), VESTRY_OK);
  site_settle(&s->on);
  assert_string_equal(s->order, "plppppppp");
  assert_non_null(strstr(rooms_since(&tabs[0]), "<li>second</li>"));
  close_many(tabs);
}

/* The part takes all the time: a waiting page goes first once it is overdue by a second more. */
SUITE_CASE(overdue_private_page_is_rendered_before_a_busy_part) {
  tab tabs[TABS_MANY];
  open_many(s, tabs);
  s->part_ms = 100;
  s->part_again = 40;
  assert_int_equal(vestry_refresh(s->on.pages, "list/1", NULL), VESTRY_OK);
  assert_int_equal(vestry_refresh(s->on.pages, "who", NULL), VESTRY_OK);
  site_settle(&s->on);
  assert_int_equal(strlen(s->order), 41 + TABS_MANY);
  assert_in_range(strspn(s->order, "l"), 9, 13);
  assert_int_equal(strspn(strchr(s->order, 'p'), "p"), TABS_MANY);
  close_many(tabs);
}

/* capability: D15 */
SUITE_CASE(replaced_part_comes_with_content_and_old_one_is_silent) {
  tab t;
  rooms_open(s, &t, "/list", NULL, "ada");
  site_settle_pages(&s->on);
  rooms_put(s, 0, "2");
  site_refresh(&s->on, "who");
  const char *text = rooms_since(&t), *heading = strstr(text, "ada in 2"), *inside = strstr(text, "<li>other</li>");
  assert_non_null(heading);
  assert_non_null(inside);
  assert_true(heading < inside);
  rooms_put(s, 1, "old news");
  site_refresh(&s->on, "list/1");
  assert_string_equal(rooms_since(&t), "");
  rooms_put(s, 2, "new news");
  site_refresh(&s->on, "list/2");
  assert_non_null(strstr(rooms_since(&t), "<li>new news</li>"));
  vestry_pages_stats stats = {0};
  vestry_pages_stats_get(s->on.pages, &stats);
  assert_int_equal(stats.fragments_count, 2); /* the page, and the part that it shows */
  rooms_close(&t);
}

/* ---------------------------------------------------------------------------------- parts without a stream ------- */

/* Show the list of a room to a tab that claims nothing, and close its stream. Returns the number of renders of the
 * list. */
static size_t show_list(suite *s, const char *name, const char *expected) {
  tab t;
  const size_t before = s->parts;
  rooms_put(s, 0, name);
  rooms_get(s, "/list", NULL, "ada", NULL, true, &t.stream);
  site_settle_pages(&s->on);
  assert_non_null(strstr(rooms_since(&t), expected));
  rooms_close(&t);
  site_settle(&s->on);
  return s->parts - before;
}

/* capability: D15 */
SUITE_CASE(part_is_kept_for_the_next_page) {
  assert_int_equal(show_list(s, "1", "<li>first</li>"), 1);
  assert_int_equal(show_list(s, "1", "<li>first</li>"), 0);
  assert_int_equal(show_list(s, "2", "<li>other</li>"), 1);
  static const char *const topics[] = {"list/1", NULL};
  for (size_t i = 0; i < 2; i++) {
    const size_t parts = s->parts;
    rooms_put(s, 1, i ? "changed again" : "changed");
    site_refresh(&s->on, topics[i]);
    assert_int_equal(s->parts, parts); /* no page shows it */
    bool is_used;
    assert_int_equal(vestry_topic_fragments(s->on.pages, "list/1", &is_used), 0);
    assert_int_equal(show_list(s, "1", "<li>changed"), 1);
  }
  assert_int_equal(show_list(s, "1", "<li>changed again</li>"), 0);
  assert_int_equal(show_list(s, "2", "<li>other</li>"), 1); /* all pages were refreshed */
  site_pass_ms(&s->on, 59000);
  assert_int_equal(show_list(s, "2", "<li>other</li>"), 0);
  site_pass_ms(&s->on, 60000);
  assert_int_equal(show_list(s, "2", "<li>other</li>"), 1);
  vestry_pages_stats stats = {0};
  vestry_pages_stats_get(s->on.pages, &stats);
  assert_int_equal(stats.fragments_count, 0);
}

/* The memory of such parts is bounded: those that no page has shown for longest end first. */
/* capability: D15 */
TEST_CASE(few_parts_are_kept_without_a_page) {
  enum { KEPT_BYTES = 40000, TEXT_BYTES = 3000 };
  static const char *const names[] = {"1", "2", "3"};
  suite s;
  char text[TEXT_BYTES];
  memset(text, 'x', sizeof text);
  text[sizeof text - 1] = '\0';
  open_list_site_with(&s, &(vestry_pages_options){.max_kept_bytes = KEPT_BYTES});
  for (size_t i = 1; i <= 3; i++) {
    rooms_put(&s, i, text);
    assert_int_equal(show_list(&s, names[i - 1], "<li>xxx"), 1);
    assert_in_range(site_pages_stats(&s.on).kept_bytes, TEXT_BYTES, KEPT_BYTES / 4);
  }
  assert_int_equal(show_list(&s, "3", "<li>xxx"), 0);
  assert_int_equal(show_list(&s, "2", "<li>xxx"), 0);
  assert_int_equal(show_list(&s, "1", "<li>xxx"), 1);
  assert_int_equal(show_list(&s, "3", "<li>xxx"), 1);
  memset(s.rooms[1].text, 'x', KEPT_BYTES / 4); /* alone too large */
  s.rooms[1].text[KEPT_BYTES / 4] = '\0';
  site_refresh(&s.on, "list/1");
  for (int i = 0; i < 2; i++) assert_int_equal(show_list(&s, "1", "<li>xxx"), 1);
  site_end(&s.on);
}

/* A part that names no topic may depend on data that nothing follows. */
/* capability: D15 */
SUITE_CASE(part_without_topic_is_not_kept) {
  s->has_no_topic = true;
  for (int i = 0; i < 2; i++) assert_int_equal(show_list(s, "1", "<li>first</li>"), 1);
}

/* capability: D14 */
SUITE_CASE(changed_part_is_sent_to_a_reconnected_tab) {
  tab t;
  rooms_open(s, &t, "/list", NULL, "ada");
  site_settle_pages(&s->on);
  rooms_close(&t);
  site_settle(&s->on);
  rooms_put(s, 1, "meanwhile");
  site_refresh(&s->on, "list/1");
  rooms_get(s, "/list", NULL, "ada", t.tag, true, &t.stream);
  site_settle_pages(&s->on);
  const char *text = rooms_since(&t);
  assert_non_null(strstr(text, "<li>meanwhile</li>"));
  assert_null(strstr(text, "<h1>"));
  rooms_close(&t);
}

static void open_again(suite *s, tab *t, const char *id, const char *document) {
  const vestry_header headers[] = {{"Cookie", "ada"}, {"Last-Event-ID", id}, {"Vestry-Document", document}};
  const vestry_memory_call call = {.path = "/list", .headers = headers, .headers_count = 3, .datastar = true};
  t->stream = site_request(&s->on, &call);
  site_settle_pages(&s->on);
}

/* The id after a part's event does not cover the page: the server knows the tab's state. */
SUITE_CASE(tab_resumes_after_the_id_of_a_part) {
  tab t;
  char document[17], id[400];
  vestry_memory_exchange *page;
  rooms_get(s, "/list", NULL, "ada", NULL, false, &page);
  rooms_between(vestry_memory_look(page).received.data, "'vestry-document': '", "'", document, sizeof document);
  rooms_between(vestry_memory_look(page).received.data, "el.had = '", "'", t.tag, sizeof t.tag);
  vestry_memory_destroy(page);
  open_again(s, &t, t.tag, document);
  assert_string_equal(rooms_since(&t), "");
  rooms_put(s, 1, "news");
  site_refresh(&s->on, "list/1");
  rooms_between(rooms_since(&t), "\n\nid: ", "\n", id, sizeof id);
  rooms_close(&t);
  site_settle(&s->on);
  open_again(s, &t, id, document);
  assert_string_equal(rooms_since(&t), ""); /* nothing has changed meanwhile */
  rooms_close(&t);
  site_settle(&s->on);
  open_again(s, &t, id, "0123456789abcdef"); /* an unknown document */
  assert_non_null(strstr(rooms_since(&t), "<h1>"));
  rooms_close(&t);
  site_settle(&s->on);
  rooms_put(s, 1, "more");
  site_refresh(&s->on, "list/1");
  open_again(s, &t, t.tag, document); /* the last id received is not the last one sent */
  assert_non_null(strstr(rooms_since(&t), "more"));
  rooms_close(&t);
}
