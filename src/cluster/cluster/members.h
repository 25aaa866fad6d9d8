/* SPDX-License-Identifier: MIT */
/* Which nodes live, and what of theirs has come. All under the lock. */
#ifndef VSI_CLUSTER_MEMBERS_H
#define VSI_CLUSTER_MEMBERS_H

#include "cluster/cluster/peer.h"
#include "cluster/cluster/wire.h"
#include "vestry/cluster/cluster.h"

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

/* DRAINS if this node does. */
uint8_t vsi_members_own_flags(const vestry_cluster *cluster);
/* Something was lost of what a node has sent; lost_count 0: it is not known how much. */
void vsi_members_lose(vestry_cluster *cluster, vsi_peer *peer, uint64_t lost_count);

/* A life has proven itself: it lives, again or from now on. It has this name. NULL: there is no place for it, or
 * another life of the node is well. */
vsi_peer *vsi_members_prove(vestry_cluster *cluster, const vsi_wire_message *message, const vestry_slice *name);
/* Whether a node that is not known has no place: those that live have all. */
bool vsi_members_are_full(const vestry_cluster *cluster);
/* A life that has no place has proven itself. */
void vsi_members_note_placeless(vestry_cluster *cluster, uint64_t epoch, const vestry_slice *name);
/* A life that counts speaks. */
void vsi_members_hear(vestry_cluster *cluster, vsi_peer *peer, const vsi_wire_message *message);
/* A message that is numbered has come. false: it has come before. */
bool vsi_members_count(vestry_cluster *cluster, vsi_peer *peer, const vsi_wire_message *message);
/* The last number that was given. false: it is not news. */
bool vsi_members_catch_up(vestry_cluster *cluster, vsi_peer *peer, uint64_t seq);
/* GOODBYE */
void vsi_members_leave(vestry_cluster *cluster, vsi_peer *peer, const vsi_wire_message *message);
/* How long a node has been silent: it may be suspect by now, or dead. */
void vsi_members_judge(vestry_cluster *cluster, vsi_peer *peer, uint64_t now_ns);

void vsi_members_say_goodbye(vestry_cluster *cluster);
/* This node takes no part any more: there was another one of its name before, or there are as many as there may be
 * (one_too_many). */
void vsi_members_give_up(vestry_cluster *cluster, bool one_too_many);

/* What the application is to be told of members, gaps and versions. */

/* The actor's: tell one thing. false: there is nothing. */
bool vsi_news_tell(vestry_cluster *cluster);

#endif
