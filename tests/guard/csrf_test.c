/* SPDX-License-Identifier: MIT */
/* CSRF: which requests pass, by method, token and origin. */
#include <stdlib.h>

#include "app/guard/proof.h"
#include "app/session/token.h"
#include "serve/wire.h"
#include "vestry/app/csrf.h"
#include "vestry/app/session.h"

static const char secret[] = "thirty-two bytes that nobody knows";

/* ------------------------------------------------------------------------------------------------- the suite ------ */

typedef struct suite {
  site on;
  vestry_csrf *csrf;
  int done; /* number of actions that ran */
} suite;

static vestry_err page(const vestry_request *req, vestry_reply *reply, void *app) {
  suite *s = app;
  char token[VESTRY_CSRF_TOKEN_BYTES], another[VESTRY_CSRF_TOKEN_BYTES];
  vestry_err error = vestry_csrf_token(s->csrf, req, reply, token);
  if (!error) error = vestry_csrf_token(s->csrf, req, reply, another);
  if (error) return error;
  assert_string_equal(token, another);
  return vestry_reply_bodyf(reply, "%s", token);
}

static vestry_err act(const vestry_request *req, vestry_reply *reply, void *app) {
  suite *s = app;
  s->done++;
  return vestry_reply_status(reply, 204);
}

static vestry_err log_in(const vestry_request *req, vestry_reply *reply, void *app) {
  vestry_err error = vestry_session_login(req, reply, "ada");
  return error ? error : page(req, reply, app);
}

static vestry_err log_out(const vestry_request *req, vestry_reply *reply, void *app) {
  vestry_err error = vestry_session_logout(req, reply);
  return error ? error : page(req, reply, app);
}

static const vestry_mounted routes[] = {
    {"GET", "/", page},         {"POST", "/act", act},       {"PUT", "/act", act},     {"PATCH", "/act", act},
    {"DELETE", "/act", act},    {"GET", "/act", act},        {"OPTIONS", "/act", act}, {"QUERY", "/act", act},
    {"POST", "/login", log_in}, {"POST", "/logout", log_out}};

static void begin(suite *s, vestry_options options, site_has has, const vestry_csrf_options *csrf) {
  *s = (suite){.done = 0};
  site_begin_with(&s->on, options, has);
  assert_int_equal(vestry_csrf_create(s->on.v, csrf, &s->csrf), VESTRY_OK);
  assert_int_equal(vestry_mount(s->on.v, "", routes, sizeof routes / sizeof *routes, s), VESTRY_OK);
  assert_int_equal(vestry_guard(s->on.v, "/", vestry_csrf_guard, s->csrf), VESTRY_OK);
}

static void end(suite *s) {
  vestry_csrf_destroy(s->csrf);
  site_end(&s->on);
}

/* A page, with its browser's cookie and token. */
typedef struct opened {
  char cookie[200], set[200];
  char token[VESTRY_CSRF_TOKEN_BYTES];
} opened;

static int ask(suite *s, opened *o, wire *r) {
  size_t count = 0;
  while (r->headers[count].name) count++;
  r->headers[count] = (vestry_header){"Cookie", o->cookie};
  wire_request(&s->on, r, NULL, NULL);
  (void)wire_value(r, "Set-Cookie", o->set, sizeof o->set);
  (void)wire_keep_cookie(r, o->cookie, sizeof o->cookie);
  if (r->status == 200) snprintf(o->token, sizeof o->token, "%s", r->text);
  wire_finish(r);
  return r->status;
}

static void open_page(suite *s, opened *o) {
  assert_int_equal(ask(s, o, &(wire){.path = "/"}), 200);
}

/* Run the action with an optional token and one optional header. Returns the status. */
static int act_with(suite *s, opened *o, const char *token, const char *name, const char *value) {
  wire r = {.method = "POST", .path = "/act"};
  size_t count = 0;
  if (token) r.headers[count++] = (vestry_header){"X-CSRF-Token", token};
  if (name) r.headers[count++] = (vestry_header){name, value};
  return ask(s, o, &r);
}

