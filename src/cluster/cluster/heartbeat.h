/* SPDX-License-Identifier: MIT */
/* Handshakes and heartbeats. The caller holds the cluster's lock, except in vsi_heartbeat_due. */
#ifndef VSI_CLUSTER_HEARTBEAT_H
#define VSI_CLUSTER_HEARTBEAT_H

#include "cluster/cluster/peer.h"
#include "cluster/cluster/wire.h"
#include "vestry/cluster/cluster.h"

/* Request a proof from the run that has sent a message, unless it is known to be alive. */
void vsi_handshake_prompt(vestry_cluster *cluster, const vsi_wire_message *message);
/* Handle a HANDSHAKE. false: it had no effect. */
bool vsi_handshake_take(vestry_cluster *cluster, const vsi_wire_message *message);
/* Handle a HEARTBEAT or HANDSHAKE of another node with this node's name. */
void vsi_handshake_twin(vestry_cluster *cluster, const vsi_wire_message *message);

/* Heartbeats. */

/* Send a HEARTBEAT to all nodes. */
void vsi_heartbeat_send(vestry_cluster *cluster);
/* Handle a HEARTBEAT of another node. */
void vsi_heartbeat_take(vestry_cluster *cluster, vsi_peer *peer, const vsi_wire_message *message);
/* Run by the timer, every heartbeat. */
void vsi_heartbeat_due(vestry_timer *timer, void *cluster);

#endif
