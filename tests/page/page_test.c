/* SPDX-License-Identifier: MIT */
/* Live pages: one handler, every open tab up to date, nothing for nothing. On the stepped runtime. */
#include "vestry/page.h"

#include <stdlib.h>

#include "page/site.h"

/* An application with some rooms. */
typedef struct room {
  char text[20000];
  uint64_t version;
} room;

typedef struct site {
  page_site on;
  vestry_page *page;
  room rooms[4];
  size_t calls, parts; /* of the render, of the part's */
  bool versioned, denied;
  int status;                /* of the next renders */
  vestry_err error;          /* likewise */
  const char *refreshes;     /* a topic that is refreshed inside the render, once */
  bool late_topic;           /* it is named behind the reading */
  char order[64];            /* of renders: "p", the part: "l" */
  uint64_t page_ms, part_ms; /* that one takes */
  size_t part_again;         /* times that the part is refreshed by its own render */
} site;

static room *room_of(site *s, const char *name) {
  return &s->rooms[name[0] - '0'];
}

static vestry_err make(vestry_render *render, vestry_html *html, void *app) {
  site *s = app;
  const char *name = vestry_request_value(render->request, VESTRY_IN_QUERY, "room");
  char topic[32];
  s->calls++;
  if (!name) return VESTRY_NOT_FOUND;
  room *shown = room_of(s, name);
  snprintf(topic, sizeof topic, "room/%s", name);
  if (!s->late_topic) vestry_render_topic(render, topic);
  if (s->status) vestry_reply_status(render->reply, s->status);
  if (s->error) return s->error;
  if (s->versioned && vestry_render_is_current(render, shown->version)) return VESTRY_OK;
  vestry_html_add(html, "<!doctype html><title>%s</title>", name);
  vestry_render_head(render, html);
  vestry_render_begin(render, html);
  vestry_html_add(html, "<p>%s</p>", shown->text);
  if (s->refreshes) assert_int_equal(vestry_refresh(s->on.pages, s->refreshes, NULL), VESTRY_OK);
  if (s->refreshes) snprintf(shown->text, sizeof shown->text, "changed inside");
  s->refreshes = NULL;
  if (s->late_topic) vestry_render_topic(render, topic);
  return vestry_render_end(render, html);
}

static vestry_err may(const vestry_request *req, void *app) {
  (void)req;
  return ((site *)app)->denied ? VESTRY_NOT_FOUND : VESTRY_OK;
}

static vestry_err serve_shared(const vestry_request *req, vestry_reply *reply, void *app) {
  return vestry_page_serve(req, reply, ((site *)app)->page, "all");
}

static vestry_err by_cookie(const vestry_request *req, vestry_reply *reply, char buffer[], size_t *ret_len, void *ctx) {
  (void)reply, (void)ctx;
  const char *cookie = vestry_request_header(req, "Cookie");
  *ret_len = cookie ? strlen(cookie) : 0;
  if (cookie) memcpy(buffer, cookie, *ret_len);
  return VESTRY_OK;
}

static void open_site(site *s, const vestry_pages_options *options) {
  memset(s, 0, sizeof *s);
  page_site_open(&s->on, (vestry_options){.scope = by_cookie}, options);
  const vestry_page_options page = {.render = make, .allow = may, .app = s};
  assert_int_equal(vestry_page_create(s->on.pages, &page, &s->page), VESTRY_OK);
  assert_int_equal(vestry_route(s->on.v, "GET", "/room", vestry_page_handler, s->page), VESTRY_OK);
  assert_int_equal(vestry_route(s->on.v, "GET", "/shared", serve_shared, s), VESTRY_OK);
}

static void put(site *s, size_t at, const char *text) {
  snprintf(s->rooms[at].text, sizeof s->rooms[at].text, "%s", text);
  s->rooms[at].version++;
}

/* A tab: its document, and its stream. */
typedef struct tab {
  vestry_memory_exchange *stream;
  char tag[400];
} tab;

static void get(site *s, const char *path, const char *query, const char *cookie, const char *had, bool datastar,
                vestry_memory_exchange **ret) {
  vestry_header headers[2];
  size_t count = 0;
  if (cookie) headers[count++] = (vestry_header){"Cookie", cookie};
  if (had) headers[count++] = (vestry_header){"Last-Event-ID", had};
  const vestry_memory_call call = {
      .path = path, .query = query, .headers = headers, .headers_count = count, .datastar = datastar};
  assert_int_equal(vestry_memory_request(s->on.v, &call, NULL, NULL, ret), VESTRY_OK);
}

/* Between two texts. */
static void between(const char *in, const char *from, const char *to, char *out, size_t out_room) {
  const char *at = strstr(in, from);
  assert_non_null(at);
  at += strlen(from);
  const char *end = strstr(at, to);
  assert_non_null(end);
  assert_true((size_t)(end - at) < out_room);
  memcpy(out, at, (size_t)(end - at));
  out[end - at] = '\0';
}

static void open_tab(site *s, tab *t, const char *path, const char *query, const char *cookie) {
  vestry_memory_exchange *document;
  get(s, path, query, cookie, NULL, false, &document);
  assert_int_equal(vestry_memory_look(document).status, 200);
  between(vestry_memory_look(document).received.data, "el.had = '", "'", t->tag, sizeof t->tag);
  vestry_memory_destroy(document);
  get(s, path, query, cookie, t->tag, true, &t->stream);
}

