/* SPDX-License-Identifier: MIT */
/* CSRF tokens in the content of live pages: all renders of a session have the same. Shared pages have neither
 * tokens nor, with sessions or scopes, nonces. */
#include <stdlib.h>
#include <string.h>

#include "support/site.h"
#include "vestry/app/csrf.h"
#include "vestry/app/once.h"

typedef struct suite {
  site on;
  vestry_csrf *csrf;
  vestry_page *page;
  const char *text;
  size_t renders;
  vestry_err made;  /* result of the last vestry_csrf_token */
  bool ignores;     /* the render goes on if it gets no token */
  const char *none; /* NULL */
} suite;

static vestry_err render(vestry_render *render, vestry_html *html, void *app) {
  suite *s = app;
  char token[VESTRY_CSRF_TOKEN_BYTES];
  s->renders++;
  vestry_render_topic(render, "text");
  s->made = vestry_csrf_token(s->csrf, render->request, render->reply, token);
  if (s->made && s->ignores) return vestry_html_add(html, "<b>%s</b>", s->none);
  if (s->made) return s->made;
  vestry_html_add(html, "<!doctype html><html lang=\"en\"><title>A</title>");
  vestry_render_begin(render, html);
  vestry_html_add(html, "<p>%s</p><input value=\"%s\"><p></p><input name=\"csrf\" value=\"%s\">", s->text, token,
                  token);
  return vestry_render_end(render, html);
}

/* An ordinary handler without code for streams. */
static vestry_err whole(const vestry_request *req, vestry_reply *reply, void *app) {
  suite *s = app;
  char token[VESTRY_CSRF_TOKEN_BYTES];
  s->renders++;
  s->made = vestry_csrf_token(s->csrf, req, reply, token);
  if (s->made) return s->made;
  return vestry_reply_bodyf(reply,
                            "<!doctype html><html><head></head><body><main id=\"content\"><p>%s</p>"
                            "<input name=\"csrf\" value=\"%s\"></main>",
                            s->text, token);
}

static vestry_err part(vestry_render *render, vestry_html *html, void *app) {
  suite *s = app;
  char token[VESTRY_CSRF_TOKEN_BYTES];
  s->made = vestry_csrf_token(s->csrf, render->request, render->reply, token);
  return s->made ? s->made : vestry_html_add(html, "%s", token);
}

static vestry_err parted(vestry_render *render, vestry_html *html, void *app) {
  vestry_render_begin(render, html);
  vestry_render_part(render, html, &(vestry_page_part){.id = "part", .share = "", .render = part, .app = app});
  return vestry_render_end(render, html);
}

static vestry_err serve_shared(const vestry_request *req, vestry_reply *reply, void *app) {
  return vestry_page_serve(req, reply, ((suite *)app)->page, "all");
}

static vestry_err act(const vestry_request *req, vestry_reply *reply, void *app) {
  return vestry_reply_status(reply, 204);
}

/* run: another number gives other random keys. */
static void open_site_with(suite *s, site_has has, unsigned run) {
  vestry_page *with_handler, *with_part;
  *s = (suite){.text = "first"};
  test_host_init(&s->on.th);
  s->on.th.seed += run;
  assert_int_equal(site_try(&s->on, (vestry_options){0}, has), VESTRY_OK);
  site_add_pages(&s->on, NULL);
  vestry *v = s->on.v;
  assert_int_equal(vestry_csrf_create(v, &(vestry_csrf_options){.insecure = true}, &s->csrf), VESTRY_OK);
  assert_int_equal(vestry_guard(v, "/", vestry_csrf_guard, s->csrf), VESTRY_OK);
  const vestry_page_options rendered = {.render = render, .app = s}, handled = {.handler = whole, .app = s},
                            of_parts = {.render = parted, .app = s};
  assert_int_equal(vestry_page_create(s->on.pages, &rendered, &s->page), VESTRY_OK);
  assert_int_equal(vestry_page_create(s->on.pages, &handled, &with_handler), VESTRY_OK);
  assert_int_equal(vestry_page_create(s->on.pages, &of_parts, &with_part), VESTRY_OK);
  assert_int_equal(vestry_route(v, "GET", "/own", vestry_page_handler, s->page), VESTRY_OK);
  assert_int_equal(vestry_route(v, "GET", "/whole", vestry_page_handler, with_handler), VESTRY_OK);
  assert_int_equal(vestry_route(v, "GET", "/parted", vestry_page_handler, with_part), VESTRY_OK);
  assert_int_equal(vestry_route(v, "GET", "/shared", serve_shared, s), VESTRY_OK);
  assert_int_equal(vestry_route(v, "POST", "/act", act, s), VESTRY_OK);
}

