/* SPDX-License-Identifier: MIT */
/* Actions that run once: a repeat gets the answer of the first request. */
#include <semaphore.h>
#include <stdlib.h>

#include "guard/once_contract.h"
#include "serve/wire.h"
#include "vestry/app/once.h"
#include "vestry/app/session.h"

static const char secret[] = "thirty-two bytes that nobody knows";
static const char urlencoded[] = "application/x-www-form-urlencoded";

/* ------------------------------------------------------------------------------------------------- the suite ------ */

typedef struct suite {
  site on;
  vestry_once *once;
  _Atomic(int) done; /* number of actions that ran */
  vestry_err result; /* the action returns it */
  size_t body_len;   /* of the action's answer */
  bool streams;
  sem_t *inside, *go; /* the action posts inside and waits for go; NULL: neither */
} suite;

static vestry_err act(const vestry_request *req, vestry_reply *reply, void *app) {
  suite *s = app;
  int done = atomic_fetch_add(&s->done, 1) + 1;
  if (s->inside) sem_post(s->inside);
  if (s->go) sem_wait(s->go);
  if (s->result) return s->result;
  if (s->streams) return vestry_reply_patch_signals(reply, VESTRY_OBJECT("n", 1));
  char *body = malloc(s->body_len + 1);
  assert_non_null(body);
  memset(body, 'x', s->body_len);
  snprintf(body, 12, "%d ", done);
  vestry_err error = vestry_reply_status(reply, 201);
  if (!error) error = vestry_reply_header(reply, "Location", "/made");
  if (!error) error = vestry_reply_body(reply, "text/plain", body, s->body_len);
  free(body);
  return error;
}

static vestry_err scope_of(const vestry_request *req, vestry_reply *reply, char *buffer, size_t *ret_len, void *ctx) {
  const char *user = vestry_request_header(req, "X-User");
  *ret_len = user ? strlen(user) : 0;
  memcpy(buffer, user ? user : "", *ret_len);
  return VESTRY_OK;
}

static const vestry_mounted routes[] = {
    {"GET", "/", once_page}, {"GET", "/act", act}, {"POST", "/act", act}, {"POST", "/other", act}};

static void begin_with(suite *s, vestry_options options, site_has has, const vestry_once_options *once) {
  *s = (suite){.body_len = 20};
  has.secret = secret;
  site_begin_with(&s->on, options, has);
  assert_int_equal(vestry_once_create(s->on.v, once, &s->once), VESTRY_OK);
  assert_int_equal(vestry_mount(s->on.v, "", routes, sizeof routes / sizeof *routes, s), VESTRY_OK);
  assert_int_equal(vestry_guard(s->on.v, "/", vestry_once_guard, s->once), VESTRY_OK);
}

static void begin_of(suite *s, const vestry_once_options *once) {
  begin_with(s, (vestry_options){.scope = scope_of}, (site_has){.secret = NULL}, once);
}

static void begin(suite *s) {
  begin_of(s, NULL);
}

static void end(suite *s) {
  vestry_once_destroy(s->once);
  site_end(&s->on);
}

typedef char nonce[VESTRY_ONCE_NONCE_BYTES + 80];

static void nonce_of(suite *s, const char *user, nonce n) {
  wire r = {.path = "/", .headers = {{"X-User", user}}};
  wire_request(&s->on, &r, NULL, NULL);
  assert_int_equal(r.status, 200);
  snprintf(n, sizeof(nonce), "%s", r.text);
  wire_finish(&r);
}

/* POST with the nonce in a header. Returns status, Location and body, for example "201 /made 1 xxx". */
static const char *post(suite *s, const char *user, const char *path, const char *n) {
  static _Thread_local char answer[64];
  wire r = {.method = "POST", .path = path, .datastar = true, .headers = {{"X-User", user}, {"X-Once", n}}};
  if (!n) r.headers[1] = (vestry_header){NULL, NULL};
  r.body = "{}";
  r.body_len = 2;
  assert_int_equal(wire_serve(&s->on, &r, NULL, NULL), VESTRY_OK);
  const char *location = strstr(r.head, "Location: ");
  snprintf(answer, sizeof answer, "%d %.*s %.12s", r.status, location ? (int)strcspn(location + 10, "\n") : 0,
           location ? location + 10 : "", r.text ? r.text : "");
  if (!r.connection) wire_finish(&r);
  return answer;
}

