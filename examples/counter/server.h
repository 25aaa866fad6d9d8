/* The counter's civetweb server: an ordinary one, which knows nothing of vestry. */
#ifndef COUNTER_SERVER_H
#define COUNTER_SERVER_H

#include <civetweb.h>
#include <stdatomic.h>

#include "options.h"

/* Keep SIGINT and SIGTERM for server_wait. Before the first thread is started: threads inherit it. */
void server_block_signals(void);
struct server {
  struct mg_context *civetweb;
  unsigned port;       /* the real one, also when any was asked for */
  atomic_bool started; /* why is not written any more */
  char why[256];       /* why it could not be started, says civetweb */
};

/* Start it on 127.0.0.1. server: must live as long as it runs. False: it could not be, and why has been said. */
bool server_start(struct server *server, const struct options *options);
/* Wait for SIGINT or SIGTERM. From then on the process has a little less than two seconds to end. */
void server_wait(void);

#endif
