/* The counter's civetweb server: an ordinary one, which knows nothing of vestry. */
#ifndef COUNTER_SERVER_H
#define COUNTER_SERVER_H

#include <civetweb.h>

#include "options.h"

/* Keep SIGINT and SIGTERM for server_wait. Before the first thread is started: threads inherit it. */
void server_block_signals(void);
/* Start it on 127.0.0.1. NULL: it could not be, and why has been said. */
struct mg_context *server_start(const struct options *options, unsigned *ret_port);
/* Wait for SIGINT or SIGTERM. From then on the process has a little less than two seconds to end. */
void server_wait(void);

#endif
