/* SPDX-License-Identifier: MIT */
/* Which node may keep a stream under a key that one stream has alone. */
#ifndef VSI_CLUSTER_RESERVATIONS_H
#define VSI_CLUSTER_RESERVATIONS_H

#include "cluster/cluster/keys.h"
#include "store/scoped_key.h"
#include "vestry/cluster/cluster.h"

/* vsi_elsewhere.reserve and reserved */
vestry_err vsi_reservations_begin(const vestry_scoped_key *key, void *cluster);
void vsi_reservations_end(const vestry_scoped_key *key, void *cluster);
/* Whether this node holds a key. Under the lock. */
bool vsi_reservations_hold(vestry_cluster *cluster, uint64_t hash);

/* Streams here that newer ones on other nodes have replaced. */

/* Whether another one can be noted; and note what a change has replaced. Under the lock. */
bool vsi_replaced_have_room(const vestry_cluster *cluster);
void vsi_replaced_note(vestry_cluster *cluster, vsi_key_change by, vsi_keys_replaced_here replaced);
/* The actor's: close some of them. false: there are none. */
bool vsi_replaced_close_some(vestry_cluster *cluster);

#endif
