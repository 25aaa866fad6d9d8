/* An example's server: one of those that vestry has adapters for. */
#ifndef EXAMPLES_SERVER_H
#define EXAMPLES_SERVER_H

#include "options.h"
#include "vestry/vestry.h"

struct server_route {
  const char *method, *path;
  vestry_handler_fn handler;
  void *app;
};

struct server {
  const struct server_adapter *adapter;
  vestry *v;
  const struct server_options *options;
  struct server_route routes[16];
  size_t routes_count;
  void *server, *web; /* the adapter's */
  unsigned port;      /* the real one, also when any was asked for */
  vestry_err error;   /* of the mounting, where that cannot be returned */
};

/* What it does for one adapter: civetweb.c, microhttpd.c. */
struct server_adapter {
  const char *name;
  bool (*start)(struct server *server);
  vestry_err (*handle)(struct server *server, const struct server_route *route);
  void (*stop)(struct server *server);
};
extern const struct server_adapter server_civetweb, server_microhttpd;

/* Keep SIGINT and SIGTERM for server_wait. Before the first thread is started: threads inherit it. */
void server_block_signals(void);

/* v, options: borrowed until the stop. */
void server_init(struct server *server, vestry *v, const struct server_options *options);
/* Have a handler mounted, before the start: when a server comes back, pages come back in the same moment, and some stay
 * away for ever that find no handler. method, path: borrowed until the start. */
void server_handle(struct server *server, const char *method, const char *path, vestry_handler_fn handler, void *app);
/* Start it on 127.0.0.1. False: it could not be, and why has been said. */
bool server_start(struct server *server);
/* Wait for SIGINT or SIGTERM. From then on the process has a little less than two seconds to end. */
void server_wait(void);
/* Abort the streams, so that the browsers come back, and end it. */
void server_stop(struct server *server);

/* For adapters: mount all handlers. Returns the first error. */
vestry_err server_mount(struct server *server);

#endif
