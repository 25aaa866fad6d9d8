#include "server.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

#include "vestry/civetweb.h"

static sigset_t stop_signals(void) {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGINT);
  sigaddset(&signals, SIGTERM);
  return signals;
}

void server_block_signals(void) {
  sigset_t signals = stop_signals();
  pthread_sigmask(SIG_BLOCK, &signals, NULL);
  signal(SIGPIPE, SIG_IGN); /* a client that left in the middle of an answer */
}

/* civetweb says in its log alone why it cannot start; the first line tells most. */
static int log_message(const struct mg_connection *connection, const char *message) {
  struct server *server = mg_get_user_data(mg_get_context(connection));
  if (server && !atomic_load(&server->started) && !*server->why)
    snprintf(server->why, sizeof server->why, "%s", message);
  return 1;
}

bool server_start(struct server *server, const struct options *options) {
  char port[32], threads[16];
  *server = (struct server){.port = 0};
  snprintf(port, sizeof port, "127.0.0.1:%u", options->port);
  snprintf(threads, sizeof threads, "%u", options->threads_count);
  /* clang-format off */
  const char *settings[] = {
      "listening_ports", port,
      "num_threads", threads, /* each stream has one for its life */
      "connection_queue", threads,
      "listen_backlog", threads,
      "tcp_nodelay", "1", /* small patches would wait for 40 ms */
      "request_timeout_ms", "10000", /* how long a client may stall */
      NULL};
  /* clang-format on */
  if (vestry_civetweb_check(settings, server->why, sizeof server->why) != VESTRY_OK) {
    fprintf(stderr, "counter: %s\n", server->why);
    return false;
  }
  struct mg_callbacks callbacks = {.log_message = log_message};
  server->civetweb = mg_start(&callbacks, server, settings);
  if (!server->civetweb) {
    fprintf(stderr, "counter: %s\n", *server->why ? server->why : "the server does not start");
    return false;
  }
  atomic_store(&server->started, true);
  struct mg_server_port bound;
  if (mg_get_server_ports(server->civetweb, 1, &bound) == 1) server->port = (unsigned)bound.port;
  return true;
}

/* The last resort: a worker of civetweb's that is in the middle of a write to a client which does not read comes back
 * from its poll(2) only every two seconds, and so does one that waits for a request. What a process leaves, the kernel
 * closes, and nothing here needs saving. */
static void give_up(int signal_number) {
  (void)signal_number;
  _exit(0);
}

void server_wait(void) {
  sigset_t signals = stop_signals();
  int received;
  sigwait(&signals, &received);
  struct sigaction action = {.sa_handler = give_up};
  sigaction(SIGALRM, &action, NULL);
  setitimer(ITIMER_REAL, &(struct itimerval){.it_value = {.tv_sec = 1, .tv_usec = 200000}}, NULL);
}
