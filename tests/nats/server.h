/* SPDX-License-Identifier: MIT */
/* A nats-server of the test's own: a process on a free port of the loopback, with a folder for what it keeps. */
#ifndef TESTS_NATS_SERVER_H
#define TESTS_NATS_SERVER_H

#include <stdbool.h>
#include <sys/types.h>

typedef struct nats_server {
  pid_t pid; /* 0: it does not run */
  int port;
  char url[64]; /* nats://127.0.0.1:PORT */
  char folder[64];
} nats_server;

/* Choose a port and make the folder; it does not run yet. */
void nats_server_init(nats_server *server);
/* Run it, until it listens. config: more lines of its configuration; NULL: none. JetStream is on. */
void nats_server_start(nats_server *server, const char *config);
/* The same in two steps, for who has something else to do meanwhile: run it, and whether it listens. */
void nats_server_launch(nats_server *server, const char *config);
bool nats_server_listens(const nats_server *server);
/* kill -9, and wait for its end. What does not run is left alone. */
void nats_server_kill(nats_server *server);
/* Stop and continue it. */
void nats_server_freeze(nats_server *server, bool frozen);
/* Kill, and remove the folder. */
void nats_server_finish(nats_server *server);

/* Threads of this process. */
unsigned threads_of_process(void);

#endif
