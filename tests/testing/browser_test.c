/* SPDX-License-Identifier: MIT */
/* The browser of tests behaves like a browser. */
#include "vestry/testing/browser.h"

#include <string.h>

#include "support/test.h"
#include "support/test_host.h"
#include "vestry/app/session.h"
#include "vestry/routes.h"

static vestry_err who(const vestry_request *req, vestry_reply *reply, void *app) {
  const char *user = vestry_session_user(req), *page = vestry_request_value(req, VESTRY_IN_QUERY, "page");
  return vestry_reply_bodyf(reply, "%s %s", user ? user : "nobody", page ? page : "-");
}

static vestry_err login(const vestry_request *req, vestry_reply *reply, void *app) {
  const char *user = vestry_request_value(req, VESTRY_IN_FORM, "user");
  bool stays = false;
  (void)vestry_request_get(req, VESTRY_IN_FORM, "stays", VESTRY_INTO(&stays));
  assert_true(stays);
  assert_null(vestry_request_value(req, VESTRY_IN_FORM, "hurries"));
  vestry_err error = vestry_session_login(req, reply, user);
  return error ? error : vestry_reply_redirect(reply, 303, "/?page=a%20%26%20b");
}

static vestry_err live(const vestry_request *req, vestry_reply *reply, void *app) {
  vestry_reply_key(reply, VESTRY_KEY("page"));
  vestry_reply_keep(reply, VESTRY_KEEP_MANY, 0);
  return vestry_reply_patch_signals(reply, VESTRY_OBJECT("begins", VESTRY_TRUE));
}

static vestry_err say(const vestry_request *req, vestry_reply *reply, void *app) {
  const char *text = NULL;
  vestry_err error = vestry_signals_get(req->signals, "text", VESTRY_INTO(&text), NULL);
  vestry_reply_key(reply, VESTRY_KEY("page"));
  return error ? error : vestry_reply_patch_signals(reply, VESTRY_OBJECT("said", text));
}

static vestry_err circle(const vestry_request *req, vestry_reply *reply, void *app) {
  return vestry_reply_redirect(reply, 302, "/circle");
}

static vestry_err begin(test_host *th, vestry **ret_v) {
  static const vestry_session_options sessions = {.insecure = true};
  static const vestry_mounted routes[] = {
      {"GET", "/", who},       {"POST", "/login", login},  {"GET", "/live", live},       {"POST", "/say", say},
      {"DELETE", "/say", say}, {"GET", "/circle", circle}, {"GET", "/a b/\xc3\xa4", who}};
  vestry_err error = vestry_create(&(vestry_options){.host = &th->host, .threads_count = VESTRY_THREADS_NONE}, ret_v);
  if (!error) error = vestry_sessions_create(*ret_v, &sessions);
  return error ? error : vestry_mount(*ret_v, "", routes, sizeof routes / sizeof *routes, NULL);
}

static void assert_text(vestry_slice got, const char *wanted) {
  assert_int_equal(got.len, strlen(wanted));
  assert_memory_equal(got.data, wanted, got.len);
}

/* capability: K11 */
HOST_CASE(browser_logs_in_and_receives_events) {
  vestry *v;
  vestry_browser *ada, *bob;
  vestry_memory_exchange *page, *tab, *answer;
  assert_int_equal(begin(th, &v), VESTRY_OK);
  assert_int_equal(vestry_browser_create(v, &ada), VESTRY_OK);
  assert_int_equal(vestry_browser_create(v, &bob), VESTRY_OK);
  assert_int_equal(vestry_browser_get(ada, "/a%20b/%C3%A4?page=1#part", &page), VESTRY_OK);
  assert_text(vestry_memory_look(page).received, "nobody 1");
  vestry_memory_destroy(page);
  assert_non_null(vestry_browser_cookie(ada, "session"));
  assert_null(vestry_browser_cookie(bob, "session"));
  assert_int_equal(vestry_browser_form(
                       ada, "/login",
                       VESTRY_OBJECT("user", "a+d=a & \xc3\xa4", "stays", VESTRY_TRUE, "hurries", VESTRY_FALSE), &page),
                   VESTRY_OK);
  assert_int_equal(vestry_memory_look(page).status, 200);
  assert_text(vestry_memory_look(page).received, "a+d=a &amp; \xc3\xa4 a &amp; b");
  vestry_memory_destroy(page);
  assert_int_equal(vestry_browser_send(ada, "GET", "/live", NULL, &tab), VESTRY_OK);
  assert_non_null(strstr(vestry_memory_since(tab).data, "\"begins\":true"));
  assert_int_equal(vestry_memory_since(tab).len, 0);
  assert_int_equal(vestry_browser_send(ada, "POST", "/say", VESTRY_OBJECT("text", "hi \"you\" & me"), &answer),
                   VESTRY_OK);
  assert_int_equal(vestry_memory_look(answer).status, 204);
  vestry_memory_destroy(answer);
  assert_text(vestry_memory_since(tab),
              "event: datastar-patch-signals\ndata: signals {\"said\":\"hi \\\"you\\\" & me\"}\n\n");
  assert_int_equal(vestry_browser_send(ada, "DELETE", "/say?x=1", VESTRY_OBJECT("text", "bye"), &answer), VESTRY_OK);
  vestry_memory_destroy(answer);
  assert_non_null(strstr(vestry_memory_since(tab).data, "bye"));
  assert_int_equal(vestry_browser_get(bob, "/", &page), VESTRY_OK); /* bob has his own cookies */
  assert_text(vestry_memory_look(page).received, "nobody -");
  vestry_memory_destroy(page);
  vestry_memory_destroy(tab);
  vestry_browser_destroy(ada);
  vestry_browser_destroy(bob);
  vestry_destroy(v);
}

