/* SPDX-License-Identifier: MIT */
/* Tab ids: issued by the server, part of every request, stored nowhere. */
#include "serve/wire.h"
#include "vestry/app/secret.h"
#include "vestry/app/session.h"
#include "vestry/app/tab.h"

static const char secret[] = "thirty-two bytes that nobody knows";

/* A page that shows the id and the attributes. */
static vestry_err page(const vestry_request *req, vestry_reply *reply, void *app) {
  char id[VESTRY_TAB_ID_BYTES], again[VESTRY_TAB_ID_BYTES], attributes[VESTRY_TAB_ATTRIBUTES_BYTES];
  vestry_err error = vestry_tab_id(req, id);
  if (!error) error = vestry_tab_attributes(req, reply, attributes, sizeof attributes);
  if (!error) error = vestry_tab_id(req, again);
  if (error) return error;
  assert_string_equal(id, again);
  return vestry_reply_bodyf(reply, "<body %-s>%s", attributes, id);
}

static vestry_err show_id(const vestry_request *req, vestry_reply *reply, void *app) {
  char id[VESTRY_TAB_ID_BYTES];
  vestry_err *ret_error = app;
  *ret_error = vestry_tab_id(req, id);
  return vestry_reply_bodyf(reply, "%s", *ret_error ? "none" : id);
}

static vestry_err log_in(const vestry_request *req, vestry_reply *reply, void *app) {
  char before[VESTRY_TAB_ID_BYTES], after[VESTRY_TAB_ID_BYTES];
  vestry_err error = vestry_tab_id(req, before);
  if (!error) error = vestry_session_login(req, reply, "ada");
  if (!error) error = vestry_tab_id(req, after);
  if (!error) assert_string_not_equal(before, after);
  return error ? error : vestry_reply_bodyf(reply, "%s", after);
}

typedef struct tab {
  char id[VESTRY_TAB_ID_BYTES];
  char sealed[65];            /* the page's initial value if its storage is empty */
  char cookie[200], set[200]; /* the session's cookie; any other cookie */
} tab;

static void read_cookies(wire *r, tab *t) {
  *t->set = '\0';
  for (const char *at = r->head; (at = strstr(at, "Set-Cookie: ")) != NULL; at++) {
    bool is_session = strncmp(at + 12, "__Host-session=", 15) == 0;
    char *to = is_session ? t->cookie : t->set;
    snprintf(to, sizeof t->set, "%.*s", (int)strcspn(at + 12, is_session ? ";" : "\n"), at + 12);
  }
}

/* Load the page, with cookies. */
static void load(site *w, tab *t, const char *cookies) {
  wire r = {.headers = {{"Cookie", cookies}}};
  wire_request(w, &r, page, NULL);
  assert_int_equal(r.status, 200);
  const char *sealed = strstr(r.text, "take() || '"), *id = strchr(r.text, '>');
  while (strchr(id + 1, '>')) id = strchr(id + 1, '>'); /* the last one ends the tag */
  snprintf(t->sealed, sizeof t->sealed, "%.64s", sealed + 11);
  snprintf(t->id, sizeof t->id, "%s", id + 1);
  assert_int_equal(strspn(t->sealed, "0123456789abcdef"), 64);
  assert_int_equal(strlen(t->id), 32);
  read_cookies(&r, t);
  wire_finish(&r);
}

/* Send a Datastar request with that signal, and return its tab id. */
static vestry_err ask(site *w, const tab *t, const char *signal, char id[VESTRY_TAB_ID_BYTES]) {
  char body[600];
  vestry_err error = VESTRY_FAILED;
  int len = snprintf(body, sizeof body, "{\"tabId\":\"%s\"}", signal);
  wire r = {
      .method = "POST", .datastar = true, .headers = {{"Cookie", t->cookie}}, .body = body, .body_len = (size_t)len};
  wire_request(w, &r, show_id, &error);
  snprintf(id, VESTRY_TAB_ID_BYTES, "%s", r.text);
  wire_finish(&r);
  return error;
}

static void begin(site *w) {
  site_begin_with(w, (vestry_options){0}, (site_has){.sessions = &(vestry_session_options){0}, .secret = secret});
}

#define TAB_CASE(name) TEST_CASE_WITH(name, site, w, begin(w), site_end(w))

