/* SPDX-License-Identifier: MIT */
/* Cache-Control: an answer that depends on a user is not stored by caches. */
#include <string.h>
#include <strings.h>

#include "http/request.h"
#include "serve/wire.h"
#include "vestry/app/csrf.h"
#include "vestry/app/once.h"
#include "vestry/app/session.h"
#include "vestry/app/tab.h"

static const char secret[] = "thirty-two bytes that nobody knows";
static int64_t now; /* time of the sessions */
static vestry_csrf *csrf;
static vestry_once *once;

static int64_t now_s(void *ctx) {
  return now;
}

/* ---- the values that handlers read ------------------------------------------------------------------------------- */

static void nobody(const vestry_request *req, vestry_reply *reply) {
  (void)vestry_request_header(req, "Accept-Language");
  (void)vestry_request_value(req, VESTRY_IN_QUERY, "q");
}

static void user(const vestry_request *req, vestry_reply *reply) {
  (void)vestry_session_user(req);
}

static void visitor(const vestry_request *req, vestry_reply *reply) {
  (void)vestry_session_is_anonymous(req);
}

static void token(const vestry_request *req, vestry_reply *reply) {
  char text[VESTRY_CSRF_TOKEN_BYTES];
  assert_int_equal(vestry_csrf_token(csrf, req, reply, text), VESTRY_OK);
}

static void nonce(const vestry_request *req, vestry_reply *reply) {
  char text[VESTRY_ONCE_NONCE_BYTES];
  assert_int_equal(vestry_once_nonce(req, text), VESTRY_OK);
}

static void tab(const vestry_request *req, vestry_reply *reply) {
  char id[VESTRY_TAB_ID_BYTES];
  assert_int_equal(vestry_tab_id(req, id), VESTRY_OK);
}

static void attributes(const vestry_request *req, vestry_reply *reply) {
  char text[VESTRY_TAB_ATTRIBUTES_BYTES];
  assert_int_equal(vestry_tab_attributes(req, reply, text, sizeof text), VESTRY_OK);
}

static void cookie(const vestry_request *req, vestry_reply *reply) {
  char value[16];
  (void)vestry_request_cookie(req, "theme", value, sizeof value);
}

static void credentials(const vestry_request *req, vestry_reply *reply) {
  (void)vestry_request_header(req, "authorization");
}

static void proxy_header(const vestry_request *req, vestry_reply *reply) {
  (void)vestry_request_header(req, "X-Remote-User");
}

/* ?name=…: the header that the handler reads. */
static void header_of_query(const vestry_request *req, vestry_reply *reply) {
  (void)vestry_request_header(req, vestry_request_value(req, VESTRY_IN_QUERY, "name"));
}

static void cookie_set(const vestry_request *req, vestry_reply *reply) {
  assert_int_equal(vestry_reply_cookie(reply, &(vestry_cookie){.name = "theme", .value = "dark"}), VESTRY_OK);
}

typedef struct reader {
  const char *name;
  void (*ask)(const vestry_request *req, vestry_reply *reply);
  bool is_personal, sets_cookie;
} reader;
static const reader readers[] = {
    {"nobody", nobody, false, false},
    {"user", user, true, false},
    {"visitor", visitor, true, false},
    {"token", token, true, true},
    {"nonce", nonce, true, false},
    {"tab", tab, true, false},
    {"attributes", attributes, true, false},
    {"cookie", cookie, true, false},
    {"credentials", credentials, true, false},
    {"proxy", proxy_header, true, false},
    {"set", cookie_set, true, true},
};

/* ---- an application ---------------------------------------------------------------------------------------------- */

/* ?cc=…: the handler's own header. The type is not that of a document. */
static vestry_err answer(const vestry_request *req, vestry_reply *reply, void *app) {
  const char *own = vestry_request_value(req, VESTRY_IN_QUERY, "cc");
  ((const reader *)app)->ask(req, reply);
  if (own) vestry_reply_header(reply, "Cache-Control", own);
  return vestry_reply_body(reply, "text/plain", "x", 1);
}

static const reader header_reader = {"header", header_of_query, false, false};

static vestry_err document(const vestry_request *req, vestry_reply *reply, void *app) {
  const char *own = vestry_request_value(req, VESTRY_IN_QUERY, "cc");
  if (own) vestry_reply_header(reply, "Cache-Control", own);
  return vestry_reply_body(reply, NULL, "<p>", 3);
}

static vestry_err guard(const vestry_request *req, vestry_reply *reply, void *app) {
  (void)vestry_session_user(req);
  return VESTRY_OK;
}

static vestry_err log_in(const vestry_request *req, vestry_reply *reply, void *app) {
  vestry_err error = vestry_session_login(req, reply, "ada");
  if (!error) error = vestry_reply_header(reply, "Cache-Control", "max-age=3600");
  return error ? error : vestry_reply_body(reply, "application/json", "{}", 2);
}

