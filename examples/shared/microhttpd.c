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
  const vestry_microhttpd_options settings = {.address = "127.0.0.1",
                                              .port = (uint16_t)options->port,
                                              .threads_count = options->threads_count,
                                              .mount = mount,
                                              .mount_app = server};
  vestry_microhttpd *web;
  vestry_err err = vestry_microhttpd_create(server->v, &settings, &web);
  if (err) {
    fprintf(stderr, "%s: cannot listen on 127.0.0.1:%u: %s\n", options->program, options->port, vestry_strerror(err));
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
