/* SPDX-License-Identifier: MIT */
/* What people who look at a cluster are shown, beside what vestry/cluster/cluster.h says. */
#ifndef VSI_CLUSTER_STATS_H
#define VSI_CLUSTER_STATS_H

#include "vestry/cluster/cluster.h"

typedef struct vsi_cluster_member {
  char node[VESTRY_NODE_MAX_BYTES + 1];
  vestry_member_state state;
  uint64_t gaps_count, lost_count; /* in what it has sent; of this node: in what senders did that are not known */
  uint64_t gap_ago_ms;             /* since the last gap was told; VESTRY_NEVER_MS: there was none */
} vsi_cluster_member;
typedef void (*vsi_cluster_member_fn)(const vsi_cluster_member *member, void *ctx);

/* Tell of each member, this node first: on this thread, no lock held. A node that has lost its place to another one
 * is not told of, so gaps of all may be fewer than vestry_cluster_stats counts. OK | NO_MEMORY. Any thread; takes a
 * lock briefly. */
VESTRY_API vestry_err vsi_cluster_members(vestry_cluster *cluster, vsi_cluster_member_fn fn, void *ctx);

#endif
