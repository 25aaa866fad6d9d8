/* SPDX-License-Identifier: MIT */
/* Rates: how many requests each key may send, the time until the next is allowed, and the cost of a flood of keys. */
#include <stdlib.h>

#include "app/guard/rate.h"
#include "serve/wire.h"
#include "vestry/app/rate.h"
#include "vestry/app/session.h"

enum { S_NS = 1000000000 };

/* ------------------------------------------------------------------------------------------------- the suite ------ */

typedef struct suite {
  site on;
  vestry_rate *rate;
  int done;
  uint64_t refused;
} suite;

static vestry_err act(const vestry_request *req, vestry_reply *reply, void *app) {
  suite *s = app;
  s->done++;
  return vestry_reply_status(reply, 204);
}

static vestry_err log_in(const vestry_request *req, vestry_reply *reply, void *app) {
  vestry_err error = vestry_session_login(req, reply, vestry_request_value(req, VESTRY_IN_QUERY, "user"));
  return error ? error : vestry_reply_status(reply, 204);
}

static void begin(suite *s, vestry_options options, site_has has, const vestry_rate_options *rate) {
  *s = (suite){.done = 0};
  site_begin_with(&s->on, options, has);
  assert_int_equal(vestry_rate_create(s->on.v, rate, &s->rate), VESTRY_OK);
  assert_int_equal(vestry_route(s->on.v, "GET", "/act", act, s), VESTRY_OK);
  assert_int_equal(vestry_route(s->on.v, "GET", "/login", log_in, s), VESTRY_OK);
  assert_int_equal(vestry_guard(s->on.v, "/act", vestry_rate_guard, s->rate), VESTRY_OK);
}

/* The instance counts each rejected request once. */
static void end(suite *s) {
  vestry_stats all = {0};
  vestry_stats_get(s->on.v, &all);
  assert_int_equal(all.refused_by_reason[VESTRY_REFUSAL_RATE], s->refused);
  vestry_rate_destroy(s->rate);
  site_end(&s->on);
}

static int ask(suite *s, wire *r) {
  int before = s->done;
  if (!r->path) r->path = "/act";
  wire_request(&s->on, r, NULL, NULL);
  wire_finish(r);
  assert_int_equal(s->done - before, r->status == 204 && strcmp(r->path, "/act") == 0);
  s->refused += r->status == 429;
  return r->status;
}

static int ask_from(suite *s, const char *peer) {
  return ask(s, &(wire){.peer = peer});
}

/* Count the requests that pass until one is rejected. */
static unsigned pass_from(suite *s, const char *peer) {
  unsigned count = 0;
  while (ask_from(s, peer) == 204) count++;
  return count;
}

/* ------------------------------------------------------------------------------------------------ tokens ---------- */

/* capability: L6 */
TEST_CASE(burst_passes_and_tokens_refill_over_time) {
  suite s;
  begin(&s, (vestry_options){0}, (site_has){.secret = NULL},
        &(vestry_rate_options){.count = 4, .period_ms = 2000, .burst_count = 6});
  assert_int_equal(pass_from(&s, "192.0.2.1"), 6);
  test_host_advance_ms(&s.on.th, 499);
  /* A rejected request takes no token, and so does not extend the wait. */
  assert_int_equal(pass_from(&s, "192.0.2.1"), 0);
  test_host_advance_ms(&s.on.th, 1);
  assert_int_equal(pass_from(&s, "192.0.2.1"), 1);
  test_host_advance_ms(&s.on.th, 1000);
  assert_int_equal(pass_from(&s, "192.0.2.1"), 2);
  test_host_advance_ms(&s.on.th, 86400000);
  assert_int_equal(pass_from(&s, "192.0.2.1"), 6); /* tokens do not accumulate beyond the burst */
  end(&s);
}

TEST_CASE(burst_defaults_to_count) {
  suite s;
  begin(&s, (vestry_options){0}, (site_has){.secret = NULL}, &(vestry_rate_options){.count = 3});
  assert_int_equal(pass_from(&s, "192.0.2.1"), 3);
  test_host_advance_ms(&s.on.th, 1000);
  assert_int_equal(pass_from(&s, "192.0.2.1"), 3);
  end(&s);
}