static void close_tab(tab *t) {
  vestry_memory_destroy(t->stream);
}

static void settle(site *s) {
  assert_int_equal(vestry_pages_settle(s->on.pages, UINT64_MAX, 1000), VESTRY_OK);
}

/* What has come but for the sign that it is alive, and the hint when to come back. */
static const char *since(tab *t) {
  static const char *const signs[] = {
      "event: datastar-patch-signals\ndata: signals {\"_vestry\":{\"offline\":false,\"failing\":false}}\n\n",
      "event: datastar-patch-signals\ndata: signals {\"_vestry\":{\"failing\":false,\"offline\":false}}\n\n",
      "event: datastar-patch-signals\ndata: signals {\"_vestry\":{\"offline\":false}}\n\n"};
  const char *text = vestry_memory_since(t->stream).data;
  for (size_t i = 0; i < sizeof signs / sizeof *signs; i++)
    if (strncmp(text, signs[i], strlen(signs[i])) == 0) text += strlen(signs[i]);
  if (strncmp(text, "retry: ", 7) == 0) text = strstr(text, "\n\n") + 2;
  return text;
}

static void refresh(site *s, const char *topic) {
  uint64_t seq;
  assert_int_equal(vestry_refresh(s->on.pages, topic, &seq), VESTRY_OK);
  assert_int_equal(vestry_pages_settle(s->on.pages, seq, 1000), VESTRY_OK);
}

/* -------------------------------------------------------------------------------------------- what is shown ------- */

static void a_document_has_its_content_and_what_opens_its_stream(void **state) {
  (void)state;
  site s;
  open_site(&s, NULL);
  put(&s, 1, "hello <all>");
  vestry_memory_exchange *document;
  get(&s, "/room", "room=1", NULL, NULL, false, &document);
  const char *text = vestry_memory_look(document).received.data;
  assert_non_null(strstr(text, "</style><main id=\"content\"><p>hello &lt;all&gt;</p></main>"
                               "<div class=\"vestry-banner\""));
  assert_non_null(strstr(text, "/room?room=1"));
  vestry_memory_destroy(document);
  page_site_close(&s.on);
}

static void a_change_is_sent_and_nothing_else(void **state) {
  (void)state;
  site s;
  tab one, other;
  open_site(&s, NULL);
  put(&s, 1, "first");
  put(&s, 2, "else");
  open_tab(&s, &one, "/room", "room=1", NULL);
  open_tab(&s, &other, "/room", "room=2", NULL);
  settle(&s);
  assert_string_equal(since(&one), "");
  assert_string_equal(since(&other), "");
  put(&s, 1, "second");
  refresh(&s, "room/1");
  const char *text = since(&one);
  assert_non_null(strstr(text, "event: datastar-patch-elements\ndata: elements "));
  assert_non_null(strstr(text, "data: elements <main id=\"content\"><p>second</p></main>\n\nid: "));
  assert_null(strstr(text, "title"));
  assert_string_equal(since(&other), "");
  refresh(&s, "room/1"); /* nothing has changed */
  assert_string_equal(since(&one), "");
  vestry_pages_stats stats = {0};
  vestry_pages_stats_get(s.on.pages, &stats);
  assert_int_equal(stats.changed_count, 1);
  assert_int_equal(stats.unchanged_count, 3);
  close_tab(&one);
  close_tab(&other);
  page_site_close(&s.on);
}

static void a_change_between_document_and_stream_is_seen(void **state) {
  (void)state;
  site s;
  open_site(&s, NULL);
  put(&s, 1, "first");
  vestry_memory_exchange *document;
  tab t;
  get(&s, "/room", "room=1", NULL, NULL, false, &document);
  between(vestry_memory_look(document).received.data, "el.had = '", "'", t.tag, sizeof t.tag);
  vestry_memory_destroy(document);
  put(&s, 1, "second");
  assert_int_equal(vestry_refresh(s.on.pages, "room/1", NULL), VESTRY_OK);
  get(&s, "/room", "room=1", NULL, t.tag, true, &t.stream);
  settle(&s);
  assert_non_null(strstr(since(&t), "<p>second</p>"));
  close_tab(&t);
  page_site_close(&s.on);
}

static void a_change_while_rendering_is_seen(void **state) {
  (void)state;
  for (int late = 0; late < 2; late++) {
    site s;
    tab t;
    open_site(&s, NULL);
    s.late_topic = late;
    put(&s, 1, "first");
    open_tab(&s, &t, "/room", "room=1", NULL);
    s.refreshes = "room/1"; /* in the stream's very first render: nobody depends on it yet when it is named late */
    settle(&s);
    assert_non_null(strstr(since(&t), "<p>changed inside</p>"));
    s.refreshes = "room/1";
    put(&s, 1, "before");
    refresh(&s, NULL);
    settle(&s);
    assert_string_equal(s.rooms[1].text, "changed inside");
    close_tab(&t);
    page_site_close(&s.on);
  }
}

