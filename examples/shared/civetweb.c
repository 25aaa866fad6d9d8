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

static bool start(struct server *server, vestry *v, const struct server_options *options) {
  char port[32], threads[16];
  snprintf(port, sizeof port, "127.0.0.1:%u", options->port);
  snprintf(threads, sizeof threads, "%u", options->threads_count ? options->threads_count : DEFAULT_THREADS);
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
  if (vestry_civetweb_check(settings, words.why, sizeof words.why) != VESTRY_OK) {
    fprintf(stderr, "%s: %s\n", options->program, words.why);
    return false;
  }
  struct mg_callbacks callbacks = {.log_message = log_message};
  server->server = mg_start(&callbacks, NULL, settings);
  if (!server->server) {
    fprintf(stderr, "%s: %s\n", options->program, *words.why ? words.why : "the server does not start");
    return false;
  }
  atomic_store(&words.started, true);
  vestry_civetweb *web;
  vestry_err err = vestry_civetweb_create(v, server->server, NULL, &web);
  if (err) {
    fprintf(stderr, "%s: %s\n", options->program, vestry_strerror(err));
    mg_stop(server->server);
    return false;
  }
  server->web = web;
  struct mg_server_port bound;
  if (mg_get_server_ports(server->server, 1, &bound) == 1) server->port = (unsigned)bound.port;
  return true;
}

static vestry_err handle(struct server *server, const char *method, const char *path, vestry_handler_fn handler,
                         void *app) {
  return vestry_civetweb_handle(server->web, method, path, handler, app);
}

static void stop(struct server *server) {
  vestry_civetweb_stop(server->web, STOP_MS);
  vestry_civetweb_stop_server(server->server);
  vestry_civetweb_destroy(server->web);
}

const struct server_adapter server_civetweb = {"civetweb", start, handle, stop};