/* capability: L6 */
TEST_CASE(rejection_has_retry_after) {
  suite s;
  begin(&s, (vestry_options){0}, (site_has){.secret = NULL}, &(vestry_rate_options){.count = 1, .period_ms = 10000});
  assert_int_equal(ask_from(&s, NULL), 204);
  test_host_advance_ms(&s.on.th, 2500);
  wire r = {.path = "/act"};
  wire_request(&s.on, &r, NULL, NULL);
  assert_int_equal(r.status, 429);
  s.refused++;
  assert_true(wire_has_header(&r, "Retry-After: 8")); /* 7.5 s, rounded up */
  assert_non_null(strstr(r.text, "Try again in 8 seconds."));
  wire_finish(&r);
  test_host_advance_ms(&s.on.th, 7499);
  r = (wire){.path = "/act", .datastar = true};
  wire_request(&s.on, &r, NULL, NULL);
  assert_int_equal(r.status, 429);
  s.refused++;
  assert_true(wire_has_header(&r, "Retry-After: 1"));
  assert_string_equal(r.text, "Too many requests: this one was rejected. Try again in 1 second.");
  wire_finish(&r);
  test_host_advance_ms(&s.on.th, 1);
  assert_int_equal(ask_from(&s, NULL), 204);
  end(&s);
}

static vestry_err own_error_page(const vestry_request *req, vestry_reply *reply, void *app) {
  return vestry_reply_bodyf(reply, "<p>our own %d", req->error);
}

TEST_CASE(own_error_page_keeps_retry_after) {
  suite s;
  begin(&s, (vestry_options){0}, (site_has){.secret = NULL}, &(vestry_rate_options){.count = 1});
  assert_int_equal(vestry_error_page(s.on.v, 429, own_error_page, NULL), VESTRY_OK);
  assert_int_equal(ask_from(&s, NULL), 204);
  wire r = {.path = "/act"};
  wire_request(&s.on, &r, NULL, NULL);
  assert_int_equal(r.status, 429);
  s.refused++;
  assert_true(wire_has_header(&r, "Retry-After: 1"));
  assert_string_equal(r.text, "<p>our own 429");
  wire_finish(&r);
  end(&s);
}

/* ---------------------------------------------------------------------------------------------- keys of buckets --- */

/* capability: L6 */
TEST_CASE(address_is_an_ipv4_address_or_ipv6_64_prefix) {
  suite s;
  begin(&s, (vestry_options){0}, (site_has){.secret = NULL}, &(vestry_rate_options){.count = 1, .period_ms = 60000});
  assert_int_equal(ask_from(&s, "192.0.2.1"), 204);
  assert_int_equal(ask_from(&s, "192.0.2.2"), 204);
  assert_int_equal(ask_from(&s, "::ffff:192.0.2.1"), 429);
  assert_int_equal(ask_from(&s, "2001:db8:0:1::1"), 204);
  assert_int_equal(ask_from(&s, "2001:db8:0:1:ffff::2"), 429);
  assert_int_equal(ask_from(&s, "2001:db8:0:2::1"), 204);
  end(&s);
}

/* A program that is tried on its own machine logs nothing before it rejects a request. */
TEST_CASE(request_without_address_is_logged_once) {
  static const char *const peers[] = {"", "127.0.0.1", "::1"};
  suite s;
  begin(&s, (vestry_options){0}, (site_has){.secret = NULL}, &(vestry_rate_options){.count = 1, .period_ms = 60000});
  for (int i = 0; i < 100; i++) assert_int_equal(ask_from(&s, peers[i % 3]), 204);
  assert_int_equal(s.on.th.log_lines, 0);
  for (int i = 0; i < 3; i++) assert_int_equal(ask_from(&s, peers[i]), 429);
  assert_int_equal(s.on.th.log_lines, 1);
  assert_non_null(strstr(s.on.th.last_log, "is_behind_proxy"));
  end(&s);
}

static int ask_forwarded(suite *s, const char *address) {
  return ask(s, &(wire){.peer = "", .headers = {{"X-Forwarded-For", address}}});
}

/* capability: L6 */
TEST_CASE(forwarded_address_is_limited_behind_a_proxy) {
  static const char *const none[] = {"",
                                     "unknown",
                                     "192.0.2.1, 192.0.2.9",
                                     "192.0.2.1:x",
                                     "[2001:db8::1",
                                     " 192.0.2.1",
                                     "1.2.3.4.5.6.7.8.9.10.11.12.13.14.15.16.17.18.19.20.21.22.23.24.25.26.27"};
  suite s;
  begin(&s, (vestry_options){0}, (site_has){.secret = NULL},
        &(vestry_rate_options){.count = 1, .period_ms = 60000, .is_behind_proxy = true});
  assert_int_equal(ask_forwarded(&s, "192.0.2.1"), 204);
  assert_int_equal(ask_forwarded(&s, "192.0.2.2"), 204);
  assert_int_equal(ask_forwarded(&s, "192.0.2.1"), 429);
  assert_int_equal(ask_forwarded(&s, "192.0.2.1:80"), 429); /* as some proxies write it */
  assert_int_equal(ask_forwarded(&s, "[2001:db8::1]:80"), 204);
  assert_int_equal(ask_forwarded(&s, "2001:db8::1"), 429);
  assert_int_equal(s.on.th.log_lines, 0);
  assert_int_equal(ask_from(&s, ""), 204); /* the proxy's own request */
  for (int i = 0; i < 99; i++) assert_int_equal(ask_forwarded(&s, none[i % (sizeof none / sizeof *none)]), 204);
  for (size_t i = 0; i < sizeof none / sizeof *none; i++) assert_int_equal(ask_forwarded(&s, none[i]), 429);
  assert_int_equal(s.on.th.log_lines, 1);
  assert_non_null(strstr(s.on.th.last_log, "X-Forwarded-For"));
  end(&s);
}

