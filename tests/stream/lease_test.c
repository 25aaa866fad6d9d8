/* SPDX-License-Identifier: MIT */
/* Leases of streams: a stream ends if its tab stops renewing its lease, and otherwise stays. */
#include <string.h>

#include "support/site.h"
#include "vestry/app/page.h"
#include "vestry/app/stream.h"

enum { HEARTBEAT_MS = 1000, LEASE_MS = 3000, STREAMS = 100, DIGITS = 64 };
#define SIGN  "event: datastar-patch-signals\ndata: signals {}\n\n"
#define FIRST "event: datastar-patch-signals\ndata: signals {}\ndata: lease "

typedef struct suite {
  site on;
  int handled, guarded; /* calls of the handler and of the guard */
  uint64_t own_heartbeat_ms;
  bool is_brief;
} suite;

static vestry_err stream(const vestry_request *req, vestry_reply *reply, void *app) {
  suite *s = app;
  s->handled++;
  if (s->is_brief) return vestry_reply_patch_signals(reply, VESTRY_OBJECT("a", 1));
  if (s->own_heartbeat_ms)
    vestry_reply_stream(reply, &(vestry_stream_options){
                                   .connection = &(vestry_connection_options){.heartbeat_ms = s->own_heartbeat_ms}});
  vestry_reply_key(reply, VESTRY_KEY("stream"));
  return vestry_reply_keep(reply, VESTRY_KEEP_MANY, STREAMS);
}

static vestry_err guard(const vestry_request *req, vestry_reply *reply, void *app) {
  ((suite *)app)->guarded++;
  return VESTRY_OK;
}

static void begin_for(suite *s, uint64_t lease_ms) {
  static const vestry_connection_options connection = {.heartbeat_ms = HEARTBEAT_MS};
  *s = (suite){.handled = 0};
  site_begin(&s->on, (vestry_options){.connection = &connection});
  assert_int_equal(vestry_leases_create(s->on.v, lease_ms), VESTRY_OK);
  assert_int_equal(vestry_guard(s->on.v, "/", guard, s), VESTRY_OK);
  assert_int_equal(vestry_route(s->on.v, "GET", "/stream", stream, s), VESTRY_OK);
}

static void begin(suite *s) {
  begin_for(s, LEASE_MS);
}

static const vestry_header wanted = {"Vestry-Signs", "lease"};

static vestry_memory_exchange *open_stream(suite *s) {
  vestry_memory_exchange *made = site_request(
      &s->on, &(vestry_memory_call){.path = "/stream", .datastar = true, .headers = &wanted, .headers_count = 1});
  site_settle(&s->on);
  return made;
}

/* Copy the lease that the stream has sent; "": none. */
static void lease_of(vestry_memory_exchange *page, char lease[DIGITS + 1]) {
  vestry_slice text = vestry_memory_since(page);
  const char *at = strstr(text.data, FIRST);
  lease[0] = '\0';
  if (!at) return;
  at += strlen(FIRST);
  assert_int_equal(strcspn(at, "\n"), DIGITS);
  memcpy(lease, at, DIGITS);
  lease[DIGITS] = '\0';
}

static void answer_by(suite *s, const char *method, const char *lease, int status) {
  const vestry_header header = {"Vestry-Lease", lease};
  vestry_memory_exchange *made = site_request(
      &s->on, &(vestry_memory_call){.method = method, .path = "/stream", .headers = &header, .headers_count = 1});
  assert_int_equal(vestry_memory_look(made).status, status);
  vestry_memory_destroy(made);
}

static void answer(suite *s, const char *lease) {
  answer_by(s, "POST", lease, 204);
}

static void answer_refused(suite *s, const char *lease) {
  answer_by(s, "POST", lease, 404);
}

static void release(suite *s, const char *lease, int status) {
  char text[DIGITS + 20];
  snprintf(text, sizeof text, "%s released", lease);
  answer_by(s, "POST", text, status);
}

static vestry_lease_stats leases_of(suite *s) {
  vestry_lease_stats leases = {0};
  vestry_lease_stats_get(s->on.v, &leases);
  assert_int_equal(leases.begun_count, leases.live_count + leases.ended_count);
  return leases;
}

static vestry_stats stats_of(suite *s) {
  vestry_stats stats = {0};
  vestry_stats_get(s->on.v, &stats);
  return stats;
}

/* Let time pass as on a machine that does not stand still. */
static void pass_ms(suite *s, uint64_t ms) {
  const uint64_t step_ms = 500;
  for (; ms > step_ms; ms -= step_ms) site_pass_ms(&s->on, step_ms);
  site_pass_ms(&s->on, ms);
}