/* ------------------------------------------------------------------------------------------------ tokens ---------- */

/* Sessions in memory, and stored sessions. */
static vestry_err save(void *ctx, const char *hash, const vestry_session_record *record) {
  vestry_session_record *row = ctx;
  *row = *record;
  return VESTRY_OK;
}
static vestry_err load(void *ctx, const char *hash, vestry_session_record *ret_record) {
  return VESTRY_NOT_FOUND;
}
static vestry_err forget(void *ctx, const char *text) {
  return VESTRY_OK;
}
static const vestry_session_storage_ops storage = {.save = save, .load = load, .remove = forget, .remove_user = forget};

/* capability: D11 */
TEST_CASE(token_is_valid_only_in_its_session) {
  vestry_session_record row;
  const vestry_session_options ways[] = {{0}, {.storage = &storage, .storage_ctx = &row}};
  for (size_t way = 0; way < 2; way++) {
    suite s;
    begin(&s, (vestry_options){0}, (site_has){.sessions = &ways[way]}, NULL);
    opened ann = {.cookie = ""}, bob = {.cookie = ""}, before, inside;
    open_page(&s, &ann);
    open_page(&s, &bob);
    assert_int_equal(act_with(&s, &ann, ann.token, NULL, NULL), 204);
    assert_int_equal(act_with(&s, &ann, ann.token, NULL, NULL), 204); /* a token can be used repeatedly */
    assert_int_equal(act_with(&s, &ann, bob.token, NULL, NULL), 403);
    assert_int_equal(act_with(&s, &ann, NULL, NULL, NULL), 403);
    before = ann;
    open_page(&s, &ann);
    assert_string_equal(ann.token, before.token);
    assert_int_equal(act_with(&s, &ann, before.token, NULL, NULL), 204);
    /* A login invalidates earlier tokens; the token in the login's own reply is valid. */
    wire login = {.method = "POST", .path = "/login", .headers = {{"X-CSRF-Token", ann.token}}};
    before = ann;
    assert_int_equal(ask(&s, &ann, &login), 200);
    assert_int_equal(act_with(&s, &ann, before.token, NULL, NULL), 403);
    assert_int_equal(act_with(&s, &ann, ann.token, NULL, NULL), 204);
    inside = ann;
    wire logout = {.method = "POST", .path = "/logout", .headers = {{"X-CSRF-Token", ann.token}}};
    assert_int_equal(ask(&s, &ann, &logout), 200);
    assert_int_equal(act_with(&s, &ann, inside.token, NULL, NULL), 403);
    assert_int_equal(act_with(&s, &ann, ann.token, NULL, NULL), 204);
    assert_int_equal(s.done, 5);
    end(&s);
  }
}

