/* SPDX-License-Identifier: MIT */
/* Guests: their cookie, the rate of new ones, and the change to a user. */
#include "vestry/app/guest.h"

#include <stdlib.h>

#include "serve/wire.h"
#include "vestry/app/csrf.h"
#include "vestry/app/once.h"
#include "vestry/app/rate.h"
#include "vestry/app/tab.h"

enum { DAY_S = 24 * 3600, JAR = 4 };

static int64_t now_s;
static int64_t clock_s(void *ctx) {
  return now_s;
}

/* A browser: its cookies, "name=value". */
typedef struct jar {
  char cookies[JAR][512];
  int sets; /* cookies of the last response */
} jar;

static size_t name_len(const char *cookie) {
  return strcspn(cookie, "=");
}

static void keep_cookie(jar *j, const char *line) {
  const size_t len = strcspn(line, "=") + 1;
  int free_place = -1;
  j->sets++;
  for (int i = 0; i < JAR; i++) {
    if (!*j->cookies[i]) free_place = i;
    if (strncmp(j->cookies[i], line, len) == 0) *j->cookies[i] = '\0', free_place = i;
  }
  assert_true(free_place >= 0);
  const char *end = strchr(line, '\n'), *gone = strstr(line, "Max-Age=0");
  if (!gone || gone > end)
    snprintf(j->cookies[free_place], sizeof j->cookies[0], "%.*s", (int)strcspn(line, ";\n"), line);
}

static const char *cookie_of(const jar *j, const char *name) {
  for (int i = 0; i < JAR; i++)
    if (name_len(j->cookies[i]) == strlen(name) && strncmp(j->cookies[i], name, strlen(name)) == 0)
      return j->cookies[i];
  return NULL;
}
#define GUEST "__Host-session-guest"

static void request(site *w, jar *j, wire *r) {
  char header[JAR * 514] = "";
  for (int i = 0; i < JAR; i++)
    if (*j->cookies[i]) snprintf(header + strlen(header), sizeof header - strlen(header), "; %s", j->cookies[i]);
  size_t at = 0;
  while (r->headers[at].name) at++;
  r->headers[at] = (vestry_header){"Cookie", *header ? header + 2 : ""};
  wire_request(w, r, NULL, NULL);
  r->headers[at] = (vestry_header){NULL, NULL};
  j->sets = 0;
  for (const char *line = r->head; *line; line += strcspn(line, "\n") + 1)
    if (strncasecmp(line, "set-cookie: ", 12) == 0) keep_cookie(j, line + 12);
}

/* What a request to a path returns: the text, at most 400 bytes. */
static int visit(site *w, jar *j, const char *method, const char *path, char text[400]) {
  wire r = {.method = method, .path = path};
  request(w, j, &r);
  if (text) snprintf(text, 400, "%s", r.text ? r.text : "");
  const int status = r.status;
  wire_finish(&r);
  return status;
}

/* ---- the program */

typedef struct program {
  vestry_csrf *csrf;
  vestry_once *once;
  vestry_err moved_error;
  int moves, checks;
  char moved[100];
} program;
static program own;

static vestry_err who(const vestry_request *req, vestry_reply *reply, void *app) {
  const char *user = vestry_session_user(req), *guest = vestry_guest_id(req);
  assert_int_equal(vestry_session_is_anonymous(req), !user);
  char scope[64];
  snprintf(scope, sizeof scope, "%.*s", (int)req->scope.len, (const char *)req->scope.data);
  if (guest) assert_string_equal(guest, scope);
  return vestry_reply_bodyf(reply, "%s %s", user ? user : guest ? "guest" : "nobody", scope);
}

static vestry_err begin_guest(const vestry_request *req, vestry_reply *reply, void *app) {
  const char *guest = NULL;
  vestry_err error = vestry_guest_begin(req, reply, &guest);
  if (error) return error;
  assert_string_equal(guest, vestry_guest_id(req));
  return vestry_reply_status(reply, 204);
}