/* -------------------------------------------------------------------------------------------- run and repeat ------ */

#define SUITE_CASE(name) TEST_CASE_WITH(name, suite, s, begin(s), end(s))

/* capability: D18 */
SUITE_CASE(repeat_gets_the_first_answer) {
  nonce n, other, click;
  nonce_of(s, "ann", n);
  assert_string_equal(post(s, "ann", "/act", n), "201 /made 1 ");
  for (int i = 0; i < 3; i++) assert_string_equal(post(s, "ann", "/act", n), "201 /made 1 ");
  nonce_of(s, "ann", other);
  assert_string_equal(post(s, "ann", "/act", other), "201 /made 2 ");
  /* A page has one nonce; the suffix after the dot distinguishes its clicks. */
  snprintf(click, sizeof click, "%.64s.1-2-3-4", n);
  assert_string_equal(post(s, "ann", "/act", click), "201 /made 3 ");
  assert_string_equal(post(s, "ann", "/act", click), "201 /made 3 ");
  snprintf(click, sizeof click, "%.64s.1-2-3-5", n);
  assert_string_equal(post(s, "ann", "/act", click), "201 /made 4 ");
  assert_string_equal(post(s, "ann", "/other", click), "409  This form wa"); /* another path */
  /* Without a nonce the action runs each time. */
  assert_string_equal(post(s, "ann", "/act", NULL), "201 /made 5 ");
  assert_int_equal(s->done, 5);
  wire get = {.path = "/act", .headers = {{"X-User", "ann"}, {"X-Once", n}}}; /* safe methods are not deduplicated */
  wire_request(&s->on, &get, NULL, NULL);
  assert_int_equal(s->done, 6);
  wire_finish(&get);
}

static int post_form(suite *s, const char *type, const char *body) {
  wire r = {
      .method = "POST", .path = "/act", .headers = {{"Content-Type", type}}, .body = body, .body_len = strlen(body)};
  wire_request(&s->on, &r, NULL, NULL);
  if (r.status == 409) assert_non_null(strstr(r.text, "Reload"));
  wire_finish(&r);
  return r.status;
}

SUITE_CASE(repeated_form_runs_once) {
  nonce n;
  char form[200], parts[600];
  nonce_of(s, "", n);
  snprintf(form, sizeof form, "text=milk&once=%s", n);
  for (int i = 0; i < 3; i++) assert_int_equal(post_form(s, urlencoded, form), 201);
  assert_int_equal(s->done, 1);
  /* Sent again with other fields after going back: rejected, not ignored. */
  snprintf(form, sizeof form, "text=eggs&once=%s", n);
  assert_int_equal(post_form(s, urlencoded, form), 409);
  assert_int_equal(s->done, 1);
  nonce_of(s, "", n);
  static const char *const boundaries[] = {"abc", "defgh"}; /* a browser chooses a new boundary for each request */
  for (int i = 0; i < 4; i++) {
    const char *boundary = boundaries[i % 2];
    char type[60];
    snprintf(type, sizeof type, "multipart/form-data; boundary=%s", boundary);
    snprintf(parts, sizeof parts,
             "--%s\r\nContent-Disposition: form-data; name=\"once\"\r\n\r\n%s\r\n"
             "--%s\r\nContent-Disposition: form-data; name=\"f\"; filename=\"a\"\r\n\r\n%s\r\n--%s--\r\n",
             boundary, n, boundary, i < 2 ? "bytes" : "other bytes", boundary);
    assert_int_equal(post_form(s, type, parts), i < 2 ? 201 : 409);
  }
  assert_int_equal(s->done, 2);
}

