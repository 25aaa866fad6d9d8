/* SPDX-License-Identifier: MIT */
/* Rounds of the watch over streams with sockets of this process, and connections of the memory adapter. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "adapter/civetweb/watch.h"
#include "support/test.h"
#include "support/test_host.h"
#include "testing/contract/recorder.h"
#include "vestry/testing/memory.h"

enum { STREAMS = 100, NO_ONE = 1 /* a port from which no client connects */ };

typedef struct connected {
  int client, server; /* -1: closed */
  int port;           /* of the client */
} connected;

static test_host th;
static vestry *v;
static vsi_recorder w;
static vsi_civetweb_watch watch;
static vestry_memory_exchange *exchanges[STREAMS];
static vsi_civetweb_entry entries[STREAMS];
static int listener, listener_port;

static vestry_err open_stream(const vestry_request *req, vestry_reply *reply, void *app) {
  return vestry_reply_keep(reply, VESTRY_KEEP_REPLACE, 0);
}

static struct sockaddr_in address(const char *text, int port) {
  struct sockaddr_in made = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
  assert_int_equal(inet_pton(AF_INET, text, &made.sin_addr), 1);
  return made;
}

static int port_of(int fd) {
  struct sockaddr_in at;
  socklen_t len = sizeof at;
  assert_int_equal(getsockname(fd, (struct sockaddr *)&at, &len), 0);
  return ntohs(at.sin_port);
}

static int bind_to(const char *text, int port) {
  const struct sockaddr_in at = address(text, port);
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  assert_true(fd >= 0);
  assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &(int){1}, sizeof(int)), 0);
  assert_int_equal(bind(fd, (const struct sockaddr *)&at, sizeof at), 0);
  return fd;
}

/* Connect from a port of this machine (0: any) to one of its addresses. */
static connected connect_from(int port, const char *server_address) {
  const struct sockaddr_in to = address(server_address, listener_port);
  connected made = {.client = bind_to("127.0.0.1", port)};
  assert_int_equal(connect(made.client, (const struct sockaddr *)&to, sizeof to), 0);
  made.server = accept(listener, NULL, NULL);
  assert_true(made.server >= 0);
  made.port = port_of(made.client);
  return made;
}

static void disconnect(connected *pair) {
  if (pair->client >= 0) close(pair->client);
  close(pair->server);
}

/* The server's socket has no peer any more, and its descriptor stays open. */
static void reset(connected *pair) {
  const struct linger now = {.l_onoff = 1};
  assert_int_equal(setsockopt(pair->client, SOL_SOCKET, SO_LINGER, &now, sizeof now), 0);
  close(pair->client);
  pair->client = -1;
}

static int begin(void **state) {
  test_host_init(&th);
  vsi_recorder_init(&w);
  const vestry_options options = {.host = &th.host, .threads_count = VESTRY_THREADS_NONE};
  assert_int_equal(vestry_create(&options, &v), VESTRY_OK);
  assert_int_equal(vsi_civetweb_watch_init(&watch, v, VESTRY_NEVER_MS, VESTRY_NEVER_MS), VESTRY_OK);
  memset(exchanges, 0, sizeof exchanges);
  memset(entries, 0, sizeof entries);
  listener = bind_to("0.0.0.0", 0);
  listener_port = port_of(listener);
  assert_int_equal(listen(listener, 1), 0);
  return 0;
}

static int end(void **state) {
  close(listener);
  for (int i = 0; i < STREAMS; i++) vestry_memory_destroy(exchanges[i]);
  vestry_destroy(v);
  assert_true(LIST_EMPTY(&watch.streams));
  vsi_civetweb_watch_finish(&watch);
  vsi_recorder_finish(&w);
  test_host_assert_clean(&th);
  return 0;
}

/* Park stream i of the client at an address and a port; two streams may have the same. */
static void park_at(int i, const char *client_address, int port) {
  const vestry_memory_call call = {.datastar = true};
  assert_int_equal(vestry_memory_request(v, &call, open_stream, NULL, &exchanges[i]), VESTRY_OK);
  entries[i].connection = vestry_memory_look(exchanges[i]).connection;
  entries[i].has_peer = vsi_civetweb_peer_parse(client_address, port, listener_port, &entries[i].peer);
  vsi_civetweb_watch_add(&watch, &entries[i]);
}

static void park(int i, int port) {
  park_at(i, "127.0.0.1", port);
}

static void leave(int i) {
  vsi_civetweb_watch_remove(&watch, &entries[i]);
}

static vestry_cause cause(int i) {
  return vestry_connection_look(entries[i].connection).cause;
}

