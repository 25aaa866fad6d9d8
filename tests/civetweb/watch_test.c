/* SPDX-License-Identifier: MIT */
/* Peers that are lost in different ways are detected in time. */
#include "adapter/civetweb/watch.h"

#include "civetweb/server.h"
#include "support/test.h"
#include "web/client.h"
#include "web/peers_contract.h"

static server s;

/* Nothing is written to these streams, so no write can fail. */
static server_settings silent(uint64_t watch_ms, uint64_t lost_ms) {
  static const vestry_connection_options connection = {.heartbeat_ms = VESTRY_NEVER_MS};
  return (server_settings){.watch_ms = watch_ms, .lost_ms = lost_ms, .options.connection = &connection};
}

static void without_watch_heartbeats_detect_lost_peers(void **state) {
  (void)state;
  server_start(&s, &(server_settings){.watch_ms = VESTRY_NEVER_MS,
                                      .options.connection = &(vestry_connection_options){.heartbeat_ms = 20}});
  client c;
  vestry_connection *connection = server_open(&s, &c);
  client_close(&c);
  assert_int_equal(server_cause(&s, connection), VESTRY_CAUSE_HANGUP);
  vestry_connection_stats stats = {0};
  vestry_connection_stats_get(connection, &stats);
  /* the first one after the end succeeds, or an earlier one was unread: a reset */
  assert_true(stats.writes_count >= 1);
  server_stop(&s);
}

/* ---- lost, and not lost ------------------------------------------------------------------------------------------ */

static void stalled_reader_is_not_lost(void **state) {
  (void)state;
  server_settings settings = {.watch_ms = 10, .lost_ms = 200};
  settings.options.connection =
      &(vestry_connection_options){.max_queued_bytes = STALLING_QUEUE_BYTES, .heartbeat_ms = 100};
  server_start(&s, &settings);
  client stalled, beats;
  vestry_connection *connection = server_open_stalled(&s, &stalled);
  server_open(&s, &beats);
  peers_wait_heartbeats(&beats, 20); /* 2 s: ten times the limit for a lost peer; by then, probes are a second apart */
  assert_int_equal(vestry_connection_look(connection).cause, VESTRY_CAUSE_NONE);
  client_close(&stalled); /* unread bytes: a reset. The worker is in its write all the time */
  assert_int_equal(server_cause(&s, connection), VESTRY_CAUSE_HANGUP);
  client_close(&beats);
  server_stop(&s);
}

/* capability: F5 */
static void f5_peer_behind_a_cut_is_detected(void **state) {
  (void)state;
  const web_settings settings = {
      .watch_ms = 20, .lost_ms = 500, .options.connection = &(vestry_connection_options){.heartbeat_ms = 100}};
  double took = peers_seconds_until_lost(&civetweb_seam, &settings, 8, 0);
  print_message("lost after %.0f ms; promised: heartbeat 100 + lost 500 + 2 x watch 20\n", took * 1e3);
  assert_true(took >= 0.45 && took < PROMPT_S); /* not the hours of the kernel's time-out */
}

/* capability: F5 */
static void f5_peer_behind_a_cut_is_lost_after_two_heartbeats(void **state) {
  (void)state;
  const web_settings settings = {.options.connection = &(vestry_connection_options){.heartbeat_ms = 3000}};
  double took = peers_seconds_until_lost(&civetweb_seam, &settings, 1, 0);
  print_message("lost after %.0f ms; promised: two heartbeats of 3,000\n", took * 1e3);
  assert_true(took >= 2.4 && took < PROMPT_S);
}

static void short_heartbeats_allow_a_retransmission(void **state) {
  (void)state;
  peers_leave_time_to_send_again(&civetweb_seam);
}

/* capability: F5 */
static void f5_peer_cut_off_during_a_write_is_detected(void **state) {
  (void)state;
  enum { BYTES = 16 << 20 };
  web_settings settings = {.watch_ms = 20, .lost_ms = 500, .stalled_ms = 2000};
  settings.options.connection = &(vestry_connection_options){.heartbeat_ms = 100, .max_queued_bytes = BYTES + 4096};
  double took = peers_seconds_until_lost(&civetweb_seam, &settings, 8, BYTES);
  print_message("over after %.0f ms; promised: lost, and the request timeout of 2,000 for the write\n", took * 1e3);
  assert_true(took >= 0.45 && took < PROMPT_S);
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

static void kernel_reports_sockets_of_this_server_only(void **state) {
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
  /* The shutdown of one half reaches the other end at once on the loopback interface. */
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

static void watch_without_kernel_reports_closes_nothing(void **state) {
  (void)state;
  server_settings settings = silent(VESTRY_NEVER_MS, 0);
  server_start(&s, &settings);
  const vsi_civetweb_port nobodys[] = {{s.port, false}, {1, false}}; /* ours, and one at which no server listens */
  vsi_civetweb_watch *watch = (vsi_civetweb_watch *)(uintptr_t)1;
  vsi_civetweb_dedicated dedicated;
  assert_int_equal(vsi_civetweb_dedicated_init(&dedicated, &s.th.host, 4), VESTRY_OK);
  assert_int_equal(
      vsi_civetweb_watch_create(vestry_parts_of(s.v)->runtime, &s.th.host, &dedicated, nobodys, 2, 10, 10, &watch),
      VESTRY_OK);
  assert_null(watch);
  assert_int_equal(atomic_load(&s.th.log_lines), 1);
  assert_non_null(strstr(s.th.last_log, "heartbeat"));
  vsi_civetweb_dedicated_finish(&dedicated, &s.th.host);
  server_stop(&s);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(without_watch_heartbeats_detect_lost_peers),
      cmocka_unit_test(stalled_reader_is_not_lost),
      cmocka_unit_test(f5_peer_behind_a_cut_is_detected),
      cmocka_unit_test(f5_peer_behind_a_cut_is_lost_after_two_heartbeats),
      cmocka_unit_test(short_heartbeats_allow_a_retransmission),
      cmocka_unit_test(f5_peer_cut_off_during_a_write_is_detected),
      cmocka_unit_test(kernel_reports_sockets_of_this_server_only),
      cmocka_unit_test(watch_without_kernel_reports_closes_nothing),
  };
  return peers_contract_run(&civetweb_seam) + cmocka_run_group_tests_name("civetweb, its watch", tests, NULL, NULL);
}