TEST_CASE(repeat_gets_the_stored_part_of_the_answer) {
  suite s;
  begin_of(&s, &(vestry_once_options){.max_response_bytes = 200});
  nonce n;
  static const struct {
    size_t body_len;
    bool streams;
    vestry_err result;
    const char *first, *repeated;
    int runs;
  } rows[] = {
      {20, false, VESTRY_OK, "201 /made 1 ", "201 /made 1 ", 1},
      {1000, false, VESTRY_OK, "201 /made 1 ", "204  ", 1}, /* too large */
      {20, true, VESTRY_OK, "0  ", "204  ", 1},             /* a stream (whose head has not been written yet) */
      {20, false, VESTRY_FAILED, "500  internal err", "500  internal err", 1},
      {20, false, VESTRY_MALFORMED, "400  bad request\n", "400  bad request\n", 1},
      {20, false, VESTRY_EXISTS, "409  already in u", "409  already in u", 1},
      {20, false, VESTRY_LIMIT, "503  no capacity ", "503  no capacity ", 2}, /* temporary failure: it runs again */
      {20, false, VESTRY_FULL, "503  no capacity ", "503  no capacity ", 2},
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    s.body_len = rows[i].body_len;
    s.streams = rows[i].streams;
    s.result = rows[i].result;
    s.done = 0;
    nonce_of(&s, "ann", n);
    if (rows[i].streams) {
      wire r = {.method = "POST",
                .path = "/act",
                .datastar = true,
                .headers = {{"X-User", "ann"}, {"X-Once", n}},
                .body = "{}",
                .body_len = 2};
      wire_request(&s.on, &r, NULL, NULL);
      assert_int_equal(r.status, 200);
      wire_finish(&r);
    } else {
      assert_memory_equal(post(&s, "ann", "/act", n), rows[i].first, strlen(rows[i].first));
    }
    assert_memory_equal(post(&s, "ann", "/act", n), rows[i].repeated, strlen(rows[i].repeated));
    assert_int_equal(s.done, rows[i].runs);
  }
  end(&s);
}

TEST_CASE(stored_answers_are_bounded_in_total) {
  suite s;
  begin_of(&s, &(vestry_once_options){.max_all_responses_bytes = 3000});
  s.body_len = 1000;
  nonce n[4];
  for (int i = 0; i < 4; i++) {
    nonce_of(&s, "ann", n[i]);
    post(&s, "ann", "/act", n[i]);
  }
  int kept = 0;
  for (int i = 0; i < 4; i++) kept += memcmp(post(&s, "ann", "/act", n[i]), "201", 3) == 0;
  assert_int_equal(kept, 2); /* 1,000 bytes and headers each */
  assert_int_equal(s.done, 4);
  end(&s);
}

/* capability: D18 */
SUITE_CASE(client_that_disconnected_gets_its_answer_on_repeat) {
  nonce n;
  nonce_of(s, "ann", n);
  wire r = {.method = "POST", .path = "/act", .gone = true, .headers = {{"X-User", "ann"}, {"X-Once", n}}};
  assert_int_equal(wire_serve(&s->on, &r, NULL, NULL), VESTRY_IO); /* the action has run, but its answer is lost */
  wire_finish(&r);
  assert_int_equal(s->done, 1);
  assert_string_equal(post(s, "ann", "/act", n), "201 /made 1 ");
  assert_int_equal(s->done, 1);
}

static vestry_err log_in(const vestry_request *req, vestry_reply *reply, void *app) {
  suite *s = app;
  atomic_fetch_add(&s->done, 1);
  vestry_err error = vestry_session_login(req, reply, "ada");
  return error ? error : vestry_reply_redirect(reply, 303, "/");
}

TEST_CASE(repeated_login_gets_the_same_cookie) {
  suite s;
  char cookie[200], set[2][300] = {"", ""};
  begin_with(&s, (vestry_options){0}, (site_has){.sessions = &(vestry_session_options){0}}, NULL);
  assert_int_equal(vestry_route(s.on.v, "POST", "/login", log_in, &s), VESTRY_OK);
  wire page_of = {.path = "/"};
  nonce n;
  wire_request(&s.on, &page_of, NULL, NULL);
  snprintf(n, sizeof n, "%s", page_of.text);
  assert_true(wire_keep_cookie(&page_of, cookie, sizeof cookie));
  wire_finish(&page_of);
  for (int i = 0; i < 2; i++) { /* both with the cookie from before the login, whose scope is the anonymous user's */
    wire r = {.method = "POST", .path = "/login", .headers = {{"Cookie", cookie}, {"X-Once", n}}};
    wire_request(&s.on, &r, NULL, NULL);
    assert_int_equal(r.status, 303);
    assert_true(wire_value(&r, "Set-Cookie", set[i], sizeof set[i]));
    wire_finish(&r);
  }
  assert_string_equal(set[0], set[1]);
  assert_int_equal(s.done, 1);
  end(&s);
}