/* capability: D11 */
TEST_CASE(token_is_bound_to_a_cookie_without_sessions) {
  for (int insecure = 0; insecure < 2; insecure++) {
    suite s;
    begin(&s, (vestry_options){0}, (site_has){.secret = NULL}, &(vestry_csrf_options){.insecure = insecure});
    opened ann = {.cookie = ""}, bob = {.cookie = ""}, first;
    open_page(&s, &ann);
    assert_memory_equal(ann.set, insecure ? "csrf=" : "__Host-csrf=", insecure ? 5 : 12);
    assert_non_null(
        strstr(ann.set, insecure ? "; Path=/; HttpOnly; SameSite=Lax" : "; Path=/; Secure; HttpOnly; SameSite=Lax"));
    first = ann;
    open_page(&s, &ann);
    assert_string_equal(ann.set, ""); /* the cookie is set once */
    assert_int_equal(act_with(&s, &ann, ann.token, NULL, NULL), 204);
    assert_int_equal(act_with(&s, &ann, first.token, NULL, NULL), 204);
    opened shared = ann; /* another program has a cookie of the same name */
    strcpy(shared.cookie, insecure ? "csrf=0123abcd; " : "__Host-csrf=0123abcd; ");
    strcat(shared.cookie, ann.cookie);
    assert_int_equal(act_with(&s, &shared, ann.token, NULL, NULL), 204);
    open_page(&s, &bob);
    assert_int_equal(act_with(&s, &ann, bob.token, NULL, NULL), 403);
    opened nobody = {.cookie = ""}; /* a token without the cookie is rejected */
    assert_int_equal(act_with(&s, &nobody, ann.token, NULL, NULL), 403);
    opened planted = {.cookie = ""}; /* so is a cookie that the server did not issue, even with its token */
    snprintf(planted.cookie, sizeof planted.cookie, "%s%s", insecure ? "csrf=" : "__Host-csrf=", ann.token);
    assert_int_equal(act_with(&s, &planted, ann.token, NULL, NULL), 403);
    open_page(&s, &planted);
    assert_string_not_equal(planted.set, ""); /* the invalid cookie is replaced */
    end(&s);
  }
}

/* The log names the reason for which requests are rejected, once a minute for each reason. */
/* capability: D11 */
TEST_CASE(reason_of_a_rejection_is_logged_once_a_minute) {
  suite s;
  begin(&s, (vestry_options){0}, (site_has){.secret = NULL}, &(vestry_csrf_options){.insecure = true});
  opened o = {.cookie = ""}, nobody = {.cookie = ""};
  open_page(&s, &o);
  test_host *th = &s.on.th;
  for (int minute = 0; minute < 2; minute++, test_host_advance_ms(th, 60001)) {
    for (int i = 0; i < 3; i++) assert_int_equal(act_with(&s, &o, NULL, NULL, NULL), 403);
    assert_int_equal(atomic_load(&th->log_lines), 3 * minute + 1);
    assert_string_equal(th->last_log,
                        minute ? "csrf: POST /act: there is no token (field csrf, header X-CSRF-Token, signal csrf)"
                                 " (and 2 times before)"
                               : "csrf: POST /act: there is no token (field csrf, header X-CSRF-Token, signal csrf)");
    for (int i = 0; i < 3; i++) assert_int_equal(act_with(&s, &nobody, o.token, NULL, NULL), 403);
    assert_int_equal(atomic_load(&th->log_lines), 3 * minute + 2);
    assert_non_null(strstr(th->last_log, "csrf: POST /act: there is a token, but not its cookie"));
    for (int i = 0; i < 3; i++) assert_int_equal(act_with(&s, &o, o.token, "Sec-Fetch-Site", "same-site"), 403);
    assert_int_equal(atomic_load(&th->log_lines), 3 * minute + 3);
    assert_non_null(strstr(th->last_log, "of another site"));
    assert_int_equal(act_with(&s, &o, "stale", NULL, NULL), 403); /* INFO: a user's login in another tab causes it */
    assert_int_equal(atomic_load(&th->log_lines), 3 * minute + 3);
  }
  end(&s);
}

static int act_with_body(suite *s, opened *o, const char *method, const char *type, bool datastar, const char *query,
                         const char *body) {
  wire r = {.method = method,
            .path = "/act",
            .query = query,
            .datastar = datastar,
            .headers = {{"Content-Type", type}},
            .body = body,
            .body_len = strlen(body)};
  return ask(s, o, &r);
}

