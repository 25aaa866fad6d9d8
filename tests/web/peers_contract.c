/* SPDX-License-Identifier: MIT */
#include "web/peers_contract.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "app/guard/person.h"
#include "connection/connection.h"
#include "support/test.h"
#include "support/tries.h"
#include "support/until.h"
#include "vestry/event.h"
#include "vestry/ops/observe.h"
#include "web/client.h"
#include "web/network.h"

static const server_seam *seam;
static server s;

typedef void (*leave_fn)(client *c);

/* Nothing is written to these streams, so no write can fail. */
static void leaves_and_is_detected(leave_fn leaves, bool tls) {
  seam->start(&s, &(web_settings){.tls = tls,
                                  .options.connection = &(vestry_connection_options){.heartbeat_ms = VESTRY_NEVER_MS}});
  client gone, stays;
  vestry_connection *connection = server_open(&s, &gone), *other = server_open(&s, &stays);
  double since = seconds_now();
  leaves(&gone);
  assert_int_equal(server_cause(&s, connection), VESTRY_CAUSE_HANGUP);
  assert_true(seconds_now() - since < PROMPT_S); /* at once, or within 0.25 s on an idle machine */
  vestry_connection_stats stats = {0};
  vestry_connection_stats_get(connection, &stats);
  assert_int_equal(stats.writes_count, 0);
  assert_int_equal(stats.written_count, 0);
  assert_true(vestry_connection_is_open(other));
  server_patch(other, "{\"still\":1}");
  client_expect(&stays, "still");
  client_close(&gone);
  client_close(&stays);
  server_stop(&s);
}

static void detects_peer_that(leave_fn leaves) {
  for (int tls = 0; tls <= seam->has_tls; tls++) leaves_and_is_detected(leaves, tls);
}

/* capability: C18, F5 */
static void closed_peer_is_detected(void **state) {
  (void)state;
  detects_peer_that(client_close);
}

/* capability: F5 */
static void reset_peer_is_detected(void **state) {
  (void)state;
  detects_peer_that(client_abort);
}

static void half_closed_peer_is_detected(void **state) {
  (void)state;
  detects_peer_that(client_shut);
}

static void send_and_close(client *c) {
  client_sendf(c, "GET /echo HTTP/1.1\r\n\r\n"); /* unread bytes precede the end */
  client_close(c);
}

static void closed_peer_is_detected_behind_unread_bytes(void **state) {
  (void)state;
  detects_peer_that(send_and_close);
}

/* The stream is ending cleanly, and the accepted events wait until the peer reads. */
static double seconds_to_leave(leave_fn leaves, bool tls) {
  seam->start(&s, &(web_settings){.tls = tls,
                                  .options.connection = &(vestry_connection_options){
                                      .heartbeat_ms = VESTRY_NEVER_MS, .max_queued_bytes = STALLING_QUEUE_BYTES}});
  client gone;
  vestry_connection *connection = server_open_stalled(&s, &gone);
  vestry_connection_close(connection, VESTRY_CAUSE_CLOSED);
  double since = seconds_now();
  leaves(&gone);
  assert_int_equal(server_cause(&s, connection), VESTRY_CAUSE_CLOSED); /* which was the first */
  double took = seconds_now() - since;
  uint32_t streams;
  UNTIL((seam->room(&s, &streams, NULL), !streams));
  client_close(&gone);
  server_stop(&s);
  return took;
}

/* A peer that merely does not read gets five seconds. */
static void ends_and_leaves(leave_fn leaves, bool tls) {
  BELOW_S(4, seconds_to_leave(leaves, tls));
}

static void clean_end_does_not_wait_for_a_lost_peer(void **state) {
  (void)state;
  for (int tls = 0; tls <= seam->has_tls; tls++) {
    ends_and_leaves(client_abort, tls);
    ends_and_leaves(client_close, tls);
  }
}