/* ------------------------------------------------------------------------------------------------ forged nonces --- */

/* capability: D18 */
SUITE_CASE(nonce_not_issued_for_the_scope_gets_403) {
  nonce n, bad;
  nonce_of(s, "ann", n);
  assert_memory_equal(post(s, "bob", "/act", n), "403 ", 4); /* another scope's nonce */
  for (size_t i = 0; i < 64; i++) {
    strcpy(bad, n);
    bad[i] = bad[i] == 'f' ? '0' : 'f';
    assert_memory_equal(post(s, "ann", "/act", bad), "403 ", 4);
  }
  static const char *const behind[] = {".", ".a.b", ". ", ".\xc3\xa4", "a", ".a/b"};
  for (size_t i = 0; i < sizeof behind / sizeof *behind; i++) {
    snprintf(bad, sizeof bad, "%.64s%s", n, behind[i]);
    assert_memory_equal(post(s, "ann", "/act", bad), "403 ", 4);
  }
  snprintf(bad, sizeof bad, "%.64s.%065d", n, 0); /* too long */
  assert_memory_equal(post(s, "ann", "/act", bad), "403 ", 4);
  assert_memory_equal(post(s, "ann", "/act", ""), "403 ", 4);
  assert_int_equal(s->done, 0);
  snprintf(bad, sizeof bad, "%.64s.%064d", n, 0);
  assert_memory_equal(post(s, "ann", "/act", bad), "201 ", 4);
}

/* capability: D18 */
SUITE_CASE(forged_nonces_allocate_nothing) {
  nonce n, forged;
  nonce_of(s, "ann", n);
  long live = atomic_load(&s->on.th.live);
  for (unsigned i = 0; i < 100000; i++) {
    snprintf(forged, sizeof forged, "%032x%.32s", i, n + 32);
    assert_memory_equal(post(s, "ann", "/act", forged), "403 ", 4);
  }
  assert_int_equal(atomic_load(&s->on.th.live), live);
  assert_int_equal(s->done, 0);
}

/* capability: D18 */
TEST_CASE(full_scope_evicts_its_oldest_and_no_other_scopes) {
  suite s;
  begin_of(&s, &(vestry_once_options){.max_per_scope_count = 50, .max_count = 200});
  nonce of_bob, of_ann, click;
  nonce_of(&s, "bob", of_bob);
  nonce_of(&s, "ann", of_ann);
  assert_string_equal(post(&s, "bob", "/act", of_bob), "201 /made 1 ");
  long full = 0;
  for (int i = 0; i < 3000; i++) { /* valid submissions, all with one page's nonce */
    snprintf(click, sizeof click, "%.64s.%d", of_ann, i);
    assert_memory_equal(post(&s, "ann", "/act", click), "201 ", 4);
    if (i == 100) full = atomic_load(&s.on.th.live);
  }
  assert_int_equal(atomic_load(&s.on.th.live), full);
  assert_string_equal(post(&s, "bob", "/act", of_bob), "201 /made 1 ");
  snprintf(click, sizeof click, "%.64s.%d", of_ann, 2999);
  assert_string_equal(post(&s, "ann", "/act", click), "201 /made 3001 "); /* the newest are still stored, */
  snprintf(click, sizeof click, "%.64s.%d", of_ann, 0);
  int done = s.done;
  post(&s, "ann", "/act", click); /* and the oldest have been evicted */
  assert_int_equal(s.done, done + 1);
  end(&s);
}

TEST_CASE(entries_of_all_scopes_are_bounded) {
  suite s;
  begin_of(&s, &(vestry_once_options){.max_count = 100});
  long full = 0;
  for (int i = 0; i < 1000; i++) {
    char user[16];
    nonce n;
    snprintf(user, sizeof user, "user%d", i);
    nonce_of(&s, user, n);
    post(&s, user, "/act", n);
    if (i == 300) full = atomic_load(&s.on.th.live);
  }
  assert_int_equal(atomic_load(&s.on.th.live), full);
  end(&s);
}

