/* SPDX-License-Identifier: MIT */
/* Heartbeats. */
#ifndef VSI_CLUSTER_BEAT_H
#define VSI_CLUSTER_BEAT_H

#include "cluster/cluster/peer.h"
#include "cluster/cluster/wire.h"

/* Say to all that this node is there. Under the lock. */
void vsi_beat_say_hello(vestry_cluster *cluster);
/* BEAT from another node. Under the lock. */
void vsi_beat_take(vestry_cluster *cluster, vsi_peer *peer, const vsi_wire_message *message);
/* The timer. */
void vsi_beat_due(vestry_timer *timer, void *cluster);

#endif
