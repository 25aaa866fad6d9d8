/* SPDX-License-Identifier: MIT */
/* What other nodes want done here. */
#ifndef VSI_CLUSTER_SERVED_REQUESTS_H
#define VSI_CLUSTER_SERVED_REQUESTS_H

#include "cluster/cluster/peer.h"
#include "cluster/cluster/wire.h"

/* REQUEST, LIST, EVENT, REFRESH, PUBLISH from another node: to be done by the actor, which vsi_served_rouse rouses.
 * may_do: the broker's thread may do some itself, as it says when it has told all. Under the lock. true: it is a
 * REQUEST, which this thread does, by vsi_served_do without the lock. */
bool vsi_served_take(vestry_cluster *cluster, vsi_peer *peer, const vsi_wire_message *message, bool may_do);
/* After each message; has_more: another one follows right away. Under the lock. */
void vsi_served_rouse(vestry_cluster *cluster, bool has_more);
void vsi_served_do(vestry_cluster *cluster, const vsi_wire_message *message);
void vsi_served_run(vestry_actor *actor, void *cluster);
void vsi_served_drop(vestry_message *message, void *cluster);

#endif
