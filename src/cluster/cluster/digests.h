/* SPDX-License-Identifier: MIT */
/* What a node is told of keys and of members of presences: messages, some at a time. */
#ifndef VSI_CLUSTER_DIGESTS_H
#define VSI_CLUSTER_DIGESTS_H

#include "base/buffer.h"
#include "cluster/cluster/peer.h"
#include "cluster/cluster/wire.h"
#include "vestry/cluster/cluster.h"

/* KEYS and PRESENT on their way to a node, one after the other. All under the lock. */

/* Tell a node of keys or members of presences, after what it is still to be told of them. false: it wants all. */
bool vsi_digest_send(vestry_cluster *cluster, vsi_peer *peer, vsi_buffer *buffer, vsi_wire_kind kind, uint8_t flags);
/* Tell some more of what waits. */
void vsi_digests_go_on(vestry_cluster *cluster);
void vsi_digests_drop(vestry_cluster *cluster, vsi_peer *peer);

/* Members of presences, told and heard. All under the lock. */

/* PRESENT from another node. */
void vsi_presences_of_node_take(vestry_cluster *cluster, vsi_peer *peer, const vsi_wire_message *message);
void vsi_presences_of_node_forget(vestry_cluster *cluster, vsi_peer *peer);
/* Tell those of a mask what waits to be told. It counts as told; a node that it does not get to wants all. */
void vsi_presences_tell(vestry_cluster *cluster, uint64_t mask);
/* Tell a node all. */
void vsi_presences_tell_all(vestry_cluster *cluster, vsi_peer *peer);

#endif