/* capability: D8 */
TAB_CASE(request_has_the_id_of_its_tab) {
  tab t = {.id = ""}, again = {.id = ""};
  char id[VESTRY_TAB_ID_BYTES];
  load(w, &t, "");
  assert_memory_equal(t.sealed, t.id, 32); /* the rendered id is the page's initial id */
  assert_int_equal(ask(w, &t, t.sealed, id), VESTRY_OK);
  assert_string_equal(id, t.id);
  load(w, &again, t.cookie); /* another tab of the session */
  assert_string_not_equal(again.id, t.id);
  assert_int_equal(ask(w, &t, again.sealed, id), VESTRY_OK);
  assert_string_equal(id, again.id);
  /* In a query, as a GET request has it. */
  char query[200];
  snprintf(query, sizeof query, "datastar=%%7B%%22tabId%%22%%3A%%22%s%%22%%7D", t.sealed);
  vestry_err error;
  wire get = {.datastar = true, .query = query, .headers = {{"Cookie", t.cookie}}};
  wire_request(w, &get, show_id, &error);
  wire_assert_text(&get, t.id);
  wire_finish(&get);
  /* In a form, sent by the Datastar client or by the browser. */
  char form[100];
  int len = snprintf(form, sizeof form, "tabId=%s", t.sealed);
  for (int datastar = 0; datastar < 2; datastar++) {
    wire post = {.method = "POST",
                 .datastar = datastar,
                 .headers = {{"Cookie", t.cookie}, {"Content-Type", "application/x-www-form-urlencoded"}},
                 .body = form,
                 .body_len = (size_t)len};
    wire_request(w, &post, show_id, &error);
    wire_assert_text(&post, t.id);
    wire_finish(&post);
  }
}

/* capability: D8 */
TAB_CASE(cookie_keeps_the_id_over_a_reload) {
  tab t = {.id = ""}, after = {.id = ""};
  char cookies[400], id[VESTRY_TAB_ID_BYTES];
  load(w, &t, "");
  assert_string_equal(t.set, "");
  snprintf(cookies, sizeof cookies, "%s; vestry-tab=%s", t.cookie, t.sealed);
  load(w, &after, cookies);
  assert_string_equal(after.id, t.id); /* the first render has the id */
  assert_memory_equal(after.set, "vestry-tab=; Path=/; Max-Age=0", 30);
  assert_string_not_equal(after.sealed, t.sealed); /* a tab without an id in its storage is a new tab */
  assert_int_equal(ask(w, &t, after.sealed, id), VESTRY_OK);
  assert_string_not_equal(id, t.id);
}

static vestry_err is_known(const vestry_request *req, vestry_reply *reply, void *app) {
  return vestry_reply_bodyf(reply, vestry_tab_is_known(req) ? "known" : "a guess");
}

/* Only the page's signal proves the tab, because a cookie may be another tab's. */
TAB_CASE(tab_id_from_a_cookie_is_not_known) {
  tab t = {.id = ""};
  char cookies[400], query[200], form[120];
  load(w, &t, "");
  snprintf(cookies, sizeof cookies, "%s; vestry-tab=%s", t.cookie, t.sealed);
  snprintf(query, sizeof query, "datastar=%%7B%%22tabId%%22%%3A%%22%s%%22%%7D", t.sealed);
  int len = snprintf(form, sizeof form, "tabId=%s", t.sealed);
  const vestry_header urlencoded = {"Content-Type", "application/x-www-form-urlencoded"};
  wire rows[] = {
      {.headers = {{"Cookie", t.cookie}}},
      {.headers = {{"Cookie", cookies}}},
      {.datastar = true, .headers = {{"Cookie", cookies}}},
      {.datastar = true, .query = "datastar=%7B%22tabId%22%3A%22x%22%7D", .headers = {{"Cookie", cookies}}},
      {.datastar = true, .query = query, .headers = {{"Cookie", t.cookie}}},
      {.method = "POST", .body = form, .body_len = (size_t)len, .headers = {{"Cookie", t.cookie}, urlencoded}}};
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    wire_request(w, &rows[i], is_known, NULL);
    wire_assert_text(&rows[i], i < 4 ? "a guess" : "known");
    wire_finish(&rows[i]);
  }
}