/* A client that adds a proxy's header, with any address in it, leaves its own bucket, but stays bounded. */
TEST_CASE(forwarded_address_is_ignored_without_a_proxy) {
  suite s;
  begin(&s, (vestry_options){0}, (site_has){.secret = NULL}, &(vestry_rate_options){.count = 1, .period_ms = 60000});
  unsigned passed = 0;
  char address[24];
  for (unsigned i = 0; i < 250; i++) {
    snprintf(address, sizeof address, "198.51.100.%u", i);
    passed += ask(&s, &(wire){.headers = {{"X-Forwarded-For", address}}}) == 204;
  }
  assert_int_equal(passed, 100);
  assert_int_equal(ask_from(&s, "192.0.2.1"), 204);
  assert_int_equal(ask_from(&s, "192.0.2.1"), 429);
  end(&s);
}

/* Behind a proxy that hides the addresses, one client does not use up the rate of all. The log names the remedy. */
/* capability: L6 */
TEST_CASE(unknown_clients_have_the_rate_of_a_hundred) {
  static const char *const hops[] = {"198.51.100.7", "198.51.100.7, 10.0.0.1"};
  static const char *const peers[] = {"127.0.0.1", "192.0.2.1"};
  for (int i = 0; i < 8; i++) {
    const bool is_behind_proxy = i & 1, has_sessions = i & 2;
    const char *peer = peers[i >> 2];
    suite s;
    begin(&s, (vestry_options){.is_behind_proxy = is_behind_proxy},
          (site_has){.sessions = has_sessions ? &(vestry_session_options){0} : NULL},
          &(vestry_rate_options){
              .count = 5, .period_ms = 60000, .by = has_sessions ? VESTRY_RATE_SCOPE : VESTRY_RATE_ADDRESS});
    for (int k = 0; k < 499; k++)
      assert_int_equal(ask(&s, &(wire){.peer = peer, .headers = {{"X-Forwarded-For", hops[is_behind_proxy]}}}), 204);
    const wire other = {.peer = peer, .headers = {{"X-Forwarded-For", "203.0.113.9, 10.0.0.1"}}};
    wire first = other, second = other;
    assert_int_equal(ask(&s, &first), 204);
    assert_int_equal(ask(&s, &second), 429);
    assert_int_equal(ask_from(&s, is_behind_proxy ? "" : "192.0.2.2"), is_behind_proxy ? 429 : 204);
    assert_int_equal(s.on.th.log_lines, 1);
    assert_non_null(strstr(s.on.th.last_log, is_behind_proxy ? "X-Forwarded-For" : "is_behind_proxy"));
    end(&s);
  }
}

/* Log in, and keep the cookie. */
static void log_in_as(suite *s, const char *user, char cookie[256]) {
  char query[64];
  snprintf(query, sizeof query, "user=%s", user);
  wire r = {.path = "/login", .query = query};
  wire_request(&s->on, &r, NULL, NULL);
  assert_int_equal(r.status, 204);
  assert_true(wire_keep_cookie(&r, cookie, 256));
  wire_finish(&r);
}

/* capability: L6 */
TEST_CASE(rate_by_scope_falls_back_to_the_address) {
  suite s;
  begin(&s, (vestry_options){0}, (site_has){.sessions = &(vestry_session_options){0}},
        &(vestry_rate_options){.count = 1, .period_ms = 60000, .by = VESTRY_RATE_SCOPE});
  char ada[256], bob[256];
  log_in_as(&s, "ada", ada);
  log_in_as(&s, "bob", bob);
  assert_int_equal(ask(&s, &(wire){.peer = "192.0.2.1", .headers = {{"Cookie", ada}}}), 204);
  assert_int_equal(ask(&s, &(wire){.peer = "192.0.2.2", .headers = {{"Cookie", ada}}}), 429); /* from any address */
  assert_int_equal(ask(&s, &(wire){.peer = "192.0.2.1", .headers = {{"Cookie", bob}}}), 204);
  /* Anonymous users have a new session each time, and the same address. */
  assert_int_equal(ask_from(&s, "192.0.2.1"), 204);
  assert_int_equal(ask_from(&s, "192.0.2.1"), 429);
  assert_int_equal(ask_from(&s, "192.0.2.3"), 204);
  end(&s);
}