/* capability: D11 */
TEST_CASE(token_is_read_from_header_form_and_signals) {
  suite s;
  begin(&s, (vestry_options){0}, (site_has){.sessions = &(vestry_session_options){0}}, NULL);
  opened o = {.cookie = ""};
  open_page(&s, &o);
  char form[300], parts[400], json[300], query[300], plain_query[300];
  snprintf(form, sizeof form, "a=b&csrf=%s", o.token);
  snprintf(parts, sizeof parts, "--x\r\nContent-Disposition: form-data; name=\"csrf\"\r\n\r\n%s\r\n--x--\r\n", o.token);
  snprintf(json, sizeof json, "{\"csrf\":\"%s\"}", o.token);
  snprintf(query, sizeof query, "datastar=%%7B%%22csrf%%22%%3A%%22%s%%22%%7D", o.token);
  snprintf(plain_query, sizeof plain_query, "csrf=%s", o.token);
  static const char *const urlencoded = "application/x-www-form-urlencoded", *const multipart =
                                                                                 "multipart/form-data; boundary=x";
  for (int datastar = 0; datastar < 2; datastar++) {
    assert_int_equal(act_with_body(&s, &o, "POST", urlencoded, datastar, NULL, form), 204);
    assert_int_equal(act_with_body(&s, &o, "POST", multipart, datastar, NULL, parts), 204);
    assert_int_equal(act_with_body(&s, &o, "POST", urlencoded, datastar, NULL, "a=b"), 403);
    assert_int_equal(act_with_body(&s, &o, "POST", "text/plain", datastar, NULL, datastar ? "{}" : form), 403);
    assert_int_equal(act_with_body(&s, &o, "POST", urlencoded, datastar, plain_query, "a=b"), 403);
  }
  static const char *const methods[] = {"POST", "PUT", "PATCH"};
  for (size_t i = 0; i < 3; i++) {
    assert_int_equal(act_with_body(&s, &o, methods[i], "application/json", true, NULL, json), 204);
    assert_int_equal(act_with_body(&s, &o, methods[i], "application/json", true, NULL, "{\"csrf\":1}"), 403);
    /* Not a Datastar request: no signals. */
    assert_int_equal(act_with_body(&s, &o, methods[i], "application/json", false, NULL, json), 403);
  }
  /* DELETE has its signals in the query. */
  assert_int_equal(act_with_body(&s, &o, "DELETE", "x/y", true, query, ""), 403);
  wire r = {.method = "DELETE", .path = "/act", .datastar = true, .headers = {{"X-CSRF-Token", o.token}}};
  assert_int_equal(ask(&s, &o, &r), 204);
  /* A field does not make up for a wrong header. */
  wire both = {.method = "POST",
               .path = "/act",
               .headers = {{"Content-Type", urlencoded}, {"X-CSRF-Token", "x"}},
               .body = form,
               .body_len = strlen(form)};
  assert_int_equal(ask(&s, &o, &both), 403);
  end(&s);
}

#define SUITE_CASE(name)                                                                                               \
  TEST_CASE_WITH(name, suite, s, begin(s, (vestry_options){0}, (site_has){.secret = NULL}, NULL), end(s))

/* capability: D11 */
SUITE_CASE(safe_methods_need_no_token) {
  opened o = {.cookie = ""};
  static const char *const methods[] = {"GET", "HEAD", "OPTIONS", "QUERY"};
  for (size_t i = 0; i < 4; i++) {
    wire r = {.method = methods[i],
              .path = "/act",
              .headers = {{"Sec-Fetch-Site", "cross-site"}, {"Origin", "https://evil.example"}}};
    assert_int_equal(ask(s, &o, &r), 204);
  }
  assert_int_equal(s->done, 4);
}

/* ---------------------------------------------------------------------------------------------- origins ----------- */

static int act_from(suite *s, opened *o, const char *site_of, const char *origin, const char *host) {
  wire r = {.method = "POST", .path = "/act", .headers = {{"X-CSRF-Token", o->token}}};
  size_t count = 1;
  if (site_of) r.headers[count++] = (vestry_header){"Sec-Fetch-Site", site_of};
  if (origin) r.headers[count++] = (vestry_header){"Origin", origin};
  if (host) r.headers[count++] = (vestry_header){"Host", host};
  return ask(s, o, &r);
}

