/* SPDX-License-Identifier: MIT */
/* A nats-server of a benchmark's own. */
#ifndef BENCH_BROKER_H
#define BENCH_BROKER_H

#include <sys/types.h>

/* Zero: none. */
typedef struct broker_server {
  pid_t pid;
  char url[64];
} broker_server;

/* On a free port of the loopback, which it listens on when this returns. Its address; NULL: stderr says why. */
const char *broker_server_start(broker_server *server);
void broker_server_stop(broker_server *server);

#endif