static void a_stream_that_comes_back_gets_what_it_lacks(void **state) {
  (void)state;
  site s;
  tab t;
  char id[400];
  open_site(&s, NULL);
  put(&s, 1, "first");
  open_tab(&s, &t, "/room", "room=1", NULL);
  put(&s, 1, "second");
  refresh(&s, "room/1");
  between(since(&t), "id: ", "\n", id, sizeof id);
  close_tab(&t);
  vestry_memory_settle(s.on.v);
  get(&s, "/room", "room=1", NULL, id, true, &t.stream);
  settle(&s);
  assert_string_equal(since(&t), ""); /* it has all */
  close_tab(&t);
  get(&s, "/room", "room=1", NULL, t.tag, true, &t.stream);
  settle(&s);
  assert_non_null(strstr(since(&t), "<p>second</p>"));
  close_tab(&t);
  get(&s, "/room", "room=1", NULL, "forged", true, &t.stream);
  settle(&s);
  assert_non_null(strstr(since(&t), "<p>second</p>"));
  close_tab(&t);
  page_site_close(&s.on);
}

static void with_a_version_an_unchanged_page_is_not_rendered(void **state) {
  (void)state;
  site s;
  tab t;
  open_site(&s, NULL);
  s.versioned = true;
  put(&s, 1, "first");
  open_tab(&s, &t, "/room", "room=1", NULL);
  settle(&s);
  assert_string_equal(since(&t), "");
  vestry_pages_stats stats = {0};
  vestry_pages_stats_get(s.on.pages, &stats);
  assert_int_equal(stats.current_count, 1);
  refresh(&s, "room/1");
  vestry_pages_stats_get(s.on.pages, &stats);
  assert_int_equal(stats.current_count, 2);
  put(&s, 1, "second");
  refresh(&s, "room/1");
  assert_non_null(strstr(since(&t), "<p>second</p>"));
  close_tab(&t);
  page_site_close(&s.on);
}

/* A version is of a page, at an address, for somebody. */
static void a_version_of_another_is_none(void **state) {
  (void)state;
  site s;
  tab t, other;
  open_site(&s, NULL);
  s.versioned = true;
  put(&s, 1, "first");
  put(&s, 2, "other");
  open_tab(&s, &t, "/room", "room=1", NULL);
  get(&s, "/room", "room=2", NULL, t.tag, true, &other.stream);
  settle(&s);
  assert_non_null(strstr(since(&other), "<p>other</p>"));
  close_tab(&other);
  get(&s, "/room", "room=1", "another", t.tag, true, &other.stream);
  settle(&s);
  assert_string_equal(since(&other), ""); /* rendered, and the same */
  vestry_pages_stats stats = {0};
  vestry_pages_stats_get(s.on.pages, &stats);
  assert_int_equal(stats.current_count, 1);
  close_tab(&t);
  close_tab(&other);
  page_site_close(&s.on);
}

/* --------------------------------------------------------------------------------------------------- pacing ------- */

static void renders_are_an_interval_apart(void **state) {
  (void)state;
  site s;
  tab t;
  char text[32];
  open_site(&s, NULL);
  open_tab(&s, &t, "/room", "room=1", NULL);
  vestry_memory_settle(s.on.v);
  test_host_advance_ms(&s.on.th, 100);
  size_t before = s.calls;
  for (int ms = 0; ms < 1000; ms++) {
    snprintf(text, sizeof text, "at %d", ms);
    put(&s, 1, text);
    assert_int_equal(vestry_refresh(s.on.pages, "room/1", NULL), VESTRY_OK);
    vestry_memory_settle(s.on.v);
    if (ms == 0) assert_int_equal(s.calls, before + 1); /* the first at once */
    test_host_advance_ms(&s.on.th, 1);
    vestry_memory_settle(s.on.v);
  }
  assert_in_range(s.calls - before, 1000 / 16, 1000 / 15 + 2);
  test_host_advance_ms(&s.on.th, 20);
  vestry_memory_settle(s.on.v);
  vestry_slice got = vestry_memory_look(t.stream).received;
  assert_non_null(strstr(got.data, "at 999<")); /* the last always */
  size_t after = s.calls;
  test_host_advance_ms(&s.on.th, 1000);
  vestry_memory_settle(s.on.v);
  assert_int_equal(s.calls, after);
  close_tab(&t);
  page_site_close(&s.on);
}