/* capability: D18 */
TEST_CASE(entry_expires_after_lifetime_ms) {
  suite s;
  begin_of(&s, &(vestry_once_options){.lifetime_ms = 60000});
  nonce n;
  nonce_of(&s, "ann", n);
  long live = atomic_load(&s.on.th.live);
  post(&s, "ann", "/act", n);
  site_pass_ms(&s.on, 59000);
  assert_string_equal(post(&s, "ann", "/act", n), "201 /made 1 ");
  site_pass_ms(&s.on, 2000);
  assert_true(atomic_load(&s.on.th.live) <= live + 2); /* without traffic */
  assert_string_equal(post(&s, "ann", "/act", n), "201 /made 2 ");
  end(&s);
}

TEST_CASE(required_nonce_missing_gets_403) {
  suite s;
  begin_of(&s, &(vestry_once_options){.required = true});
  nonce n;
  nonce_of(&s, "ann", n);
  assert_memory_equal(post(&s, "ann", "/act", NULL), "403 ", 4);
  assert_memory_equal(post(&s, "ann", "/act", n), "201 ", 4);
  assert_int_equal(s.done, 1);
  end(&s);
}

SUITE_CASE(action_guarded_twice_runs_once) {
  assert_int_equal(vestry_guard(s->on.v, "/act", vestry_once_guard, s->once), VESTRY_OK);
  nonce n;
  nonce_of(s, "ann", n);
  for (int i = 0; i < 2; i++) assert_string_equal(post(s, "ann", "/act", n), "201 /made 1 ");
}

/* ----------------------------------------------------------------------------------------- many anonymous users --- */

typedef struct anonymous_user {
  const char *peer;
  char cookie[300];
  nonce n;
} anonymous_user;

/* GET a page: it issues a nonce, and a cookie unless there is one. */
static void visit(suite *s, anonymous_user *b) {
  wire r = {.path = "/", .peer = b->peer};
  if (*b->cookie) r.headers[0] = (vestry_header){"Cookie", b->cookie};
  wire_request(&s->on, &r, NULL, NULL);
  assert_int_equal(r.status, 200);
  snprintf(b->n, sizeof b->n, "%s", r.text);
  (void)wire_keep_cookie(&r, b->cookie, sizeof b->cookie);
  wire_finish(&r);
}

static int act_as(suite *s, anonymous_user *b, const char *path, const char *n) {
  wire r = {.method = "POST", .path = path, .peer = b->peer, .headers = {{"Cookie", b->cookie}, {"X-Once", n}}};
  wire_request(&s->on, &r, NULL, NULL);
  int status = r.status;
  (void)wire_keep_cookie(&r, b->cookie, sizeof b->cookie);
  wire_finish(&r);
  return status;
}

static vestry_err log_in_as(const vestry_request *req, vestry_reply *reply, void *app) {
  vestry_err error = vestry_session_login(req, reply, vestry_request_value(req, VESTRY_IN_QUERY, "user"));
  return error ? error : vestry_reply_redirect(reply, 303, "/");
}

static void begin_anonymous(suite *s) {
  begin_with(s, (vestry_options){0}, (site_has){.sessions = &(vestry_session_options){0}},
             &(vestry_once_options){
                 .max_count = 200, .max_anonymous_count = 80, .max_per_scope_count = 30, .lifetime_ms = 600000});
  assert_int_equal(vestry_route(s->on.v, "GET", "/login", log_in_as, s), VESTRY_OK);
}

static void log_in_by(suite *s, anonymous_user *b, const char *query) {
  wire r = {.path = "/login", .query = query, .headers = {{"Cookie", b->cookie}}};
  wire_request(&s->on, &r, NULL, NULL);
  assert_int_equal(r.status, 303);
  assert_true(wire_keep_cookie(&r, b->cookie, sizeof b->cookie));
  wire_finish(&r);
  visit(s, b);
}

