/* SPDX-License-Identifier: MIT */
/* Several processes of one program behind one port, each of which may be killed. A parent process starts them, forwards
 * each connection to a process that is alive, and restarts processes that have ended. It is a balancer for a demo, with
 * one thread and nothing to install; for a service, see examples/proxy. */
#ifndef EXAMPLES_NODES_H
#define EXAMPLES_NODES_H

#include "../shared/program.h"
#include "qr.h"

enum { NODES_MAX = 9 };

/* Data of a process that was started as one of several; zero: it is the only one. */
struct node {
  unsigned number, count; /* number counts from 1 */
  char door[QR_DOOR_BYTES];
};

/* Read the value of the option --node from the parent. From then on, the process ends with its parent. */
bool node_read(const char *words, struct node *ret_node);
/* In a node: request that the parent kills a node with SIGKILL and restarts it later. */
void nodes_pull_the_plug(unsigned number);

/* In the parent: start this program count times with the same arguments and --node, serve until SIGINT or SIGTERM, and
 * end the nodes. Call it before any thread is started. on_ready of options is called when all nodes listen, on_end when
 * all have ended. Returns the exit status */
int nodes_run(const struct program *program, char **argv, unsigned count, void (*on_end)(void *ctx));

#endif
