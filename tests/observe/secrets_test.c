/* SPDX-License-Identifier: MIT */
/* Secrets are never shown: marks are placed in cookies, headers, bodies, signals, the scope and values of requests, and
 * in the text of a page. No answer and no log line contains one. The tail of a stream has only text that the
 * application permits. (For SQL, see tests/sqlite/secrets_test.c.) */
#include <stdio.h>

#include "serve/wire.h"
#include "vestry/ops/observe.h"

#define MARK "zq7xk"

typedef struct suite {
  site on;
  vestry_observe *observe;
  wire stream;
  vestry_memory_exchange *tab; /* of a page: the second stream */
} suite;

static bool is_logged;

static void check_log(void *ctx, vestry_log_level level, const char *line) {
  is_logged |= strstr(line, MARK) != NULL;
}

static vestry_err render(vestry_render *render, vestry_html *html, void *app) {
  vestry_render_topic(render, "news");
  vestry_render_begin(render, html);
  vestry_html_add(html, "<p>" MARK "text</p>");
  return vestry_render_end(render, html);
}

static void open_page(suite *s) {
  static const vestry_header headers[] = {{"Cookie", MARK "cookie"}};
  vestry_page *page;
  assert_int_equal(vestry_page_create(s->on.pages, &(vestry_page_options){.render = render}, &page), VESTRY_OK);
  assert_int_equal(vestry_route(s->on.v, "GET", "/news", vestry_page_handler, page), VESTRY_OK);
  const vestry_memory_call call = {
      .path = "/news", .query = "q=" MARK "page", .datastar = true, .headers = headers, .headers_count = 1};
  s->tab = site_request(&s->on, &call);
  site_settle_pages(&s->on);
  site_refresh(&s->on, "news");
  assert_non_null(strstr(vestry_memory_look(s->tab).received.data, MARK "text"));
}

static vestry_err live(const vestry_request *req, vestry_reply *reply, void *app) {
  vestry_reply_key(reply, VESTRY_KEY("page"));
  vestry_reply_header(reply, "X-Answer", MARK "answer");
  vestry_reply_patch_signals(reply, VESTRY_OBJECT("secret", MARK "sent"));
  return vestry_reply_keep(reply, VESTRY_KEEP_MANY, 100);
}

static void begin(suite *s) {
  *s = (suite){.observe = NULL};
  site_begin_pages(&s->on, (vestry_options){.scope = site_by_cookie}, NULL);
  s->on.th.host.log = check_log;
  const vestry_observe_options options = {.trusts_loopback = true, .pages = s->on.pages};
  assert_int_equal(vestry_observe_create(s->on.v, &options, &s->observe), VESTRY_OK);
  assert_int_equal(vestry_observe_mount(s->observe, "/observe"), VESTRY_OK);
  s->stream = (wire){.path = "/live",
                     .method = "POST",
                     .query = "q=" MARK "query",
                     .datastar = true,
                     .headers = {{"Cookie", MARK "cookie"},
                                 {"Authorization", "Bearer " MARK "token"},
                                 {"User-Agent", MARK "agent"},
                                 {"Content-Type", "application/json"}},
                     .body = "{\"password\":\"" MARK "signal\"}",
                     .body_len = sizeof "{\"password\":\"" MARK "signal\"}" - 1};
  wire_request(&s->on, &s->stream, live, NULL);
  assert_non_null(s->stream.connection);
  assert_true(wire_count(&s->stream, MARK "sent") > 0); /* the mark is actually sent */
  open_page(s);
}

static void end(suite *s) {
  vestry_observe_destroy(s->observe);
  vestry_memory_destroy(s->tab);
  wires_end(&s->on, &s->stream);
  assert_false(is_logged);
}

static void assert_without(suite *s, const char *path, bool has_key) {
  wire r = {.path = path, .peer = "127.0.0.1", .headers = {{"Host", "localhost"}, {"Cookie", MARK "own"}}};
  wire_request(&s->on, &r, NULL, NULL);
  assert_int_equal(r.status, 200);
  assert_true(r.text_len > 0);
  if (has_key) assert_true(wire_count(&r, "page") > 0);
  if (wire_count(&r, MARK)) fail_msg("%s shows %s", path, r.text);
  assert_null(strstr(r.head, MARK));
  if (r.connection) wire_hang_up(&s->on, &r);
  site_settle(&s->on);
  wire_finish(&r);
}

static void assert_none(suite *s) {
  static const char *const paths[] = {"/observe/metrics", "/observe/live",          "/observe/ready",
                                      "/observe/store",   "/observe/pages",         "/observe/cluster",
                                      "/observe/console", "/observe/console/events"};
  assert_without(s, "/observe/streams/1", true);
  assert_without(s, "/observe/streams/2", false);
  assert_without(s, "/observe/streams", false);
  assert_without(s, "/observe/closed", false);
  assert_without(s, "/observe/channels", false);
  for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) assert_without(s, paths[i], false);
}

/* capability: H1, H2, H4 */
TEST_CASE(no_answer_contains_a_secret) {
  suite s;
  begin(&s);
  assert_none(&s);
  vestry_connection_close(s.stream.connection, VESTRY_CAUSE_ERROR);
  vestry_memory_mode_set(s.tab, VESTRY_MEMORY_HANGS_UP);
  site_settle(&s.on);
  assert_none(&s); /* nor does the record of an ended stream */
  end(&s);
}