/* An instance without sessions and scope has one scope, which would be one bucket of all clients. */
TEST_CASE(rate_by_scope_without_any_scope_is_rejected) {
  suite s;
  vestry_rate *none = NULL;
  const vestry_rate_options by_scope = {.count = 1, .period_ms = 60000, .by = VESTRY_RATE_SCOPE};
  begin(&s, (vestry_options){0}, (site_has){.secret = NULL}, &(vestry_rate_options){.count = 1});
  assert_int_equal(vestry_rate_create(s.on.v, &by_scope, &none), VESTRY_INVALID);
  assert_non_null(strstr(s.on.th.last_log, "neither sessions nor scopes"));
  assert_null(none);
  end(&s);
  begin(&s, (vestry_options){.scope = site_by_cookie}, (site_has){.secret = NULL}, &by_scope);
  assert_int_equal(ask_from(&s, "192.0.2.1"), 204); /* a request without a scope is limited by its address */
  assert_int_equal(ask_from(&s, "192.0.2.2"), 204);
  assert_int_equal(ask_from(&s, "192.0.2.1"), 429);
  assert_int_equal(ask(&s, &(wire){.peer = "192.0.2.1", .headers = {{"Cookie", "ada"}}}), 204);
  assert_int_equal(ask(&s, &(wire){.peer = "192.0.2.3", .headers = {{"Cookie", "ada"}}}), 429);
  end(&s);
}

/* capability: L6 */
TEST_CASE(take_counts_tokens_and_returns_the_wait) {
  suite s;
  begin(&s, (vestry_options){0}, (site_has){.secret = NULL}, &(vestry_rate_options){.count = 2, .period_ms = 3000});
  uint64_t wait_ms = 7;
  assert_int_equal(vestry_rate_take(s.rate, "ada", 3, &wait_ms), VESTRY_OK);
  assert_int_equal(vestry_rate_take(s.rate, "ada", 3, NULL), VESTRY_OK);
  assert_int_equal(wait_ms, 7);
  assert_int_equal(vestry_rate_take(s.rate, "ada", 3, &wait_ms), VESTRY_LIMIT);
  assert_int_equal(wait_ms, 1500);
  assert_int_equal(vestry_rate_take(s.rate, "ada", 3, NULL), VESTRY_LIMIT);
  assert_int_equal(vestry_rate_take(s.rate, "bob", 3, NULL), VESTRY_OK);
  assert_int_equal(vestry_rate_take(s.rate, NULL, 0, NULL), VESTRY_OK);
  assert_int_equal(vestry_rate_take(s.rate, NULL, 1, NULL), VESTRY_INVALID);
  assert_int_equal(vestry_rate_take(NULL, "a", 1, NULL), VESTRY_INVALID);
  vestry_rate_destroy(s.rate);
  site_end(&s.on);
}

/* --------------------------------------------------------------------------------------------- limits ------------- */

/* Buckets of invented keys are replaced, and the bucket with the largest debt stays. */
/* capability: L6 */
TEST_CASE(flood_of_keys_keeps_the_busiest_bucket) {
  enum { FLOOD = 200000, HOLDS = 1024 };
  suite s;
  begin(&s, (vestry_options){0}, (site_has){.secret = NULL},
        &(vestry_rate_options){.count = 10, .period_ms = 60000, .max_count = HOLDS});
  long allocations = s.on.th.allocations;
  for (int i = 0; i < 10; i++) assert_int_equal(vestry_rate_take(s.rate, "busy", 4, NULL), VESTRY_OK);
  assert_int_equal(vestry_rate_take(s.rate, "busy", 4, NULL), VESTRY_LIMIT);
  for (uint32_t i = 0; i < FLOOD; i++) assert_int_equal(vestry_rate_take(s.rate, &i, sizeof i, NULL), VESTRY_OK);
  assert_int_equal(vestry_rate_take(s.rate, "busy", 4, NULL), VESTRY_LIMIT);
  assert_int_equal(s.on.th.allocations, allocations);
  test_host_advance_ms(&s.on.th, 60000);
  for (int i = 0; i < 10; i++) assert_int_equal(vestry_rate_take(s.rate, "busy", 4, NULL), VESTRY_OK);
  vestry_rate_destroy(s.rate);
  site_end(&s.on);
}

