/* SPDX-License-Identifier: MIT */
/* A separate nats-server for a benchmark. */
#ifndef BENCH_BROKER_H
#define BENCH_BROKER_H

#include <sys/types.h>

/* Zero: none. */
typedef struct broker_server {
  pid_t pid;
  char url[64];
} broker_server;

/* Start it on a free port of the loopback, and wait until it listens. Returns its address; NULL: stderr has the
 * reason. */
const char *broker_server_start(broker_server *server);
void broker_server_stop(broker_server *server);

#endif
