/* An example's server: one of those that vestry has adapters for. */
#ifndef EXAMPLES_SERVER_H
#define EXAMPLES_SERVER_H

#include "options.h"
#include "vestry/vestry.h"

struct server {
  const struct server_adapter *adapter;
  void *server, *web; /* the adapter's */
  unsigned port;      /* the real one, also when any was asked for */
};

/* What it does for one adapter: civetweb.c, microhttpd.c. */
struct server_adapter {
  const char *name;
  bool (*start)(struct server *server, vestry *v, const struct server_options *options);
  vestry_err (*handle)(struct server *server, const char *method, const char *path, vestry_handler_fn handler,
                       void *app);
  void (*stop)(struct server *server);
};
extern const struct server_adapter server_civetweb, server_microhttpd;

/* Keep SIGINT and SIGTERM for server_wait. Before the first thread is started: threads inherit it. */
void server_block_signals(void);

/* Start it on 127.0.0.1. False: it could not be, and why has been said. */
bool server_start(struct server *server, vestry *v, const struct server_options *options);
/* Mount a handler, as the adapter's own function does. */
vestry_err server_handle(struct server *server, const char *method, const char *path, vestry_handler_fn handler,
                         void *app);
/* Wait for SIGINT or SIGTERM. From then on the process has a little less than two seconds to end. */
void server_wait(void);
/* Abort the streams, so that the browsers come back, and end it. */
void server_stop(struct server *server);

#endif