/* capability: K11 */
HOST_CASE(bad_urls_redirect_loops_and_forms_are_refused) {
  vestry *v;
  vestry_browser *one;
  vestry_memory_exchange *page;
  assert_int_equal(begin(th, &v), VESTRY_OK);
  assert_int_equal(vestry_browser_create(v, &one), VESTRY_OK);
  static const char *const bad[] = {"", "a", "http://a/", "/%", "/%zz", "/%00"};
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
    assert_int_equal(vestry_browser_get(one, bad[i], &page), VESTRY_INVALID);
  assert_int_equal(vestry_browser_get(one, "/circle", &page), VESTRY_LIMIT);
  assert_int_equal(vestry_browser_form(one, "/login", VESTRY_LIST(1), &page), VESTRY_INVALID);
  assert_int_equal(vestry_browser_form(one, "/login", VESTRY_OBJECT("a", VESTRY_LIST(1)), &page), VESTRY_INVALID);
  assert_int_equal(vestry_browser_get(one, "/nowhere", &page), VESTRY_OK);
  assert_int_equal(vestry_memory_look(page).status, 404);
  vestry_memory_destroy(page);
  vestry_browser_destroy(one);
  vestry_browser_destroy(NULL);
  vestry_destroy(v);
}

/* The browser removes deleted and expired cookies. */
static vestry_err bake(const vestry_request *req, vestry_reply *reply, void *app) {
  vestry_reply_cookie(reply, &(vestry_cookie){.name = "old", .value = "1", .max_age_s = 10});
  vestry_reply_cookie(reply, &(vestry_cookie){.name = "new", .value = "2"});
  return vestry_reply_cookie(reply, &(vestry_cookie){.name = "gone", .remove = true});
}

/* capability: K11 */
HOST_CASE(cookie_expires_and_is_removed) {
  vestry *v;
  vestry_browser *one;
  vestry_memory_exchange *page;
  assert_int_equal(begin(th, &v), VESTRY_OK);
  assert_int_equal(vestry_route(v, "GET", "/bake", bake, NULL), VESTRY_OK);
  assert_int_equal(vestry_browser_create(v, &one), VESTRY_OK);
  assert_int_equal(vestry_browser_get(one, "/bake", &page), VESTRY_OK);
  vestry_memory_destroy(page);
  assert_string_equal(vestry_browser_cookie(one, "old"), "1");
  assert_string_equal(vestry_browser_cookie(one, "new"), "2");
  assert_null(vestry_browser_cookie(one, "gone"));
  test_host_advance_ms(th, 10001);
  assert_int_equal(vestry_browser_get(one, "/", &page), VESTRY_OK);
  vestry_memory_destroy(page);
  assert_null(vestry_browser_cookie(one, "old"));
  assert_string_equal(vestry_browser_cookie(one, "new"), "2");
  vestry_browser_destroy(one);
  vestry_destroy(v);
}

static vestry_err set_cookie(const vestry_request *req, vestry_reply *reply, void *app) {
  vestry_err error = vestry_reply_header(reply, "Set-Cookie", vestry_request_value(req, VESTRY_IN_QUERY, "set"));
  return error ? error : vestry_reply_status(reply, 204);
}

/* The attributes of a cookie, with the blanks that RFC 6265, section 5.2, permits. */
TEST_CASE(browser_ends_cookies_by_their_age) {
  static const struct {
    const char *path;
    bool stays;
  } rows[] = {
      {"/set?set=c%3d1", true},
      {"/set?set=c%3d1;Max-Age%3d0", false},
      {"/set?set=c%3d1;%20max-age%20%3d%200", false},
      {"/set?set=c%3d1;Path%3d/;%20%20Max-Age%3d-1", false},
      {"/set?set=c%3d1;Max-Age%3d0;Max-Age%3d60", true},
      {"/set?set=c%3dmax-age;X-Max-Age%3d0;Max-Aged%3d0", true},
      {"/set?set=c%3d1;MAX-AGE%3d60", true},
  };
  vestry *v;
  vestry_browser *ada;
  vestry_memory_exchange *answer;
  assert_int_equal(vestry_create(&(vestry_options){.threads_count = VESTRY_THREADS_NONE}, &v), VESTRY_OK);
  assert_int_equal(vestry_route(v, "GET", "/set", set_cookie, NULL), VESTRY_OK);
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    assert_int_equal(vestry_browser_create(v, &ada), VESTRY_OK);
    assert_int_equal(vestry_browser_get(ada, rows[i].path, &answer), VESTRY_OK);
    if ((vestry_browser_cookie(ada, "c") != NULL) != rows[i].stays) fail_msg("%s", rows[i].path);
    vestry_memory_destroy(answer);
    vestry_browser_destroy(ada);
  }
  vestry_destroy(v);
}
