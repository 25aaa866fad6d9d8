/* SPDX-License-Identifier: MIT */
/* What people who look at a cluster are shown, beside what vestry/cluster.h says. */
#ifndef VSI_CLUSTER_STATS_H
#define VSI_CLUSTER_STATS_H

#include "vestry/cluster.h"

/* Tell of each member, this node first: on this thread, no lock held. OK | NO_MEMORY. Any thread; takes a lock
 * briefly. */
vestry_err vsi_cluster_members(vestry_cluster *cluster, vestry_member_fn fn, void *ctx);

#endif
