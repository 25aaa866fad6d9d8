/* SPDX-License-Identifier: MIT */
/* Streams that a newer stream on another node has replaced. The actor closes them, because closing calls hooks of the
 * application, which must not run on the broker's thread.
 *
 * A stream that was itself put with REPLACE is known by its handle. Of other streams of the key, which were put with
 * MANY or REUSE, only the key's hash is known. To find them, the actor lists the store, one page in each run, for all
 * keys that are sought at that time. A key with two policies is rare, so this saves a record of every stream. Streams
 * that are newer than the replacing one stay. */
#include "cluster/cluster/replaced.h"

#include <string.h>

#include "cluster/cluster/cluster.h"
#include "cluster/cluster/members.h"
#include "registry/context.h"

enum { CLOSED_MAX = 64, PAGE_COUNT = 256 };

bool vsi_replaced_have_room(const vestry_cluster *cluster) {
  return cluster->closing_count < VSI_CLOSING_MAX && cluster->older_count < VSI_OLDER_MAX;
}

void vsi_replaced_note(vestry_cluster *cluster, vsi_key_change by, vsi_keys_replaced_here replaced) {
  if (replaced.handle) cluster->closing[cluster->closing_count++] = replaced.handle;
  if (replaced.has_others) cluster->older[cluster->older_count++] = (vsi_older){by.hash, by.stamp};
  if (replaced.handle || replaced.has_others) vsi_cluster_notify(cluster);
  cluster->stats.replaced_count += replaced.handle != 0;
}

/* Close streams whose handles are known, CLOSED_MAX at most. false: there were none. */
static bool close_known(vestry_cluster *cluster) {
  vestry_handle handles[CLOSED_MAX];
  vsi_cluster_lock(cluster);
  size_t count = cluster->closing_count < CLOSED_MAX ? cluster->closing_count : CLOSED_MAX;
  cluster->closing_count -= count;
  memcpy(handles, cluster->closing + cluster->closing_count, count * sizeof *handles);
  vsi_cluster_unlock(cluster);
  for (size_t i = 0; i < count; i++)
    (void)vestry_store_remove_if(vestry_parts_of(cluster->v)->store, handles[i], VESTRY_CAUSE_REPLACED);
  return count > 0;
}

/* Request full announcements after a failed allocation; they come with the next heartbeats. */
static void have_it_announced_again(vestry_cluster *cluster) {
  vsi_cluster_lock(cluster);
  for (size_t i = 0; i < cluster->peers_count; i++) cluster->peers[i]->must_sync = true;
  vsi_cluster_unlock(cluster);
}

static void close_older(vestry_cluster *cluster, const vestry_scoped_key *key, uint64_t stamp) {
  vsi_targets found;
  vsi_targets_init(&found, cluster->host);
  if (vsi_targets_find(&found, vestry_parts_of(cluster->v)->store, key) == VESTRY_NO_MEMORY)
    have_it_announced_again(cluster);
  for (size_t i = 0; i < found.count; i++) {
    vestry_connection_stats stats = {0};
    vestry_connection_stats_get(found.items[i], &stats);
    if (vsi_keys_clock_at(&cluster->keys, stats.opened_ns) >= stamp) continue;
    if (!vestry_connection_close(found.items[i], VESTRY_CAUSE_REPLACED)) continue;
    vsi_cluster_lock(cluster);
    cluster->stats.replaced_count++;
    vsi_cluster_unlock(cluster);
  }
  vsi_targets_finish(&found);
}

static void look_at(const vestry_listed *listed, void *ctx) {
  vestry_cluster *cluster = ctx;
  vsi_scoped_key key;
  const vsi_wire_name name = {{listed->scope.data, listed->scope.len}, {listed->key, listed->key_len}};
  if (vsi_cluster_pack(cluster, name, &key)) { /* NO_MEMORY */
    have_it_announced_again(cluster);
    return;
  }
  uint64_t hash = vsi_cluster_hash_key(cluster, key.key);
  for (size_t i = 0; i < cluster->sought_count; i++)
    if (cluster->sought[i].hash == hash) close_older(cluster, key.key, cluster->sought[i].stamp);
  vsi_scoped_key_finish(&key);
}

/* Begin a listing for the keys that are waiting. */
static void begin(vestry_cluster *cluster) {
  vsi_cluster_lock(cluster);
  cluster->sought_count = cluster->older_count;
  memcpy(cluster->sought, cluster->older, cluster->older_count * sizeof *cluster->older);
  cluster->older_count = 0;
  vsi_cluster_unlock(cluster);
  cluster->sought_at = (vestry_list_cursor){0};
}

/* Close older streams in one page of the store. false: no key is sought. */
static bool close_sought(vestry_cluster *cluster) {
  if (!cluster->sought_count) begin(cluster);
  if (!cluster->sought_count) return false;
  vestry_err error =
      vestry_store_list(vestry_parts_of(cluster->v)->store, NULL, PAGE_COUNT, &cluster->sought_at, look_at, cluster);
  if (error) have_it_announced_again(cluster); /* NO_MEMORY */
  if (error || cluster->sought_at.done) cluster->sought_count = 0;
  return true;
}

bool vsi_replaced_close_some(vestry_cluster *cluster) {
  bool has_more = close_known(cluster);
  return close_sought(cluster) || has_more;
}
