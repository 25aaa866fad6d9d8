/* SPDX-License-Identifier: MIT */
/* Membership: which nodes are alive, and which of their messages have arrived. The caller holds the cluster's lock. */
#ifndef VSI_CLUSTER_MEMBERS_H
#define VSI_CLUSTER_MEMBERS_H

#include "app/presence/bits.h"
#include "cluster/cluster/peer.h"
#include "cluster/cluster/wire.h"
#include "vestry/cluster/cluster.h"

/* Find a node by its id. NULL: unknown. */
vsi_peer *vsi_peers_find(const vestry_cluster *cluster, uint64_t id);
/* Return whether a message of a node arrived so recently that no other run with its name is considered. */
bool vsi_peer_is_well(const vestry_cluster *cluster, const vsi_peer *peer);
/* Return the live nodes whose keys are not known completely. */
vsi_bits vsi_peers_unsynced(const vestry_cluster *cluster);
/* Return whether all live nodes are known: this node has been connected for two heartbeats without standing still, and
 * every node has a slot. */
bool vsi_peers_are_known(const vestry_cluster *cluster);

/* Return the flag DRAINS if this node drains; otherwise 0. */
uint8_t vsi_members_own_flags(const vestry_cluster *cluster);
/* Report that messages of a node were lost, and request a full announcement; lost_count 0: unknown number. */
void vsi_members_lose(vestry_cluster *cluster, vsi_peer *peer, uint64_t lost_count);

/* Accept a proof: the run is alive, again or from now on, with this name; all_seq: the last number of its messages to
 * all nodes.
 * NULL: no slot is free, or another run of the node is well. */
vsi_peer *vsi_members_prove(vestry_cluster *cluster, const vsi_wire_message *message, const vestry_slice *name,
                            uint64_t all_seq);
/* Record a message of an accepted run: its turn, its time, and whether the node drains. */
void vsi_members_record(vestry_cluster *cluster, vsi_peer *peer, const vsi_wire_message *message);
/* Count a numbered message. false: it has arrived before. */
bool vsi_members_count(vestry_cluster *cluster, vsi_peer *peer, const vsi_wire_message *message);
/* Check the last number that a node has assigned for a gap at the end. false: the message is older than others that
 * have arrived. */
bool vsi_members_catch_up(vestry_cluster *cluster, vsi_peer *peer, const vsi_wire_message *message);
/* Note to which run of this node another node has sent a message. */
void vsi_members_note_receiver(vestry_cluster *cluster, const vsi_wire_message *message);
/* Return whether all live nodes accept this run as the node of its name: since this node was last connected or stood
 * still, each has sent a message to it, and none to another run since. Without other nodes: whether this node has
 * listened for dead_ms. */
bool vsi_members_is_accepted(const vestry_cluster *cluster);
/* Handle a GOODBYE. */
void vsi_members_leave(vestry_cluster *cluster, vsi_peer *peer, const vsi_wire_message *message);
/* Make nodes suspect or dead that have been silent for long enough. Called at each heartbeat. The time in which this
 * node itself stood still does not count, because messages may have arrived in it that are not read yet. */
void vsi_members_judge(vestry_cluster *cluster);

void vsi_members_send_goodbye(vestry_cluster *cluster);
/* End the participation of this node, because another node has its name. */
void vsi_members_give_up(vestry_cluster *cluster);

/* Reports to the application: members, gaps, other versions of the format. */

/* Report one thing. Called by the actor. false: there is nothing to report. */
bool vsi_members_report(vestry_cluster *cluster);

#endif
