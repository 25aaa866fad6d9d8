/* SPDX-License-Identifier: MIT */
/* A nats-server for a test: a process on a free port of the loopback, with a folder for its data. */
#ifndef TESTS_NATS_SERVER_H
#define TESTS_NATS_SERVER_H

#include <stdbool.h>
#include <sys/types.h>

typedef struct nats_server {
  pid_t pid; /* 0: not running */
  int port;
  char url[64]; /* nats://127.0.0.1:PORT */
  char folder[64];
} nats_server;

/* Choose a port and make the folder, without running it. */
void nats_server_init(nats_server *server);
/* Run it, and wait until it listens. config: additional lines of its configuration; NULL: none. JetStream is on. */
void nats_server_start(nats_server *server, const char *config);
/* The same in two steps, for callers with other work meanwhile: run it; return whether it listens. */
void nats_server_launch(nats_server *server, const char *config);
bool nats_server_listens(const nats_server *server);
/* Have a running server read another configuration. It applies it soon after the return. */
void nats_server_reload(const nats_server *server, const char *config);
/* Kill it with SIGKILL, and wait for its end. Does nothing if it is not running. */
void nats_server_kill(nats_server *server);
/* Stop or continue it. */
void nats_server_freeze(nats_server *server, bool frozen);
/* Kill it, and remove the folder. */
void nats_server_finish(nats_server *server);

/* Return the number of threads of this process. */
unsigned threads_of_process(void);

#endif
