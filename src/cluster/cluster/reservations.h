/* SPDX-License-Identifier: MIT */
/* Which node may keep a stream under a key that one stream has alone. */
#ifndef VSI_CLUSTER_RESERVATIONS_H
#define VSI_CLUSTER_RESERVATIONS_H

#include "store/scoped_key.h"
#include "vestry/cluster/cluster.h"

/* vsi_elsewhere.reserve and reserved */
vestry_err vsi_reservations_begin(const vestry_scoped_key *key, void *cluster);
void vsi_reservations_end(const vestry_scoped_key *key, void *cluster);
/* Whether this node holds a key. Under the lock. */
bool vsi_reservations_hold(vestry_cluster *cluster, uint64_t hash);

#endif
