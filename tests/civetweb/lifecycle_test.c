/* SPDX-License-Identifier: MIT */
/* The contract of life; then places by threads, stalled readers that hold a worker, and the end of the server. */
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "civetweb/server.h"
#include "support/test.h"
#include "support/tries.h"
#include "support/until.h"
#include "testing/contract/client.h"

static vsi_server s;

/* ---- places ------------------------------------------------------------------------------------------------------ */

TEST_CASE(reserve_is_a_tenth_of_the_threads_between_2_and_32) {
  static const unsigned cases[][2] = {{3, 1}, {20, 18}, {50, 45}, {400, 368}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    server_start(&s, &(server_settings){.threads = cases[i][0], .reserve = UINT32_MAX});
    uint32_t capacity;
    vestry_server_room(civetweb_of(&s)->web, NULL, &capacity);
    assert_int_equal(capacity, cases[i][1]);
    vsi_server_stop(&s);
  }
}

/* Request a stream from an address of this machine. */
static void ask_from(vsi_client *c, const char *address) {
  struct sockaddr_in from = {.sin_family = AF_INET}, to = {.sin_family = AF_INET, .sin_port = htons(s.port)};
  const struct timeval patience = {.tv_sec = 60};
  memset(c, 0, sizeof *c);
  c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  assert_true(c->fd >= 0);
  setsockopt(c->fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  assert_int_equal(inet_pton(AF_INET, address, &from.sin_addr), 1);
  assert_int_equal(inet_pton(AF_INET, "127.0.0.1", &to.sin_addr), 1);
  assert_int_equal(bind(c->fd, (const struct sockaddr *)&from, sizeof from), 0);
  assert_int_equal(connect(c->fd, (const struct sockaddr *)&to, sizeof to), 0);
  vsi_client_sendf(c, "GET /stream HTTP/1.1\r\nHost: a\r\nDatastar-Request: true\r\n\r\n");
}

TEST_CASE(streams_per_address_are_limited) {
  server_start(&s, &(server_settings){.max_per_address = 3});
  vsi_client clients[3], other, again;
  for (int i = 0; i < 3; i++) vsi_server_open(&s, &clients[i]);
  ask_from(&again, "127.0.0.1");
  assert_int_equal(vsi_client_status(&again), 503);
  assert_string_equal(vsi_client_header(&again, "Retry-After"), "2");
  assert_string_equal(vsi_client_header(&again, "Connection"), "close");
  vsi_client_read_all(&again);
  vsi_client_close(&again);
  ask_from(&other, "127.0.0.2");
  assert_int_equal(vsi_client_status(&other), 200);
  vestry_stats stats = {0};
  vestry_stats_get(s.v, &stats);
  assert_int_equal(stats.refused_by_reason[VESTRY_REFUSAL_ADDRESS], 1);
  vestry_connection_close(vsi_recorder_connection(&s.recorder, 0), VESTRY_CAUSE_CLOSED);
  vsi_client_read_all(&clients[0]);
  uint32_t streams;
  UNTIL((vestry_server_room(civetweb_of(&s)->web, &streams, NULL), streams == 3));
  ask_from(&again, "127.0.0.1");
  assert_int_equal(vsi_client_status(&again), 200);
  for (int i = 0; i < 3; i++) vsi_client_close(&clients[i]);
  vsi_client_close(&other);
  vsi_client_close(&again);
  vsi_server_stop(&s);
}

/* civetweb reports a connection only with its first request, so the limit does not count silent ones. */
TEST_CASE(silent_connections_are_not_counted) {
  enum { LIMIT = 3 };
  server_start(&s, &(server_settings){.max_per_address = LIMIT});
  vsi_client silent[LIMIT], clients[LIMIT], more;
  for (int i = 0; i < LIMIT; i++) vsi_client_connect(&silent[i], s.port, false);
  for (int i = 0; i < LIMIT; i++) vsi_server_open(&s, &clients[i]);
  ask_from(&more, "127.0.0.1");
  assert_int_equal(vsi_client_status(&more), 503);
  for (int i = 0; i < LIMIT; i++) assert_false(vsi_client_wait(&silent[i], 0)); /* they are left open */
  vsi_client_close(&more);
  for (int i = 0; i < LIMIT; i++) {
    vsi_client_close(&silent[i]);
    vsi_client_close(&clients[i]);
  }
  vsi_server_stop(&s);
}

/* ---- descriptors ------------------------------------------------------------------------------------------------- */

enum { ATTACKERS = 200, FEW_DESCRIPTORS = 12 + 20 + 65 };

/* In a child process: connect, report it, and hold the connections until the parent closes the pipe. */
static void attack(int said, int heard, const struct rlimit *own) {
  char word = 0;
  setrlimit(RLIMIT_NOFILE, own);
  const struct sockaddr_in to = {
      .sin_family = AF_INET, .sin_port = htons(s.port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  for (int i = 0; i < ATTACKERS; i++)
    if (connect(socket(AF_INET, SOCK_STREAM, 0), (const struct sockaddr *)&to, sizeof to) != 0) _exit(1);
  if (write(said, &word, 1) != 1 || read(heard, &word, 1) != 0) _exit(1);
  _exit(0);
}

static int open_descriptors(void) {
  int count = 0;
  for (int fd = 0; fd < FEW_DESCRIPTORS; fd++) count += fcntl(fd, F_GETFD) >= 0;
  return count;
}

TEST_CASE(descriptors_remain_if_clients_exceed_them) {
  struct rlimit own;
  assert_int_equal(getrlimit(RLIMIT_NOFILE, &own), 0);
  const struct rlimit few = {FEW_DESCRIPTORS, own.rlim_max};
  assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
  server_start(&s, &(server_settings){.queue = 20});
  int said[2], heard[2];
  char word;
  assert_int_equal(pipe(said), 0);
  assert_int_equal(pipe(heard), 0);
  int before = open_descriptors();
  pid_t child = fork();
  assert_true(child >= 0);
  if (!child) {
    close(heard[1]);
    attack(said[1], heard[0], &own);
  }
  assert_int_equal(read(said[0], &word, 1), 1);
  WAIT_WHILE(open_descriptors() < before + 12 + 20); /* the server accepts as many as it can, and waits */
  int another = dup(said[0]);
  assert_true(another >= 0);
  close(another);
  for (int i = 0; i < 2; i++) close(heard[i]); /* the attack ends */
  int status;
  assert_int_equal(waitpid(child, &status, 0), child);
  assert_int_equal(status, 0);
  vsi_server_assert_serves(&s);
  for (int i = 0; i < 2; i++) close(said[i]);
  vsi_server_stop(&s);
  assert_int_equal(setrlimit(RLIMIT_NOFILE, &own), 0);
}

/* ---- stalled readers --------------------------------------------------------------------------------------------- */

TEST_CASE(stop_with_a_stalled_reader_aborts_its_write) {
  server_start(&s, &(server_settings){.options.connection =
                                          &(vestry_connection_options){.max_queued_bytes = VSI_STALLING_QUEUE_BYTES}});
  vsi_client stalled, well;
  vestry_connection *stuck = vsi_server_open_stalled(&s, &stalled);
  vestry_connection *moving = vsi_server_open(&s, &well);
  double since = vsi_seconds_now();
  assert_int_equal(vestry_server_stop(civetweb_of(&s)->web, 100), VESTRY_TIMEOUT);
  assert_int_equal(vsi_server_cause(&s, moving), VESTRY_CAUSE_SHUTDOWN);
  assert_int_equal(vestry_connection_look(stuck).cause, VESTRY_CAUSE_SHUTDOWN);
  vsi_client_read_all(&well);
  vsi_server_finish(&s);                                 /* ends the blocked write */
  assert_true(vsi_seconds_now() - since < VSI_PROMPT_S); /* two seconds on an idle machine; not PATIENCE_S */
  vsi_client_close(&stalled);
  vsi_client_close(&well);
}

/* ---- the end ----------------------------------------------------------------------------------------------------- */

static double seconds_to_stop_on_specific_addresses(void) {
  server_start(&s, &(server_settings){.ports = "127.0.0.3:0, 127.0.0.2:0"});
  vsi_client c;
  vsi_client_connect_to(&c, "127.0.0.3", s.port, false);
  vsi_client_sendf(&c, "GET /echo HTTP/1.1\r\nHost: a\r\n\r\n");
  assert_int_equal(vsi_client_status(&c), 200);
  vsi_client_read_all(&c);
  vsi_client_close(&c);
  double since = vsi_seconds_now();
  vsi_server_stop(&s);
  return vsi_seconds_now() - since;
}

TEST_CASE(server_on_specific_addresses_stops_quickly) {
  BELOW_S(1.5, seconds_to_stop_on_specific_addresses());
}

TEST_CASE(server_stops_despite_silent_clients) {
  server_start(&s, NULL);
  vsi_client silent[3], c;
  for (int i = 0; i < 3; i++) vsi_client_connect(&silent[i], s.port, false);
  vsi_client_sendf(&silent[1], "GET /echo HT");
  vsi_server_open(&s, &c); /* others are served */
  double since = vsi_seconds_now();
  vsi_server_stop(&s);
  assert_true(vsi_seconds_now() - since < VSI_PROMPT_S); /* civetweb closes them within two seconds */
  for (int i = 0; i < 3; i++) vsi_client_close(&silent[i]);
  vsi_client_close(&c);
}

/* Clients that connect when the port is open and the handlers are not registered yet. There are so many that a server
 * which answers early has answered the first before the last one connects. */
enum { EARLY = 300 };
static vsi_client early[EARLY];

static void ask_early(uint16_t port) {
  for (int i = 0; i < EARLY; i++) vsi_client_ask(&early[i], port, "GET", "/echo", "");
}

TEST_CASE(early_clients_wait_for_the_handlers) {
  server_start(&s, &(server_settings){.before_mount = ask_early});
  for (int i = 0; i < EARLY; i++) {
    assert_int_equal(vsi_client_status(&early[i]), 200);
    vsi_client_close(&early[i]);
  }
  vsi_server_stop(&s);
}

int main(void) {
  return (int)vestry_contract_run(&civetweb_contract, "lifecycle,watches") +
         cases_run("civetweb, its own life", NULL, NULL);
}