static vestry_err log_in(const vestry_request *req, vestry_reply *reply, void *app) {
  vestry_err error = vestry_session_login(req, reply, app);
  return error ? error : vestry_reply_status(reply, 204);
}

static vestry_err log_out(const vestry_request *req, vestry_reply *reply, void *app) {
  vestry_err error = vestry_session_logout(req, reply);
  return error ? error : vestry_reply_status(reply, 204);
}

static vestry_err live(const vestry_request *req, vestry_reply *reply, void *app) {
  vestry_reply_key(reply, VESTRY_KEY("page"));
  return vestry_reply_keep(reply, VESTRY_KEEP_MANY, 0);
}

/* "TOKEN NONCE TAB" */
static vestry_err proofs(const vestry_request *req, vestry_reply *reply, void *app) {
  char token[VESTRY_CSRF_TOKEN_BYTES], nonce[VESTRY_ONCE_NONCE_BYTES], attributes[VESTRY_TAB_ATTRIBUTES_BYTES];
  assert_int_equal(vestry_csrf_token(own.csrf, req, reply, token), VESTRY_OK);
  assert_int_equal(vestry_once_nonce(req, nonce), VESTRY_OK);
  assert_int_equal(vestry_tab_attributes(req, reply, attributes, sizeof attributes), VESTRY_OK);
  const char *tab = strstr(attributes, "el.stash.take() || '");
  assert_non_null(tab);
  return vestry_reply_bodyf(reply, "%s %s %.64s", token, nonce, tab + strlen("el.stash.take() || '"));
}

static vestry_err check(const vestry_request *req, vestry_reply *reply, void *app) {
  own.checks++;
  return vestry_reply_bodyf(reply, "%s", vestry_tab_is_known(req) ? "known" : "unknown");
}

static vestry_err move_data(const vestry_request *req, const char *guest, const char *user, void *ctx) {
  program *p = ctx;
  assert_string_equal(vestry_guest_id(req), guest);
  p->moves++;
  snprintf(p->moved, sizeof p->moved, "%s to %s", guest, user);
  return p->moved_error;
}

static char ada[] = "ada", bob[] = "bob";

static void start(site *w, const vestry_rate_options *rate) {
  static const vestry_session_options sessions = {.now_s = clock_s};
  const vestry_guests_options options = {.rate = rate, .moved = move_data, .ctx = &own};
  static const vestry_mounted routes[] = {{"GET", "/", who},          {"POST", "/begin", begin_guest},
                                          {"POST", "/out", log_out},  {"GET", "/live", live},
                                          {"GET", "/proofs", proofs}, {"POST", "/checked", check}};
  own = (program){.moves = 0};
  site_begin_with(w, (vestry_options){0},
                  (site_has){.sessions = &sessions, .secret = "a secret of thirty-two bytes or more"});
  assert_int_equal(vestry_guests_create(w->v, &options), VESTRY_OK);
  assert_int_equal(vestry_csrf_create(w->v, NULL, &own.csrf), VESTRY_OK);
  assert_int_equal(vestry_once_create(w->v, NULL, &own.once), VESTRY_OK);
  assert_int_equal(vestry_guard(w->v, "/checked", vestry_csrf_guard, own.csrf), VESTRY_OK);
  assert_int_equal(vestry_guard(w->v, "/checked", vestry_once_guard, own.once), VESTRY_OK);
  assert_int_equal(vestry_mount(w->v, "", routes, sizeof routes / sizeof *routes, NULL), VESTRY_OK);
  assert_int_equal(vestry_route(w->v, "POST", "/in", log_in, ada), VESTRY_OK);
  assert_int_equal(vestry_route(w->v, "POST", "/in/bob", log_in, bob), VESTRY_OK);
  now_s = INT64_C(1800000000);
}

static void finish(site *w) {
  vestry_once_destroy(own.once);
  vestry_csrf_destroy(own.csrf);
  site_end(w);
}

static void assert_is(site *w, jar *j, const char *wanted) {
  char text[400];
  assert_int_equal(visit(w, j, "GET", "/", text), 200);
  assert_memory_equal(text, wanted, strlen(wanted));
}

