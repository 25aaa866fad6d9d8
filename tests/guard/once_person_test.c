/* SPDX-License-Identifier: MIT */
/* Actions that run once: no client takes the places of others. */
#include "serve/wire.h"
#include "vestry/once.h"
#include "vestry/session.h"

typedef struct suite {
  site on;
  vestry_once *once;
  int done;
} suite;

typedef struct client {
  const char *peer;
  char cookie[256]; /* "": none, and the answer's is taken */
  char nonce[VESTRY_ONCE_NONCE_BYTES];
} client;

static vestry_err page(const vestry_request *req, vestry_reply *reply, void *app) {
  char nonce[VESTRY_ONCE_NONCE_BYTES];
  (void)app;
  vestry_err error = vestry_once_nonce(req, nonce);
  return error ? error : vestry_reply_bodyf(reply, "%s", nonce);
}

static vestry_err act(const vestry_request *req, vestry_reply *reply, void *app) {
  (void)req;
  ((suite *)app)->done++;
  return vestry_reply_status(reply, 201);
}

static void begin(suite *s, vestry_options options, const vestry_once_options *once) {
  *s = (suite){.done = 0};
  site_begin(&s->on, options);
  assert_int_equal(vestry_once_create(s->on.v, once, &s->once), VESTRY_OK);
  assert_int_equal(vestry_route(s->on.v, "GET", "/", page, NULL), VESTRY_OK);
  assert_int_equal(vestry_route(s->on.v, "POST", "/act", act, s), VESTRY_OK);
  assert_int_equal(vestry_guard(s->on.v, "/act", vestry_once_guard, s->once), VESTRY_OK);
}

static void end(suite *s) {
  vestry_once_destroy(s->once);
  site_end(&s->on);
}

static void load(suite *s, client *of) {
  wire r = {.path = "/", .peer = of->peer, .headers = {{"Cookie", of->cookie}}};
  wire_request(&s->on, &r, NULL, NULL);
  assert_int_equal(r.status, 200);
  snprintf(of->nonce, sizeof of->nonce, "%s", r.text);
  (void)wire_keep_cookie(&r, of->cookie, sizeof of->cookie);
  wire_finish(&r);
}

static int press(suite *s, const client *of) {
  wire r = {
      .method = "POST", .path = "/act", .peer = of->peer, .headers = {{"X-Once", of->nonce}, {"Cookie", of->cookie}}};
  wire_request(&s->on, &r, NULL, NULL);
  const int status = r.status;
  wire_finish(&r);
  return status;
}

/* The scope without a name is that of all clients: a press of it is forgotten for no other one. */
static void without_a_scope_presses_are_not_counted_together(void **state) {
  (void)state;
  suite s;
  begin(&s, (vestry_options){.scope = site_by_cookie}, &(vestry_once_options){.max_per_scope_count = 3});
  for (int of_bob = 0; of_bob < 2; of_bob++) {
    const int before = s.done;
    client first = {.cookie = ""}, other;
    if (of_bob) strcpy(first.cookie, "bob");
    other = first;
    load(&s, &first);
    assert_int_equal(press(&s, &first), 201);
    for (int i = 0; i < 10; i++) {
      load(&s, &other);
      assert_int_equal(press(&s, &other), 201);
    }
    assert_int_equal(press(&s, &first), 201);
    assert_int_equal(s.done, before + 11 + of_bob); /* a scope has so many */
  }
  end(&s);
}

/* A client without cookies is a new visitor with each press, and its address has a quarter of visitors' places. */
static void an_address_leaves_visitors_their_places(void **state) {
  (void)state;
  enum { VISITORS = 4400, QUARTER = VISITORS / 4 };
  suite s;
  begin(&s, (vestry_options){.sessions = &(vestry_session_options){.insecure = true}},
        &(vestry_once_options){.max_visitors_count = VISITORS});
  static const struct {
    const char *peer;
    int presses, status; /* status: of the last one */
  } rows[] = {{"192.0.2.1", QUARTER + 1, 503}, {"::ffff:192.0.2.1", 1, 503}, {"192.0.2.2", 1, 201}, {"", 1, 201}};
  for (size_t row = 0; row < sizeof rows / sizeof *rows; row++) {
    for (int i = 1; i <= rows[row].presses; i++) {
      client of = {.peer = rows[row].peer};
      load(&s, &of);
      assert_int_equal(press(&s, &of), i < rows[row].presses ? 201 : rows[row].status);
    }
  }
  assert_int_equal(s.done, QUARTER + 2);
  end(&s);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(without_a_scope_presses_are_not_counted_together),
      cmocka_unit_test(an_address_leaves_visitors_their_places),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
