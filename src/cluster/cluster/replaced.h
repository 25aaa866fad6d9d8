/* SPDX-License-Identifier: MIT */
/* Streams here that newer streams on other nodes have replaced. */
#ifndef VSI_CLUSTER_REPLACED_H
#define VSI_CLUSTER_REPLACED_H

#include "cluster/cluster/keys.h"
#include "vestry/cluster/cluster.h"

/* Return whether another one can be noted; and note the streams that a change has replaced. Under the lock. */
bool vsi_replaced_have_room(const vestry_cluster *cluster);
void vsi_replaced_note(vestry_cluster *cluster, vsi_key_change by, vsi_keys_replaced_here replaced);
/* Close some of them. Called by the actor. false: there are none. */
bool vsi_replaced_close_some(vestry_cluster *cluster);

#endif