/* capability: D11 */
TEST_CASE(request_origin_is_checked) {
  static const struct {
    const char *site, *origin, *host;
    int status;
  } rows[] = {
      {"same-origin", NULL, "a.example", 204},
      {"same-origin", "https://a.example", "a.example", 204},
      {"none", NULL, "a.example", 204},
      {"cross-site", NULL, "a.example", 403},
      {"cross-site", "https://evil.example", "a.example", 403},
      {"same-site", "https://b.a.example", "a.example", 403}, /* another host of the same site */
      {"same-site", "https://a.example:8443", "a.example", 403},
      {"same-site", "https://a.example", "a.example", 403}, /* Sec-Fetch-Site takes precedence over Origin */
      {"", "https://a.example", "a.example", 403},
      {"Same-Origin", NULL, "a.example", 403},
      {"same-origin, cross-site", NULL, "a.example", 403},
      /* Browsers omit Sec-Fetch-Site over plain http. */
      {NULL, "http://a.example", "a.example", 204},
      {NULL, "http://a.example:80", "a.example", 204},
      {NULL, "http://a.example", "a.example:80", 204},
      {NULL, "https://a.example", "a.example:443", 204},
      {NULL, "https://a.example", "a.example:80", 403},
      {NULL, "http://A.Example", "a.eXample", 204},
      {NULL, "http://a.example:8080", "a.example:8080", 204},
      {NULL, "http://a.example:8080", "a.example:8081", 403},
      {NULL, "http://a.example:8080", "a.example", 403},
      {NULL, "http://[::1]:8080", "[::1]:8080", 204},
      {NULL, "http://[::1]", "[::2]", 403},
      {NULL, "http://evil.example", "a.example", 403},
      {NULL, "http://a.example.evil.example", "a.example", 403},
      {NULL, "null", "a.example", 403},
      {NULL, "", "a.example", 403},
      {NULL, "http://", "a.example", 403},
      {NULL, "http://", "", 403},
      {NULL, "http://a.example/", "a.example/", 403},
      {NULL, "http://u@a.example", "u@a.example", 403},
      {NULL, "file://a.example", "a.example", 403},
      {NULL, "http://a.example", NULL, 403},
      {NULL, NULL, "a.example", 204}, /* no browser sent it; the token suffices */
      /* Trusted origins. */
      {"same-site", "https://www.a.example", "a.example", 204},
      {"cross-site", "https://partner.example:8443", "a.example", 204},
      {"cross-site", "https://PARTNER.example:8443", "a.example", 204},
      {NULL, "https://partner.example:8443", "a.example", 204},
      {"cross-site", "https://partner.example", "a.example", 403},
      {"cross-site", "http://partner.example:8443", "a.example", 403},
      {"same-site", "http://www.a.example", "a.example", 403},
      {"same-site", "https://www.a.example:443", "a.example", 204},
      {"cross-site", "http://plain.example", "a.example", 204},
      {"cross-site", "https://plain.example", "a.example", 403},
  };
  const char *trusted[] = {"https://www.a.example", "https://partner.example:8443", "http://plain.example"};
  suite s;
  begin(&s, (vestry_options){0}, (site_has){.sessions = &(vestry_session_options){0}},
        &(vestry_csrf_options){.trusted_origins = trusted, .trusted_origins_count = 3});
  trusted[0] = trusted[1] = "https://overwritten.example"; /* create has copied the origins */
  opened o = {.cookie = ""};
  open_page(&s, &o);
  int done = 0;
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    int status = act_from(&s, &o, rows[i].site, rows[i].origin, rows[i].host);
    if (status != rows[i].status) fail_msg("row %zu: %d", i, status);
    done += status == 204;
  }
  assert_int_equal(s.done, done);
  /* A trusted origin still needs a token. */
  assert_int_equal(act_with(&s, &o, NULL, "Origin", "https://www.a.example"), 403);
  end(&s);
}