static void nothing_is_rendered_for_who_has_not_been_written_to(void **state) {
  (void)state;
  site s;
  tab slow, fast;
  open_site(&s, NULL);
  open_tab(&s, &slow, "/room", "room=1", NULL);
  open_tab(&s, &fast, "/room", "room=1", "other");
  settle(&s);
  vestry_memory_mode_set(slow.stream, VESTRY_MEMORY_BLOCKS);
  put(&s, 1, "one");
  assert_int_equal(vestry_refresh(s.on.pages, "room/1", NULL), VESTRY_OK);
  test_host_advance_ms(&s.on.th, 20);
  vestry_memory_settle(s.on.v);
  size_t before = s.calls;
  for (int i = 0; i < 10; i++) {
    put(&s, 1, i % 2 ? "two" : "three");
    assert_int_equal(vestry_refresh(s.on.pages, "room/1", NULL), VESTRY_OK);
    test_host_advance_ms(&s.on.th, 20);
    vestry_memory_settle(s.on.v);
  }
  assert_int_equal(s.calls, before + 10); /* for the fast one alone */
  vestry_memory_mode_set(slow.stream, VESTRY_MEMORY_READS);
  vestry_memory_settle(s.on.v);
  test_host_advance_ms(&s.on.th, 20);
  vestry_memory_settle(s.on.v);
  assert_int_equal(s.calls, before + 11);
  assert_non_null(strstr(vestry_memory_look(slow.stream).received.data, "<p>two</p>"));
  assert_null(strstr(vestry_memory_look(slow.stream).received.data, "<p>three</p>"));
  close_tab(&slow);
  close_tab(&fast);
  page_site_close(&s.on);
}

/* ------------------------------------------------------------------------------------------ statuses, rights ------ */

static void a_status_decides_what_becomes_of_the_stream(void **state) {
  (void)state;
  static const struct {
    int status;
    vestry_err error;
    const char *says;
    bool ends;
  } rows[] = {{204, VESTRY_OK, "{\"_vestry\":{\"over\":true}}", true},
              {0, VESTRY_NOT_FOUND, "{\"_vestry\":{\"reload\":", true},
              {0, VESTRY_FAILED, "{\"_vestry\":{\"failing\":true}}", false},
              {503, VESTRY_OK, "{\"_vestry\":{\"failing\":true}}", false},
              {404, VESTRY_OK, "<p>second</p>", false}};
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    site s;
    tab t;
    open_site(&s, NULL);
    put(&s, 1, "first");
    open_tab(&s, &t, "/room", "room=1", NULL);
    settle(&s);
    (void)since(&t);
    put(&s, 1, "second");
    s.status = rows[i].status;
    s.error = rows[i].error;
    test_host_advance_ms(&s.on.th, 20);
    assert_int_equal(vestry_refresh(s.on.pages, "room/1", NULL), VESTRY_OK);
    vestry_memory_settle(s.on.v);
    const char *text = since(&t);
    if (*rows[i].says)
      assert_non_null(strstr(text, rows[i].says));
    else
      assert_string_equal(text, "");
    assert_int_equal(vestry_memory_look(t.stream).ended, rows[i].ends);
    assert_int_equal(vestry_memory_look(t.stream).clean, rows[i].ends);
    close_tab(&t);
    page_site_close(&s.on);
  }
}

static void a_failing_page_is_tried_again_later_and_later(void **state) {
  (void)state;
  site s;
  tab t;
  open_site(&s, NULL);
  put(&s, 1, "first");
  open_tab(&s, &t, "/room", "room=1", NULL);
  settle(&s);
  (void)since(&t);
  s.error = VESTRY_FAILED;
  size_t before = s.calls;
  test_host_advance_ms(&s.on.th, 20);
  assert_int_equal(vestry_refresh(s.on.pages, "room/1", NULL), VESTRY_OK);
  vestry_memory_settle(s.on.v);
  assert_int_equal(s.calls, before + 1);
  static const int waits[] = {1, 2, 4, 8, 16, 30, 30};
  for (size_t i = 0; i < sizeof waits / sizeof *waits; i++) {
    for (int second = 0; second < waits[i]; second++) {
      test_host_advance_ms(&s.on.th, 999);
      assert_int_equal(vestry_refresh(s.on.pages, "room/1", NULL), VESTRY_OK); /* hurries nothing */
      vestry_memory_settle(s.on.v);
      assert_int_equal(s.calls, before + 1 + i);
      test_host_advance_ms(&s.on.th, 1);
    }
    test_host_advance_ms(&s.on.th, 2);
    vestry_memory_settle(s.on.v);
    assert_int_equal(s.calls, before + 2 + i);
  }
  s.error = VESTRY_OK;
  (void)since(&t);
  test_host_advance_ms(&s.on.th, 30002);
  vestry_memory_settle(s.on.v);
  assert_non_null(strstr(since(&t), "{\"_vestry\":{\"failing\":false}}"));
  close_tab(&t);
  page_site_close(&s.on);
}

static void who_may_not_see_it_any_more_is_sent_away(void **state) {
  (void)state;
  static const char *const paths[] = {"/room", "/shared"};
  for (size_t i = 0; i < 2; i++) {
    site s;
    tab t;
    open_site(&s, NULL);
    put(&s, 1, "first");
    open_tab(&s, &t, paths[i], "room=1", "me");
    settle(&s);
    (void)since(&t);
    put(&s, 1, "a secret");
    s.denied = true;
    test_host_advance_ms(&s.on.th, 20);
    assert_int_equal(vestry_refresh(s.on.pages, "room/1", NULL), VESTRY_OK);
    vestry_memory_settle(s.on.v);
    const char *text = since(&t);
    assert_non_null(strstr(text, "{\"_vestry\":{\"reload\":"));
    assert_null(strstr(text, "secret"));
    assert_true(vestry_memory_look(t.stream).ended);
    vestry_memory_exchange *document;
    get(&s, paths[i], "room=1", "me", NULL, false, &document);
    assert_int_equal(vestry_memory_look(document).status, 404);
    vestry_memory_destroy(document);
    close_tab(&t);
    page_site_close(&s.on);
  }
}

