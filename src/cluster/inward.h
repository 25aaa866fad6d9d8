/* SPDX-License-Identifier: MIT */
/* What other nodes want done here. */
#ifndef VSI_CLUSTER_INWARD_H
#define VSI_CLUSTER_INWARD_H

#include "cluster/peer.h"
#include "cluster/wire.h"

/* ASK, LIST, EVENT, REFRESH, PUBLISH from another node: to be done by the actor. Under the lock. */
void vsi_inward_take(vestry_cluster *cluster, vsi_peer *peer, const vsi_wire_message *message);
void vsi_inward_run(vestry_actor *actor, void *cluster);
void vsi_inward_drop(vestry_message *message, void *cluster);

#endif
