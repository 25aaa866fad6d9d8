/* SPDX-License-Identifier: MIT */
/* The ties of a cluster to its instance: what the instance asks of other nodes, and what it tells them. */
#ifndef VSI_CLUSTER_TIES_H
#define VSI_CLUSTER_TIES_H

#include "vestry/cluster/cluster.h"

/* Nothing has been stored or joined yet, and there is no other cluster. OK | INVALID | EXISTS */
vestry_err vsi_ties_make(vestry_cluster *cluster);
void vsi_ties_end(vestry_cluster *cluster);

#endif