static void open_site(suite *s, bool has_sessions) {
  const vestry_session_options sessions = {.insecure = true};
  open_site_with(s, (site_has){.sessions = has_sessions ? &sessions : NULL}, 0);
}

static void close_site(suite *s) {
  vestry_csrf_destroy(s->csrf);
  site_end(&s->on);
}

/* A tab: its cookie, the token in its content, the tag of its content, and its stream. */
typedef struct tab {
  char cookie[256], token[VESTRY_CSRF_TOKEN_BYTES], had[128];
  vestry_memory_exchange *stream;
} tab;

static void cut(const char *text, const char *from, char end, char *out, size_t room) {
  const char *at = strstr(text, from);
  assert_non_null(at);
  at += strlen(from);
  size_t len = strcspn(at, (char[]){end, '\0'});
  assert_true(len < room);
  memcpy(out, at, len);
  out[len] = '\0';
}

static vestry_memory_exchange *get(suite *s, const tab *t, const char *path, const char *had) {
  const vestry_header headers[] = {{"Cookie", t->cookie}, {"Last-Event-ID", had}};
  return site_request(
      &s->on,
      &(vestry_memory_call){.path = path, .headers = headers, .headers_count = had ? 2 : 1, .datastar = had != NULL});
}

static void load(suite *s, tab *t, const char *path) {
  vestry_memory_exchange *document = get(s, t, path, NULL);
  assert_int_equal(vestry_memory_look(document).status, 200);
  const char *text = vestry_memory_look(document).received.data, *set = vestry_memory_header(document, "Set-Cookie", 0);
  if (set) cut(set, "", ';', t->cookie, sizeof t->cookie);
  cut(text, "csrf\" value=\"", '"', t->token, sizeof t->token);
  cut(text, "el.had = '", '\'', t->had, sizeof t->had);
  vestry_memory_destroy(document);
}

static int status_with(suite *s, const tab *t, const char *token) {
  const vestry_header headers[] = {{"Cookie", t->cookie}, {"X-CSRF-Token", token}};
  vestry_memory_exchange *answer = site_request(
      &s->on, &(vestry_memory_call){.method = "POST", .path = "/act", .headers = headers, .headers_count = 2});
  const int status = vestry_memory_look(answer).status;
  vestry_memory_destroy(answer);
  return status;
}

/* The document and all renders for its stream have the same token; a render without a difference sends nothing. */
/* capability: D11 */
TEST_CASE(content_with_a_token_is_sent_only_when_it_changes) {
  static const char *const paths[] = {"/own", "/whole"};
  for (size_t i = 0; i < 4; i++) {
    const char *path = paths[i % 2], *topic = i % 2 ? "/whole" : "text";
    suite s;
    tab t = {.cookie = ""};
    open_site(&s, i / 2);
    load(&s, &t, path);
    t.stream = get(&s, &t, path, t.had);
    site_settle_pages(&s.on);
    const size_t before = s.renders;
    site_refresh(&s.on, topic);
    assert_int_equal(s.renders, before + 1);
    assert_int_equal(s.made, VESTRY_OK);
    assert_null(strstr(vestry_memory_since(t.stream).data, "patch-elements"));
    char token[VESTRY_CSRF_TOKEN_BYTES], next[VESTRY_CSRF_TOKEN_BYTES];
    s.text = "second";
    site_refresh(&s.on, topic);
    cut(vestry_memory_since(t.stream).data, "csrf\" value=\"", '"', token, sizeof token);
    s.text = "third";
    site_refresh(&s.on, topic);
    cut(vestry_memory_since(t.stream).data, "csrf\" value=\"", '"', next, sizeof next);
    assert_string_equal(t.token, token);
    assert_string_equal(token, next);
    assert_int_equal(status_with(&s, &t, t.token), 204);
    vestry_memory_destroy(t.stream);
    /* Another browser claims the content of the first one. Its token differs, so it receives the content. */
    tab other = {.cookie = ""};
    s.text = "first";
    load(&s, &other, path);
    assert_string_not_equal(other.had, t.had);
    assert_int_equal(status_with(&s, &other, t.token), 403);
    other.stream = get(&s, &other, path, t.had);
    site_settle_pages(&s.on);
    cut(vestry_memory_since(other.stream).data, "csrf\" value=\"", '"', token, sizeof token);
    assert_int_equal(status_with(&s, &other, token), 204);
    vestry_memory_destroy(other.stream);
    close_site(&s);
  }
}

