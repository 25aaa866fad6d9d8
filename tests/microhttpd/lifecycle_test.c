/* SPDX-License-Identifier: MIT */
/* The contracts of life and of lost peers; then how libmicrohttpd detects a cut, and a destroy without a stop, also
 * while clients send requests that libmicrohttpd refuses itself. */
#include <netinet/in.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <unistd.h>

#include "microhttpd/server.h"
#include "microhttpd/tls.h"
#include "support/test.h"
#include "support/until.h"
#include "testing/contract/client.h"
#include "web/lost_peers.h"

static vsi_server s;

/* ---- stalled readers --------------------------------------------------------------------------------------------- */

enum { EVENT_BYTES = 1000, MANY_BYTES = 64 << 20, CLIENT_HOLDS_BYTES = 16 << 10 };

/* Return the number of bytes sent to a client with a small buffer that reads nothing, until events wait in its
 * queue. */
static size_t taken_bytes(size_t send_buffer_bytes, bool unix_socket, bool tls) {
  char html[EVENT_BYTES];
  memset(html, 'x', sizeof html);
  server_start(&s, &(server_settings){.adapter = {.send_buffer_bytes = send_buffer_bytes, .lost_ms = VESTRY_NEVER_MS},
                                      .unix_socket = unix_socket,
                                      .tls = tls});
  vsi_client c;
  vsi_client_connect(&c, s.port, true);
  vsi_client_sendf(&c, "GET /stream HTTP/1.1\r\nHost: a\r\nDatastar-Request: true\r\n\r\n");
  assert_true(vsi_recorder_wait_opened(&s.recorder, 1));
  vestry_connection *connection = vsi_recorder_connection(&s.recorder, 0);
  assert_int_equal(vsi_client_status(&c), 200);
  vestry_connection_stats stats = {.written_bytes = 0};
  bool waits = false;
  for (uint64_t sent = 0; !waits; sent++) {
    assert_true(stats.written_bytes < MANY_BYTES);
    assert_int_equal(vestry_connection_patch_elements(connection, html, sizeof html, NULL), VESTRY_OK);
    /* An event is either written or waits: a runner that meets a full socket requests a notification before it
     * rests. */
    double until = vsi_seconds_now() + 3; /* a busy machine must not look like a full socket */
    vestry_connection_stats_get(connection, &stats);
    for (unsigned looks = 0; stats.written_count <= sent && vsi_seconds_now() < until; looks++) {
      until_pause(looks);
      vestry_connection_stats_get(connection, &stats);
    }
    waits = stats.written_count <= sent;
  }
  size_t taken = stats.written_bytes;
  vsi_client_close(&c);
  vsi_server_stop(&s);
  return taken;
}

/* capability: C18 */
TEST_CASE(send_buffer_bytes_limits_the_kernel_buffer) {
  enum { SMALL_BYTES = 8 << 10, LARGE_BYTES = 64 << 10 };
  for (int way = 0; way < 4; way++) {
    bool unix_socket = way & 1, tls = way & 2;
    size_t taken = taken_bytes(SMALL_BYTES, unix_socket, tls);
    print_message("%s%s: for %d bytes it took %zu\n", unix_socket ? "UNIX" : "TCP", tls ? ", TLS" : "", SMALL_BYTES,
                  taken);
    assert_in_range(taken, EVENT_BYTES, 2 * SMALL_BYTES + CLIENT_HOLDS_BYTES);
  }
  size_t large = taken_bytes(LARGE_BYTES, false, false);
  print_message("TCP: for %d bytes it took %zu\n", LARGE_BYTES, large);
  assert_in_range(large, LARGE_BYTES / 2, 2 * LARGE_BYTES + CLIENT_HOLDS_BYTES);
}