/* capability: L9 */
TEST_CASE(stream_ends_when_its_lease_expires) {
  suite s;
  char lease[DIGITS + 1];
  begin(&s);
  vestry_memory_exchange *page = open_stream(&s);
  lease_of(page, lease);
  assert_int_equal(strlen(lease), DIGITS);
  answer(&s, lease);
  for (int i = 0; i < 5; i++) {
    pass_ms(&s, LEASE_MS - 1);
    answer(&s, lease);
  }
  assert_int_equal(stats_of(&s).open_count, 1);
  pass_ms(&s, LEASE_MS - 1);
  assert_int_equal(stats_of(&s).open_count, 1);
  pass_ms(&s, 1);
  const vestry_stats stats = stats_of(&s);
  const vestry_lease_stats leases = leases_of(&s);
  assert_int_equal(stats.open_count, 0);
  assert_int_equal(stats.closed_by_cause[VESTRY_CAUSE_LEASE_EXPIRED], 1);
  assert_int_equal(leases.begun_count, 1);
  assert_int_equal(leases.ended_count, 1);
  assert_int_equal(leases.renewals_count, 6);
  assert_int_equal(leases.unknown_count, 0);
  assert_false(vestry_memory_look(page).clean); /* a tab that still exists reconnects */
  answer_refused(&s, lease);
  assert_int_equal(leases_of(&s).unknown_count, 1);
  vestry_memory_destroy(page);
  site_end(&s.on);
}

/* capability: L9 */
TEST_CASE(stream_without_a_renewal_stays_open) {
  suite s;
  begin(&s);
  vestry_memory_exchange *page = open_stream(&s);
  for (int i = 0; i < 20; i++) pass_ms(&s, HEARTBEAT_MS);
  assert_int_equal(stats_of(&s).open_count, 1);
  assert_int_equal(leases_of(&s).begun_count, 0);
  vestry_memory_destroy(page);
  site_end(&s.on);
}

/* capability: L9 */
TEST_CASE(renewal_runs_no_guard_and_no_handler) {
  suite s;
  char lease[DIGITS + 1];
  begin(&s);
  vestry_memory_exchange *page = open_stream(&s);
  lease_of(page, lease);
  assert_int_equal(s.handled, 1);
  assert_int_equal(s.guarded, 1);
  answer(&s, lease);
  assert_int_equal(s.handled, 1);
  assert_int_equal(s.guarded, 1);
  answer_by(&s, "GET", lease, 204); /* a GET does not renew, but is an ordinary request */
  assert_int_equal(s.handled, 2);
  assert_int_equal(leases_of(&s).renewals_count, 1);
  vestry_memory_destroy(page);
  site_end(&s.on);
}

/* capability: L9 */
TEST_CASE(forged_lease_renews_nothing) {
  suite s;
  char lease[DIGITS + 1], other[DIGITS + 1];
  begin(&s);
  vestry_memory_exchange *page = open_stream(&s);
  lease_of(page, lease);
  answer(&s, lease);
  static const char *const forged[] = {
      "",
      "0",
      "0000000000000000000000000000000000000000000000000000000000000000",
      "ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
      "gggggggggggggggggggggggggggggggggggggggggggggggggggggggggggggggg",
      "00000000000000000000000000000000000000000000000000000000000000000",
      "\xff\xfe\n lease",
  };
  for (size_t i = 0; i < sizeof forged / sizeof *forged; i++) answer_refused(&s, forged[i]);
  for (size_t i = 0; i < 32; i++) { /* each digit is compared */
    memcpy(other, lease, sizeof other);
    other[i] = other[i] == '0' ? '1' : '0';
    answer_refused(&s, other);
  }
  static char long_one[100000];
  memset(long_one, 'a', sizeof long_one - 1);
  answer_refused(&s, long_one);
  const vestry_lease_stats leases = leases_of(&s);
  assert_int_equal(leases.renewals_count, 1);
  assert_int_equal(leases.unknown_count, sizeof forged / sizeof *forged + 32 + 1);
  pass_ms(&s, LEASE_MS);
  assert_int_equal(stats_of(&s).open_count, 0);
  vestry_memory_destroy(page);
  site_end(&s.on);
}