/* With four times the room that the keys need, at most 1 % of the buckets with a debt are replaced. */
TEST_CASE(buckets_within_capacity_are_kept) {
  enum { NAMES = 2048, HOLDS = 4 * NAMES };
  suite s;
  begin(&s, (vestry_options){0}, (site_has){.secret = NULL},
        &(vestry_rate_options){.count = 1, .period_ms = 60000, .max_count = HOLDS});
  for (uint32_t i = 0; i < NAMES; i++) assert_int_equal(vestry_rate_take(s.rate, &i, sizeof i, NULL), VESTRY_OK);
  unsigned again = 0;
  for (uint32_t i = 0; i < NAMES; i++) again += vestry_rate_take(s.rate, &i, sizeof i, NULL) == VESTRY_OK;
  assert_in_range(again, 0, NAMES / 100);
  vestry_rate_destroy(s.rate);
  site_end(&s.on);
}

TEST_CASE(invalid_options_are_rejected_and_logged) {
  static const vestry_rate_options wrong[] = {{.count = 0},
                                              {.count = 1000001},
                                              {.count = 1, .burst_count = 1000001},
                                              {.count = 1, .period_ms = 86400001},
                                              {.count = 1, .max_count = (1 << 24) + 1},
                                              {.count = 1, .by = (vestry_rate_by)2},
                                              {.count = 1, .period_ms = 86400000, .burst_count = 401}};
  suite s;
  begin(&s, (vestry_options){0}, (site_has){.secret = NULL},
        &(vestry_rate_options){.count = 1000000, .period_ms = 1, .burst_count = 1000000});
  vestry_rate *none = NULL;
  for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
    assert_int_equal(vestry_rate_create(s.on.v, &wrong[i], &none), VESTRY_INVALID);
    assert_int_equal(s.on.th.log_lines, i + 1);
    assert_non_null(strstr(s.on.th.last_log, "vestry_rate_create: "));
  }
  assert_int_equal(vestry_rate_create(s.on.v, NULL, &none), VESTRY_INVALID);
  assert_int_equal(vestry_rate_create(NULL, wrong, &none), VESTRY_INVALID);
  s.on.th.fail_random = true;
  assert_int_equal(vestry_rate_create(s.on.v, &(vestry_rate_options){.count = 1}, &none), VESTRY_IO);
  s.on.th.fail_random = false;
  assert_null(none);
  vestry_rate_destroy(NULL);
  end(&s);
}

static vestry_err run_short(test_host *th, void *ctx) {
  vestry *v;
  vestry_rate *rate = NULL;
  vestry_err error = vestry_create(&(vestry_options){.host = &th->host, .threads_count = VESTRY_THREADS_NONE}, &v);
  if (error) return error;
  error = vestry_rate_create(v, &(vestry_rate_options){.count = 1}, &rate);
  vestry_rate_destroy(rate);
  vestry_destroy(v);
  return error;
}

TEST_CASE(allocation_failure_is_returned) {
  test_host_fail_each(run_short, NULL, false);
}

/* ------------------------------------------------------------------------------------------------ threads --------- */

enum { THREADS = 4, TRIES_EACH = 20000, NAMES = 16, TOKENS = 1000 };

static void *take_many(void *argument) {
  vsi_buckets *buckets = argument;
  uintptr_t passed = 0;
  for (uint64_t i = 0; i < TRIES_EACH; i++) passed += !vsi_buckets_take(buckets, i % NAMES * 0x9e3779b97f4a7c15, S_NS);
  return (void *)passed;
}

/* Exactly as many requests pass for each key as it has tokens, for any interleaving of threads. */
/* capability: L6 */
HOST_CASE(concurrent_takes_pass_exactly_the_tokens) {
  vsi_buckets *buckets;
  assert_int_equal(vsi_buckets_create(&th->host, S_NS, TOKENS, 1024, &buckets), VESTRY_OK);
  pthread_t threads[THREADS];
  for (int i = 0; i < THREADS; i++) assert_int_equal(pthread_create(&threads[i], NULL, take_many, buckets), 0);
  uintptr_t passed = 0;
  for (int i = 0; i < THREADS; i++) {
    void *of_thread;
    pthread_join(threads[i], &of_thread);
    passed += (uintptr_t)of_thread;
  }
  assert_int_equal(passed, NAMES * TOKENS);
  vsi_buckets_destroy(buckets);
}
