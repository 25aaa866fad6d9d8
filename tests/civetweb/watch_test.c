/* SPDX-License-Identifier: MIT */
/* Peers that are lost in different ways are detected in time. */
#include "adapter/civetweb/watch.h"

#include <sys/resource.h>
#include <unistd.h>

#include "civetweb/server.h"
#include "support/test.h"
#include "testing/contract/client.h"
#include "web/lost_peers.h"

static vsi_server s;

/* Nothing is written to these streams, so no write can fail. */
static server_settings silent(uint64_t watch_ms, uint64_t lost_ms) {
  static const vestry_connection_options connection = {.heartbeat_ms = VESTRY_NEVER_MS};
  return (server_settings){.watch_ms = watch_ms, .lost_ms = lost_ms, .options.connection = &connection};
}

TEST_CASE(without_watch_heartbeats_detect_lost_peers) {
  server_start(&s, &(server_settings){.watch_ms = VESTRY_NEVER_MS,
                                      .options.connection = &(vestry_connection_options){.heartbeat_ms = 20}});
  vsi_client c;
  vestry_connection *connection = vsi_server_open(&s, &c);
  vsi_client_close(&c);
  assert_int_equal(vsi_server_cause(&s, connection), VESTRY_CAUSE_HANGUP);
  vestry_connection_stats stats = {0};
  vestry_connection_stats_get(connection, &stats);
  /* the first one after the end succeeds, or an earlier one was unread: a reset */
  assert_true(stats.writes_count >= 1);
  vsi_server_stop(&s);
}

/* ---- lost, and not lost ------------------------------------------------------------------------------------------ */

TEST_CASE(stalled_reader_is_not_lost) {
  /* longer than the kernel's first waits for a segment that the full peer dropped: 200 ms, 400 ms, 800 ms */
  server_settings settings = {.watch_ms = 10, .lost_ms = 3000};
  settings.options.connection =
      &(vestry_connection_options){.max_queued_bytes = VSI_STALLING_QUEUE_BYTES, .heartbeat_ms = 100};
  server_start(&s, &settings);
  vsi_client stalled, beats;
  vestry_connection *connection = vsi_server_open_stalled(&s, &stalled);
  vsi_server_open(&s, &beats);
  lost_peers_wait_heartbeats(&beats, 120); /* 12 s: by then, probes are further apart than the limit for a lost peer */
  assert_int_equal(vestry_connection_look(connection).cause, VESTRY_CAUSE_NONE);
  vsi_client_close(&stalled); /* unread bytes: a reset. The worker is in its write all the time */
  assert_int_equal(vsi_server_cause(&s, connection), VESTRY_CAUSE_HANGUP);
  vsi_client_close(&beats);
  vsi_server_stop(&s);
}

/* capability: F5 */
TEST_CASE(f5_peer_behind_a_cut_is_detected) {
  const vestry_contract_settings settings = {.watch_ms = 20, .lost_ms = 500};
  const vestry_connection_options connection = {.heartbeat_ms = 100};
  double took = lost_peers_seconds(&civetweb_contract, &settings, &connection, 8, 0);
  print_message("lost after %.0f ms; promised: heartbeat 100 + lost 500 + 2 x watch 20\n", took * 1e3);
  assert_true(took >= 0.45 && took < VSI_PROMPT_S); /* not the hours of the kernel's time-out */
}

/* capability: F5 */
TEST_CASE(f5_peer_behind_a_cut_is_lost_after_two_heartbeats) {
  const vestry_connection_options connection = {.heartbeat_ms = 3000};
  double took = lost_peers_seconds(&civetweb_contract, NULL, &connection, 1, 0);
  print_message("lost after %.0f ms; promised: two heartbeats of 3,000\n", took * 1e3);
  assert_true(took >= 2.4 && took < VSI_PROMPT_S);
}

TEST_CASE(short_heartbeats_allow_a_retransmission) {
  lost_peers_leave_time_to_send_again(&civetweb_contract);
}

/* capability: F5 */
TEST_CASE(f5_peer_cut_off_during_a_write_is_detected) {
  enum { BYTES = 16 << 20 };
  const vestry_contract_settings settings = {.watch_ms = 20, .lost_ms = 500, .stalled_ms = 2000};
  const vestry_connection_options connection = {.heartbeat_ms = 100, .max_queued_bytes = BYTES + 4096};
  double took = lost_peers_seconds(&civetweb_contract, &settings, &connection, 8, BYTES);
  print_message("over after %.0f ms; promised: lost, and the request timeout of 2,000 for the write\n", took * 1e3);
  assert_true(took >= 0.45 && took < VSI_PROMPT_S);
}

/* ---- sockets ----------------------------------------------------------------------------------------------------- */

typedef struct seen {
  uint16_t server_port;
  size_t count, established;
} seen;

static bool note(void *ctx, int fd, const vsi_civetweb_peer *peer) {
  seen *all = ctx;
  if (peer->server_port != all->server_port) return true;
  all->count++;
  all->established += vsi_civetweb_socket_read(fd).established;
  return true;
}

TEST_CASE(sockets_of_one_server_are_found_by_their_peers) {
  vsi_server other;
  server_settings settings = silent(VESTRY_NEVER_MS, 0);
  server_start(&other, &settings);
  server_start(&s, &settings);
  vsi_client clients[3], foreign;
  vsi_server_open(&other, &foreign);
  for (int i = 0; i < 3; i++) vsi_server_open(&s, &clients[i]);
  vsi_client_shut(&clients[1]); /* reaches the other end at once on the loopback interface */
  seen all = {.server_port = s.port};
  assert_true(vsi_civetweb_sockets_see(note, &all));
  assert_int_equal(all.count, 3);
  assert_int_equal(all.established, 2);
  assert_false(vsi_civetweb_socket_read(-1).established);
  for (int i = 0; i < 3; i++) vsi_client_close(&clients[i]);
  vsi_client_close(&foreign);
  vsi_server_stop(&s);
  vsi_server_stop(&other);
}

/* Without a free descriptor, /proc/self/fd cannot be opened. */
TEST_CASE(sockets_are_found_without_a_list_of_descriptors) {
  enum { MOST = 1000 };
  server_settings settings = silent(VESTRY_NEVER_MS, 0);
  struct rlimit before, few;
  server_start(&s, &settings);
  vsi_client c;
  vsi_server_open(&s, &c);
  int taken[MOST], count = 0;
  assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
  few = (struct rlimit){c.fd + 100, before.rlim_max};
  assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
  while (count < MOST && (taken[count] = dup(c.fd)) >= 0) count++;
  assert_true(count < MOST);
  seen all = {.server_port = s.port};
  const bool sees_all = vsi_civetweb_sockets_see(note, &all);
  while (count) close(taken[--count]);
  assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
  assert_true(sees_all);
  assert_int_equal(all.count, 1);
  vsi_client_close(&c);
  vsi_server_stop(&s);
}

int main(void) {
  return (int)vestry_contract_run(&civetweb_contract, "peers") + cases_run("civetweb, its watch", NULL, NULL);
}