static vestry_err keep(const vestry_request *req, vestry_reply *reply, void *app) {
  vestry_html html;
  vestry_html_init(&html, NULL);
  vestry_err error = vestry_tab_keep(req, &html, app);
  if (!error) error = vestry_reply_html(reply, &html);
  vestry_html_finish(&html);
  return error;
}

TAB_CASE(prefix_selects_the_signals_to_keep) {
  static const char *const good[] = {"draft", "_d1",
                                     "a234567890123456789012345678901234567890123456789012345678901234"};
  for (size_t i = 0; i < 3; i++) {
    wire r = {0};
    wire_request(w, &r, keep, (void *)(uintptr_t)good[i]);
    char wanted[120];
    snprintf(wanted, sizeof wanted, ".filter(([name]) => name.startsWith('%s'))", good[i]);
    assert_int_equal(wire_count(&r, wanted), 1);
    assert_int_equal(wire_count(&r, "=\"el.stash.keep()\""), 2); /* pagehide, freeze */
    assert_int_equal(wire_count(&r, "</i>"), 1);
    wire_finish(&r);
  }
  static const char *const bad[] = {
      "", "1a", "a b", "a'", "a.b", "\xc3\xa4", "a2345678901234567890123456789012345678901234567890123456789012345"};
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    wire r = {0};
    wire_request(w, &r, keep, (void *)(uintptr_t)bad[i]);
    assert_int_equal(r.status, 500);
    wire_finish(&r);
  }
  assert_int_equal(vestry_tab_keep(NULL, NULL, "a"), VESTRY_INVALID);
}

/* capability: D8 */
TAB_CASE(id_not_issued_for_the_session_is_not_found) {
  tab t = {.id = ""}, other = {.id = ""}, after = {.id = ""};
  char id[VESTRY_TAB_ID_BYTES], cookies[400];
  load(w, &t, "");
  load(w, &other, ""); /* another session */
  assert_int_equal(ask(w, &t, other.sealed, id), VESTRY_NOT_FOUND);
  static const char *const hostile[] = {"",
                                        "x",
                                        "../../",
                                        "\\u00e4",
                                        "0123456789abcdef0123456789abcdef",
                                        "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
                                        "0123456789ABCDEF0123456789abcdef0123456789abcdef0123456789abcdef0"};
  for (size_t i = 0; i < sizeof hostile / sizeof *hostile; i++) {
    assert_int_equal(ask(w, &t, hostile[i], id), VESTRY_NOT_FOUND);
    snprintf(cookies, sizeof cookies, "%s; vestry-tab=%s", t.cookie, hostile[i]);
    load(w, &after, cookies);
    assert_string_not_equal(after.id, t.id);
    assert_memory_equal(after.sealed, after.id, 32); /* a new one */
  }
  snprintf(cookies, sizeof cookies, "%s; vestry-tab=%s", t.cookie, other.sealed);
  load(w, &after, cookies);
  assert_string_not_equal(after.id, other.id);
  vestry_err error;
  wire r = {.method = "POST", .datastar = true, .body = "{\"tabId\":{\"a\":[1]}}", .body_len = 19};
  wire_request(w, &r, show_id, &error);
  assert_int_equal(error, VESTRY_NOT_FOUND);
  wire_finish(&r);
}

/* capability: D8 */
TAB_CASE(forged_and_valid_ids_allocate_nothing) {
  tab t = {.id = ""};
  char id[VESTRY_TAB_ID_BYTES], forged[65];
  load(w, &t, "");
  long live = atomic_load(&w->th.live);
  for (unsigned i = 0; i < 100000; i++) {
    snprintf(forged, sizeof forged, "%032x%.32s", i, t.sealed + 32);
    assert_int_equal(ask(w, &t, forged, id), VESTRY_NOT_FOUND);
  }
  assert_int_equal(atomic_load(&w->th.live), live);
  for (int i = 0; i < 1000; i++) { /* valid ones cost nothing either */
    tab more = {.id = ""};
    load(w, &more, t.cookie);
  }
  assert_int_equal(atomic_load(&w->th.live), live);
}

