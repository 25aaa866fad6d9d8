/* SPDX-License-Identifier: MIT */
/* essay: a key that only one stream of all nodes has */
/* Exact REJECT and REUSE on all nodes. A node that opens such a stream reserves the key first.
 *
 * Each node knows whether it holds a key, and responds for itself. No node sees which other nodes query at the same
 * time: the reservations show that. A reservation is a name with a revision at the broker; the hash of a key selects
 * the name. To reserve a key a node proceeds as follows:
 *
 *   1. read the name's revision (and create the name if it is missing)
 *   2. query all other nodes whether they hold the key: yes → EXISTS, no response → LIMIT
 *   3. from now on, respond to other nodes that this node holds the key
 *   4. set the name if its revision is unchanged: granted; otherwise undo step 3, and start again (TRIES times)
 *
 * If two nodes do so at once, one of them fails in step 4 and queries again. A reservation is not a lock and need not
 * be released: it only shows that no other node has made one in between. When a stream ends or its node dies, no node
 * responds any more that it holds the key, so the key is free. Keys whose hashes select the same name delay each other,
 * and have no other effect.
 *
 * Step 3 comes before step 4, because a node that queries while the outcome is open must not conclude that the key is
 * free. It comes after step 2, so that two nodes that query each other do not both fail.
 *
 * A node that does not respond may hold the key, so no other node opens a stream until it is dead. A node that has just
 * started, has just reached the broker again, or has stood still, does not know which nodes are silent, so it opens no
 * stream for dead_ms. If it stands still between steps 2 and 4, the others may regard it as dead, and open a stream; so
 * these steps must not take dead_ms. In a partition only the side that reaches the reservations opens streams; the
 * other side keeps those that it has. */
#include "cluster/cluster/reservations.h"

#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "cluster/cluster/cluster.h"
#include "cluster/cluster/members.h"
#include "cluster/cluster/remote_request.h"
#include "registry/targets.h"
#include "runtime/runtime.h"

/* Streams that a newer stream on another node has replaced. The actor closes them, because closing calls hooks of the
 * application, which must not run on the broker's thread.
 *
 * A stream that was itself put with REPLACE is known by its handle. Of other streams of the key, which were put with
 * MANY or REUSE, only the key's hash is known. To find them, the actor lists the store, one page in each run, for all
 * keys that are sought at that time. A key with two policies is rare, so this saves a record of every stream. Streams
 * that are newer than the replacing one stay. */

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
  for (size_t i = 0; i < cluster->peers_count; i++) cluster->peers[i].must_sync = true;
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
  uint64_t hash = vsi_cluster_hash_key(cluster, &key.key);
  for (size_t i = 0; i < cluster->sought_count; i++)
    if (cluster->sought[i].hash == hash) close_older(cluster, &key.key, cluster->sought[i].stamp);
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

enum { NAMES = 65536, TRIES = 5 };

typedef struct vsi_reservation {
  struct vsi_reservation *next;
  uint64_t hash;
  size_t users; /* number of threads of this node that are putting streams under the key */
  bool is_ours; /* this node responds to others that it holds the key */
  bool is_sure; /* the reservation was granted */
} vsi_reservation;

static vsi_reservation *find(vestry_cluster *cluster, uint64_t hash) {
  vsi_reservation *reservation = cluster->reservations;
  while (reservation && reservation->hash != hash) reservation = reservation->next;
  return reservation;
}

bool vsi_reservations_hold(vestry_cluster *cluster, uint64_t hash) {
  const vsi_reservation *reservation = find(cluster, hash);
  return (reservation && reservation->is_ours) || vsi_keys_are_here(&cluster->keys, hash);
}

static void let_go(vestry_cluster *cluster, vsi_reservation *reservation) {
  if (--reservation->users) return;
  vsi_reservation **link = &cluster->reservations;
  while (*link != reservation) link = &(*link)->next;
  *link = reservation->next;
  vsi_free(cluster->host, reservation);
}

/* Query all other nodes whether they hold the key. OK: none does | EXISTS: one does | LIMIT: unknown | NO_MEMORY */
static vestry_err query_others(vestry_cluster *cluster, uint64_t hash) {
  vsi_cluster_lock(cluster);
  bool are_known = vsi_peers_are_sure(cluster) && !cluster->is_refused && !cluster->has_left;
  uint64_t alive = vsi_peers_alive(cluster);
  vsi_cluster_unlock(cluster);
  if (!are_known) return VESTRY_LIMIT;
  if (!alive) return VESTRY_OK;
  uint32_t count;
  const vsi_wire_list list = {.what = VSI_WIRE_LIST_HELD, .position = hash};
  vestry_err error = vsi_remote_request_wait(cluster, &(vsi_remote_query){.list = &list, .only = alive}, &count);
  if (error == VESTRY_NO_MEMORY) return error;
  if (count) return VESTRY_EXISTS;
  return error == VESTRY_NOT_FOUND ? VESTRY_OK : VESTRY_LIMIT;
}