SITE_CASE(invalid_trusted_origins_are_rejected) {
  vestry_csrf *csrf = NULL;
  static const char *const bad[] = {"a.example",          "https://a.example/", "https://", "ftp://a.example",
                                    "https://a.example:", "https://a b",        "",         "https://a.example:123456",
                                    "https://[::1",       "https://*.example",  "null",     "https://u@a.example"};
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
    assert_int_equal(
        vestry_csrf_create(w->v, &(vestry_csrf_options){.trusted_origins = &bad[i], .trusted_origins_count = 1}, &csrf),
        VESTRY_INVALID);
  assert_int_equal(vestry_csrf_create(w->v, &(vestry_csrf_options){.trusted_origins_count = 1}, &csrf), VESTRY_INVALID);
  assert_int_equal(vestry_csrf_create(NULL, NULL, &csrf), VESTRY_INVALID);
  assert_null(csrf);
  vestry_csrf_destroy(NULL);
  char long_host[400];
  memset(long_host, 'a', sizeof long_host - 1);
  long_host[sizeof long_host - 1] = '\0';
  memcpy(long_host, "https://", 8);
  assert_false(vsi_origin_is_good(long_host));
  assert_false(vsi_origin_is_host(long_host, long_host + 8));
}

/* ---------------------------------------------------------------------------------------------- rejections -------- */

static vestry_err own_page(const vestry_request *req, vestry_reply *reply, void *app) {
  return vestry_reply_bodyf(reply, "%s: %d", (const char *)app, req->error);
}

/* capability: D11 */
SUITE_CASE(rejection_states_its_reason) {
  wire r = {.method = "POST", .path = "/act", .headers = {{"Sec-Fetch-Site", "cross-site"}}};
  wire_request(&s->on, &r, NULL, NULL);
  assert_int_equal(r.status, 403);
  assert_non_null(strstr(r.text, "<title>403</title>"));
  assert_non_null(strstr(r.text, "a page of another site"));
  assert_true(wire_has_header(&r, "Content-Type: text/html; charset=utf-8"));
  wire_finish(&r);
  wire datastar = {.method = "POST", .path = "/act", .datastar = true, .body = "{}", .body_len = 2};
  wire_request(&s->on, &datastar, NULL, NULL);
  assert_int_equal(datastar.status, 403);
  assert_true(wire_has_header(&datastar, "Content-Type: text/plain; charset=utf-8"));
  assert_non_null(strstr(datastar.text, "no proof"));
  wire_finish(&datastar);
  assert_int_equal(vestry_error_page(s->on.v, 403, own_page, (void *)(uintptr_t) "not so"), VESTRY_OK);
  wire own = {.method = "POST", .path = "/act"};
  wire_request(&s->on, &own, NULL, NULL);
  assert_int_equal(own.status, 403);
  wire_assert_text(&own, "not so: 403");
  wire_finish(&own);
  assert_int_equal(s->done, 0);
}

/* Corrupt tokens and cookies: each character changed, and each shorter length. */
/* capability: D11 */
SUITE_CASE(corrupt_tokens_and_cookies_are_rejected) {
  opened o = {.cookie = ""};
  open_page(s, &o);
  char cookie[sizeof o.cookie], text[70];
  strcpy(cookie, o.cookie);
  for (size_t i = 0; i < 64; i++) {
    strcpy(text, o.token);
    text[i] = text[i] == 'f' ? '0' : 'f';
    assert_int_equal(act_with(s, &o, text, NULL, NULL), 403);
    text[i] = '\0';
    assert_int_equal(act_with(s, &o, text, NULL, NULL), 403);
    strcpy(o.cookie, cookie);
    char *digit = o.cookie + strlen(cookie) - 1 - i;
    *digit = *digit == 'f' ? '0' : 'f';
    assert_int_equal(act_with(s, &o, o.token, NULL, NULL), 403);
    strcpy(o.cookie, cookie);
  }
  snprintf(text, sizeof text, "%s0", o.token);
  assert_int_equal(act_with(s, &o, text, NULL, NULL), 403);
  assert_int_equal(s->done, 0);
  assert_int_equal(act_with(s, &o, o.token, NULL, NULL), 204);
}

