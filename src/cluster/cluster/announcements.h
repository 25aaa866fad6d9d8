/* SPDX-License-Identifier: MIT */
/* Announcements to other nodes. The caller holds the cluster's lock, except where "takes the lock" is
 * noted. */
#ifndef VSI_CLUSTER_ANNOUNCEMENTS_H
#define VSI_CLUSTER_ANNOUNCEMENTS_H

#include "cluster/cluster/peer.h"
#include "cluster/cluster/wire.h"
#include "store/scoped_key.h"
#include "vestry/cluster/cluster.h"

/* Send the waiting announcements. */
void vsi_announce_locked(vestry_cluster *cluster);
/* The same, by the timer for it. Takes the lock. */
void vsi_announce_due(vestry_timer *timer, void *cluster);
/* Drop the waiting messages, after which all nodes need a full announcement. */
void vsi_announcements_drop(vestry_cluster *cluster);
/* Return whether changes are waiting that the digest includes. */
bool vsi_announcements_wait(const vestry_cluster *cluster);

/* Decide whether this node applies an announcement of another node. */
bool vsi_announcement_counts(vestry_cluster *cluster, vsi_peer *peer, const vsi_wire_message *message);
/* Handle a PRESENT message of another node. */
void vsi_presences_of_node_take(vestry_cluster *cluster, vsi_peer *peer, const vsi_wire_message *message);
/* Return whether a member fits one message. bytes: size of who, place and the presence's name together. Needs no
 * lock. */
bool vsi_presences_fit(size_t bytes, void *cluster);

/* Send an event to the nodes where a channel has members. Returns as vsi_elsewhere.broadcast. Takes the lock. */
vestry_err vsi_announce_event(const vestry_scoped_key *name, vestry_event *event, void *cluster);
/* Announce a refresh of the pages of a topic; len 0: of all pages. Takes the lock. */
void vsi_announce_refresh(bool is_report, const char *topic, size_t len, void *cluster);

#endif
