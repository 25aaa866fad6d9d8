/* An example on libmicrohttpd: a server that vestry starts, for many streams. */
#include <stdio.h>

#include "server.h"
#include "vestry/microhttpd.h"

static bool start(struct server *server, vestry *v, const struct server_options *options) {
  vestry_microhttpd *web;
  vestry_err err = vestry_microhttpd_create(v,
                                            &(vestry_microhttpd_options){.address = "127.0.0.1",
                                                                         .port = (uint16_t)options->port,
                                                                         .threads_count = options->threads_count},
                                            &web);
  if (err) {
    fprintf(stderr, "%s: cannot listen on 127.0.0.1:%u: %s\n", options->program, options->port, vestry_strerror(err));
    return false;
  }
  server->web = web;
  server->port = vestry_microhttpd_port(web);
  return true;
}

static vestry_err handle(struct server *server, const char *method, const char *path, vestry_handler_fn handler,
                         void *app) {
  return vestry_microhttpd_handle(server->web, method, path, handler, app);
}

static void stop(struct server *server) {
  vestry_microhttpd_destroy(server->web);
}

const struct server_adapter server_microhttpd = {"microhttpd", start, handle, stop};
