/* SPDX-License-Identifier: MIT */
/* A node of a memory network, as a broker. vestry_memory_network_join creates it (vestry/testing/memory_network.h). */
#ifndef VSI_TESTING_MEMORY_BROKER_H
#define VSI_TESTING_MEMORY_BROKER_H

#include "vestry/cluster/broker.h"
#include "vestry/testing/memory_network.h"

/* Functions of such a broker; its self is a vsi_memory_node. */
extern const vestry_broker_ops vsi_memory_broker_ops;

#endif