/* Submissions of invented anonymous users, or of one user in many sessions, evict no other user's entry. */
TEST_CASE(many_anonymous_users_evict_no_other_entries) {
  suite s;
  begin_anonymous(&s);
  anonymous_user ann = {.cookie = ""}, honest = {.cookie = ""}, late = {.cookie = ""}, bob = {.cookie = ""};
  visit(&s, &ann);
  log_in_by(&s, &ann, "user=ann");
  visit(&s, &honest);
  assert_int_equal(act_as(&s, &ann, "/act", ann.n), 201);
  assert_int_equal(act_as(&s, &honest, "/act", honest.n), 201);
  int ran = 0, refused = 0;
  for (int i = 0; i < 500; i++) {
    anonymous_user invented = {.cookie = ""};
    visit(&s, &invented);
    int status = act_as(&s, &invented, "/act", invented.n);
    ran += status == 201;
    refused += status == 503;
  }
  assert_int_equal(ran, 79);
  assert_int_equal(refused, 421);
  int done = s.done;
  assert_int_equal(act_as(&s, &honest, "/act", honest.n), 201);
  assert_int_equal(act_as(&s, &ann, "/act", ann.n), 201);
  assert_int_equal(s.done, done); /* repeated, not run */
  for (int session = 0; session < 20; session++) {
    *bob.cookie = '\0';
    visit(&s, &bob);
    log_in_by(&s, &bob, "user=bob");
    for (int i = 0; i < 30; i++) {
      nonce click;
      snprintf(click, sizeof click, "%.64s.%d", bob.n, i);
      assert_int_equal(act_as(&s, &bob, "/act", click), 201);
    }
  }
  done = s.done;
  assert_int_equal(act_as(&s, &ann, "/act", ann.n), 201);
  assert_int_equal(s.done, done);
  /* After the client's last retry, entries of anonymous users can be evicted one by one, long before they expire. */
  test_host_advance_ms(&s.on.th, 299999);
  visit(&s, &late);
  assert_int_equal(act_as(&s, &late, "/act", late.n), 503);
  test_host_advance_ms(&s.on.th, 1);
  assert_int_equal(act_as(&s, &late, "/act", late.n), 201);
  done = s.done;
  assert_int_equal(act_as(&s, &honest, "/act", honest.n), 201); /* the oldest entry was evicted */
  assert_int_equal(s.done, done + 1);
  assert_int_equal(act_as(&s, &late, "/act", late.n), 201);
  assert_int_equal(s.done, done + 1);
  end(&s);
}

/* Answers of anonymous users do not use up the bytes of answers of other users. */
TEST_CASE(answers_of_anonymous_users_have_their_own_bound) {
  suite s;
  begin_with(&s, (vestry_options){0}, (site_has){.sessions = &(vestry_session_options){0}},
             &(vestry_once_options){.max_all_responses_bytes = 4000});
  assert_int_equal(vestry_route(s.on.v, "GET", "/login", log_in_as, &s), VESTRY_OK);
  s.body_len = 1000;
  anonymous_user b = {.cookie = ""};
  nonce click;
  int kept[2] = {0, 0};
  visit(&s, &b);
  for (int is_user = 0; is_user < 2; is_user++) {
    if (is_user) log_in_by(&s, &b, "user=ann");
    for (int i = 0; i < 12; i++) {
      snprintf(click, sizeof click, "%.64s.%d", b.n, i % 6);
      kept[is_user] += act_as(&s, &b, "/act", click) == 201;
    }
  }
  assert_int_equal(kept[0], 6 + 1);
  assert_int_equal(kept[1], 6 + 1);
  assert_int_equal(s.done, 12);
  end(&s);
}

/* All clients share the scope without a name, so its submissions do not evict each other. */
TEST_CASE(nameless_scope_has_no_limit_per_scope) {
  suite s;
  begin_with(&s, (vestry_options){.scope = site_by_cookie}, (site_has){.secret = NULL},
             &(vestry_once_options){.max_per_scope_count = 3});
  for (int of_bob = 0; of_bob < 2; of_bob++) {
    const int before = s.done;
    anonymous_user first = {.cookie = ""}, other;
    if (of_bob) strcpy(first.cookie, "bob");
    other = first;
    visit(&s, &first);
    assert_int_equal(act_as(&s, &first, "/act", first.n), 201);
    for (int i = 0; i < 10; i++) {
      visit(&s, &other);
      assert_int_equal(act_as(&s, &other, "/act", other.n), 201);
    }
    assert_int_equal(act_as(&s, &first, "/act", first.n), 201);
    assert_int_equal(s.done, before + 11 + of_bob); /* bob's scope holds 3 */
  }
  end(&s);
}

