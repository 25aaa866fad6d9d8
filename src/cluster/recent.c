/* SPDX-License-Identifier: MIT */
/* An event, or a dispatch, goes to the nodes that have told that they have members. A node that has told too late,
 * because its telling was under way, must not miss it without a word (told.c). Of several that share a place, only the
 * nodes that all of them were sent to are known. */
#include "cluster/recent.h"

#include "base/memory.h"
#include "cluster/cluster.h"

enum { KEPT_MS = 2000 };

static uint64_t kept_ns(const vestry_cluster *cluster) {
  return cluster->dead_ns + KEPT_MS * VSI_NS_PER_MS;
}

void vsi_recent_note(vestry_cluster *cluster, uint64_t hash, uint64_t sent) {
  vsi_recent *recent = &cluster->recent[hash % VSI_RECENT_CHANNELS];
  uint64_t now_ns = vsi_now_ns(cluster->host);
  bool is_old = !recent->at_ns || now_ns - recent->at_ns > kept_ns(cluster);
  if (is_old)
    *recent = (vsi_recent){hash, sent, now_ns};
  else
    *recent = (vsi_recent){recent->hash == hash ? hash : 0, recent->sent & sent, now_ns};
}

bool vsi_recent_was_without(const vestry_cluster *cluster, uint64_t hash, unsigned node, uint64_t since_ns) {
  const vsi_recent *recent = &cluster->recent[hash % VSI_RECENT_CHANNELS];
  return recent->at_ns && recent->at_ns >= since_ns && (!recent->hash || recent->hash == hash) &&
         !(recent->sent >> node & 1);
}

bool vsi_recent_look_back(vestry_cluster *cluster, uint64_t hash, unsigned node) {
  uint64_t now_ns = vsi_now_ns(cluster->host);
  if (!vsi_recent_was_without(cluster, hash, node, now_ns > kept_ns(cluster) ? now_ns - kept_ns(cluster) : 0))
    return false;
  cluster->recent[hash % VSI_RECENT_CHANNELS].sent |= UINT64_C(1) << node;
  return true;
}
