/* SPDX-License-Identifier: MIT */
/* Channels and keys that were sent to some nodes alone, for as long as another one may tell too late that it has
 * members. All under the lock. */
#ifndef VSI_CLUSTER_RECENT_H
#define VSI_CLUSTER_RECENT_H

#include "vestry/cluster/cluster.h"

void vsi_recent_note(vestry_cluster *cluster, uint64_t hash, uint64_t sent);
/* Whether something was sent since then, and not to a node. */
bool vsi_recent_was_without(const vestry_cluster *cluster, uint64_t hash, unsigned node, uint64_t since_ns);
/* A node tells just now that a channel has a member there. true: it has missed what was sent before, which is said
 * once. */
bool vsi_recent_look_back(vestry_cluster *cluster, uint64_t hash, unsigned node);

#endif
