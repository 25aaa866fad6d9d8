/* An example on libmicrohttpd: a server that vestry starts, for many streams. */
#include <stdio.h>

#include "server.h"
#include "vestry/microhttpd.h"

static vestry_err mount(vestry_microhttpd *web, void *ctx) {
  struct server *server = ctx;
  server->web = web;
  return server_mount(server);
}

static bool start(struct server *server) {
  const struct server_options *options = server->options;
  const vestry_microhttpd_options settings = {.address = options->unix_path ? NULL : "127.0.0.1",
                                              .port = options->unix_path ? 0 : (uint16_t)options->port,
                                              .unix_path = options->unix_path,
                                              .threads_count = options->threads_count,
                                              .mount = mount,
                                              .mount_app = server};
  vestry_microhttpd *web;
  vestry_err err = vestry_microhttpd_create(server->v, &settings, &web);
  if (err) {
    char where[32];
    snprintf(where, sizeof where, "127.0.0.1:%u", options->port);
    fprintf(stderr, "%s: cannot listen on %s: %s\n", options->program, options->unix_path ? options->unix_path : where,
            vestry_strerror(err));
    return false;
  }
  server->port = vestry_microhttpd_port(web);
  return true;
}

static vestry_err handle(struct server *server, const struct server_route *route) {
  return vestry_microhttpd_handle(server->web, route->method, route->path, route->handler, route->app);
}

static void stop(struct server *server) {
  vestry_microhttpd_destroy(server->web);
}

const struct server_adapter server_microhttpd = {"microhttpd", start, handle, stop};
