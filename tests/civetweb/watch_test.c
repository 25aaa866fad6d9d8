/* Peers that go: each in its own way, and within its time. */
#include "adapter/civetweb/watch.h"

#include <stdlib.h>

#include "civetweb/server.h"
#include "support/test.h"
#include "web/client.h"
#include "web/network.h"

static server s;

/* Nothing is ever written to these streams, so no write can fail. */
static server_settings silent(uint64_t watch_ms, uint64_t lost_ms) {
  return (server_settings){
      .watch_ms = watch_ms, .lost_ms = lost_ms, .options.connection.heartbeat_ms = VESTRY_NEVER_MS};
}

typedef void (*leave_fn)(client *c);

static void finds_one_that(leave_fn leaves) {
  server_settings settings = silent(0, 0); /* the default: 250 ms */
  server_start(&s, &settings);
  client gone, stays;
  vestry_connection *connection = server_open(&s, &gone), *other = server_open(&s, &stays);
  double since = seconds_now();
  leaves(&gone);
  assert_int_equal(server_cause(&s, connection), VESTRY_CAUSE_HANGUP);
  assert_true(seconds_now() - since < 5); /* 0.25, were the machine idle */
  vestry_connection_stats stats;
  vestry_connection_stats_get(connection, &stats);
  assert_int_equal(stats.writes_count, 0);
  assert_true(vestry_connection_is_open(other));
  server_patch(other, "{\"still\":1}");
  client_expect(&stays, "still");
  client_close(&gone);
  client_close(&stays);
  server_stop(&s);
}

static void finds_one_that_closes(void **state) {
  (void)state;
  finds_one_that(client_close);
}

static void finds_one_that_resets(void **state) {
  (void)state;
  finds_one_that(client_abort);
}

static void finds_one_that_shuts_its_half(void **state) {
  (void)state;
  finds_one_that(client_shut);
}

static void send_and_close(client *c) {
  client_say(c, "GET /echo HTTP/1.1\r\n\r\n"); /* unread bytes are in front of the end */
  client_close(c);
}

static void finds_one_behind_what_it_sent(void **state) {
  (void)state;
  finds_one_that(send_and_close);
}

static void finds_many_at_once(void **state) {
  (void)state;
  enum { MANY = 100 };
  server_settings settings = silent(20, 0);
  settings.threads = MANY + 10;
  server_start(&s, &settings);
  static client clients[MANY];
  for (int i = 0; i < MANY; i++) server_open(&s, &clients[i]);
  for (int i = 0; i < MANY; i += 2) client_close(&clients[i]);
  assert_true(witness_wait_closed(&s.witness, MANY / 2));
  for (unsigned i = 0; i < MANY; i++)
    assert_int_equal(witness_cause(&s.witness, witness_connection(&s.witness, i)),
                     i % 2 ? VESTRY_CAUSE_NONE : VESTRY_CAUSE_HANGUP);
  for (int i = 1; i < MANY; i += 2) client_close(&clients[i]);
  assert_true(witness_wait_closed(&s.witness, MANY));
  server_stop(&s);
}

static void without_it_heartbeats_find_them(void **state) {
  (void)state;
  server_start(&s, &(server_settings){.watch_ms = VESTRY_NEVER_MS, .options.connection.heartbeat_ms = 20});
  client c;
  vestry_connection *connection = server_open(&s, &c);
  client_close(&c);
  assert_int_equal(server_cause(&s, connection), VESTRY_CAUSE_HANGUP);
  vestry_connection_stats stats;
  vestry_connection_stats_get(connection, &stats);
  assert_true(stats.writes_count >= 2); /* the first one after it succeeds */
  server_stop(&s);
}

/* ---- lost, and not lost ------------------------------------------------------------------------------------------ */

/* Let so much time pass by waiting for the heartbeats of a stream. */
static void wait_heartbeats(client *c, unsigned count) {
  char text[512] = "";
  for (unsigned i = 0; i < count; i++) strcat(text, ":\n\n");
  client_expect(c, text);
}

