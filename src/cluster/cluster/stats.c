/* SPDX-License-Identifier: MIT */
/* What an application asks of its cluster: how members are, how many hold a key, counters. */
#include "cluster/cluster/stats.h"

#include <string.h>

#include "app/presence/spread.h"
#include "base/memory.h"
#include "base/options.h"
#include "cluster/cluster/cluster.h"
#include "cluster/cluster/peers.h"

static vestry_member_state own_state(const vestry_cluster *cluster) {
  if (cluster->is_refused) return VESTRY_MEMBER_REFUSED;
  if (cluster->has_left) return VESTRY_MEMBER_LEFT;
  return vsi_instance_is_draining(cluster->v) ? VESTRY_MEMBER_DRAINING : VESTRY_MEMBER_ALIVE;
}

vestry_member_state vestry_cluster_member(vestry_cluster *cluster, const char *node) {
  vestry_member_state state = VESTRY_MEMBER_NONE;
  if (!cluster || !node) return state;
  vsi_cluster_lock(cluster);
  if (strcmp(node, cluster->name) == 0) state = own_state(cluster);
  for (size_t i = 0; i < cluster->peers_count && state == VESTRY_MEMBER_NONE; i++)
    if (strcmp(node, cluster->peers[i].name) == 0) state = cluster->peers[i].state;
  vsi_cluster_unlock(cluster);
  return state;
}

static void describe(const vestry_cluster *cluster, const char *name, vestry_member_state state, const vsi_gaps *gaps,
                     vsi_cluster_member *member) {
  const uint64_t now_ns = vsi_now_ns(cluster->host);
  strcpy(member->node, name);
  member->state = state;
  member->gaps_count = gaps->count;
  member->lost_count = gaps->lost_count;
  member->gap_ago_ms = gaps->count ? (now_ns - gaps->last_ns) / VSI_NS_PER_MS : VESTRY_NEVER_MS;
}

vestry_err vsi_cluster_members(vestry_cluster *cluster, vsi_cluster_member_fn fn, void *ctx) {
  const vestry_host *host = cluster->v->host;
  vsi_cluster_member *members = vsi_calloc(host, VESTRY_CLUSTER_MAX_COUNT, sizeof *members);
  size_t count = 0;
  if (!members) return VESTRY_NO_MEMORY;
  vsi_cluster_lock(cluster);
  describe(cluster, cluster->name, own_state(cluster), &cluster->own_gaps, &members[count++]);
  for (size_t i = 0; i < cluster->peers_count && count < VESTRY_CLUSTER_MAX_COUNT; i++) {
    const vsi_peer *peer = &cluster->peers[i];
    if (peer->state != VESTRY_MEMBER_NONE) describe(cluster, peer->name, peer->state, &peer->gaps, &members[count++]);
  }
  vsi_cluster_unlock(cluster);
  for (size_t i = 0; i < count; i++) fn(&members[i], ctx);
  vsi_free(host, members);
  return VESTRY_OK;
}

vestry_err vestry_cluster_holders(vestry_cluster *cluster, vestry_scope scope, const vestry_key *key,
                                  size_t *ret_count) {
  if (!cluster || !ret_count) return VESTRY_INVALID;
  vsi_scoped_key name;
  vestry_err error = vsi_store_pack(cluster->v->store, &name, scope, key);
  if (error) return error;
  *ret_count = vsi_keys_holders(&cluster->keys, vsi_cluster_hash_key(cluster, &name.key));
  vsi_scoped_key_finish(&name);
  return VESTRY_OK;
}

void vestry_cluster_stats_get(vestry_cluster *cluster, vestry_cluster_stats *ret_stats) {
  uint64_t sum, count;
  vsi_cluster_lock(cluster);
  vestry_cluster_stats stats = cluster->stats;
  stats.alive_count = (size_t)__builtin_popcountll(vsi_peers_alive(cluster));
  stats.unsynced_count = (size_t)__builtin_popcountll(vsi_peers_unsynced(cluster));
  vsi_keys_told_sum(&cluster->keys, &stats.keys_count, &sum);
  for (unsigned i = 0; i < cluster->peers_count; i++) {
    vsi_keys_sum_of(&cluster->keys, i, &count, &sum);
    stats.others_keys_count += count;
  }
  vsi_presences_sum(cluster->presences, &stats.present_count, &sum);
  for (size_t i = 0; i < cluster->peers_count; i++)
    if (vsi_peer_lives(&cluster->peers[i])) stats.others_present_count += cluster->peers[i].guests_count;
  stats.keys_bytes = vsi_keys_memory_bytes(&cluster->keys);
  stats.remote_bytes = atomic_load_explicit(&cluster->remote_bytes, memory_order_relaxed);
  vsi_cluster_unlock(cluster);
  VSI_RESULT_GIVE(vestry_cluster_stats, ret_stats, stats);
}
