/* SPDX-License-Identifier: MIT */
/* A network that can be cut: a pair of interfaces, each in a namespace of its own. The thread that opens it is at the
   near end until it closes it, and so are the threads that it makes meanwhile. */
#ifndef TESTS_WEB_NETWORK_H
#define TESTS_WEB_NETWORK_H

#include <stdbool.h>

typedef struct network {
  char name[24];        /* of the far end's namespace */
  const char *near_end; /* the address here */
  int home;             /* the namespace that the thread came from */
} network;

/* False: it takes root and the program ip, and says so. */
bool network_open(network *n);
void network_close(network *n);
/* Run a function with sockets that it makes at the far end. */
void network_at_far_end(const network *n, void (*run)(void *ctx), void *ctx);
/* From now on nothing arrives from either end, and nobody is told. */
void network_cut(const network *n);

#endif
