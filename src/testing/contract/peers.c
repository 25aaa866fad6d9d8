/* SPDX-License-Identifier: MIT */
/* Peers that are lost in different ways. */

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "connection/connection.h"
#include "testing/contract/check.h"
#include "testing/contract/client.h"
#include "testing/contract/rules.h"
#include "testing/contract/server.h"
#include "testing/contract/suites.h"

static vsi_server s;

/* Nothing is written to these streams, so no write can fail. */
static const vestry_connection_options silent = {.heartbeat_ms = VESTRY_NEVER_MS,
                                                 .max_queued_bytes = VSI_STALLING_QUEUE_BYTES};

typedef void (*leave_fn)(vsi_client *c);

static void detects_peer_that(leave_fn leaves) {
  vsi_server_start(&s, NULL, &(vestry_options){.connection = &silent});
  vsi_client gone, stays;
  vestry_connection *connection = vsi_server_open(&s, &gone), *other = vsi_server_open(&s, &stays);
  double since = vsi_seconds_now();
  leaves(&gone);
  CHECK_CAUSE(vsi_server_cause(&s, connection), VESTRY_CAUSE_HANGUP);
  CHECK(vsi_seconds_now() - since < VSI_PROMPT_S); /* at once, or within 0.25 s on an idle machine */
  vestry_connection_stats stats = {0};
  vestry_connection_stats_get(connection, &stats);
  CHECK_EQUAL(stats.writes_count, 0);
  CHECK_EQUAL(stats.written_count, 0);
  CHECK(vestry_connection_is_open(other));
  vsi_server_patch(other, "{\"still\":1}");
  vsi_client_expect(&stays, "still");
  vsi_client_close(&gone);
  vsi_client_close(&stays);
  vsi_server_stop(&s);
}

/* capability: C18, F5 */
static void closed_peer_is_detected(void) {
  detects_peer_that(vsi_client_close);
}

/* capability: F5 */
static void reset_peer_is_detected(void) {
  detects_peer_that(vsi_client_abort);
}

static void half_closed_peer_is_detected(void) {
  detects_peer_that(vsi_client_shut);
}

static void send_and_close(vsi_client *c) {
  vsi_client_sendf(c, "GET /echo HTTP/1.1\r\n\r\n"); /* unread bytes precede the end */
  vsi_client_close(c);
}

static void closed_peer_is_detected_behind_unread_bytes(void) {
  detects_peer_that(send_and_close);
}

/* The stream is ending cleanly, and the accepted events wait until the peer reads. */
static double seconds_to_leave(leave_fn leaves) {
  vsi_server_start(&s, NULL, &(vestry_options){.connection = &silent});
  vsi_client gone;
  vestry_connection *connection = vsi_server_open_stalled(&s, &gone);
  vestry_connection_close(connection, VESTRY_CAUSE_CLOSED);
  double since = vsi_seconds_now();
  leaves(&gone);
  CHECK_CAUSE(vsi_server_cause(&s, connection), VESTRY_CAUSE_CLOSED); /* which was the first */
  double took = vsi_seconds_now() - since;
  CHECK_UNTIL(!vsi_server_streams(&s));
  vsi_client_close(&gone);
  vsi_server_stop(&s);
  return took;
}

/* A peer that merely does not read gets five seconds. */
static void clean_end_does_not_wait_for_a_lost_peer(void) {
  CHECK_BELOW_S(4, seconds_to_leave(vsi_client_abort));
  CHECK_BELOW_S(4, seconds_to_leave(vsi_client_close));
}

