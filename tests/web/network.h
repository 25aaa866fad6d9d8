/* A network that can be cut: a pair of interfaces, the far end of which is in a namespace of its own. */
#ifndef TESTS_WEB_NETWORK_H
#define TESTS_WEB_NETWORK_H

#include <stdbool.h>

typedef struct network {
  char name[16];     /* of the namespace, and the stem of the interfaces' names */
  char near_end[32]; /* the address here */
  char far_end[32];
} network;

/* False: it takes root and the program ip, and says so. */
bool network_open(network *n);
void network_close(network *n);
/* Run a function with sockets that it makes at the far end. */
void network_at_far_end(const network *n, void (*run)(void *ctx), void *ctx);
/* From now on nothing arrives from either end, and nobody is told. */
void network_cut(const network *n);

#endif