/* So many that each table grows more than once, and its places are reused. */
static void many_lost_peers_are_detected_at_once(void **state) {
  (void)state;
  enum { MANY = 100 };
  static client clients[MANY];
  seam->start(&s, &(web_settings){.room = MANY,
                                  .watch_ms = 20,
                                  .options.connection = &(vestry_connection_options){.heartbeat_ms = VESTRY_NEVER_MS}});
  for (unsigned round = 0; round < 2; round++) {
    unsigned first = round * MANY;
    for (int i = 0; i < MANY; i++) server_open(&s, &clients[i]);
    for (int i = 0; i < MANY; i += 2) client_close(&clients[i]);
    assert_true(recorder_wait_closed(&s.recorder, first + MANY / 2));
    for (unsigned i = 0; i < MANY; i++)
      assert_int_equal(recorder_cause(&s.recorder, recorder_connection(&s.recorder, first + i)),
                       i % 2 ? VESTRY_CAUSE_NONE : VESTRY_CAUSE_HANGUP);
    for (int i = 1; i < MANY; i += 2) client_close(&clients[i]);
    assert_true(recorder_wait_closed(&s.recorder, first + MANY));
    uint32_t streams;
    UNTIL((seam->room(&s, &streams, NULL), !streams));
  }
  server_stop(&s);
}

/* ---- behind a cut ------------------------------------------------------------------------------------------------ */

void peers_wait_heartbeats(client *c, unsigned count) {
  char text[512] = "";
  assert_in_range(count, 1, sizeof text / 3 - 1);
  for (unsigned i = 0; i < count; i++) strcat(text, ":\n\n");
  client_expect(c, text);
}

typedef struct far_client {
  client client;
  const network *network;
} far_client;

static void ask_from_afar(void *ctx) {
  far_client *far = ctx;
  client_connect_to(&far->client, far->network->near_end, s.port, false);
  client_sendf(&far->client, "GET /stream HTTP/1.1\r\nHost: a\r\nDatastar-Request: true\r\n\r\n");
}

double peers_seconds_until_lost(const server_seam *tested, const web_settings *settings, unsigned heartbeats,
                                size_t bytes) {
  network n;
  if (!network_open(&n)) skip();
  web_settings near = *settings;
  near.address = n.near_end;
  tested->start(&s, &near);
  far_client far = {.network = &n};
  network_at_far_end(&n, ask_from_afar, &far);
  assert_int_equal(client_status(&far.client), 200);
  assert_true(recorder_wait_opened(&s.recorder, 1));
  vestry_connection *connection = recorder_connection(&s.recorder, 0);
  peers_wait_heartbeats(&far.client, heartbeats); /* and the peer still exists */
  assert_int_equal(vestry_connection_look(connection).cause, VESTRY_CAUSE_NONE);
  /* before the cut: a slow machine may need longer for this than the peer's time-out */
  char *html = bytes ? malloc(bytes) : NULL;
  vestry_event *event = NULL;
  if (html) {
    memset(html, 'x', bytes);
    assert_int_equal(vestry_event_elements(NULL, html, bytes, NULL, &event), VESTRY_OK);
    free(html);
  }
  double since = seconds_now();
  network_cut(&n);
  if (event) assert_int_equal(vestry_connection_send(connection, event), VESTRY_OK);
  vestry_event_unref(event);
  vestry_cause cause = server_cause(&s, connection);
  double took = seconds_now() - since;
  client_close(&far.client);
  network_close(&n);
  assert_int_equal(cause, VESTRY_CAUSE_LOST);
  vestry_stats stats = {0};
  vestry_stats_get(s.v, &stats);
  assert_int_equal(stats.queued_bytes, 0); /* the bytes that waited for it are freed */
  server_stop(&s);
  return took;
}

void peers_leave_time_to_send_again(const server_seam *tested) {
  const web_settings settings = {.options.connection = &(vestry_connection_options){.heartbeat_ms = 100}};
  double took = peers_seconds_until_lost(tested, &settings, 8, 0);
  print_message("lost after %.0f ms; promised: a heartbeat of 100 + lost 2,000\n", took * 1e3);
  assert_true(took >= 1.9 && took < PROMPT_S);
}