/* So many that each table grows more than once, and its places are reused. */
static void many_lost_peers_are_detected_at_once(void) {
  enum { MANY = 100 };
  static vsi_client clients[MANY];
  vsi_server_start(&s, &(vestry_contract_settings){.max_streams = MANY, .watch_ms = 20},
                   &(vestry_options){.connection = &silent});
  for (unsigned round = 0; round < 2; round++) {
    unsigned first = round * MANY;
    for (int i = 0; i < MANY; i++) vsi_server_open(&s, &clients[i]);
    for (int i = 0; i < MANY; i += 2) vsi_client_close(&clients[i]);
    CHECK(vsi_recorder_wait_closed(&s.recorder, first + MANY / 2));
    for (unsigned i = 0; i < MANY; i++)
      CHECK_CAUSE(vsi_recorder_cause(&s.recorder, vsi_recorder_connection(&s.recorder, first + i)),
                  i % 2 ? VESTRY_CAUSE_NONE : VESTRY_CAUSE_HANGUP);
    for (int i = 1; i < MANY; i += 2) vsi_client_close(&clients[i]);
    CHECK(vsi_recorder_wait_closed(&s.recorder, first + MANY));
    CHECK_UNTIL(!vsi_server_streams(&s));
  }
  vsi_server_stop(&s);
}

/* ---- unacknowledged bytes ---------------------------------------------------------------------------------------- */

/* Return the number of unacknowledged bytes; below 0: unknown, or the stream has ended. A reference is held. */
static int64_t unacknowledged(const vestry_connection *connection) {
  return connection->ops->unacknowledged(connection->transport);
}

static bool reports_unacknowledged(const vestry_connection *connection) {
  return connection->ops->unacknowledged;
}

static const char no_report[] = "the transport has no function `unacknowledged`";

/* capability: H1 */
static void unacknowledged_bytes_of_a_stalled_reader_are_reported(void) {
  enum { EVENT_BYTES = 40000 };
  static char html[EVENT_BYTES];
  vsi_server_start(&s, &(vestry_contract_settings){.stalled_ms = 300000, .watch_ms = 10}, NULL);
  vsi_client c;
  vsi_client_connect(&c, s.port, true);
  vsi_client_sendf(&c, "GET /stream HTTP/1.1\r\nHost: a\r\nConnection: close\r\nDatastar-Request: true\r\n\r\n");
  CHECK(vsi_recorder_wait_opened(&s.recorder, 1));
  vestry_connection *connection = vsi_recorder_connection(&s.recorder, 0);
  if (!reports_unacknowledged(connection)) SKIP(no_report);
  CHECK_EQUAL(vsi_client_status(&c), 200);
  memset(html, 'x', sizeof html);
  memcpy(html, "<p id=\"a\">", 10);
  memcpy(html + sizeof html - 4, "</p>", 4);
  CHECK_ERROR(vestry_connection_patch_elements(connection, html, sizeof html, NULL), VESTRY_OK);
  CHECK_UNTIL(unacknowledged(connection) > 0); /* it does not read */
  vsi_client_expect(&c, "</p>");
  CHECK_UNTIL(unacknowledged(connection) == 0);
  vestry_connection_close(connection, VESTRY_CAUSE_CLOSED);
  vsi_client_read_all(&c);
  vsi_client_close(&c);
  CHECK_UNTIL(!vsi_server_streams(&s));
  CHECK(unacknowledged(connection) < 0); /* its socket is closed */
  vsi_server_stop(&s);
}

static atomic_bool is_over;

static void *look_at_all(void *ctx) {
  while (!atomic_load(&is_over)) {
    vestry_connection *connection;
    for (unsigned i = 0; (connection = vsi_recorder_connection(&s.recorder, i)) != NULL; i++)
      unacknowledged(connection);
  }
  return ctx;
}

/* Under ThreadSanitizer: the socket of a stream that ends is no longer queried. */
static void streams_are_observed_while_they_come_and_go(void) {
  enum { ROUNDS = 20, STREAMS = 4 };
  pthread_t thread;
  vsi_server_start(&s, &(vestry_contract_settings){.watch_ms = 10}, NULL);
  for (int round = 0; round < ROUNDS; round++) {
    vsi_client clients[STREAMS];
    vestry_connection *connections[STREAMS];
    for (int i = 0; i < STREAMS; i++) connections[i] = vsi_server_open(&s, &clients[i]);
    if (!reports_unacknowledged(connections[0])) SKIP(no_report);
    if (!round) CHECK_EQUAL(pthread_create(&thread, NULL, look_at_all, NULL), 0);
    for (int i = 0; i < STREAMS; i++) vsi_server_patch(connections[i], "{\"n\":1}");
    CHECK_UNTIL(unacknowledged(connections[0]) >= 0);
    for (int i = 0; i < STREAMS; i++)
      if (i % 2) vestry_connection_close(connections[i], VESTRY_CAUSE_CLOSED);
    for (int i = 0; i < STREAMS; i++) vsi_client_close(&clients[i]);
    CHECK_UNTIL(!vsi_server_streams(&s));
  }
  atomic_store(&is_over, true);
  CHECK_EQUAL(pthread_join(thread, NULL), 0);
  vsi_server_stop(&s);
}

