/* SPDX-License-Identifier: MIT */
/* Nodes of a strict cluster with threads, which all request one key continually. It never has two streams. */
#ifndef TESTS_CLUSTER_STRICT_RACE_H
#define TESTS_CLUSTER_STRICT_RACE_H

#include "vestry/cluster/broker.h"

enum { STRICT_RACE_NODES = 3 };

/* Run the race over these brokers, and destroy them. turns: for each of the two threads of a node. Fails by cmocka's
 * assertions. */
void strict_race(vestry_broker brokers[STRICT_RACE_NODES], int turns);

#endif
