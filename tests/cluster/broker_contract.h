/* SPDX-License-Identifier: MIT */
/* What every broker must do, whatever carries its messages: run once for each. Everything waits for what it asks for,
 * and fails the test when that does not come. */
#ifndef TESTS_CLUSTER_BROKER_CONTRACT_H
#define TESTS_CLUSTER_BROKER_CONTRACT_H

#include "vestry/cluster/broker.h"

typedef struct contract_world {
  const char *name;
  void *(*begin)(void);               /* a network with nobody in it, up */
  void (*end)(void *world);           /* after its brokers; checks that nothing is left */
  vestry_broker (*join)(void *world); /* a node; the contract destroys it */
  void (*settle)(void *world);        /* let run what is ready, if it does not run by itself */
  void (*bring_down)(void *world);    /* it dies, and nobody is told */
  void (*bring_up)(void *world);      /* it is back, and remembers nothing */
  bool has_reservations;
} contract_world;

/* Returns the number of failed tests. */
int broker_contract_run(const contract_world *world);

#endif
