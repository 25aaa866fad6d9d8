/* SPDX-License-Identifier: MIT */
/* Reservations: which node may put a stream under a key that one stream of all nodes has. Only in strict clusters. */
#ifndef VSI_CLUSTER_RESERVATIONS_H
#define VSI_CLUSTER_RESERVATIONS_H

#include "cluster/cluster/keys.h"
#include "store/scoped_key.h"
#include "vestry/cluster/cluster.h"

/* Functions reserve and reserved of vsi_elsewhere. */
vestry_err vsi_reservations_begin(const vestry_scoped_key *key, void *cluster);
void vsi_reservations_end(const vestry_scoped_key *key, void *cluster);
/* Return whether this node holds a key, or is about to. Under the lock. */
bool vsi_reservations_hold(vestry_cluster *cluster, uint64_t hash);

/* Streams here that newer streams on other nodes have replaced. */

/* Return whether another one can be noted; and note the streams that a change has replaced. Under the lock. */
bool vsi_replaced_have_room(const vestry_cluster *cluster);
void vsi_replaced_note(vestry_cluster *cluster, vsi_key_change by, vsi_keys_replaced_here replaced);
/* Close some of them. Called by the actor. false: there are none. */
bool vsi_replaced_close_some(vestry_cluster *cluster);

#endif