/* A client without cookies is a new anonymous user at each submission. One address gets a quarter of their entries. */
TEST_CASE(address_gets_a_quarter_of_anonymous_entries) {
  enum { VISITORS = 4400, QUARTER = VISITORS / 4 };
  suite s;
  begin_with(&s, (vestry_options){0}, (site_has){.sessions = &(vestry_session_options){0}},
             &(vestry_once_options){.max_anonymous_count = VISITORS});
  static const struct {
    const char *peer;
    int presses, status; /* status: of the last submission */
  } rows[] = {{"192.0.2.1", QUARTER + 1, 503}, {"::ffff:192.0.2.1", 1, 503}, {"192.0.2.2", 1, 201}, {"", 1, 201}};
  for (size_t row = 0; row < sizeof rows / sizeof *rows; row++) {
    for (int i = 1; i <= rows[row].presses; i++) {
      anonymous_user of = {.peer = rows[row].peer};
      visit(&s, &of);
      assert_int_equal(act_as(&s, &of, "/act", of.n), i < rows[row].presses ? 201 : rows[row].status);
    }
  }
  assert_int_equal(s.done, QUARTER + 2);
  end(&s);
}

/* ------------------------------------------------------------------------------------------------- concurrency ---- */

typedef struct poster {
  suite *s;
  const char *nonce;
  char answer[64];
  pthread_t thread;
} poster;

static void *post_it(void *ctx) {
  poster *p = ctx;
  do strcpy(p->answer, post(p->s, "ann", "/act", p->nonce));
  while (!p->s->result && strncmp(p->answer, "503", 3) == 0); /* another one waits: repeated, as by the client */
  return NULL;
}

/* capability: D18 */
TEST_CASE(request_during_the_first_waits_for_its_answer) {
  for (int round = 0; round < 2; round++) {
    suite s;
    sem_t inside, go;
    begin_of(&s, &(vestry_once_options){.wait_ms = 600000});
    sem_init(&inside, 0, 0);
    sem_init(&go, 0, 0);
    s.inside = &inside;
    s.go = &go;
    if (round) s.result = VESTRY_LIMIT; /* the waiting request then runs */
    nonce n;
    nonce_of(&s, "ann", n);
    poster posters[5];
    const int count = round ? 2 : 5;
    for (int i = 0; i < count; i++) {
      posters[i] = (poster){.s = &s, .nonce = n};
      assert_int_equal(pthread_create(&posters[i].thread, NULL, post_it, &posters[i]), 0);
      if (i == 0) sem_wait(&inside);
    }
    assert_int_equal(s.done, 1);
    for (int i = 0; i < count; i++) sem_post(&go);
    for (int i = 0; i < count; i++) {
      pthread_join(posters[i].thread, NULL);
      assert_memory_equal(posters[i].answer, round ? "503 " : "201 /made 1 ", round ? 4 : 12);
    }
    assert_int_equal(s.done, round ? 2 : 1);
    sem_destroy(&inside);
    sem_destroy(&go);
    end(&s);
  }
}

/* capability: D18 */
SUITE_CASE(concurrent_requests_of_one_nonce_run_once) {
  for (int round = 1; round <= 200; round++) {
    nonce n;
    nonce_of(s, "ann", n);
    poster posters[4];
    char wanted[32];
    snprintf(wanted, sizeof wanted, "201 /made %d ", round);
    for (int i = 0; i < 4; i++) {
      posters[i] = (poster){.s = s, .nonce = n};
      assert_int_equal(pthread_create(&posters[i].thread, NULL, post_it, &posters[i]), 0);
    }
    for (int i = 0; i < 4; i++) {
      pthread_join(posters[i].thread, NULL);
      assert_memory_equal(posters[i].answer, wanted, strlen(wanted));
    }
    assert_int_equal(s->done, round);
  }
}

/* Entries come and go while threads look them up: room for four, and twenty nonces. */
typedef struct hammer {
  suite *s;
  nonce *nonces;
  unsigned seed;
  pthread_t thread;
} hammer;

static vestry_err sometimes_limited(const vestry_request *req, vestry_reply *reply, void *app) {
  suite *s = app;
  if (atomic_fetch_add(&s->done, 1) % 7 == 0) return VESTRY_LIMIT;
  return vestry_reply_bodyf(reply, "done");
}

static void *hammer_nonces(void *ctx) {
  hammer *f = ctx;
  for (int i = 0; i < 400; i++) {
    f->seed = f->seed * 1103515245 + 12345;
    const char *answer = post(f->s, "ann", "/at-times", f->nonces[(f->seed >> 16) % 20]);
    assert_true(memcmp(answer, "200  done", 9) == 0 || memcmp(answer, "503 ", 4) == 0);
  }
  return NULL;
}

