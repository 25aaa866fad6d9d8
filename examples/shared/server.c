#include "server.h"

#include <assert.h>
#include <signal.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

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

void server_init(struct server *server, vestry *v, const struct server_options *options) {
  bool is_civetweb = strcmp(options->adapter, server_civetweb.name) == 0;
  *server = (struct server){.adapter = is_civetweb ? &server_civetweb : &server_microhttpd, .v = v, .options = options};
}

void server_handle(struct server *server, const char *method, const char *path, vestry_handler_fn handler, void *app) {
  assert(server->routes_count < sizeof server->routes / sizeof *server->routes);
  server->routes[server->routes_count++] = (struct server_route){method, path, handler, app};
}

vestry_err server_mount(struct server *server) {
  vestry_err err = VESTRY_OK;
  for (size_t i = 0; !err && i < server->routes_count; i++) err = server->adapter->handle(server, &server->routes[i]);
  return err;
}

bool server_start(struct server *server) {
  return server->adapter->start(server);
}

void server_stop(struct server *server) {
  server->adapter->stop(server);
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