/* ---- tests */

#define GUEST_CASE(name) TEST_CASE_WITH(name, site, w, start(w, NULL), finish(w))

/* capability: L21 */
GUEST_CASE(guest_keeps_the_scope_and_survives_a_restart) {
  jar j = {.sets = 0};
  char before[400], after[400];
  visit(w, &j, "GET", "/", before);
  assert_memory_equal(before, "nobody ", 7);
  assert_int_equal(visit(w, &j, "POST", "/begin", NULL), 204);
  assert_non_null(cookie_of(&j, GUEST));
  visit(w, &j, "GET", "/", after);
  assert_memory_equal(after, "guest ", 6);
  assert_string_equal(after + 6, before + 7); /* the scope */
  assert_int_equal(j.sets, 0);
  assert_int_equal(visit(w, &j, "POST", "/begin", NULL), 204); /* the same guest */
  assert_int_equal(j.sets, 0);
  finish(w);
  jar reopened = {.sets = 0}; /* the browser was closed: only the guest's cookie is left */
  strcpy(reopened.cookies[0], cookie_of(&j, GUEST));
  start(w, NULL);
  visit(w, &reopened, "GET", "/", before);
  assert_string_equal(before, after);
}

/* capability: L21 */
GUEST_CASE(cookie_is_renewed_and_expires) {
  jar j = {.sets = 0};
  visit(w, &j, "POST", "/begin", NULL);
  now_s += 17 * DAY_S;
  assert_is(w, &j, "guest");
  assert_int_equal(j.sets, 0);
  for (int i = 0; i < 3; i++) { /* a visit each 170 days */
    now_s += 170 * DAY_S;
    if (!i) now_s -= 17 * DAY_S;
    assert_is(w, &j, "guest");
    assert_int_equal(j.sets, 1);
  }
  now_s += 180 * DAY_S;
  assert_is(w, &j, "nobody");
}

/* The clock was a year ahead when the guest began. The browser drops a cookie that is not set again in time; a node
 * whose clock is behind ends no guest of others. */
GUEST_CASE(cookie_is_renewed_beside_clocks_that_are_wrong) {
  jar j = {.sets = 0};
  now_s += 365 * DAY_S;
  visit(w, &j, "POST", "/begin", NULL);
  now_s -= 365 * DAY_S;
  assert_is(w, &j, "guest");
  assert_int_equal(j.sets, 1);
  now_s += (365 + 179) * DAY_S;
  assert_is(w, &j, "guest");
  assert_int_equal(j.sets, 1);
  now_s -= DAY_S; /* clocks of nodes differ a little */
  assert_is(w, &j, "guest");
  assert_int_equal(j.sets, 0);
}

/* capability: L21 */
GUEST_CASE(invented_cookies_are_no_guests) {
  jar j = {.sets = 0};
  visit(w, &j, "POST", "/begin", NULL);
  const char *good = cookie_of(&j, GUEST);
  const size_t len = strlen(good);
  for (size_t at = sizeof GUEST; at <= len; at++) {
    jar bad = {.sets = 0};
    strcpy(bad.cookies[0], good);
    bad.cookies[0][at] = at == len ? '0' : bad.cookies[0][at] == '0' ? '1' : '0'; /* the last one is longer */
    assert_is(w, &bad, "nobody");
    strcpy(bad.cookies[0], good);
    bad.cookies[0][at] = '\0';
    assert_is(w, &bad, at == len ? "guest" : "nobody");
  }
}