/* A process that cannot pass renewals on has refused one: the stream must not end for want of renewals. */
/* capability: L9 */
TEST_CASE(released_lease_does_not_end_its_stream) {
  suite s;
  char lease[DIGITS + 1], other[DIGITS + 1];
  begin(&s);
  vestry_memory_exchange *page = open_stream(&s);
  lease_of(page, lease);
  memcpy(other, lease, sizeof other);
  other[0] = other[0] == '0' ? '1' : '0';
  answer(&s, lease);
  release(&s, other, 404);
  pass_ms(&s, LEASE_MS - 1);
  assert_int_equal(leases_of(&s).live_count, 1);
  release(&s, lease, 204);
  release(&s, lease, 204);
  assert_int_equal(leases_of(&s).live_count, 0);
  assert_non_null(strstr(s.on.th.last_log, "connect the processes by a cluster"));
  pass_ms(&s, 10 * LEASE_MS);
  assert_int_equal(stats_of(&s).open_count, 1);
  answer(&s, lease); /* it begins again */
  assert_int_equal(leases_of(&s).live_count, 1);
  pass_ms(&s, LEASE_MS);
  assert_int_equal(stats_of(&s).closed_by_cause[VESTRY_CAUSE_LEASE_EXPIRED], 1);
  assert_int_equal(leases_of(&s).begun_count, 2);
  release(&s, lease, 404);
  vestry_memory_destroy(page);
  site_end(&s.on);
}

/* capability: L9 */
TEST_CASE(leases_begin_anew_after_a_standstill) {
  suite s;
  static vestry_memory_exchange *pages[STREAMS];
  char lease[DIGITS + 1];
  begin(&s);
  for (int i = 0; i < STREAMS; i++) {
    pages[i] = open_stream(&s);
    lease_of(pages[i], lease);
    answer(&s, lease);
  }
  site_pass_ms(&s.on, LEASE_MS + 25000); /* renewals were sent in this time, and are not read yet */
  assert_int_equal(leases_of(&s).live_count, STREAMS);
  answer(&s, lease);
  pass_ms(&s, LEASE_MS - 1);
  answer(&s, lease);
  pass_ms(&s, 1);
  assert_int_equal(leases_of(&s).live_count, 1); /* the others are lost */
  site_pass_ms(&s.on, LEASE_MS + 5000);
  assert_int_equal(leases_of(&s).live_count, 1);
  site_pass_ms(&s.on, LEASE_MS + 5000); /* late again: the machine is overloaded */
  assert_int_equal(leases_of(&s).live_count, 0);
  assert_int_equal(leases_of(&s).unknown_count, 0);
  for (int i = 0; i < STREAMS; i++) vestry_memory_destroy(pages[i]);
  site_end(&s.on);
}

/* capability: L9 */
TEST_CASE(each_stream_has_its_own_lease) {
  suite s;
  static vestry_memory_exchange *pages[STREAMS];
  static char leases[STREAMS][DIGITS + 1];
  begin(&s);
  for (int i = 0; i < STREAMS; i++) {
    pages[i] = open_stream(&s);
    lease_of(pages[i], leases[i]);
    for (int j = 0; j < i; j++) assert_string_not_equal(leases[i], leases[j]);
    answer(&s, leases[i]);
  }
  /* In another order than they began, and without those of odd numbers. */
  site_pass_ms(&s.on, LEASE_MS / 2);
  for (int i = STREAMS - 2; i >= 0; i -= 2) answer(&s, leases[i]);
  site_pass_ms(&s.on, LEASE_MS / 2);
  for (int i = 0; i < STREAMS; i++) assert_int_equal(vestry_memory_look(pages[i]).ended, i % 2);
  assert_int_equal(leases_of(&s).live_count, STREAMS / 2);
  /* A stream that its client has closed has no lease any more. */
  vestry_memory_destroy(pages[0]);
  site_settle(&s.on);
  assert_int_equal(leases_of(&s).live_count, STREAMS / 2 - 1);
  answer_refused(&s, leases[0]);
  assert_int_equal(leases_of(&s).unknown_count, 1);
  for (int i = 1; i < STREAMS; i++) vestry_memory_destroy(pages[i]);
  site_end(&s.on);
}

/* capability: L9 */
TEST_CASE(streams_without_signs_or_heartbeats_have_no_lease) {
  suite s;
  char lease[DIGITS + 1];
  begin(&s);
  vestry_memory_exchange *plain = site_request(&s.on, &(vestry_memory_call){.path = "/stream", .datastar = true});
  site_settle(&s.on);
  lease_of(plain, lease);
  assert_string_equal(lease, "");
  vestry_memory_destroy(plain);
  s.own_heartbeat_ms = HEARTBEAT_MS + 1;
  vestry_memory_exchange *seldom = open_stream(&s);
  assert_string_equal(vestry_memory_since(seldom).data, SIGN);
  vestry_memory_destroy(seldom);
  s.own_heartbeat_ms = HEARTBEAT_MS / 2;
  vestry_memory_exchange *often = open_stream(&s);
  lease_of(often, lease);
  assert_int_equal(strlen(lease), DIGITS);
  vestry_memory_destroy(often);
  s.is_brief = true;
  vestry_memory_exchange *brief = open_stream(&s);
  lease_of(brief, lease);
  assert_string_equal(lease, "");
  vestry_memory_destroy(brief);
  site_end(&s.on);
}