static void a_reader_that_stalls_is_not_lost(void **state) {
  (void)state;
  enum { BYTES = 32 << 20 };
  server_settings settings = {.watch_ms = 10, .lost_ms = 200};
  settings.options.connection = (vestry_connection_options){.max_queued_bytes = BYTES + 4096, .heartbeat_ms = 100};
  server_start(&s, &settings);
  client stalled, beats;
  client_connect(&stalled, s.port, true);
  client_say(&stalled, "GET /stream HTTP/1.1\r\nHost: a\r\nDatastar-Request: true\r\n\r\n");
  assert_true(witness_wait_opened(&s.witness, 1));
  vestry_connection *connection = witness_connection(&s.witness, 0);
  char *html = malloc(BYTES);
  memset(html, 'x', BYTES);
  assert_int_equal(vestry_connection_patch_elements(connection, html, BYTES, NULL), VESTRY_OK);
  free(html);
  client_expect(&stalled, "elements x");
  server_open(&s, &beats);
  wait_heartbeats(&beats, 20); /* 2 s: ten times what a lost one gets; probes are a second apart by then */
  assert_int_equal(vestry_connection_cause(connection), VESTRY_CAUSE_NONE);
  client_close(&stalled); /* unread bytes: a reset. The worker is in its write all the while */
  assert_int_equal(server_cause(&s, connection), VESTRY_CAUSE_HANGUP);
  client_close(&beats);
  server_stop(&s);
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

/* How long until a peer that has been cut off is LOST and its stream over, in seconds; bytes: it is sent so much when
 * it is gone, more than the kernel takes. The test is skipped where no network can be made. */
static double seconds_until_lost(server_settings settings, int heartbeats, size_t bytes) {
  network n;
  if (!network_open(&n)) skip();
  char ports[64];
  snprintf(ports, sizeof ports, "%s:0,127.0.0.1:0", n.near_end);
  settings.ports = ports;
  server_start(&s, &settings);
  far_client far = {.network = &n};
  network_at_far_end(&n, ask_from_afar, &far);
  assert_int_equal(client_status(&far.client), 200);
  assert_true(witness_wait_opened(&s.witness, 1));
  vestry_connection *connection = witness_connection(&s.witness, 0);
  wait_heartbeats(&far.client, heartbeats); /* longer than lost_ms, and still there */
  assert_int_equal(vestry_connection_cause(connection), VESTRY_CAUSE_NONE);
  double since = seconds_now();
  network_cut(&n);
  if (bytes) {
    char *html = malloc(bytes);
    memset(html, 'x', bytes);
    assert_int_equal(vestry_connection_patch_elements(connection, html, bytes, NULL), VESTRY_OK);
    free(html);
  }
  vestry_cause cause = server_cause(&s, connection);
  double took = seconds_now() - since;
  client_close(&far.client);
  network_close(&n);
  assert_int_equal(cause, VESTRY_CAUSE_LOST);
  vestry_stats stats;
  vestry_stats_get(s.v, &stats);
  assert_int_equal(stats.queued_bytes, 0); /* what waited for it is given back */
  server_stop(&s);
  return took;
}

static void f5_finds_one_behind_a_cut(void **state) {
  (void)state;
  double took = seconds_until_lost(
      (server_settings){.watch_ms = 20, .lost_ms = 500, .options.connection.heartbeat_ms = 100}, 8, 0);
  print_message("lost after %.0f ms; promised: heartbeat 100 + lost 500 + 2 x watch 20\n", took * 1e3);
  assert_true(took >= 0.45 && took < 10); /* the machine may be slow, but not that slow */
}

static void f5_finds_one_behind_a_cut_within_two_heartbeats(void **state) {
  (void)state;
  double took = seconds_until_lost((server_settings){.options.connection.heartbeat_ms = 600}, 3, 0);
  print_message("lost after %.0f ms; promised: two heartbeats of 600\n", took * 1e3);
  assert_true(took >= 0.5 && took < 10);
}

static void f5_finds_one_behind_a_cut_in_the_middle_of_a_write(void **state) {
  (void)state;
  enum { BYTES = 16 << 20 };
  server_settings settings = {.watch_ms = 20, .lost_ms = 500, .timeout_ms = 2000};
  settings.options.connection = (vestry_connection_options){.heartbeat_ms = 100, .max_queued_bytes = BYTES + 4096};
  double took = seconds_until_lost(settings, 8, BYTES);
  print_message("over after %.0f ms; promised: lost, and the request timeout of 2,000 for the write\n", took * 1e3);
  assert_true(took >= 0.45 && took < 10);
}

/* ---- the kernel -------------------------------------------------------------------------------------------------- */

typedef struct seen {
  vsi_civetweb_socket sockets[64];
  size_t count;
} seen;

static void note(const vsi_civetweb_socket *socket, void *ctx) {
  seen *all = ctx;
  if (all->count < 64) all->sockets[all->count++] = *socket;
}

static void the_kernel_tells_of_this_server_only(void **state) {
  (void)state;
  server other;
  server_settings settings = silent(VESTRY_NEVER_MS, 0);
  server_start(&other, &settings);
  server_start(&s, &settings);
  client clients[3], foreign;
  server_open(&other, &foreign);
  for (int i = 0; i < 3; i++) server_open(&s, &clients[i]);
  client_shut(&clients[1]);
  static vsi_civetweb_kernel kernel;
  vsi_civetweb_kernel_init(&kernel, &(vsi_civetweb_port){s.port, false}, 1);
  seen listening = {.count = 0}, connected = {.count = 0};
  assert_int_equal(vsi_civetweb_kernel_dump(&kernel, VSI_CIVETWEB_LISTENING, note, &listening), VESTRY_OK);
  assert_int_equal(listening.count, 1);
  assert_int_equal(listening.sockets[0].peer.server_port, s.port);
  /* The shutting of a half takes its way through the kernel at once on the loopback interface. */
  assert_int_equal(vsi_civetweb_kernel_dump(&kernel, VSI_CIVETWEB_CONNECTED, note, &connected), VESTRY_OK);
  assert_int_equal(connected.count, 3);
  size_t established = 0;
  for (size_t i = 0; i < 3; i++) {
    const vsi_civetweb_socket *socket = &connected.sockets[i];
    assert_int_equal(socket->peer.server_port, s.port);
    established += socket->established;
    for (size_t j = 0; j < i; j++) assert_true(connected.sockets[j].cookie != socket->cookie);
  }
  assert_int_equal(established, 2);
  vsi_civetweb_kernel_finish(&kernel);
  for (int i = 0; i < 3; i++) client_close(&clients[i]);
  client_close(&foreign);
  server_stop(&s);
  server_stop(&other);
}

static void goes_on_without_a_kernel_that_tells(void **state) {
  (void)state;
  server_settings settings = silent(VESTRY_NEVER_MS, 0);
  server_start(&s, &settings);
  const vsi_civetweb_port nobodys[] = {{s.port, false}, {1, false}}; /* ours, and one on which nobody listens */
  vsi_civetweb_watch *watch = (vsi_civetweb_watch *)(uintptr_t)1;
  vsi_civetweb_parked parked;
  assert_int_equal(vsi_civetweb_parked_init(&parked, &s.th.host, 4), VESTRY_OK);
  assert_int_equal(vsi_civetweb_watch_create(vestry_runtime_of(s.v), &s.th.host, &parked, nobodys, 2, 10, 10, &watch),
                   VESTRY_OK);
  assert_null(watch);
  assert_int_equal(atomic_load(&s.th.log_lines), 1);
  assert_non_null(strstr(s.th.last_log, "heartbeat"));
  vsi_civetweb_parked_finish(&parked, &s.th.host);
  server_stop(&s);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(finds_one_that_closes),
      cmocka_unit_test(finds_one_that_resets),
      cmocka_unit_test(finds_one_that_shuts_its_half),
      cmocka_unit_test(finds_one_behind_what_it_sent),
      cmocka_unit_test(finds_many_at_once),
      cmocka_unit_test(without_it_heartbeats_find_them),
      cmocka_unit_test(a_reader_that_stalls_is_not_lost),
      cmocka_unit_test(f5_finds_one_behind_a_cut),
      cmocka_unit_test(f5_finds_one_behind_a_cut_within_two_heartbeats),
      cmocka_unit_test(f5_finds_one_behind_a_cut_in_the_middle_of_a_write),
      cmocka_unit_test(the_kernel_tells_of_this_server_only),
      cmocka_unit_test(goes_on_without_a_kernel_that_tells),
  };
  return cmocka_run_group_tests_name("civetweb, its watch", tests, NULL, NULL);
}
