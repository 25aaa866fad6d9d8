/* SPDX-License-Identifier: MIT */
/* The contract of brokers, run once for each. All functions wait for their result, and fail the test if it does not
 * arrive. */
#ifndef TESTS_CLUSTER_BROKER_CONTRACT_H
#define TESTS_CLUSTER_BROKER_CONTRACT_H

#include "vestry/cluster/broker.h"

typedef struct contract_world {
  const char *name;
  void *(*begin)(void);               /* a network without nodes, up */
  void (*end)(void *world);           /* after its brokers; checks that nothing is leaked */
  vestry_broker (*join)(void *world); /* a node; the contract destroys it */
  void (*settle)(void *world);        /* run all ready work, if it does not run by itself */
  void (*bring_down)(void *world);    /* the network dies, without a report */
  void (*bring_up)(void *world);      /* it is back, without state */
} contract_world;

/* Returns the number of failed tests. */
int broker_contract_run(const contract_world *world);

#endif
