/* SPDX-License-Identifier: MIT */
/* What is told to all nodes. */
#ifndef VSI_CLUSTER_ANNOUNCE_H
#define VSI_CLUSTER_ANNOUNCE_H

#include "cluster/cluster/peer.h"
#include "cluster/cluster/wire.h"
#include "store/scoped_key.h"
#include "vestry/cluster/cluster.h"

/* Tell the others what waits to be told. Under the lock. */
void vsi_announce_locked(vestry_cluster *cluster);
/* The timer for it. */
void vsi_announce_due(vestry_timer *timer, void *cluster);
/* Send an event to the nodes where a channel has members. Returns as vsi_elsewhere.broadcast. */
vestry_err vsi_announce_event(vestry_cluster *cluster, const vestry_scoped_key *name, vestry_event *event);
/* A page is refreshed. */
void vsi_announce_refresh(const char *topic, size_t len, void *cluster);

#endif
