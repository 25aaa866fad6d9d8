/* An example on civetweb: an ordinary server of the application's own, to which vestry is added. */
#include <civetweb.h>
#include <stdatomic.h>
#include <stdio.h>

#include "server.h"
#include "vestry/civetweb.h"

enum { DEFAULT_THREADS = 128, STOP_MS = 700 };

/* Why it does not start. */
struct words {
  atomic_bool started; /* why is not written any more */
  char why[256];
};
static struct words words; /* civetweb's threads may log until the process ends */

/* civetweb says in its log alone why it cannot start; the first line tells most. */
static int log_message(const struct mg_connection *connection, const char *message) {
  (void)connection;
  if (!atomic_load(&words.started) && !*words.why) snprintf(words.why, sizeof words.why, "%s", message);
  return 1;
}

static void stop(struct server *server) {
  if (server->web) vestry_civetweb_stop(server->web, STOP_MS);
  vestry_civetweb_stop_server(server->server);
  vestry_civetweb_destroy(server->web);
}

/* civetweb listens, but answers nobody yet. */
static void add_vestry(const struct mg_context *context) {
  struct server *server = mg_get_user_data(context);
  server->server = (struct mg_context *)(uintptr_t)context;
  vestry_civetweb *web;
  server->error = vestry_civetweb_create(server->v, server->server, NULL, &web);
  if (server->error) return;
  server->web = web;
  server->error = server_mount(server);
}

static bool complain(const struct server *server, const char *why) {
  fprintf(stderr, "%s: %s\n", server->options->program, why);
  return false;
}

static bool start(struct server *server) {
  const struct server_options *options = server->options;
  char port[32], threads[16];
  snprintf(port, sizeof port, "127.0.0.1:%u", options->port);
  snprintf(threads, sizeof threads, "%u", options->threads_count ? options->threads_count : DEFAULT_THREADS);
  /* clang-format off */
  const char *settings[] = {
      "listening_ports", port,
      "num_threads", threads, /* each stream has one for its life */
      "connection_queue", threads,
      "listen_backlog", "4096", /* who finds it full waits for a second */
      "tcp_nodelay", "1", /* small patches would wait for 40 ms */
      "request_timeout_ms", "10000", /* how long a client may stall */
      NULL};
  /* clang-format on */
  if (vestry_civetweb_check(settings, words.why, sizeof words.why) != VESTRY_OK) return complain(server, words.why);
  struct mg_callbacks callbacks = {.log_message = log_message, .init_context = add_vestry};
  struct mg_context *started = mg_start(&callbacks, server, settings);
  if (!started) return complain(server, *words.why ? words.why : "the server does not start");
  atomic_store(&words.started, true);
  if (server->error) {
    stop(server);
    return complain(server, vestry_strerror(server->error));
  }
  struct mg_server_port bound;
  if (mg_get_server_ports(started, 1, &bound) == 1) server->port = (unsigned)bound.port;
  return true;
}

static vestry_err handle(struct server *server, const struct server_route *route) {
  return vestry_civetweb_handle(server->web, route->method, route->path, route->handler, route->app);
}

const struct server_adapter server_civetweb = {"civetweb", start, handle, stop};