typedef struct short_run {
  opened *with; /* a page of an instance with the same secret; NULL: open one */
  int status;   /* expected status of the action */
} short_run;

static vestry_err run_short(test_host *th, void *ctx) {
  short_run *run = ctx;
  const char *origin = "https://a.example";
  suite s = {.done = 0};
  vestry_err error = VESTRY_NO_MEMORY;
  opened o = {.cookie = ""};
  wire page_of = {.path = "/"}, action = {.method = "POST", .path = "/act"};
  char form[200];
  if (vestry_create(&(vestry_options){.host = &th->host, .threads_count = VESTRY_THREADS_NONE}, &s.on.v)) return error;
  if (!site_give(s.on.v, (site_has){.secret = secret}) &&
      !vestry_csrf_create(s.on.v, &(vestry_csrf_options){.trusted_origins = &origin, .trusted_origins_count = 1},
                          &s.csrf) &&
      !vestry_mount(s.on.v, "", routes, sizeof routes / sizeof *routes, &s) &&
      !vestry_guard(s.on.v, "/", vestry_csrf_guard, s.csrf)) {
    if (run->with) {
      o = *run->with;
      snprintf(form, sizeof form, "csrf=%s", o.token);
      action.headers[0] = (vestry_header){"Content-Type", "application/x-www-form-urlencoded"};
      action.body = form;
      action.body_len = strlen(form);
      ask(&s, &o, &action);
    }
    int status = run->with ? action.status : ask(&s, &o, &page_of);
    int wanted = run->with ? run->status : 200;
    error = status == wanted ? VESTRY_OK : status == 500 ? VESTRY_NO_MEMORY : VESTRY_FAILED;
    if (!error || wanted == 403) assert_int_equal(s.done, status == 204);
  }
  vestry_csrf_destroy(s.csrf);
  vestry_destroy(s.on.v);
  return error;
}

TEST_CASE(allocation_failure_passes_no_invalid_token) {
  test_host_fail_each(run_short, &(short_run){NULL, 200}, false);
  suite s;
  begin(&s, (vestry_options){0}, (site_has){.secret = secret}, NULL);
  opened o = {.cookie = ""};
  open_page(&s, &o);
  end(&s);
  test_host_fail_each(run_short, &(short_run){&o, 204}, false);
  *o.token ^= 1;
  test_host_fail_each(run_short, &(short_run){&o, 403}, false);
}

SUITE_CASE(page_without_randomness_gets_500) {
  atomic_store(&s->on.th.fail_random, true);
  opened o = {.cookie = ""};
  assert_int_equal(ask(s, &o, &(wire){.path = "/"}), 500);
  assert_string_equal(o.set, "");
}

/* The token of a form with too many values is not missing: reloading the page would not help. */
TEST_CASE(form_with_too_many_values_gets_413) {
  suite s;
  begin(&s, (vestry_options){.bounds = &(vestry_bounds){.max_values_count = 2}}, (site_has){.sessions = NULL}, NULL);
  opened o = {.cookie = ""};
  open_page(&s, &o);
  char body[VESTRY_CSRF_TOKEN_BYTES + 16];
  for (int more = 0; more < 2; more++) {
    snprintf(body, sizeof body, "csrf=%s&a=1%s", o.token, more ? "&b=1" : "");
    wire r = {.method = "POST",
              .path = "/act",
              .headers = {{"Content-Type", "application/x-www-form-urlencoded"}},
              .body = body,
              .body_len = strlen(body)};
    assert_int_equal(ask(&s, &o, &r), more ? 413 : 204);
  }
  end(&s);
}