/* capability: L21 */
TEST_CASE(new_guests_are_limited) {
  site w;
  start(&w, &(vestry_rate_options){.count = 1, .period_ms = 60000, .burst_count = 2});
  jar j[3] = {{.sets = 0}};
  assert_int_equal(visit(&w, &j[0], "POST", "/begin", NULL), 204);
  assert_int_equal(visit(&w, &j[1], "POST", "/begin", NULL), 204);
  wire r = {.method = "POST", .path = "/begin"};
  request(&w, &j[2], &r);
  assert_int_equal(r.status, 429);
  assert_non_null(strstr(r.head, "Retry-After: 60\n"));
  assert_null(cookie_of(&j[2], GUEST));
  wire_finish(&r);
  assert_int_equal(visit(&w, &j[0], "POST", "/begin", NULL), 204); /* it is one already */
  site_pass_ms(&w, 60000);
  assert_int_equal(visit(&w, &j[2], "POST", "/begin", NULL), 204);
  finish(&w);
}

/* Send a POST with the proofs of another tab. Returns the status; 200: its tab must be known. */
static int send_proofs(site *w, jar *j, const char *all) {
  char token[65], nonce[65], tab[65], body[200];
  assert_int_equal(sscanf(all, "%64s %64s %64s", token, nonce, tab), 3);
  const int len = snprintf(body, sizeof body, "{\"tabId\":\"%s\"}", tab);
  wire r = {.method = "POST",
            .path = "/checked",
            .datastar = true,
            .headers = {{"X-CSRF-Token", token}, {"X-Once", nonce}, {"Content-Type", "application/json"}},
            .body = body,
            .body_len = (size_t)len};
  request(w, j, &r);
  const int status = r.status;
  if (status == 200) assert_string_equal(r.text, "known");
  wire_finish(&r);
  return status;
}

/* capability: L21 */
GUEST_CASE(log_in_moves_the_data_and_keeps_the_proofs_of_other_tabs) {
  jar j = {.sets = 0};
  char before[400], of_tab[400], moved[420];
  visit(w, &j, "GET", "/proofs", of_tab);
  visit(w, &j, "POST", "/begin", NULL);
  visit(w, &j, "GET", "/", before);
  assert_int_equal(send_proofs(w, &j, of_tab), 200);
  own.moved_error = VESTRY_LIMIT;
  assert_int_not_equal(visit(w, &j, "POST", "/in", NULL), 204);
  assert_is(w, &j, before);
  own.moved_error = VESTRY_OK;
  assert_int_equal(visit(w, &j, "POST", "/in", NULL), 204);
  snprintf(moved, sizeof moved, "%s to ada", before + 6);
  assert_string_equal(own.moved, moved);
  assert_int_equal(own.moves, 2);
  assert_is(w, &j, "ada ");
  visit(w, &j, "GET", "/", before);
  assert_null(strstr(moved, before + 4)); /* a new scope */
  assert_int_equal(own.checks, 1);
  assert_int_equal(send_proofs(w, &j, of_tab), 200);
  assert_int_equal(own.checks, 1); /* the submission from before the log-in, repeated, has not run again */
  char of_user[400];
  visit(w, &j, "GET", "/proofs", of_user);
  assert_int_equal(send_proofs(w, &j, of_user), 200);
  /* The cookie of the former guest is of no use without the session, nor with another one. */
  jar alone = {.sets = 0};
  strcpy(alone.cookies[0], cookie_of(&j, GUEST));
  assert_is(w, &alone, "nobody");
  assert_int_equal(send_proofs(w, &alone, of_tab), 403);
  strcpy(alone.cookies[0], cookie_of(&j, GUEST));
  assert_int_equal(visit(w, &alone, "POST", "/in/bob", NULL), 204);
  assert_int_equal(send_proofs(w, &alone, of_tab), 403);
  assert_int_equal(own.moves, 2); /* he was no guest */
  /* Another user in the same browser, and a log-out. */
  jar copy = j;
  assert_int_equal(visit(w, &copy, "POST", "/in/bob", NULL), 204);
  assert_null(cookie_of(&copy, GUEST));
  assert_int_equal(send_proofs(w, &copy, of_tab), 403);
  assert_int_equal(own.moves, 2);
}

