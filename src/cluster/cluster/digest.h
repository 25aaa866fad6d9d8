/* SPDX-License-Identifier: MIT */
/* KEYS and PRESENT on their way to a node, one after the other. All under the lock. */
#ifndef VSI_CLUSTER_DIGEST_H
#define VSI_CLUSTER_DIGEST_H

#include "cluster/cluster/peer.h"
#include "cluster/cluster/wire.h"

/* Tell a node of keys or guests, after what it is still to be told of them. false: it wants all. */
bool vsi_digest_send(vestry_cluster *cluster, vsi_peer *peer, vsi_buffer *buffer, vsi_wire_kind kind, uint8_t flags);
/* Tell some more of what waits. */
void vsi_digests_go_on(vestry_cluster *cluster);
void vsi_digests_drop(vestry_cluster *cluster, vsi_peer *peer);

#endif