/* ---- unacknowledged bytes ---------------------------------------------------------------------------------------- */

static int64_t unacknowledged(vestry_observe *observe, const vestry_connection *connection) {
  vestry_stream_info info = {.size = sizeof info};
  assert_int_equal(vestry_observe_stream(observe, vestry_connection_look(connection).id, &info), VESTRY_OK);
  return info.unacknowledged_bytes;
}

static void unacknowledged_bytes_are_reported(bool tls) {
  enum { EVENT_BYTES = 40000 };
  static char html[EVENT_BYTES];
  seam->start(&s, &(web_settings){.tls = tls, .stalled_ms = 300000, .watch_ms = 10});
  vestry_observe *observe;
  assert_int_equal(vestry_observe_create(s.v, &(vestry_observe_options){.trusts_loopback = true}, &observe), VESTRY_OK);
  client c;
  client_connect(&c, s.port, true);
  client_sendf(&c, "GET /stream HTTP/1.1\r\nHost: a\r\nConnection: close\r\nDatastar-Request: true\r\n\r\n");
  assert_true(recorder_wait_opened(&s.recorder, 1));
  vestry_connection *connection = vestry_connection_ref(recorder_connection(&s.recorder, 0));
  assert_int_equal(client_status(&c), 200);
  memset(html, 'x', sizeof html);
  memcpy(html, "<p id=\"a\">", 10);
  memcpy(html + sizeof html - 4, "</p>", 4);
  assert_int_equal(vestry_connection_patch_elements(connection, html, sizeof html, NULL), VESTRY_OK);
  UNTIL(unacknowledged(observe, connection) > 0); /* it does not read */
  client_expect(&c, "</p>");
  UNTIL(unacknowledged(observe, connection) == 0);
  vestry_connection_close(connection, VESTRY_CAUSE_CLOSED);
  client_read_all(&c);
  client_close(&c);
  uint32_t streams;
  UNTIL((seam->room(&s, &streams, NULL), !streams));
  assert_true(connection->ops->unacknowledged(connection->transport) < 0); /* its socket is closed */
  vestry_connection_unref(connection);
  vestry_observe_destroy(observe);
  server_stop(&s);
}

/* capability: H1 */
static void unacknowledged_bytes_of_a_stalled_reader_are_reported(void **state) {
  (void)state;
  for (int tls = 0; tls <= seam->has_tls; tls++) unacknowledged_bytes_are_reported(tls);
}

typedef struct asker {
  vestry_observe *observe;
  atomic_bool is_over;
  size_t reported_count, failed_count; /* accessed by the thread until it has ended */
} asker;

static void count_known(const vestry_stream_info *info, void *ctx) {
  asker *a = ctx;
  a->reported_count += info->unacknowledged_bytes >= 0;
}

static void *ask_all(void *ctx) {
  asker *a = ctx;
  while (!atomic_load(&a->is_over))
    a->failed_count += vestry_observe_streams(a->observe, NULL, count_known, a, NULL) != VESTRY_OK;
  return NULL;
}

