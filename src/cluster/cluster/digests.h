/* SPDX-License-Identifier: MIT */
/* Announcements of keys and members of presences to one node: messages that are sent a few at a time. (A vsi_digest is
 * such a message while it waits. The digest in a heartbeat is a different thing: keys.c.) */
#ifndef VSI_CLUSTER_DIGESTS_H
#define VSI_CLUSTER_DIGESTS_H

#include "base/buffer.h"
#include "cluster/cluster/peer.h"
#include "cluster/cluster/wire.h"
#include "vestry/cluster/cluster.h"

/* KEYS and PRESENT on their way to a node, in order. The caller holds the cluster's lock. */

/* Send an announcement to a node, after those that are still waiting for it. false: the node must get a full
 * announcement. */
bool vsi_digest_send(vestry_cluster *cluster, vsi_peer *peer, vsi_buffer *buffer, vsi_wire_kind kind, uint8_t flags);
/* Send some of the announcements that wait, for all nodes; and drop all that wait for one node. */
void vsi_digests_go_on(vestry_cluster *cluster);
/* Begin a full announcement to a node: drop those that wait, and set the size of its runs. */
void vsi_digests_begin_all(vestry_cluster *cluster, vsi_peer *peer);
void vsi_digests_drop(vestry_cluster *cluster, vsi_peer *peer);

/* Members of presences. The caller holds the cluster's lock. */

/* Handle a PRESENT message of another node; and drop all members that a node has announced. */
void vsi_presences_of_node_take(vestry_cluster *cluster, vsi_peer *peer, const vsi_wire_message *message);
void vsi_presences_of_node_forget(vestry_cluster *cluster, vsi_peer *peer);
/* Announce the waiting changes to the nodes of a mask. They count as announced; a node to which they cannot be sent
 * must get a full announcement. */
void vsi_presences_announce(vestry_cluster *cluster, uint64_t mask);
/* Return whether a member fits one message. bytes: size of who, place and the presence's name together. Needs no
 * lock. */
bool vsi_presences_fit(const vestry_cluster *cluster, size_t bytes);
/* Announce all members to a node. */
void vsi_presences_announce_all(vestry_cluster *cluster, vsi_peer *peer);

#endif
