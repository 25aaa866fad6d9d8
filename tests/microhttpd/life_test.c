/* Room, stalled readers, peers that go, and the end: of streams, of the adapter. */
#include "microhttpd/server.h"
#include "support/test.h"
#include "web/client.h"
#include "web/life_contract.h"
#include "web/network.h"

static server s;

/* ---- room -------------------------------------------------------------------------------------------------------- */

/* More than one growing of the watch's table, and its places used again. */
static void finds_many_at_once(void **state) {
  (void)state;
  enum { MANY = 100 };
  server_start(&s, &(server_settings){.adapter.max_streams = MANY, .options.connection.heartbeat_ms = VESTRY_NEVER_MS});
  static client clients[MANY];
  for (unsigned round = 0; round < 2; round++) {
    unsigned first = round * MANY;
    for (int i = 0; i < MANY; i++) server_open(&s, &clients[i]);
    for (int i = 0; i < MANY; i += 2) client_close(&clients[i]);
    assert_true(witness_wait_closed(&s.witness, first + MANY / 2));
    for (unsigned i = 0; i < MANY; i++)
      assert_int_equal(witness_cause(&s.witness, witness_connection(&s.witness, first + i)),
                       i % 2 ? VESTRY_CAUSE_NONE : VESTRY_CAUSE_HANGUP);
    for (int i = 1; i < MANY; i += 2) client_close(&clients[i]);
    assert_true(witness_wait_closed(&s.witness, first + MANY));
    uint32_t streams;
    do vestry_microhttpd_room(s.adapter, &streams, NULL);
    while (streams);
  }
  server_stop(&s);
}

/* ---- peers that go ----------------------------------------------------------------------------------------------- */

typedef void (*leave_fn)(client *c);

/* Nothing is ever written to these streams, so no write can fail. */
static void finds_one_that(leave_fn leaves, bool tls) {
  server_start(&s, &(server_settings){.tls = tls, .options.connection.heartbeat_ms = VESTRY_NEVER_MS});
  client gone, stays;
  vestry_connection *connection = server_open(&s, &gone), *other = server_open(&s, &stays);
  leaves(&gone);
  assert_int_equal(server_cause(&s, connection), VESTRY_CAUSE_HANGUP);
  vestry_connection_stats stats;
  vestry_connection_stats_get(connection, &stats);
  assert_int_equal(stats.written_count, 0);
  assert_true(vestry_connection_is_open(other));
  server_patch(other, "{\"still\":1}");
  client_expect(&stays, "still");
  client_close(&gone);
  client_close(&stays);
  server_stop(&s);
}

static void send_and_close(client *c) {
  client_say(c, "GET /echo HTTP/1.1\r\n\r\n"); /* unread bytes are in front of the end */
  client_close(c);
}

static void finds_one_that_leaves_at_once(void **state) {
  (void)state;
  static const leave_fn ways[] = {client_close, client_abort, client_shut, send_and_close};
  for (int tls = 0; tls < 2; tls++)
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) finds_one_that(ways[i], tls);
}

typedef struct far_client {
  client client;
  const network *network;
} far_client;

static void ask_from_afar(void *ctx) {
  far_client *far = ctx;
  client_connect_to(&far->client, far->network->near_end, s.port, false);
  client_say(&far->client, "GET /stream HTTP/1.1\r\nHost: a\r\nDatastar-Request: true\r\n\r\n");
}

static void finds_one_behind_a_cut(void **state) {
  (void)state;
  network n;
  if (!network_open(&n)) skip();
  server_start(&s, &(server_settings){.adapter = {.address = n.near_end, .lost_ms = 500},
                                      .options.connection.heartbeat_ms = 100});
  far_client far = {.network = &n};
  network_at_far_end(&n, ask_from_afar, &far);
  assert_int_equal(client_status(&far.client), 200);
  assert_true(witness_wait_opened(&s.witness, 1));
  vestry_connection *connection = witness_connection(&s.witness, 0);
  client_expect(&far.client, ":\n\n:\n\n:\n\n:\n\n:\n\n:\n\n:\n\n"); /* longer than lost_ms, and still there */
  assert_int_equal(vestry_connection_cause(connection), VESTRY_CAUSE_NONE);
  double since = seconds_now();
  network_cut(&n);
  vestry_cause cause = server_cause(&s, connection);
  double took = seconds_now() - since;
  client_close(&far.client);
  network_close(&n);
  print_message("lost after %.0f ms; promised: heartbeat 100 + lost 500\n", took * 1e3);
  assert_int_equal(cause, VESTRY_CAUSE_LOST);
  assert_true(took >= 0.4 && took < 10);
  server_stop(&s);
}

/* ---- the end ----------------------------------------------------------------------------------------------------- */

static void destroy_stops(void **state) {
  (void)state;
  server_start(&s, NULL);
  client clients[3];
  vestry_connection *kept = NULL;
  for (int i = 0; i < 3; i++) kept = server_open(&s, &clients[i]);
  vestry_connection_ref(kept);
  vestry_microhttpd_destroy(s.adapter);
  s.adapter = NULL;
  assert_int_equal(vestry_connection_cause(kept), VESTRY_CAUSE_SHUTDOWN);
  /* It outlives its adapter. */
  assert_int_equal(vestry_connection_patch_signals(kept, "{}", 2, NULL), VESTRY_CLOSED);
  vestry_connection_writable(kept);
  vestry_connection_unref(kept);
  server_finish(&s); /* destroys NULL */
  for (int i = 0; i < 3; i++) client_close(&clients[i]);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(finds_many_at_once),
      cmocka_unit_test(finds_one_that_leaves_at_once),
      cmocka_unit_test(finds_one_behind_a_cut),
      cmocka_unit_test(destroy_stops),
  };
  return life_contract_run(&microhttpd_seam) +
         cmocka_run_group_tests_name("libmicrohttpd, its own life", tests, NULL, NULL);
}