/* capability: L9 */
TEST_CASE(lease_time_has_a_default_and_a_minimum) {
  suite s;
  char lease[DIGITS + 1];
  begin_for(&s, VESTRY_NEVER_MS);
  vestry_memory_exchange *page = open_stream(&s);
  assert_string_equal(vestry_memory_since(page).data, SIGN);
  answer_by(&s, "POST", "0000000000000000000000000000000000000000000000000000000000000000",
            405); /* an ordinary request */
  vestry_memory_destroy(page);
  site_end(&s.on);

  begin_for(&s, 0); /* ten seconds more than a heartbeat */
  page = open_stream(&s);
  lease_of(page, lease);
  answer(&s, lease);
  site_pass_ms(&s.on, HEARTBEAT_MS + 9999);
  assert_int_equal(stats_of(&s).open_count, 1);
  site_pass_ms(&s.on, 1);
  assert_int_equal(stats_of(&s).open_count, 0);
  vestry_memory_destroy(page);
  site_end(&s.on);

  vestry *v;
  static const vestry_connection_options never = {.heartbeat_ms = VESTRY_NEVER_MS};
  const vestry_options without = {.threads_count = VESTRY_THREADS_NONE, .connection = &never};
  assert_int_equal(vestry_create(&without, &v), VESTRY_OK);
  vestry_pages *pages;
  assert_int_equal(vestry_pages_create(v, NULL, &pages), VESTRY_OK); /* its default is replaced */
  assert_int_equal(vestry_leases_create(v, 0), VESTRY_OK);
  assert_int_equal(vestry_leases_create(v, 0), VESTRY_EXISTS);
  vestry_pages_destroy(pages);
  vestry_destroy(v);
  static const vestry_connection_options second = {.heartbeat_ms = 1000};
  const vestry_options as_long = {.threads_count = VESTRY_THREADS_NONE, .connection = &second};
  assert_int_equal(vestry_create(&as_long, &v), VESTRY_OK);
  assert_int_equal(vestry_leases_create(v, 1000), VESTRY_INVALID);
  vestry_destroy(v);
}

/* A stream ends for another reason while its lease runs, and at the moment of its expiry. */
/* capability: L9 */
TEST_CASE(lease_ends_with_its_stream) {
  suite s;
  char lease[DIGITS + 1];
  begin(&s);
  vestry_memory_exchange *page = open_stream(&s);
  lease_of(page, lease);
  answer(&s, lease);
  assert_true(vestry_connection_close(vestry_memory_look(page).connection, VESTRY_CAUSE_CLOSED));
  site_settle(&s.on);
  assert_int_equal(leases_of(&s).live_count, 0);
  vestry_memory_destroy(page);
  page = open_stream(&s);
  lease_of(page, lease);
  answer(&s, lease);
  test_host_advance_ms(&s.on.th, LEASE_MS);
  vestry_close(s.on.v);
  site_settle(&s.on);
  vestry_stats stats = stats_of(&s);
  assert_int_equal(stats.closed_by_cause[VESTRY_CAUSE_SHUTDOWN], 1);
  assert_int_equal(stats.closed_by_cause[VESTRY_CAUSE_LEASE_EXPIRED], 0);
  vestry_memory_destroy(page);
  site_end(&s.on);
}

/* capability: L9 */
TEST_CASE(failed_allocation_refuses_the_stream_or_keeps_its_lease) {
  suite s;
  char lease[DIGITS + 1];
  begin(&s);
  bool has_failed = true;
  for (long i = 0; has_failed; i++) {
    const vestry_memory_call call = {.path = "/stream", .datastar = true, .headers = &wanted, .headers_count = 1};
    vestry_memory_exchange *page = NULL;
    test_host_fail_in(&s.on.th, i);
    vestry_err error = vestry_memory_request(s.on.v, &call, NULL, NULL, &page);
    site_settle(&s.on);
    has_failed = test_host_has_failed(&s.on.th);
    test_host_fail_no_more(&s.on.th);
    if (!error && vestry_memory_look(page).status == 200) {
      lease_of(page, lease);
      if (!has_failed) assert_int_equal(strlen(lease), DIGITS);
      if (*lease) answer(&s, lease);
    }
    vestry_memory_destroy(page);
    site_settle(&s.on);
    assert_int_equal(leases_of(&s).live_count, 0);
  }
  site_end(&s.on);
}
