/* SPDX-License-Identifier: MIT */
/* Nodes of a strict cluster, with threads: all want one key alone, all the time. Never two have it. */
#ifndef TESTS_CLUSTER_STRICT_RACE_H
#define TESTS_CLUSTER_STRICT_RACE_H

#include "vestry/cluster/broker.h"

enum { STRICT_RACE_NODES = 3 };

/* Runs it over these brokers, which are destroyed: turns for each of two threads a node. Fails as
 * cmocka does. */
void strict_race(vestry_broker brokers[STRICT_RACE_NODES], int turns);

#endif