TEST_CASE(eviction_under_concurrent_repeats_leaks_nothing) {
  suite s;
  begin_of(&s, &(vestry_once_options){.max_count = 4});
  assert_int_equal(vestry_route(s.on.v, "POST", "/at-times", sometimes_limited, &s), VESTRY_OK);
  nonce nonces[20];
  for (int i = 0; i < 20; i++) nonce_of(&s, "ann", nonces[i]);
  hammer hammers[6];
  for (unsigned i = 0; i < 6; i++) {
    hammers[i] = (hammer){.s = &s, .nonces = nonces, .seed = i};
    assert_int_equal(pthread_create(&hammers[i].thread, NULL, hammer_nonces, &hammers[i]), 0);
  }
  for (int i = 0; i < 6; i++) pthread_join(hammers[i].thread, NULL);
  assert_true(s.done < 6 * 400); /* some were repeats */
  end(&s);
}

/* --------------------------------------------------------------------------------------------------- memory ------- */

typedef struct short_run {
  const char *nonce;
  bool by_form, repeats;
} short_run;

static vestry_err run_short(test_host *th, void *ctx) {
  const short_run *run = ctx;
  suite s = {.body_len = 20};
  vestry_err error = VESTRY_NO_MEMORY;
  char form[200];
  if (vestry_create(&(vestry_options){.host = &th->host, .threads_count = VESTRY_THREADS_NONE}, &s.on.v)) return error;
  snprintf(form, sizeof form, "once=%s", run->nonce);
  if (!site_give(s.on.v, (site_has){.secret = secret}) && !vestry_once_create(s.on.v, NULL, &s.once) &&
      !vestry_mount(s.on.v, "", routes, sizeof routes / sizeof *routes, &s) &&
      !vestry_guard(s.on.v, "/", vestry_once_guard, s.once)) {
    for (int i = 0; i <= run->repeats; i++) {
      wire r = {.method = "POST", .path = "/act", .headers = {{"X-Once", run->nonce}}};
      if (run->by_form) {
        r.headers[0] = (vestry_header){"Content-Type", urlencoded};
        r.body = form;
        r.body_len = strlen(form);
      }
      wire_request(&s.on, &r, NULL, NULL);
      error = r.status == 201 ? VESTRY_OK : r.status == 500 ? VESTRY_NO_MEMORY : VESTRY_FAILED;
      /* A repeat has the first answer, or 204 if the answer could not be stored for lack of memory. */
      if (i && r.status == 204) error = VESTRY_OK;
      wire_finish(&r);
    }
    assert_true(s.done <= 1); /* no failure makes the action run twice */
  }
  vestry_once_destroy(s.once);
  vestry_destroy(s.on.v);
  return error;
}

TEST_CASE(allocation_failure_never_runs_an_action_twice) {
  suite s;
  begin_with(&s, (vestry_options){0}, (site_has){.secret = NULL}, NULL);
  nonce n;
  nonce_of(&s, "", n);
  end(&s);
  for (int by_form = 0; by_form < 2; by_form++) {
    test_host_fail_each(run_short, &(short_run){n, by_form, false}, true);
    test_host_fail_each(run_short, &(short_run){n, by_form, true}, true);
  }
}

SITE_CASE(invalid_options_and_missing_randomness_are_rejected) {
  vestry_once *once = NULL;
  assert_int_equal(vestry_once_create(NULL, NULL, &once), VESTRY_INVALID);
  assert_int_equal(vestry_once_create(w->v, NULL, NULL), VESTRY_INVALID);
  atomic_store(&w->th.fail_random, true);
  assert_int_equal(vestry_once_create(w->v, NULL, &once), VESTRY_IO);
  assert_null(once);
  vestry_once_destroy(NULL);
  wire r = {.path = "/"};
  wire_request(w, &r, once_page, NULL);
  assert_int_equal(r.status, 500);
  wire_finish(&r);
}

int main(void) {
  const once_world in_memory = {.nodes_count = 1};
  once_contract_world = &in_memory;
  return once_contract_run("actions that run once, in memory") + cases_run("guard/once", NULL, NULL);
}
