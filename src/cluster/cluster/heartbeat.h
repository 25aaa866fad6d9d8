/* SPDX-License-Identifier: MIT */
/* How nodes meet. All under the lock. */
#ifndef VSI_CLUSTER_HEARTBEAT_H
#define VSI_CLUSTER_HEARTBEAT_H

#include "cluster/cluster/peer.h"
#include "cluster/cluster/wire.h"
#include "vestry/cluster/cluster.h"

/* A life is heard of: ask for a proof that it goes on, unless that is known. */
void vsi_handshake_prompt(vestry_cluster *cluster, const vsi_wire_message *message);
/* HANDSHAKE. false: nothing came of it. */
bool vsi_handshake_take(vestry_cluster *cluster, const vsi_wire_message *message);
/* HELLO or HANDSHAKE of another node of this one's name. */
void vsi_handshake_twin(vestry_cluster *cluster, const vsi_wire_message *message);

/* Heartbeats. */

/* Say to all that this node is there. Under the lock. */
void vsi_heartbeat_say_hello(vestry_cluster *cluster);
/* HEARTBEAT from another node. Under the lock. */
void vsi_heartbeat_take(vestry_cluster *cluster, vsi_peer *peer, const vsi_wire_message *message);
/* The timer. */
void vsi_heartbeat_due(vestry_timer *timer, void *cluster);

#endif