/* capability: D8 */
TAB_CASE(login_changes_the_tab_id) {
  tab t = {.id = ""};
  char id[VESTRY_TAB_ID_BYTES], cookies[400];
  load(w, &t, "");
  snprintf(cookies, sizeof cookies, "%s; vestry-tab=%s", t.cookie, t.sealed);
  wire r = {.method = "POST", .headers = {{"Cookie", cookies}}};
  wire_request(w, &r, log_in, NULL);
  assert_int_equal(r.status, 200);
  assert_string_not_equal(r.text, t.id);
  read_cookies(&r, &t);
  wire_finish(&r);
  assert_int_equal(ask(w, &t, t.sealed, id), VESTRY_NOT_FOUND); /* the page is from before the login */
}

/* capability: D8 */
TEST_CASE(ids_survive_a_restart_with_the_same_secret) {
  for (int has_secret = 0; has_secret < 2; has_secret++) {
    tab t = {.id = ""};
    char id[VESTRY_TAB_ID_BYTES];
    for (int run = 0; run < 2; run++) {
      site w;
      const site_has has = {.secret = has_secret ? secret : NULL};
      test_host_init(&w.th);
      atomic_store(&w.th.seed, (uint64_t)(run + 1));
      assert_int_equal(site_try(&w, (vestry_options){0}, has), VESTRY_OK);
      if (run == 0) load(&w, &t, "");
      if (run == 1) assert_int_equal(ask(&w, &t, t.sealed, id), has_secret ? VESTRY_OK : VESTRY_NOT_FOUND);
      site_end(&w);
    }
  }
  site w;
  site_begin(&w, (vestry_options){0});
  assert_int_equal(vestry_secret_set(w.v, NULL), VESTRY_INVALID);
  assert_int_equal(vestry_secret_set(w.v, &(vestry_secret){.secret = secret, .secret_len = 8}), VESTRY_INVALID);
  assert_int_equal(vestry_secret_set(w.v, &(vestry_secret){.previous = secret, .previous_len = 34}), VESTRY_INVALID);
  const vestry_secret good = {.secret = secret, .secret_len = sizeof secret - 1};
  assert_int_equal(vestry_secret_set(w.v, &good), VESTRY_OK);
  assert_int_equal(vestry_secret_set(w.v, &good), VESTRY_EXISTS);
  site_end(&w);
}

static vestry_err too_small(const vestry_request *req, vestry_reply *reply, void *app) {
  char attributes[VESTRY_TAB_ATTRIBUTES_BYTES], small[VESTRY_TAB_ATTRIBUTES_BYTES] = "as it was";
  assert_int_equal(vestry_tab_attributes(req, reply, attributes, sizeof attributes), VESTRY_OK);
  assert_int_equal(vestry_tab_attributes(req, reply, small, strlen(attributes)), VESTRY_TOO_LARGE);
  assert_string_equal(small, "as it was");
  return vestry_tab_attributes(req, reply, small, strlen(attributes) + 1);
}

static vestry_err serve_page(test_host *th, void *ctx) {
  site w = {.v = NULL};
  vestry_err error = VESTRY_NO_MEMORY;
  if (vestry_create(&(vestry_options){.host = &th->host, .threads_count = VESTRY_THREADS_NONE}, &w.v)) return error;
  wire r = {.method = "POST",
            .headers = {{"Content-Type", "application/x-www-form-urlencoded"}, {"Cookie", "vestry-tab=x"}},
            .body = "a=b",
            .body_len = 3};
  wire_request(&w, &r, page, NULL);
  error = r.status == 200 ? VESTRY_OK : r.status == 500 ? VESTRY_NO_MEMORY : VESTRY_FAILED;
  wire_finish(&r);
  vestry_destroy(w.v);
  return error;
}

TEST_CASE(missing_memory_room_and_randomness_are_errors) {
  test_host_fail_each(serve_page, NULL, false);
  site w;
  begin(&w);
  wire r = {.method = NULL};
  wire_request(&w, &r, too_small, NULL);
  assert_int_equal(r.status, 204);
  wire_finish(&r);
  site_end(&w);
  site_begin(&w, (vestry_options){0});
  atomic_store(&w.th.fail_random, true);
  vestry_err error;
  wire none = {.method = NULL};
  wire_request(&w, &none, show_id, &error);
  assert_int_equal(error, VESTRY_IO);
  wire_finish(&none);
  site_end(&w);
}
