/* SPDX-License-Identifier: MIT */
/* A network that can be cut: a pair of interfaces, each in its own namespace. The thread that opens it, and the threads
 * that it creates meanwhile, are at the near end until it closes the network. */
#ifndef TESTS_WEB_NETWORK_H
#define TESTS_WEB_NETWORK_H

#include <stdbool.h>

typedef struct network {
  char name[24]; /* of the far end's namespace */
  int home;      /* the original namespace of the thread */
} network;

/* The address at which a test's server listens; NULL: 127.0.0.1. network_open sets it, and network_close resets it. */
extern const char *network_address;

/* False: this requires root and the program ip; prints a message. */
bool network_open(network *n);
void network_close(network *n);
/* Run a function whose sockets are at the far end. */
void network_at_far_end(const network *n, void (*run)(void *ctx), void *ctx);
/* From now on no packet arrives at either end, and neither end is notified. */
void network_cut(const network *n);

#endif