/* A browser that refuses the cookie gets a token that is never valid; its page is updated nevertheless. */
TEST_CASE(page_without_a_cookie_is_not_sent_again) {
  suite s;
  tab t = {.cookie = ""};
  open_site(&s, false);
  load(&s, &t, "/own");
  t.cookie[0] = '\0';
  t.stream = get(&s, &t, "/own", t.had);
  site_settle_pages(&s.on);
  (void)vestry_memory_since(t.stream);
  site_refresh(&s.on, "text");
  assert_null(strstr(vestry_memory_since(t.stream).data, "patch-elements"));
  s.text = "second";
  site_refresh(&s.on, "text");
  char token[VESTRY_CSRF_TOKEN_BYTES];
  cut(vestry_memory_since(t.stream).data, "csrf\" value=\"", '"', token, sizeof token);
  assert_int_equal(status_with(&s, &t, token), 403);
  vestry_memory_destroy(t.stream);
  close_site(&s);
}

/* The content of a shared page or a part goes to all its users, so it can have no token. */
/* capability: D11 */
TEST_CASE(shared_content_gets_no_token) {
  static const char *const paths[] = {"/shared", "/parted"};
  for (size_t i = 0; i < 4; i++) {
    suite s;
    tab t = {.cookie = ""};
    open_site(&s, i / 2);
    for (int is_stream = 0; is_stream < 2; is_stream++) {
      s.made = VESTRY_OK;
      const long before = atomic_load(&s.on.th.log_lines);
      vestry_memory_exchange *answer = get(&s, &t, paths[i % 2], is_stream ? "" : NULL);
      site_settle(&s.on);
      assert_int_equal(s.made, VESTRY_INVALID);
      assert_true(atomic_load(&s.on.th.log_lines) > before);
      assert_non_null(strstr(s.on.th.last_log, is_stream ? "vestry_csrf_token: " : "answered 500"));
      if (!is_stream) assert_int_equal(vestry_memory_look(answer).status, 500);
      if (is_stream && i % 2 == 0) assert_non_null(strstr(vestry_memory_since(answer).data, "\"failing\":true"));
      vestry_memory_destroy(answer);
    }
    close_site(&s);
  }
}

/* What a page with actions that run once has in its body. */
typedef struct acting {
  site on;
  vestry_page *page;
  size_t kind; /* of `made_by` */
  vestry_err made;
} acting;

static const char *const made_by[] = {"vestry_once_attributes", "vestry_once_nonce"};
enum { MADE_BY_COUNT = sizeof made_by / sizeof *made_by };

static vestry_err render_acting(vestry_render *render, vestry_html *html, void *app) {
  acting *a = app;
  char text[VESTRY_ONCE_ATTRIBUTES_BYTES] = "";
  if (a->kind == 0) a->made = vestry_once_attributes(render->request, text, sizeof text);
  if (a->kind == 1) a->made = vestry_once_nonce(render->request, text);
  if (a->made) return a->made;
  vestry_html_add(html, "<!doctype html><html lang=\"en\"><title>A</title><body %-s>", text);
  vestry_render_begin(render, html);
  return vestry_render_end(render, html);
}

static vestry_err serve_acting(const vestry_request *req, vestry_reply *reply, void *app) {
  return vestry_page_serve(req, reply, ((acting *)app)->page, "all");
}

static vestry_memory_exchange *get_acting(acting *a, const char *had) {
  const vestry_header header = {"Last-Event-ID", had};
  return site_request(
      &a->on,
      &(vestry_memory_call){.path = "/", .headers = &header, .headers_count = had != NULL, .datastar = had != NULL});
}

/* Send an action with the nonce of a document, as another client than the one that has loaded the document. */
static int act_once(acting *a, const char *document) {
  char nonce[VESTRY_ONCE_NONCE_BYTES + 2];
  cut(document, a->kind ? "<body " : "_once=\"'", a->kind ? '>' : '\'', nonce, sizeof nonce);
  strcat(nonce, ".1");
  const vestry_header headers[] = {{"Cookie", "other"}, {"X-Once", nonce}};
  vestry_memory_exchange *answer = site_request(
      &a->on, &(vestry_memory_call){.method = "POST", .path = "/act", .headers = headers, .headers_count = 2});
  const int status = vestry_memory_look(answer).status;
  vestry_memory_destroy(answer);
  return status;
}

/* The guard would reject a nonce of a shared page in each request that has a scope, so the render fails instead, with
 * the reason in the log. Without sessions and scopes the nonce is valid. */
