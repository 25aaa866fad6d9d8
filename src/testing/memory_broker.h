/* SPDX-License-Identifier: MIT */
/* A node of a memory network, as a broker: vestry_memory_network_join (vestry/cluster/broker.h) makes it. */
#ifndef VSI_TESTING_MEMORY_BROKER_H
#define VSI_TESTING_MEMORY_BROKER_H

#include "vestry/cluster/broker.h"
#include "vestry/testing/memory_network.h"

/* The broker of it is a vsi_memory_node. */
extern const vestry_broker_ops vsi_memory_broker_ops;

#endif
