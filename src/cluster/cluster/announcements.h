/* SPDX-License-Identifier: MIT */
/* Announcements of keys and of members of presences, on their way to the other nodes. The caller holds the cluster's
 * lock. */
#ifndef VSI_CLUSTER_ANNOUNCEMENTS_H
#define VSI_CLUSTER_ANNOUNCEMENTS_H

#include "cluster/cluster/peer.h"
#include "cluster/cluster/wire.h"
#include "vestry/cluster/cluster.h"

/* Announce the changes, and go on with the full announcement. Messages that the broker does not accept follow later. */
void vsi_announcements_send(vestry_cluster *cluster);
/* Return whether changes are waiting that the digest includes. */
bool vsi_announcements_wait(const vestry_cluster *cluster);
/* A node begins another run, so the current full announcement is not for it. */
void vsi_announcements_leave_out(vestry_cluster *cluster, const vsi_peer *peer);

/* Decide whether this node applies an announcement of another node. */
bool vsi_announcement_counts(vestry_cluster *cluster, vsi_peer *peer, const vsi_wire_message *message);
/* Handle a PRESENT message of another node; and drop all members that a node has announced. */
void vsi_presences_of_node_take(vestry_cluster *cluster, vsi_peer *peer, const vsi_wire_message *message);
void vsi_presences_of_node_forget(vestry_cluster *cluster, vsi_peer *peer);
/* Return whether a member fits one message. bytes: size of who, place and the presence's name together. Needs no
 * lock. */
bool vsi_presences_fit(size_t bytes, void *cluster);

#endif