/* capability: L21 */
GUEST_CASE(log_out_ends_guests_and_former_guests) {
  jar j = {.sets = 0}, member = {.sets = 0};
  char of_tab[400];
  visit(w, &j, "POST", "/begin", NULL);
  visit(w, &j, "GET", "/proofs", of_tab);
  assert_int_equal(visit(w, &j, "POST", "/out", NULL), 204);
  assert_null(cookie_of(&j, GUEST));
  assert_is(w, &j, "nobody");
  assert_int_equal(send_proofs(w, &j, of_tab), 403);
  visit(w, &member, "POST", "/begin", NULL);
  visit(w, &member, "POST", "/in", NULL);
  visit(w, &member, "GET", "/proofs", of_tab);
  assert_int_equal(visit(w, &member, "POST", "/out", NULL), 204);
  assert_null(cookie_of(&member, GUEST));
  assert_is(w, &member, "nobody");
  assert_int_equal(send_proofs(w, &member, of_tab), 403);
}

/* capability: L21 */
TEST_CASE(streams_of_the_guest_end_so_that_they_open_again_as_the_user) {
  site w;
  jar j = {.sets = 0}, other = {.sets = 0};
  wire first = {.method = "GET", .path = "/live", .datastar = true}, second = first, its = first;
  start(&w, NULL);
  visit(&w, &j, "POST", "/begin", NULL);
  visit(&w, &other, "POST", "/begin", NULL);
  request(&w, &j, &first);
  request(&w, &other, &its);
  visit(&w, &j, "POST", "/in", NULL);
  site_settle(&w);
  assert_int_equal(first.ends, 1);
  assert_false(first.clean); /* the client opens it again */
  assert_int_equal(its.ends, 0);
  request(&w, &j, &second);
  visit(&w, &other, "POST", "/out", NULL);
  site_settle(&w);
  assert_true(its.clean);
  assert_int_equal(second.ends, 0);
  visit(&w, &j, "POST", "/out", NULL);
  site_settle(&w);
  assert_true(second.clean);
  vestry_once_destroy(own.once);
  vestry_csrf_destroy(own.csrf);
  wires_end(&w, &first, &second, &its);
}

TEST_CASE(invalid_calls_are_refused) {
  site w;
  jar j = {.sets = 0};
  site_begin(&w, (vestry_options){0});
  assert_int_equal(vestry_guests_create(w.v, NULL), VESTRY_INVALID); /* no sessions */
  assert_int_equal(vestry_guests_create(NULL, NULL), VESTRY_INVALID);
  site_end(&w);
  start(&w, NULL);
  assert_int_equal(vestry_guests_create(w.v, NULL), VESTRY_EXISTS);
  visit(&w, &j, "POST", "/in", NULL);
  assert_int_equal(visit(&w, &j, "POST", "/begin", NULL), 500); /* a user is no guest */
  finish(&w);
}

TEST_CASE(names_have_numbers) {
  assert_int_equal(vestry_guest_number("0000000000000011ffffffffffffffff"), 17);
  assert_int_equal(vestry_guest_number("ffffffffffffffff0000000000000000"), INT64_MAX);
  assert_int_equal(vestry_guest_number("80000000000000000000000000000000"), 1);
  assert_int_equal(vestry_guest_number("00000000000000110"), 0);
  assert_int_equal(vestry_guest_number("000000000000001gffffffffffffffff"), 0);
  assert_int_equal(vestry_guest_number(""), 0);
  assert_int_equal(vestry_guest_number(NULL), 0);
}

TEST_CASE(failing_allocations_leave_no_guests) {
  static const vestry_session_options sessions = {.now_s = clock_s};
  vestry_err error = VESTRY_NO_MEMORY;
  for (long fail = 0; error; fail++) {
    site w;
    site_begin_with(&w, (vestry_options){0},
                    (site_has){.sessions = &sessions, .secret = "a secret of thirty-two bytes or more"});
    test_host_fail_in(&w.th, fail);
    error = vestry_guests_create(w.v, NULL);
    test_host_fail_no_more(&w.th);
    assert_true(!error || error == VESTRY_NO_MEMORY);
    assert_int_equal(vestry_guests_create(w.v, NULL), error ? VESTRY_OK : VESTRY_EXISTS);
    site_end(&w);
  }
}
