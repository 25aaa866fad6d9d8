/* SPDX-License-Identifier: MIT */
/* Requests and messages of other nodes that are performed here. */
#ifndef VSI_CLUSTER_SERVED_REQUESTS_H
#define VSI_CLUSTER_SERVED_REQUESTS_H

#include "cluster/cluster/peer.h"
#include "cluster/cluster/wire.h"

/* Take a REQUEST, EVENT, REFRESH or PUBLISH of another node; the actor performs it once vsi_served_rouse has
 * woken it. may_do: this thread, the broker's, may perform some itself, because the broker reports the last message of
 * a batch. Under the lock. true: it is a REQUEST that this thread must perform, by vsi_served_do without the lock. */
bool vsi_served_take(vestry_cluster *cluster, vsi_peer *peer, const vsi_wire_message *message, bool may_do);
/* Reply to a QUESTION of another node. Under the lock. */
void vsi_served_question(vestry_cluster *cluster, vsi_peer *peer, const vsi_wire_message *message);
/* Wake the actor if necessary. Called after each message; has_more: another one follows at once. Under the lock. */
void vsi_served_rouse(vestry_cluster *cluster, bool has_more);
void vsi_served_do(vestry_cluster *cluster, const vsi_wire_message *message);
void vsi_served_run(vestry_actor *actor, void *cluster);
void vsi_served_drop(vestry_message *message, void *cluster);

#endif
