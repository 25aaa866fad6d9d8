/* SPDX-License-Identifier: MIT */
/* What other nodes tell of their keys. */
#ifndef VSI_CLUSTER_TOLD_H
#define VSI_CLUSTER_TOLD_H

#include "cluster/cluster/peer.h"
#include "cluster/cluster/wire.h"

/* KEYS from another node. Under the lock. */
void vsi_told_take(vestry_cluster *cluster, vsi_peer *peer, const vsi_wire_message *message);

#endif