static void a_tab_of_another_build_loads_its_page_anew(void **state) {
  (void)state;
  site s;
  tab t;
  char tag[400];
  open_site(&s, &(vestry_pages_options){.build = "1.0", .secret = "s", .secret_len = 1});
  open_tab(&s, &t, "/room", "room=1", NULL);
  settle(&s);
  assert_string_equal(since(&t), "");
  memcpy(tag, t.tag, sizeof tag);
  close_tab(&t);
  page_site_close(&s.on);
  open_site(&s, &(vestry_pages_options){.build = "1.1", .secret = "s", .secret_len = 1});
  get(&s, "/room", "room=1", NULL, tag, true, &t.stream);
  vestry_memory_settle(s.on.v);
  assert_non_null(strstr(since(&t), "{\"_vestry\":{\"reload\":"));
  close_tab(&t);
  page_site_close(&s.on);
}

/* --------------------------------------------------------------------------------------------------- shared ------- */

static void a_shared_page_is_rendered_once(void **state) {
  (void)state;
  enum { TABS = 50 };
  site s;
  tab tabs[TABS];
  open_site(&s, NULL);
  put(&s, 1, "first");
  for (size_t i = 0; i < TABS; i++) open_tab(&s, &tabs[i], "/shared", "room=1", i % 2 ? "one" : "two");
  settle(&s);
  for (size_t i = 0; i < TABS; i++) assert_string_equal(since(&tabs[i]), "");
  size_t before = s.calls;
  put(&s, 1, "second");
  refresh(&s, "room/1");
  assert_int_equal(s.calls, before + 1);
  for (size_t i = 0; i < TABS; i++) assert_non_null(strstr(since(&tabs[i]), "<p>second</p>"));
  vestry_pages_stats stats = {0};
  vestry_pages_stats_get(s.on.pages, &stats);
  assert_int_equal(stats.views_count, 1);
  assert_int_equal(stats.streams_count, TABS);
  tab late;
  get(&s, "/shared", "room=1", NULL, tabs[0].tag, true, &late.stream);
  settle(&s);
  assert_non_null(strstr(since(&late), "<p>second</p>"));
  assert_int_equal(s.calls, before + 1); /* it was there already */
  close_tab(&late);
  for (size_t i = 0; i < TABS; i++) close_tab(&tabs[i]);
  page_site_close(&s.on);
}

