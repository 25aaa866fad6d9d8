/* SPDX-License-Identifier: MIT */
/* The other nodes: which there are, and what is known of them. All under the lock. */
#ifndef VSI_CLUSTER_PEERS_H
#define VSI_CLUSTER_PEERS_H

#include "cluster/cluster/peer.h"

/* NULL: there is none of this number. */
vsi_peer *vsi_peers_find(vestry_cluster *cluster, uint64_t id);
/* A node was heard of late: no other life of it counts. */
bool vsi_peer_is_well(const vestry_cluster *cluster, const vsi_peer *peer);
/* Nodes that live, a bit each; and of these, those whose keys are not known in full. */
uint64_t vsi_peers_alive(const vestry_cluster *cluster);
uint64_t vsi_peers_unsynced(const vestry_cluster *cluster);
/* All nodes that live are known: this one has been up for long enough to have heard of each. */
bool vsi_peers_are_known(const vestry_cluster *cluster);
/* The same, and a node that is silent is dead: none holds a key that could not be asked. */
bool vsi_peers_are_sure(const vestry_cluster *cluster);

#endif
