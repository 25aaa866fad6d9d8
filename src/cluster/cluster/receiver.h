/* SPDX-License-Identifier: MIT */
/* Received messages. */
#ifndef VSI_CLUSTER_RECEIVER_H
#define VSI_CLUSTER_RECEIVER_H

#include "vestry/cluster/cluster.h"

/* Functions of vestry_broker_events. */
void vsi_cluster_received(const char *subject, const void *data, size_t len, void *cluster);
void vsi_cluster_state(vestry_broker_state state, void *cluster);

#endif