/* capability: D18 */
TEST_CASE(shared_page_gets_a_nonce_only_without_sessions_and_scopes) {
  enum { SESSIONS = 1, SCOPES };
  const vestry_session_options sessions = {.insecure = true};
  for (int way = 0; way <= SCOPES; way++) {
    acting a = {.kind = 0};
    vestry_once *once;
    site_begin_with(&a.on, (vestry_options){.scope = way == SCOPES ? site_by_cookie : NULL},
                    (site_has){.sessions = way == SESSIONS ? &sessions : NULL});
    site_add_pages(&a.on, NULL);
    assert_int_equal(vestry_once_create(a.on.v, NULL, &once), VESTRY_OK);
    assert_int_equal(vestry_guard(a.on.v, "/", vestry_once_guard, once), VESTRY_OK);
    const vestry_page_options options = {.render = render_acting, .app = &a};
    assert_int_equal(vestry_page_create(a.on.pages, &options, &a.page), VESTRY_OK);
    assert_int_equal(vestry_route(a.on.v, "GET", "/", serve_acting, &a), VESTRY_OK);
    assert_int_equal(vestry_route(a.on.v, "POST", "/act", act, NULL), VESTRY_OK);
    for (; a.kind < MADE_BY_COUNT; a.kind++) {
      char reason[128];
      snprintf(reason, sizeof reason, "the page at /: %s: a shared page", made_by[a.kind]);
      vestry_memory_exchange *document = get_acting(&a, NULL);
      assert_int_equal(a.made, way ? VESTRY_INVALID : VESTRY_OK);
      assert_int_equal(vestry_memory_look(document).status, way ? 500 : 200);
      if (!way) assert_int_equal(act_once(&a, vestry_memory_look(document).received.data), 204);
      vestry_memory_destroy(document);
      vestry_memory_exchange *stream = get_acting(&a, "");
      site_pass_ms(&a.on, 61000);
      assert_int_equal(a.made, way ? VESTRY_INVALID : VESTRY_OK);
      assert_true((strstr(a.on.th.last_log, reason) != NULL) == (way > 0));
      vestry_memory_destroy(stream);
    }
    vestry_once_destroy(once);
    site_end(&a.on);
  }
  char text[VESTRY_ONCE_NONCE_BYTES];
  assert_int_equal(vestry_once_nonce(NULL, text), VESTRY_INVALID); /* a part's request */
}

/* A render that fails in the same way for several tabs, and again and again, is logged once a minute, with the function
 * and its reason. */
TEST_CASE(reason_of_a_failing_render_is_logged_once_a_minute) {
  suite s;
  tab t = {.cookie = ""};
  open_site(&s, true);
  vestry_memory_exchange *tabs[3];
  for (size_t i = 0; i < 3; i++) tabs[i] = get(&s, &t, "/shared", "");
  for (size_t i = 0; i < 55; i++) site_pass_ms(&s.on, 1000);
  assert_true(s.renders > 4);
  assert_int_equal(atomic_load(&s.on.th.log_lines), 1);
  assert_non_null(strstr(s.on.th.last_log, "the page at /shared: reply: vestry_csrf_token: a shared page"));
  for (size_t i = 0; i < 60; i++) site_pass_ms(&s.on, 1000);
  assert_int_equal(atomic_load(&s.on.th.log_lines), 2);
  assert_non_null(strstr(s.on.th.last_log, " times before)"));
  for (size_t i = 0; i < 3; i++) vestry_memory_destroy(tabs[i]);
  close_site(&s);
}

/* A render that goes on after an error, and fails because of it: the log has both. */
TEST_CASE(first_error_of_a_failing_render_is_logged_with_that_of_the_html) {
  suite s;
  tab t = {.cookie = ""};
  open_site(&s, true);
  s.ignores = true;
  vestry_memory_exchange *one = get(&s, &t, "/shared", "");
  site_pass_ms(&s.on, 1000);
  assert_non_null(strstr(s.on.th.last_log, "the page at /shared: byte 3 of the format"));
  assert_non_null(strstr(s.on.th.last_log, "; before that: reply: vestry_csrf_token: a shared page"));
  vestry_memory_destroy(one);
  close_site(&s);
}

/* The secret of the instance is that of the state tags: after a restart, a tab with the same content receives nothing,
 * and its token is valid. */
TEST_CASE(page_outlives_a_restart_by_the_secret_of_the_instance) {
  static const char secret[] = "thirty-two bytes that nobody knows";
  const site_has rows[] = {{.secret = secret}, {.secret = NULL}};
  for (size_t i = 0; i < 2; i++) {
    suite s;
    tab t = {.cookie = ""};
    open_site_with(&s, rows[i], 0);
    load(&s, &t, "/own");
    close_site(&s);
    open_site_with(&s, rows[i], 1);
    t.stream = get(&s, &t, "/own", t.had);
    site_settle_pages(&s.on);
    const char *content = strstr(vestry_memory_since(t.stream).data, "patch-elements");
    if (i < 1)
      assert_null(content);
    else
      assert_non_null(content);
    assert_int_equal(status_with(&s, &t, t.token), i < 1 ? 204 : 403);
    vestry_memory_destroy(t.stream);
    close_site(&s);
  }
}