/* The buffer grows to some megabytes; events that a client does not read must wait in the queue, to be conflated. */
/* capability: F3 */
TEST_CASE(kernel_takes_few_bytes_that_it_cannot_send) {
  enum { UNSENT_BYTES = 128 << 10, SEGMENT_BYTES = 64 << 10 };
  for (int tls = 0; tls < 2; tls++) {
    size_t taken = taken_bytes(0, false, tls);
    print_message("TCP%s: by itself it took %zu\n", tls ? ", TLS" : "", taken);
    assert_in_range(taken, UNSENT_BYTES / 2, UNSENT_BYTES + SEGMENT_BYTES + CLIENT_HOLDS_BYTES);
  }
}

/* ---- lost peers -------------------------------------------------------------------------------------------------- */

static double seconds_until_lost(size_t bytes) {
  const vestry_connection_options connection = {.heartbeat_ms = 100, .max_queued_bytes = bytes ? bytes + 4096 : 0};
  const vestry_contract_adapter contract = microhttpd_contract();
  return lost_peers_seconds(&contract, &(vestry_contract_settings){.lost_ms = 500}, &connection, 7, bytes);
}

/* capability: F5 */
TEST_CASE(f5_peer_behind_a_cut_is_detected) {
  double took = seconds_until_lost(0);
  print_message("lost after %.0f ms; promised: heartbeat 100 + lost 500\n", took * 1e3);
  assert_true(took >= 0.4 && took < VSI_PROMPT_S); /* not the hours of the kernel's time-out */
}

TEST_CASE(short_heartbeats_allow_a_retransmission) {
  const vestry_contract_adapter contract = microhttpd_contract();
  lost_peers_leave_time_to_send_again(&contract);
}

/* capability: F5 */
TEST_CASE(f5_peer_cut_off_during_a_write_is_detected) {
  double took = seconds_until_lost(16 << 20);
  print_message("lost after %.0f ms; promised: lost 500\n", took * 1e3);
  assert_true(took >= 0.4 && took < VSI_PROMPT_S);
}

/* ---- invalid requests until the end ------------------------------------------------------------------------------ */

enum { SENDERS = 4, AT_ONCE = 32, STOPS = 15 };

typedef struct senders {
  uint16_t port;
  _Atomic(unsigned) said;
  atomic_bool over;
} senders;

static const char nonsense[] = "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 12x\r\n\r\n";

/* Many connections at a time, each of which sends this once. Some are refused, because the server stops. */
static void *send_nonsense(void *argument) {
  senders *t = argument;
  const struct sockaddr_in to = {
      .sin_family = AF_INET, .sin_port = htons(t->port), .sin_addr = {htonl(INADDR_LOOPBACK)}};
  while (!atomic_load(&t->over)) {
    int fds[AT_ONCE];
    for (int i = 0; i < AT_ONCE; i++) {
      fds[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
      if (fds[i] >= 0) (void)connect(fds[i], (const struct sockaddr *)&to, sizeof to);
    }
    for (int i = 0; i < AT_ONCE; i++)
      if (send(fds[i], nonsense, sizeof nonsense - 1, MSG_NOSIGNAL) > 0) atomic_fetch_add(&t->said, 1);
    sched_yield();
    for (int i = 0; i < AT_ONCE; i++)
      if (fds[i] >= 0) close(fds[i]);
  }
  return NULL;
}

TEST_CASE(server_stops_while_clients_send_invalid_requests) {
  for (int round = 0; round < STOPS; round++) {
    server_start(&s, NULL);
    senders t = {.port = s.port};
    pthread_t threads[SENDERS];
    for (int i = 0; i < SENDERS; i++) assert_int_equal(pthread_create(&threads[i], NULL, send_nonsense, &t), 0);
    WAIT_WHILE(atomic_load(&t.said) < SENDERS * AT_ONCE);
    vestry_server_destroy(server_web(&s));
    s.running = NULL;
    atomic_store(&t.over, true);
    for (int i = 0; i < SENDERS; i++) pthread_join(threads[i], NULL);
    vsi_server_finish(&s);
  }
}

int main(void) {
  const vestry_contract_adapter contract = microhttpd_contract();
  vsi_client_tls_ops_offered = &tls_client_ops;
  return (int)vestry_contract_run(&contract, "lifecycle,watches,peers") +
         cases_run("libmicrohttpd, its own life", NULL, NULL);
}