static vestry_err look(vestry_render *render, vestry_html *html, void *app) {
  const vestry_request *req = render->request;
  site *s = app;
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

static void a_shared_render_sees_nothing_that_is_somebodys(void **state) {
  (void)state;
  site s;
  open_site(&s, NULL);
  vestry_page *page;
  assert_int_equal(vestry_page_create(s.on.pages, &(vestry_page_options){.render = look, .app = &s}, &page), VESTRY_OK);
  assert_int_equal(vestry_route(s.on.v, "GET", "/look", serve_look, page), VESTRY_OK);
  vestry_memory_exchange *document, *stream;
  get(&s, "/look", "a=1", "secret", NULL, false, &document);
  assert_int_equal(vestry_memory_look(document).status, 200);
  get(&s, "/look", "a=1&datastar=%7B%22mine%22%3A1%7D", "secret", NULL, true, &stream);
  settle(&s);
  assert_int_equal(s.calls, 1);
  assert_non_null(strstr(vestry_memory_look(stream).received.data, "<main id=\"content\">k</main>"));
  vestry_memory_destroy(document);
  vestry_memory_destroy(stream);
  page_site_close(&s.on);
}

/* ---------------------------------------------------------------------------------------------------- parts ------- */

static void took(site *s, const char *what, uint64_t ms) {
  size_t len = strlen(s->order);
  test_host_advance_ms(&s->on.th, ms);
  if (len + 1 < sizeof s->order) memcpy(s->order + len, what, 2);
}

static vestry_err list(vestry_render *render, vestry_html *html, void *app) {
  site *s = app;
  char topic[32];
  const char *share = render->share;
  took(s, "l", s->part_ms);
  s->parts++;
  assert_null(render->request);
  assert_null(render->reply);
  snprintf(topic, sizeof topic, "list/%s", share);
  vestry_render_topic(render, topic);
  if (s->part_again && s->part_again--) assert_int_equal(vestry_refresh(s->on.pages, topic, NULL), VESTRY_OK);
  return vestry_html_add(html, "<li>%s</li>", room_of(s, share)->text);
}

/* A private page with a heading of its own, and a list that it shares. */
static vestry_err make_with_list(vestry_render *render, vestry_html *html, void *app) {
  site *s = app;
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

static void open_list_site(site *s) {
  open_site(s, NULL);
  vestry_page *page;
  const vestry_page_options options = {.render = make_with_list, .app = s};
  assert_int_equal(vestry_page_create(s->on.pages, &options, &page), VESTRY_OK);
  assert_int_equal(vestry_route(s->on.v, "GET", "/list", vestry_page_handler, page), VESTRY_OK);
  put(s, 0, "1");
  put(s, 1, "first");
  put(s, 2, "other");
}

static void a_part_is_rendered_once_for_all_pages(void **state) {
  (void)state;
  site s;
  tab ada, bob;
  open_list_site(&s);
  vestry_memory_exchange *document;
  get(&s, "/list", NULL, "ada", NULL, false, &document);
  assert_non_null(strstr(vestry_memory_look(document).received.data,
                         "<main id=\"content\"><h1>ada in 1</h1><ul id=\"list\" data-ignore-morph>"
                         "<li>first</li></ul></main>"));
  vestry_memory_destroy(document);
  open_tab(&s, &ada, "/list", NULL, "ada");
  open_tab(&s, &bob, "/list", NULL, "bob");
  settle(&s);
  assert_string_equal(since(&ada), "");
  assert_string_equal(since(&bob), "");
  size_t calls = s.calls, parts = s.parts;
  put(&s, 1, "second");
  refresh(&s, "list/1");
  assert_int_equal(s.calls, calls);
  assert_int_equal(s.parts, parts + 1);
  static const char event[] = "event: datastar-patch-elements\ndata: selector #list\ndata: mode inner\n"
                              "data: elements <li>second</li>\n\nid: ";
  assert_memory_equal(since(&ada), event, sizeof event - 1);
  assert_non_null(strstr(since(&bob), "<li>second</li>"));
  refresh(&s, "who"); /* the pages render, and nothing differs */
  assert_int_equal(s.calls, calls + 2);
  assert_string_equal(since(&ada), "");
  close_tab(&ada);
  close_tab(&bob);
  page_site_close(&s.on);
}

enum { TABS_MANY = 8 };

static void open_many(site *s, tab tabs[TABS_MANY]) {
  char who[16];
  for (int i = 0; i < TABS_MANY; i++) {
    snprintf(who, sizeof who, "person %d", i);
    open_tab(s, &tabs[i], "/list", NULL, who);
  }
  vestry_memory_settle(s->on.v);
  test_host_advance_ms(&s->on.th, 1000);
  vestry_memory_settle(s->on.v);
  *s->order = '\0';
}

static void close_many(tab tabs[TABS_MANY]) {
  for (int i = 0; i < TABS_MANY; i++) close_tab(&tabs[i]);
}

/* All pages are to be rendered, and while the first one is, what all of them share changes. */
static void what_many_see_goes_before_what_one_sees(void **state) {
  (void)state;
  site s;
  tab tabs[TABS_MANY];
  open_list_site(&s);
  open_many(&s, tabs);
  s.page_ms = 1;
  s.refreshes = "list/1";
  put(&s, 1, "second");
  assert_int_equal(vestry_refresh(s.on.pages, "who", NULL), VESTRY_OK);
  vestry_memory_settle(s.on.v);
  assert_string_equal(s.order, "plppppppp");
  assert_non_null(strstr(since(&tabs[0]), "<li>second</li>"));
  close_many(tabs);
  page_site_close(&s.on);
}

/* The part takes all the time that there is: a page that waits goes before it once it is due a second longer. */
static void what_one_sees_is_not_put_off_for_ever(void **state) {
  (void)state;
  site s;
  tab tabs[TABS_MANY];
  open_list_site(&s);
  open_many(&s, tabs);
  s.part_ms = 100;
  s.part_again = 40;
  assert_int_equal(vestry_refresh(s.on.pages, "list/1", NULL), VESTRY_OK);
  assert_int_equal(vestry_refresh(s.on.pages, "who", NULL), VESTRY_OK);
  vestry_memory_settle(s.on.v);
  assert_int_equal(strlen(s.order), 41 + TABS_MANY);
  assert_in_range(strspn(s.order, "l"), 9, 13);
  assert_int_equal(strspn(strchr(s.order, 'p'), "p"), TABS_MANY);
  close_many(tabs);
  page_site_close(&s.on);
}

static void another_part_comes_with_the_content_and_the_former_is_silent(void **state) {
  (void)state;
  site s;
  tab t;
  open_list_site(&s);
  open_tab(&s, &t, "/list", NULL, "ada");
  settle(&s);
  put(&s, 0, "2");
  refresh(&s, "who");
  const char *text = since(&t), *heading = strstr(text, "ada in 2"), *inside = strstr(text, "<li>other</li>");
  assert_non_null(heading);
  assert_non_null(inside);
  assert_true(heading < inside);
  put(&s, 1, "old news");
  refresh(&s, "list/1");
  assert_string_equal(since(&t), "");
  put(&s, 2, "new news");
  refresh(&s, "list/2");
  assert_non_null(strstr(since(&t), "<li>new news</li>"));
  vestry_pages_stats stats = {0};
  vestry_pages_stats_get(s.on.pages, &stats);
  assert_int_equal(stats.views_count, 2); /* the page, and the part that it shows */
  close_tab(&t);
  page_site_close(&s.on);
}

static void a_part_that_changed_is_sent_to_a_tab_that_comes_back(void **state) {
  (void)state;
  site s;
  tab t;
  open_list_site(&s);
  open_tab(&s, &t, "/list", NULL, "ada");
  settle(&s);
  close_tab(&t);
  vestry_memory_settle(s.on.v);
  put(&s, 1, "meanwhile");
  get(&s, "/list", NULL, "ada", t.tag, true, &t.stream);
  settle(&s);
  const char *text = since(&t);
  assert_non_null(strstr(text, "<li>meanwhile</li>"));
  assert_null(strstr(text, "<h1>"));
  close_tab(&t);
  page_site_close(&s.on);
}

static void open_again(site *s, tab *t, const char *id, const char *document) {
  const vestry_header headers[] = {{"Cookie", "ada"}, {"Last-Event-ID", id}, {"Vestry-Document", document}};
  const vestry_memory_call call = {.path = "/list", .headers = headers, .headers_count = 3, .datastar = true};
  assert_int_equal(vestry_memory_request(s->on.v, &call, NULL, NULL, &t->stream), VESTRY_OK);
  settle(s);
}

/* The id behind a part's event says nothing of the page: the server knows what the tab had. */
static void a_tab_that_was_shown_a_part_s_news_comes_back_to_nothing(void **state) {
  (void)state;
  site s;
  tab t;
  char document[17], id[400];
  open_list_site(&s);
  vestry_memory_exchange *page;
  get(&s, "/list", NULL, "ada", NULL, false, &page);
  between(vestry_memory_look(page).received.data, "'vestry-document': '", "'", document, sizeof document);
  between(vestry_memory_look(page).received.data, "el.had = '", "'", t.tag, sizeof t.tag);
  vestry_memory_destroy(page);
  open_again(&s, &t, t.tag, document);
  assert_string_equal(since(&t), "");
  put(&s, 1, "news");
  refresh(&s, "list/1");
  between(since(&t), "\n\nid: ", "\n", id, sizeof id);
  close_tab(&t);
  vestry_memory_settle(s.on.v);
  open_again(&s, &t, id, document);
  assert_string_equal(since(&t), ""); /* nothing has changed meanwhile */
  close_tab(&t);
  vestry_memory_settle(s.on.v);
  open_again(&s, &t, id, "0123456789abcdef"); /* of a document that nobody knows */
  assert_non_null(strstr(since(&t), "<h1>"));
  close_tab(&t);
  vestry_memory_settle(s.on.v);
  put(&s, 1, "more");
  open_again(&s, &t, t.tag, document); /* what was seen last is not what was sent last */
  assert_non_null(strstr(since(&t), "more"));
  close_tab(&t);
  page_site_close(&s.on);
}

/* ------------------------------------------------------------------------------- tabs, tokens and nonces, too ----- */

static vestry_err make_for_tab(vestry_render *render, vestry_html *html, void *app) {
  site *s = app;
  const vestry_request *req = render->request;
  char attributes[VESTRY_TAB_ATTRIBUTES_BYTES], id[VESTRY_TAB_ID_BYTES];
  vestry_render_topic(render, "tab");
  vestry_err error = vestry_tab_id(req, id);
  if (error) return error;
  if (!render->is_stream) {
    vestry_tab_attributes(req, render->reply, attributes, sizeof attributes);
    vestry_html_add(html, "<body %-s>", attributes);
  }
  vestry_render_begin(render, html);
  vestry_html_add(html, "<p>%s: %s</p>", id, s->rooms[1].text);
  return vestry_render_end(render, html);
}

static void a_page_knows_its_tab(void **state) {
  (void)state;
  site s;
  tab t;
  char id[VESTRY_TAB_ID_BYTES], query[200];
  open_site(&s, NULL);
  vestry_page *page;
  const vestry_page_options options = {.render = make_for_tab, .app = &s};
  assert_int_equal(vestry_page_create(s.on.pages, &options, &page), VESTRY_OK);
  assert_int_equal(vestry_route(s.on.v, "GET", "/tab", vestry_page_handler, page), VESTRY_OK);
  put(&s, 1, "first");
  vestry_memory_exchange *document;
  get(&s, "/tab", NULL, "me", NULL, false, &document);
  const char *text = vestry_memory_look(document).received.data;
  between(text, "<p>", ":", id, sizeof id);
  between(text, "el.had = '", "'", t.tag, sizeof t.tag);
  assert_non_null(strstr(text, "include: '^tabId"));
  /* The signal as the client sends it, with the seal that is in the attributes. */
  char sealed[160];
  const char *at = strstr(text, id); /* the attributes stand before the content */
  size_t len = strspn(at, "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-_.~");
  assert_true(len < sizeof sealed);
  memcpy(sealed, at, len);
  sealed[len] = '\0';
  snprintf(query, sizeof query, "datastar=%%7B%%22tabId%%22%%3A%%22%s%%22%%7D", sealed);
  vestry_memory_destroy(document);
  get(&s, "/tab", query, "me", t.tag, true, &t.stream);
  settle(&s);
  assert_string_equal(since(&t), "");
  put(&s, 1, "second");
  refresh(&s, "tab");
  text = since(&t);
  assert_non_null(strstr(text, id));
  assert_non_null(strstr(text, "second"));
  close_tab(&t);
  get(&s, "/tab", NULL, "me", t.tag, true, &t.stream); /* without its id it is no tab's: it is to be loaded anew */
  vestry_memory_settle(s.on.v);
  assert_non_null(strstr(since(&t), "{\"_vestry\":{\"reload\":"));
  close_tab(&t);
  page_site_close(&s.on);
}

/* ------------------------------------------------------------------------------------------ ordinary handlers ----- */

/* Knows nothing of streams, nor of vestry's marks. */
static vestry_err ordinary(const vestry_request *req, vestry_reply *reply, void *app) {
  site *s = app;
  s->calls++;
  assert_false(req->is_datastar);
  if (s->status) return vestry_reply_redirect(reply, s->status, "/else");
  return vestry_reply_bodyf(
      reply,
      "<!doctype html><html><head><title>t</title></head><body><header>%zu</header>"
      "<section class='a>b' id=content><p>%s</p><section>inner</section></section>%-s</body></html>",
      s->calls, s->rooms[1].text, s->versioned ? "<p id=content>" : "");
}

static void open_ordinary(site *s) {
  open_site(s, NULL);
  vestry_page *page;
  const vestry_page_options options = {.handler = ordinary, .app = s};
  assert_int_equal(vestry_page_create(s->on.pages, &options, &page), VESTRY_OK);
  assert_int_equal(vestry_route(s->on.v, "GET", "/ordinary", vestry_page_handler, page), VESTRY_OK);
}

static void an_ordinary_handler_is_live(void **state) {
  (void)state;
  site s;
  tab t;
  open_ordinary(&s);
  put(&s, 1, "first");
  vestry_memory_exchange *document;
  get(&s, "/ordinary", NULL, NULL, NULL, false, &document);
  const char *text = vestry_memory_look(document).received.data;
  assert_non_null(strstr(text, "</style></head>"));
  assert_non_null(strstr(text, "<section>inner</section></section><div class=\"vestry-banner\""));
  assert_non_null(strstr(text, "></div></body></html>"));
  vestry_memory_destroy(document);
  open_tab(&s, &t, "/ordinary", NULL, NULL);
  settle(&s);
  assert_string_equal(since(&t), ""); /* what stands around the content may change */
  put(&s, 1, "second");
  refresh(&s, "/ordinary");
  assert_non_null(strstr(since(&t),
                         "data: elements <section class='a>b' id=content><p>second</p><section>inner</section>"
                         "</section>\n\nid: "));
  s.status = 303;
  test_host_advance_ms(&s.on.th, 20);
  assert_int_equal(vestry_refresh(s.on.pages, "/ordinary", NULL), VESTRY_OK);
  vestry_memory_settle(s.on.v);
  assert_non_null(strstr(since(&t), "/else"));
  assert_true(vestry_memory_look(t.stream).ended);
  close_tab(&t);
  page_site_close(&s.on);
}

static void a_document_whose_content_is_not_clear_is_served_as_it_is(void **state) {
  (void)state;
  site s;
  open_ordinary(&s);
  s.versioned = true; /* the id stands there twice */
  vestry_memory_exchange *document;
  get(&s, "/ordinary", NULL, NULL, NULL, false, &document);
  assert_int_equal(vestry_memory_look(document).status, 200);
  assert_null(strstr(vestry_memory_look(document).received.data, "data-init"));
  assert_non_null(strstr(s.on.th.last_log, "#content"));
  vestry_memory_destroy(document);
  page_site_close(&s.on);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_document_has_its_content_and_what_opens_its_stream),
      cmocka_unit_test(a_change_is_sent_and_nothing_else),
      cmocka_unit_test(a_change_between_document_and_stream_is_seen),
      cmocka_unit_test(a_change_while_rendering_is_seen),
      cmocka_unit_test(a_stream_that_comes_back_gets_what_it_lacks),
      cmocka_unit_test(with_a_version_an_unchanged_page_is_not_rendered),
      cmocka_unit_test(a_version_of_another_is_none),
      cmocka_unit_test(renders_are_an_interval_apart),
      cmocka_unit_test(nothing_is_rendered_for_who_has_not_been_written_to),
      cmocka_unit_test(a_status_decides_what_becomes_of_the_stream),
      cmocka_unit_test(a_failing_page_is_tried_again_later_and_later),
      cmocka_unit_test(who_may_not_see_it_any_more_is_sent_away),
      cmocka_unit_test(a_tab_of_another_build_loads_its_page_anew),
      cmocka_unit_test(a_shared_page_is_rendered_once),
      cmocka_unit_test(a_shared_render_sees_nothing_that_is_somebodys),
      cmocka_unit_test(a_part_is_rendered_once_for_all_pages),
      cmocka_unit_test(what_many_see_goes_before_what_one_sees),
      cmocka_unit_test(what_one_sees_is_not_put_off_for_ever),
      cmocka_unit_test(another_part_comes_with_the_content_and_the_former_is_silent),
      cmocka_unit_test(a_part_that_changed_is_sent_to_a_tab_that_comes_back),
      cmocka_unit_test(a_tab_that_was_shown_a_part_s_news_comes_back_to_nothing),
      cmocka_unit_test(a_page_knows_its_tab),
      cmocka_unit_test(an_ordinary_handler_is_live),
      cmocka_unit_test(a_document_whose_content_is_not_clear_is_served_as_it_is),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