TEST_CASE(streams_without_a_socket_are_closed) {
  vsi_civetweb_watch_look(&watch); /* no streams */
  connected open = connect_from(0, "127.0.0.1"), shut = connect_from(0, "127.0.0.1");
  connected of_no_stream = connect_from(0, "127.0.0.1");
  park(0, open.port);
  park(1, NO_ONE);
  park(2, shut.port);
  assert_int_equal(shutdown(shut.client, SHUT_WR), 0);
  vsi_civetweb_watch_look(&watch);
  assert_int_equal(cause(0), VESTRY_CAUSE_NONE);
  assert_int_equal(cause(1), VESTRY_CAUSE_HANGUP); /* no socket */
  assert_int_equal(cause(2), VESTRY_CAUSE_HANGUP); /* a socket, but shut down */
  reset(&open);
  vsi_civetweb_watch_look(&watch);
  assert_int_equal(cause(0), VESTRY_CAUSE_HANGUP);
  for (int i = 0; i < 3; i++) leave(i);
  disconnect(&open);
  disconnect(&shut);
  disconnect(&of_no_stream);
}

TEST_CASE(new_streams_are_judged_in_the_next_round) {
  connected first = connect_from(0, "127.0.0.1");
  park(0, first.port);
  vsi_civetweb_watch_look(&watch);
  park(1, NO_ONE);
  assert_int_equal(cause(1), VESTRY_CAUSE_NONE);
  vsi_civetweb_watch_look(&watch);
  assert_int_equal(cause(0), VESTRY_CAUSE_NONE);
  assert_int_equal(cause(1), VESTRY_CAUSE_HANGUP);
  leave(1);
  leave(0);
  disconnect(&first);
}

/* A client reconnects from the same port, before or after a round has seen its socket: its new socket does not keep the
 * old stream. */
TEST_CASE(socket_of_a_returning_client_keeps_the_newest_stream) {
  for (int is_seen = 0; is_seen <= 1; is_seen++) {
    connected old = connect_from(0, "127.0.0.1");
    park(0, old.port);
    if (is_seen) vsi_civetweb_watch_look(&watch);
    reset(&old);
    connected new = connect_from(old.port, "127.0.0.1");
    park(1, new.port);
    vsi_civetweb_watch_look(&watch);
    assert_int_equal(cause(0), VESTRY_CAUSE_HANGUP);
    assert_int_equal(cause(1), VESTRY_CAUSE_NONE);
    leave(0);
    leave(1);
    disconnect(&old);
    disconnect(&new);
    if (!is_seen) assert_false(end(state) || begin(state));
  }
}

TEST_CASE(two_sockets_keep_two_streams) {
  connected first = connect_from(0, "127.0.0.1"), second = connect_from(first.port, "127.0.0.2");
  park(0, first.port); /* of one client, to two addresses of the server */
  park(1, second.port);
  for (int round = 0; round < 3; round++) vsi_civetweb_watch_look(&watch);
  assert_int_equal(cause(0), VESTRY_CAUSE_NONE);
  assert_int_equal(cause(1), VESTRY_CAUSE_NONE);
  assert_true(entries[0].fd != entries[1].fd);
  leave(0);
  leave(1);
  disconnect(&first);
  disconnect(&second);
}

TEST_CASE(stream_of_unknown_peer_is_left_open) {
  park_at(0, "elsewhere", 1);
  assert_false(entries[0].has_peer);
  vsi_civetweb_watch_look(&watch);
  assert_int_equal(cause(0), VESTRY_CAUSE_NONE);
  vsi_civetweb_watch_close_all(&watch, VESTRY_CAUSE_SHUTDOWN);
  assert_int_equal(cause(0), VESTRY_CAUSE_SHUTDOWN);
  leave(0);
}

TEST_CASE(streams_are_closed_once) {
  connected pairs[STREAMS / 2];
  for (int i = 0; i < STREAMS / 2; i++) {
    pairs[i] = connect_from(0, "127.0.0.1");
    park(2 * i, pairs[i].port);
    park(2 * i + 1, NO_ONE);
  }
  vsi_civetweb_watch_look(&watch);
  vsi_civetweb_watch_close_all(&watch, VESTRY_CAUSE_SHUTDOWN);
  vsi_civetweb_watch_close_all(&watch, VESTRY_CAUSE_ERROR);
  for (int i = 0; i < STREAMS; i++) {
    assert_int_equal(cause(i), i % 2 ? VESTRY_CAUSE_HANGUP : VESTRY_CAUSE_SHUTDOWN);
    leave(i);
  }
  for (int i = 0; i < STREAMS / 2; i++) disconnect(&pairs[i]);
}

int main(void) {
  return cases_run_each("streams on dedicated threads", begin, end);
}