static void begin(site *w, bool has_sessions) {
  vestry_session_options sessions = {.insecure = true, .now_s = now_s, .idle_ms = 1000000, .lifetime_ms = 10000000};
  now = 1000000;
  site_begin_with(w, (vestry_options){0}, (site_has){.secret = secret, .sessions = has_sessions ? &sessions : NULL});
  assert_int_equal(vestry_csrf_create(w->v, NULL, &csrf), VESTRY_OK);
  assert_int_equal(vestry_once_create(w->v, NULL, &once), VESTRY_OK);
  for (size_t i = 0; i < sizeof readers / sizeof *readers; i++) {
    char path[32];
    snprintf(path, sizeof path, "/%s", readers[i].name);
    assert_int_equal(vestry_route(w->v, "GET", path, answer, (void *)(uintptr_t)&readers[i]), VESTRY_OK);
  }
  assert_int_equal(vestry_route(w->v, "GET", "/document", document, NULL), VESTRY_OK);
  assert_int_equal(vestry_route(w->v, "GET", "/guarded/nobody", answer, (void *)(uintptr_t)&readers[0]), VESTRY_OK);
  assert_int_equal(vestry_guard(w->v, "/guarded", guard, NULL), VESTRY_OK);
  assert_int_equal(vestry_route(w->v, "POST", "/login", log_in, NULL), VESTRY_OK);
}

static void end(site *w) {
  vestry_csrf_destroy(csrf);
  vestry_once_destroy(once);
  site_end(w);
}

/* Collect the values of all lines of the answer's head with this name, each followed by "|". */
static void lines_of(const wire *r, const char *name, char text[256]) {
  *text = '\0';
  for (const char *at = r->head; *at; at += strcspn(at, "\n") + 1) {
    size_t len = strlen(name);
    if (strncmp(at, name, len) != 0 || strncmp(at + len, ": ", 2) != 0) continue;
    size_t used = strlen(text);
    snprintf(text + used, 256 - used, "%.*s|", (int)(strcspn(at, "\n") - len - 2), at + len + 2);
  }
}

static void ask(site *w, const char *path, const char *query, const char *sent, char caching[256], char set[256]) {
  wire r = {.path = path, .query = query, .headers = {{sent ? "Cookie" : NULL, sent}}};
  if (strcmp(path, "/login") == 0) r.method = "POST";
  wire_request(w, &r, NULL, NULL);
  assert_int_equal(r.status, 200);
  lines_of(&r, "Cache-Control", caching);
  lines_of(&r, "Set-Cookie", set);
  wire_finish(&r);
}

/* ---- tests ------------------------------------------------------------------------------------------------------- */

TEST_CASE(personal_answers_are_not_cached) {
  for (int has_sessions = 0; has_sessions < 2; has_sessions++) {
    site w;
    begin(&w, has_sessions);
    for (size_t i = 0; i < sizeof readers / sizeof *readers; i++) {
      const reader *a = &readers[i];
      char path[32], caching[256], set[256];
      snprintf(path, sizeof path, "/%s", a->name);
      ask(&w, path, NULL, "theme=dark", caching, set);
      if (strcmp(caching, a->is_personal ? "private, no-store|" : "") != 0) fail_msg("%s: \"%s\"", a->name, caching);
      /* The handler's own header is kept, */
      ask(&w, path, "cc=max-age%3D60", "theme=dark", caching, set);
      bool sets = *set != '\0';
      if (a->sets_cookie && !has_sessions) assert_true(sets);
      /* except for an answer that sets a cookie. */
      if (strcmp(caching, sets ? "private, no-store|" : "max-age=60|") != 0) fail_msg("%s: \"%s\"", a->name, caching);
      static const char *const stays[][2] = {{"cc=Private", "Private|"},
                                             {"cc=max-age=1,%20no-store", "max-age=1, no-store|"}};
      for (size_t own = 0; own < 2; own++) {
        ask(&w, path, stays[own][0], NULL, caching, set);
        if (strcmp(caching, stays[own][1]) != 0) fail_msg("%s: \"%s\"", a->name, caching);
      }
      ask(&w, path, "cc=x-private,max-age=1", NULL, caching, set);
      assert_string_equal(caching, *set ? "private, no-store|" : "x-private,max-age=1|");
    }
    char caching[256], set[256];
    ask(&w, "/guarded/nobody", NULL, NULL, caching, set);
    assert_string_equal(caching, "private, no-store|");
    end(&w);
  }
}

