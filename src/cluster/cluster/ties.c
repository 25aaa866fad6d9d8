/* SPDX-License-Identifier: MIT */
#include "cluster/cluster/ties.h"

#include "app/page/topic.h"
#include "app/presence/spread.h"
#include "base/memory.h"
#include "cluster/cluster/cluster.h"
#include "cluster/cluster/dispatch.h"
#include "cluster/cluster/peers.h"
#include "cluster/cluster/renewals.h"
#include "cluster/cluster/reservations.h"
#include "cluster/cluster/tell.h"

static vestry_err come(vestry_cluster *cluster, uint64_t hash) {
  bool is_first;
  vestry_err error = vsi_keys_come(&cluster->keys, hash, &is_first);
  if (is_first) vsi_cluster_tell_soon(cluster);
  return error;
}

static void leave(vestry_cluster *cluster, uint64_t hash, vestry_handle handle) {
  bool is_first;
  vsi_keys_leave(&cluster->keys, hash, handle, &is_first);
  if (is_first) vsi_cluster_tell_soon(cluster);
}

static vestry_err key_comes(const vestry_scoped_key *key, vestry_keep_policy policy, void *cluster) {
  (void)policy;
  return come(cluster, vsi_cluster_hash_key(cluster, key));
}

static void key_left(const vestry_scoped_key *key, vestry_handle handle, void *cluster) {
  leave(cluster, vsi_cluster_hash_key(cluster, key), handle);
}

static void key_came(const vestry_scoped_key *key, vestry_keep_policy policy, vestry_handle handle, void *ctx) {
  vestry_cluster *cluster = ctx;
  bool is_first;
  if (!handle) {
    key_left(key, 0, ctx);
  } else if (policy == VESTRY_KEEP_REPLACE) {
    vsi_keys_replaced(&cluster->keys, vsi_cluster_hash_key(cluster, key), handle, &is_first);
    if (is_first) vsi_cluster_tell_soon(cluster);
  }
}

static vestry_err channel_comes(const void *bytes, size_t len, void *cluster) {
  return come(cluster, vsi_cluster_hash_channel(cluster, bytes, len));
}

static void channel_left(const void *bytes, size_t len, void *cluster) {
  leave(cluster, vsi_cluster_hash_channel(cluster, bytes, len), 0);
}

static vestry_err broadcast(const vestry_scoped_key *name, vestry_event *event, void *ctx) {
  return vsi_tell_event(ctx, name, event);
}

static bool is_held(const vestry_scoped_key *key, void *ctx) {
  vestry_cluster *cluster = ctx;
  return vsi_keys_others(&cluster->keys, vsi_cluster_hash_key(cluster, key)) != 0;
}

/* The next heartbeat comes at once: it says so. */
static void drains(void *ctx) {
  vestry_cluster *cluster = ctx;
  (void)vestry_timer_set(cluster->heartbeat, 0, cluster->heartbeat_ns / VSI_NS_PER_MS); /* CLOSED: the end */
}

static void guests_wait(void *cluster) {
  vsi_cluster_tell_soon(cluster);
}

/* One that has just been made has not heard what was said before. */
static void presence_begins(void *ctx) {
  vestry_cluster *cluster = ctx;
  vsi_cluster_lock(cluster);
  for (size_t i = 0; i < cluster->peers_count; i++) vsi_peer_must_sync(&cluster->peers[i]);
  vsi_cluster_unlock(cluster);
}

static bool guests_are_known(void *ctx) {
  vestry_cluster *cluster = ctx;
  vsi_cluster_lock(cluster);
  bool are = vsi_peers_are_known(cluster) && !vsi_peers_unsynced(cluster);
  vsi_cluster_unlock(cluster);
  return are;
}

vestry_err vsi_ties_make(vestry_cluster *cluster) {
  vestry *v = cluster->v;
  vestry_store_stats stored = {0};
  vsi_channels_stats joined;
  vestry_store_stats_get(v->store, &stored);
  vsi_channels_stats_get(v->channels, &joined);
  if (stored.live_count || joined.live) return VESTRY_INVALID;
  cluster->elsewhere = (vsi_elsewhere){
      .is_shared = vsi_dispatch_is_shared,
      .dispatch = vsi_dispatch_to_others,
      .broadcast = broadcast,
      .is_held = is_held,
      .drains = drains,
      .reserve = cluster->is_strict ? vsi_reservations_begin : NULL,
      .reserved = cluster->is_strict ? vsi_reservations_end : NULL,
      .address = vsi_renewals_address,
      .renew = vsi_renewals_add,
      .ctx = cluster,
  };
  cluster->store_watch = (vsi_store_watch){key_comes, key_came, key_left, cluster};
  cluster->channels_watch = (vsi_channels_watch){channel_comes, channel_left, cluster};
  cluster->presence_watch = (vsi_presence_watch){guests_wait, presence_begins, guests_are_known, cluster};
  const vsi_elsewhere *none = NULL;
  /* release pairs with vsi_instance_elsewhere */
  if (!atomic_compare_exchange_strong_explicit(&v->elsewhere, &none, &cluster->elsewhere, memory_order_release,
                                               memory_order_relaxed))
    return VESTRY_EXISTS;
  cluster->is_tied = true;
  vsi_store_watch_set(v->store, &cluster->store_watch);
  vsi_channels_watch_set(v->channels, &cluster->channels_watch);
  vsi_presences_begin(cluster->presences, &cluster->presence_watch);
  if (cluster->pages) vsi_pages_tell(cluster->pages, vsi_tell_refresh, cluster);
  return VESTRY_OK;
}

void vsi_ties_end(vestry_cluster *cluster) {
  vestry *v = cluster->v;
  const vsi_elsewhere *own = &cluster->elsewhere;
  if (!atomic_compare_exchange_strong_explicit(&v->elsewhere, &own, NULL, memory_order_release, memory_order_relaxed))
    return;
  vsi_store_watch_set(v->store, NULL);
  vsi_channels_watch_set(v->channels, NULL);
  vsi_presences_end(cluster->presences);
  if (cluster->pages) vsi_pages_tell(cluster->pages, NULL, NULL);
}
