/* SPDX-License-Identifier: MIT */
#include "cluster/cluster/peers.h"

#include "base/memory.h"
#include "cluster/cluster/cluster.h"

vsi_peer *vsi_peers_find(vestry_cluster *cluster, uint64_t id) {
  for (size_t i = 0; i < cluster->peers_count; i++)
    if (cluster->peers[i].id == id) return &cluster->peers[i];
  return NULL;
}

bool vsi_peer_is_well(const vestry_cluster *cluster, const vsi_peer *peer) {
  uint64_t silence_ns = vsi_now_ns(cluster->host) - peer->heard_ns;
  return vsi_peer_lives(peer) && silence_ns < 2 * cluster->heartbeat_ns && silence_ns < cluster->suspect_ns;
}

uint64_t vsi_peers_alive(const vestry_cluster *cluster) {
  uint64_t mask = 0;
  for (size_t i = 0; i < cluster->peers_count; i++)
    if (vsi_peer_lives(&cluster->peers[i])) mask |= UINT64_C(1) << i;
  return mask;
}

uint64_t vsi_peers_unsynced(const vestry_cluster *cluster) {
  uint64_t mask = 0;
  for (size_t i = 0; i < cluster->peers_count; i++)
    if (vsi_peer_lives(&cluster->peers[i]) && !cluster->peers[i].is_synced) mask |= UINT64_C(1) << i;
  return mask;
}

/* Not while a life that has proven itself has no place here: nothing is known of its keys. */
static bool all_have_places(const vestry_cluster *cluster) {
  return !cluster->placeless_ns || vsi_now_ns(cluster->host) - cluster->placeless_ns >= cluster->dead_ns;
}

bool vsi_peers_are_known(const vestry_cluster *cluster) {
  return cluster->is_up && !cluster->is_refused && all_have_places(cluster) &&
         vsi_now_ns(cluster->host) - cluster->up_ns >= 2 * cluster->heartbeat_ns;
}

bool vsi_peers_are_sure(const vestry_cluster *cluster) {
  return cluster->is_up && all_have_places(cluster) && vsi_now_ns(cluster->host) - cluster->up_ns >= cluster->dead_ns;
}