/* The headers of common proxies. The other ones concern the client, not the user. */
TEST_CASE(answers_by_a_header_that_names_a_user_are_private) {
  static const char *const users[] = {"cookie",
                                      "Authorization",
                                      "Remote-User",
                                      "Remote-Email",
                                      "X-Remote-User",
                                      "X-Forwarded-User",
                                      "X-Forwarded-Email",
                                      "X-Forwarded-Groups",
                                      "X-Forwarded-Preferred-Username",
                                      "x-auth-request-user",
                                      "X-Auth-Request-Email",
                                      "X-Auth-Request-Preferred-Username",
                                      "X-authentik-username",
                                      "Cf-Access-Authenticated-User-Email",
                                      "Cf-Access-Jwt-Assertion",
                                      "X-Amzn-Oidc-Identity",
                                      "X-Amzn-Oidc-Data",
                                      "X-Goog-Authenticated-User-Email",
                                      "X-MS-CLIENT-PRINCIPAL-NAME",
                                      "Tailscale-User-Login",
                                      "X-Vouch-User",
                                      "X-Pomerium-Claim-Email",
                                      "X-WEBAUTH-USER",
                                      "X-Forwarded-Client-Cert"};
  static const char *const others[] = {"Accept-Language", "Host", "Remote-Addr", "X-Forwarded-For", "X-Request-Id"};
  enum { USERS = sizeof users / sizeof *users, OTHERS = sizeof others / sizeof *others };
  for (size_t i = 1; i < VSI_USER_HEADERS_COUNT; i++)
    assert_true(strcasecmp(vsi_user_headers[i - 1], vsi_user_headers[i]) < 0);
  site w;
  site_begin(&w, (vestry_options){0});
  assert_int_equal(vestry_route(w.v, "GET", "/header", answer, (void *)(uintptr_t)&header_reader), VESTRY_OK);
  for (size_t i = 0; i < USERS + OTHERS; i++) {
    const char *name = i < USERS ? users[i] : others[i - USERS];
    char query[64], caching[256], set[256];
    snprintf(query, sizeof query, "name=%s", name);
    ask(&w, "/header", query, NULL, caching, set);
    if (strcmp(caching, i < USERS ? "private, no-store|" : "") != 0) fail_msg("%s: \"%s\"", name, caching);
  }
  site_end(&w);
}

/* A use is recorded after each tenth of idle_ms; the cookie that renews the session is sent only with documents. */
TEST_CASE(only_documents_renew_a_session) {
  site w;
  char caching[256], set[256], cookie_text[256];
  begin(&w, true);
  ask(&w, "/login", NULL, NULL, caching, set);
  assert_string_equal(caching, "private, no-store|"); /* although the handler set max-age=3600 */
  snprintf(cookie_text, sizeof cookie_text, "%.*s", (int)strcspn(set, ";"), set);
  now += 200;
  ask(&w, "/nobody", "cc=max-age=3600", cookie_text, caching, set);
  assert_string_equal(set, "");
  assert_string_equal(caching, "max-age=3600|");
  now += 200;
  ask(&w, "/nobody", NULL, cookie_text, caching, set);
  assert_string_equal(set, "");
  now += 200;
  ask(&w, "/document", "cc=public,max-age=3600", cookie_text, caching, set); /* for all users */
  assert_string_equal(set, "");
  assert_string_equal(caching, "public,max-age=3600|");
  now += 200;
  ask(&w, "/document", NULL, cookie_text, caching, set);
  assert_string_not_equal(set, "");
  assert_string_equal(caching, "private, no-store|");
  now += 200;
  ask(&w, "/document", "cc=no-cache", cookie_text, caching, set);
  assert_string_not_equal(set, "");
  assert_string_equal(caching, "private, no-store|");
  end(&w);
}

/* The application's own login: its scope function runs before the handler reads anything. */
static vestry_err own_scope(const vestry_request *req, vestry_reply *reply, char *buffer, size_t *len, void *app) {
  char user[16];
  *len = 0;
  if (vestry_request_value(req, VESTRY_IN_QUERY, "plain")) return VESTRY_OK; /* no personal value was read */
  if (!vestry_request_cookie(req, "user", user, sizeof user)) *len = (size_t)snprintf(buffer, 16, "%s", user);
  return VESTRY_OK;
}

TEST_CASE(answer_for_an_applications_scope_is_private) {
  site w;
  char caching[256], set[256];
  site_begin(&w, (vestry_options){.scope = own_scope});
  assert_int_equal(vestry_route(w.v, "GET", "/nobody", answer, (void *)(uintptr_t)&readers[0]), VESTRY_OK);
  ask(&w, "/nobody", NULL, "user=ann", caching, set);
  assert_string_equal(caching, "private, no-store|");
  ask(&w, "/nobody", NULL, NULL, caching, set); /* other users have different pages at this address */
  assert_string_equal(caching, "private, no-store|");
  ask(&w, "/nobody", "cc=max-age=60", "user=ann", caching, set); /* the handler's own header */
  assert_string_equal(caching, "max-age=60|");
  ask(&w, "/nobody", "plain=1", NULL, caching, set);
  assert_string_equal(caching, "");
  site_end(&w);
}