/* Under ThreadSanitizer: the socket of a stream that ends is no longer queried. */
static void streams_are_observed_while_they_come_and_go(void **state) {
  (void)state;
  enum { ROUNDS = 20, STREAMS = 4 };
  seam->start(&s, &(web_settings){.watch_ms = 10});
  asker a = {.reported_count = 0};
  pthread_t thread;
  assert_int_equal(vestry_observe_create(s.v, &(vestry_observe_options){.trusts_loopback = true}, &a.observe),
                   VESTRY_OK);
  assert_int_equal(pthread_create(&thread, NULL, ask_all, &a), 0);
  for (int round = 0; round < ROUNDS; round++) {
    client clients[STREAMS];
    vestry_connection *connections[STREAMS];
    for (int i = 0; i < STREAMS; i++) connections[i] = server_open(&s, &clients[i]);
    for (int i = 0; i < STREAMS; i++) server_patch(connections[i], "{\"n\":1}");
    UNTIL(unacknowledged(a.observe, connections[0]) >= 0);
    for (int i = 0; i < STREAMS; i++)
      if (i % 2) vestry_connection_close(connections[i], VESTRY_CAUSE_CLOSED);
    for (int i = 0; i < STREAMS; i++) client_close(&clients[i]);
    uint32_t streams;
    UNTIL((seam->room(&s, &streams, NULL), !streams));
  }
  atomic_store(&a.is_over, true);
  assert_int_equal(pthread_join(thread, NULL), 0);
  assert_int_equal(a.failed_count, 0);
  print_message("%s: %zu times it was known\n", seam->name, a.reported_count);
  vestry_observe_destroy(a.observe);
  server_stop(&s);
}

/* ---- behind a proxy ---------------------------------------------------------------------------------------------- */

static vestry_err say_person(const vestry_request *req, vestry_reply *reply, void *app) {
  (void)app;
  const char *address = vestry_request_header(req, "x-forwarded-for"),
             *user = vestry_request_header(req, "Remote-User");
  const char *other = vestry_request_header(req, "X-Other");
  const vsi_person person = vsi_person_by_address(req, true);
  return vestry_reply_bodyf(reply, "%s|%s|%s|%s", person.kind == VSI_PERSON_ADDRESS ? "known" : "unknown",
                            address ? address : "", user ? user : "", other ? other : "");
}

/* A proxy that adds a line after the client's, instead of replacing it. */
static void line_of_the_client_is_not_taken_for_that_of_the_proxy(void **state) {
  (void)state;
  static const struct {
    const char *headers, *seen;
  } requests[] = {
      {"X-Forwarded-For: 198.51.100.7\r\n", "known|198.51.100.7||"},
      {"X-Forwarded-For: 192.0.2.1\r\nA: b\r\nx-forwarded-for: 198.51.100.7\r\n", "unknown|192.0.2.1, 198.51.100.7||"},
      {"X-Forwarded-For: 192.0.2.1\r\nX-Forwarded-For: 192.0.2.1\r\n", "unknown|192.0.2.1, 192.0.2.1||"},
      {"X-Forwarded-For: \r\nX-Forwarded-For: 198.51.100.7\r\n", "unknown|, 198.51.100.7||"},
      {"Remote-User: admin\r\nRemote-User: bob\r\nX-Other: 1\r\nX-Other: 2\r\n", "unknown||admin, bob|1"},
  };
  seam->start(&s, NULL);
  assert_int_equal(vestry_route(s.v, "GET", "/person", say_person, NULL), VESTRY_OK);
  for (size_t i = 0; i < sizeof requests / sizeof *requests; i++) {
    client c;
    client_ask(&c, s.port, "GET", "/person", requests[i].headers);
    assert_int_equal(client_status(&c), 200);
    client_finish(&c, false);
    assert_string_equal(c.body, requests[i].seen);
    client_close(&c);
  }
  server_stop(&s);
}

int peers_contract_run(const server_seam *tested) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(closed_peer_is_detected),
      cmocka_unit_test(reset_peer_is_detected),
      cmocka_unit_test(half_closed_peer_is_detected),
      cmocka_unit_test(closed_peer_is_detected_behind_unread_bytes),
      cmocka_unit_test(clean_end_does_not_wait_for_a_lost_peer),
      cmocka_unit_test(many_lost_peers_are_detected_at_once),
      cmocka_unit_test(unacknowledged_bytes_of_a_stalled_reader_are_reported),
      cmocka_unit_test(streams_are_observed_while_they_come_and_go),
      cmocka_unit_test(line_of_the_client_is_not_taken_for_that_of_the_proxy),
  };
  char name[80];
  seam = tested;
  snprintf(name, sizeof name, "%s, peers that go", seam->name);
  return cmocka_run_group_tests_name(name, tests, NULL, NULL);
}