static void set_ours(vestry_cluster *cluster, vsi_reservation *reservation, bool is_ours) {
  vsi_cluster_lock(cluster);
  reservation->is_ours = is_ours;
  vsi_cluster_unlock(cluster);
}

/* Return whether a reservation that was granted counts. begun_ns: the time before the other nodes were queried. They
 * regarded this node as alive then, and do so for dead_ms. */
static bool is_in_time(vestry_cluster *cluster, uint64_t begun_ns) {
  vsi_cluster_lock(cluster);
  bool is = vsi_now_ns(cluster->host) - begun_ns < cluster->dead_ns && vsi_peers_are_sure(cluster);
  vsi_cluster_unlock(cluster);
  return is;
}

/* Acquire a reservation. OK: no other node has made one in between | EXISTS: the key is held | LIMIT: unknown |
 * NO_MEMORY */
static vestry_err acquire(vestry_cluster *cluster, vsi_reservation *reservation) {
  char name[VESTRY_SUBJECT_MAX_BYTES + 1];
  const vestry_broker *broker = &cluster->broker;
  snprintf(name, sizeof name, "c.%016llx.%04x", (unsigned long long)cluster->subject_hash,
           (unsigned)(reservation->hash / 2 % NAMES));
  for (int tries = 0; tries < TRIES; tries++) {
    uint64_t revision;
    size_t len = strlen(cluster->name); /* for people who look into the broker */
    vestry_err error = broker->ops->reserve(broker->broker, name, 0, cluster->name, len, &revision);
    if (error && error != VESTRY_EXISTS) return error == VESTRY_NO_MEMORY ? error : VESTRY_LIMIT;
    const uint64_t begun_ns = vsi_now_ns(cluster->host);
    error = query_others(cluster, reservation->hash);
    if (error) return error;
    set_ours(cluster, reservation, true);
    error = broker->ops->reserve(broker->broker, name, revision, cluster->name, len, &revision);
    if (!error && !is_in_time(cluster, begun_ns)) error = VESTRY_LIMIT;
    if (!error) return VESTRY_OK;
    set_ours(cluster, reservation, false);
    if (error != VESTRY_EXISTS) return error == VESTRY_NO_MEMORY ? error : VESTRY_LIMIT;
  }
  return VESTRY_LIMIT;
}

/* Find or make the reservation of a key, and count this thread as a user of it. While another thread of this node
 * acquires the reservation, wait until it is granted or gone. OK | LIMIT (this thread must not wait) | NO_MEMORY */
static vestry_err enter(vestry_cluster *cluster, uint64_t hash, vsi_reservation **ret_reservation) {
  vsi_reservation *reservation;
  while ((reservation = find(cluster, hash)) != NULL && !reservation->is_sure) {
    if (vsi_runtime_is_stepped(cluster->runtime)) return VESTRY_LIMIT; /* this thread is acquiring it */
    vsi_mutex_wait(&cluster->lock, &cluster->reserved);
  }
  if (!reservation) {
    reservation = vsi_calloc(cluster->host, 1, sizeof *reservation);
    if (!reservation) return VESTRY_NO_MEMORY;
    reservation->hash = hash;
    reservation->is_ours = reservation->is_sure =
        vsi_keys_are_here(&cluster->keys, hash); /* this node holds the key: its store decides */
    reservation->next = cluster->reservations;
    cluster->reservations = reservation;
  }
  reservation->users++;
  *ret_reservation = reservation;
  return VESTRY_OK;
}

vestry_err vsi_reservations_begin(const vestry_scoped_key *key, void *ctx) {
  vestry_cluster *cluster = ctx;
  if (!vsi_remote_request_may_wait(cluster)) return VESTRY_LIMIT;
  vsi_reservation *reservation = NULL;
  vsi_cluster_lock(cluster);
  vestry_err error = enter(cluster, vsi_cluster_hash_key(cluster, key), &reservation);
  bool is_sure = error || reservation->is_sure;
  vsi_cluster_unlock(cluster);
  if (is_sure) return error;
  error = acquire(cluster, reservation);
  vsi_cluster_lock(cluster);
  cluster->stats.reservations_count++;
  cluster->stats.reservations_refused_count += error == VESTRY_EXISTS;
  cluster->stats.reservations_unknown_count += error && error != VESTRY_EXISTS;
  reservation->is_sure = !error;
  if (error) let_go(cluster, reservation);
  pthread_cond_broadcast(&cluster->reserved);
  vsi_cluster_unlock(cluster);
  return error;
}

void vsi_reservations_end(const vestry_scoped_key *key, void *ctx) {
  vestry_cluster *cluster = ctx;
  vsi_cluster_lock(cluster);
  let_go(cluster, find(cluster, vsi_cluster_hash_key(cluster, key)));
  vsi_cluster_unlock(cluster);
}
