/* SPDX-License-Identifier: MIT */
/* Several processes of one program behind one port, of which any may be killed: a parent that starts them, passes the
 * bytes of each connection on to one that lives, and starts anew those that have gone. It is a balancer for a demo, of
 * one thread and with nothing to install; what a service takes is in examples/proxy. */
#ifndef EXAMPLES_NODES_H
#define EXAMPLES_NODES_H

#include "options.h"
#include "qr.h"

enum { NODES_MAX = 9 };

/* What a process knows that was started as one of several; zero: it is alone. */
struct node {
  unsigned number, count; /* number: from 1 */
  char door[QR_DOOR_BYTES];
};

/* Reads what the parent has said by the option --node; the process ends with its parent from then on. */
bool node_read(const char *words, struct node *ret_node);
/* In a node: have one of the nodes killed, by SIGKILL, and started anew after a while. */
void nodes_pull_the_plug(unsigned number);

/* In the parent: start count times this program with the same arguments and --node, serve until SIGINT or SIGTERM, and
 * end them. Before any thread is started. on_ready of options is called when all of them listen, and on_end when none
 * does any more. Returns the status of the process */
int nodes_run(const struct server_options *options, char **argv, unsigned count, void (*on_end)(void *ctx));

#endif
