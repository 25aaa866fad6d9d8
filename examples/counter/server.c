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

/* civetweb says why it cannot start through its log. */
static int keep_message(const struct mg_connection *connection, const char *message) {
  (void)connection;
  (void)message;
  return 1;
}

struct mg_context *server_start(const struct options *options, unsigned *ret_port) {
  char port[32], threads[16], why[256] = "";
  snprintf(port, sizeof port, "127.0.0.1:%u", options->port);
  snprintf(threads, sizeof threads, "%u", options->threads_count);
  const char *settings[] = {"listening_ports",
                            port,
                            "num_threads",
                            threads, /* a stream has one for its life */
                            "connection_queue",
                            threads,
                            "listen_backlog",
                            threads,
                            "tcp_nodelay",
                            "1", /* small patches would wait for 40 ms */
                            "request_timeout_ms",
                            "10000",
                            NULL};
  if (vestry_civetweb_check(settings, why, sizeof why) != VESTRY_OK) {
    fprintf(stderr, "counter: %s\n", why);
    return NULL;
  }
  struct mg_callbacks callbacks = {.log_message = keep_message};
  unsigned code = 0;
  struct mg_init_data init = {.callbacks = &callbacks, .configuration_options = settings};
  struct mg_error_data error = {.code = &code, .text = why, .text_buffer_size = sizeof why};
  struct mg_context *server = mg_start2(&init, &error);
  struct mg_server_port bound;
  if (!server) {
    fprintf(stderr, "counter: cannot listen on %s: %s\n", port, why);
  } else if (mg_get_server_ports(server, 1, &bound) == 1) {
    *ret_port = (unsigned)bound.port;
  }
  return server;
}

/* The last resort: a worker of civetweb's that is in the middle of a write to a client which does not read comes back
 * from its poll(2) only every two seconds. What a process leaves, the kernel closes, and nothing here needs saving. */
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
  setitimer(ITIMER_REAL, &(struct itimerval){.it_value = {.tv_sec = 1, .tv_usec = 800000}}, NULL);
}
