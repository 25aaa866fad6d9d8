/* SPDX-License-Identifier: MIT */
/* Guests of presences, told and heard. All under the lock. */
#ifndef VSI_CLUSTER_GUESTS_H
#define VSI_CLUSTER_GUESTS_H

#include "cluster/cluster/peer.h"
#include "cluster/cluster/wire.h"

/* Tell those of a mask what waits to be told. It counts as told; a node that it does not get to wants all. */
void vsi_guests_tell(vestry_cluster *cluster, uint64_t mask);
/* Tell a node all. */
void vsi_guests_tell_all(vestry_cluster *cluster, vsi_peer *peer);
/* PRESENT from another node. */
void vsi_guests_take(vestry_cluster *cluster, vsi_peer *peer, const vsi_wire_message *message);
void vsi_guests_forget(vestry_cluster *cluster, vsi_peer *peer);

#endif