/* ---- behind a proxy ---------------------------------------------------------------------------------------------- */

static vestry_err say_headers(const vestry_request *req, vestry_reply *reply, void *app) {
  (void)app;
  const char *address = vestry_request_header(req, "x-forwarded-for"),
             *user = vestry_request_header(req, "Remote-User"), *other = vestry_request_header(req, "X-Other");
  return vestry_reply_bodyf(reply, "%s|%s|%s", address ? address : "", user ? user : "", other ? other : "");
}

/* A proxy that adds a line after the client's, instead of replacing it. */
static void line_of_the_client_is_not_taken_for_that_of_the_proxy(void) {
  static const struct {
    const char *headers, *seen;
  } requests[] = {
      {"X-Forwarded-For: 198.51.100.7\r\n", "198.51.100.7||"},
      {"X-Forwarded-For: 192.0.2.1\r\nA: b\r\nx-forwarded-for: 198.51.100.7\r\n", "192.0.2.1, 198.51.100.7||"},
      {"X-Forwarded-For: 192.0.2.1\r\nX-Forwarded-For: 192.0.2.1\r\n", "192.0.2.1, 192.0.2.1||"},
      {"X-Forwarded-For: \r\nX-Forwarded-For: 198.51.100.7\r\n", ", 198.51.100.7||"},
      {"Remote-User: admin\r\nRemote-User: bob\r\nX-Other: 1\r\nX-Other: 2\r\n", "|admin, bob|1"},
  };
  vsi_server_start(&s, NULL, NULL);
  CHECK_ERROR(vestry_route(s.v, "GET", "/headers", say_headers, NULL), VESTRY_OK);
  for (size_t i = 0; i < sizeof requests / sizeof *requests; i++) {
    vsi_client c;
    vsi_client_ask(&c, s.port, "GET", "/headers", requests[i].headers);
    CHECK_EQUAL(vsi_client_status(&c), 200);
    vsi_client_finish(&c, false);
    CHECK_TEXT(c.body, requests[i].seen);
    vsi_client_close(&c);
  }
  vsi_server_stop(&s);
}

static const vsi_case cases[] = {
    VSI_CASE_TLS(closed_peer_is_detected, VSI_RULE_HANGUP, NULL),
    VSI_CASE_TLS(reset_peer_is_detected, VSI_RULE_HANGUP, NULL),
    VSI_CASE_TLS(half_closed_peer_is_detected, VSI_RULE_HANGUP, NULL),
    VSI_CASE_TLS(closed_peer_is_detected_behind_unread_bytes, VSI_RULE_HANGUP, NULL),
    VSI_CASE_TLS(clean_end_does_not_wait_for_a_lost_peer, VSI_RULE_HANGUP, NULL),
    VSI_CASE(many_lost_peers_are_detected_at_once, VSI_RULE_HANGUP, NULL),
    VSI_CASE_TLS(unacknowledged_bytes_of_a_stalled_reader_are_reported, VSI_RULE_UNACKNOWLEDGED, NULL),
    VSI_CASE(streams_are_observed_while_they_come_and_go, VSI_RULE_UNACKNOWLEDGED, NULL),
    VSI_CASE(line_of_the_client_is_not_taken_for_that_of_the_proxy, VSI_RULE_LINES, NULL),
};

const vsi_suite vsi_peers_suite = VSI_SUITE("peers", cases);
