/* SPDX-License-Identifier: MIT */
/* essay: a key that one stream has alone, on whatever node */
/* REJECT and REUSE on all nodes, exactly: a node that opens such a stream claims the key first.
 *
 * Whether a key is held its nodes know best: each answers for itself. What they cannot see is which other node asks at
 * the same time. The broker's claims tell that: names with a revision each, of which one is set for a key by its hash.
 * A node that wants the key reads the revision, asks all others whether they hold it, and sets the name if its revision
 * is still the one that was read. Of two that do so at once one is refused, and asks again. So nothing is released: the
 * claim is no lock, but tells that no other node has come in between; a stream that ends, or a node that dies, is not
 * held any more, and that is all. Keys whose hashes share a name disturb each other and no more.
 *
 * From when it sets the name, a node says that it holds the key: one that asks before it knows what came of it must not
 * hear a no. Until then it says no, so that two that ask each other do not both give up.
 *
 * A node that cannot be asked may hold it: the answer is no, until it is taken for dead. Nor does a node that has just
 * begun, or has just reached the broker again, know which nodes are silent: until dead_ms have passed it lets no stream
 * in. In a partition only the side that reaches the claims lets streams in; the other side keeps its own. */
#include "cluster/claims.h"

#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "cluster/ask.h"
#include "cluster/cluster.h"
#include "cluster/peers.h"
#include "runtime/runtime.h"

enum { NAMES = 65536, TRIES = 5 };

typedef struct vsi_claim {
  struct vsi_claim *next;
  uint64_t hash;
  size_t users; /* threads of this node that put a stream under it */
  bool is_ours; /* others are told that it is held */
  bool is_sure; /* and it is: the claim is done with */
} vsi_claim;

static vsi_claim *find(vestry_cluster *cluster, uint64_t hash) {
  vsi_claim *claim = cluster->claims;
  while (claim && claim->hash != hash) claim = claim->next;
  return claim;
}

bool vsi_claims_hold(vestry_cluster *cluster, uint64_t hash) {
  const vsi_claim *claim = find(cluster, hash);
  return (claim && claim->is_ours) || vsi_keys_are_here(&cluster->keys, hash);
}

static void let_go(vestry_cluster *cluster, vsi_claim *claim) {
  if (--claim->users) return;
  vsi_claim **link = &cluster->claims;
  while (*link != claim) link = &(*link)->next;
  *link = claim->next;
  vsi_free(cluster->host, claim);
}

/* OK: no node does | EXISTS: one does | LIMIT: that is not known */
static vestry_err ask_others(vestry_cluster *cluster, uint64_t hash) {
  vsi_cluster_lock(cluster);
  bool are_known = vsi_peers_are_sure(cluster) && !cluster->is_refused && !cluster->has_left;
  uint64_t alive = vsi_peers_alive(cluster);
  vsi_cluster_unlock(cluster);
  if (!are_known) return VESTRY_LIMIT;
  if (!alive) return VESTRY_OK;
  uint32_t count;
  const vsi_wire_list list = {.what = VSI_WIRE_LIST_HELD, .position = hash};
  vestry_err error = vsi_ask_wait(cluster, &(vsi_asking){.list = &list, .only = alive}, &count);
  if (error == VESTRY_NO_MEMORY) return error;
  if (count) return VESTRY_EXISTS;
  return error == VESTRY_NOT_FOUND ? VESTRY_OK : VESTRY_LIMIT;
}

static void set_ours(vestry_cluster *cluster, vsi_claim *claim, bool is_ours) {
  vsi_cluster_lock(cluster);
  claim->is_ours = is_ours;
  vsi_cluster_unlock(cluster);
}

/* OK: no other node has come in between | EXISTS: the key is held | LIMIT: that is not known | NO_MEMORY */
static vestry_err acquire(vestry_cluster *cluster, vsi_claim *claim) {
  char name[VESTRY_SUBJECT_MAX_BYTES + 1];
  const vestry_broker *broker = &cluster->broker;
  snprintf(name, sizeof name, "c.%016llx.%04x", (unsigned long long)cluster->subject_hash,
           (unsigned)(claim->hash / 2 % NAMES));
  for (int tries = 0; tries < TRIES; tries++) {
    uint64_t revision;
    size_t len = strlen(cluster->name); /* for people who look into the broker */
    vestry_err error = broker->ops->claim(broker->broker, name, 0, cluster->name, len, &revision);
    if (error && error != VESTRY_EXISTS) return error == VESTRY_NO_MEMORY ? error : VESTRY_LIMIT;
    error = ask_others(cluster, claim->hash);
    if (error) return error;
    set_ours(cluster, claim, true);
    error = broker->ops->claim(broker->broker, name, revision, cluster->name, len, &revision);
    if (!error) return VESTRY_OK;
    set_ours(cluster, claim, false);
    if (error != VESTRY_EXISTS) return error == VESTRY_NO_MEMORY ? error : VESTRY_LIMIT;
  }
  return VESTRY_LIMIT;
}

/* The one of a key that this thread uses from now on; others of this node wait until it is sure. *ret_claim NULL: there
 * is none any more, and this thread must not wait. */
static vestry_err enter(vestry_cluster *cluster, uint64_t hash, vsi_claim **ret_claim) {
  vsi_claim *claim;
  while ((claim = find(cluster, hash)) != NULL && !claim->is_sure) {
    if (vsi_runtime_is_stepped(cluster->runtime)) return VESTRY_LIMIT; /* it is this thread's own */
    pthread_cond_wait(&cluster->claimed, &cluster->lock);
  }
  if (!claim) {
    claim = vsi_calloc(cluster->host, 1, sizeof *claim);
    if (!claim) return VESTRY_NO_MEMORY;
    claim->hash = hash;
    claim->is_ours = claim->is_sure = vsi_keys_are_here(&cluster->keys, hash); /* then what is here decides */
    claim->next = cluster->claims;
    cluster->claims = claim;
  }
  claim->users++;
  *ret_claim = claim;
  return VESTRY_OK;
}

vestry_err vsi_claims_begin(const vestry_scoped_key *key, void *ctx) {
  vestry_cluster *cluster = ctx;
  if (!vsi_ask_may_wait(cluster)) return VESTRY_LIMIT;
  vsi_claim *claim = NULL;
  vsi_cluster_lock(cluster);
  vestry_err error = enter(cluster, vsi_cluster_hash_key(cluster, key), &claim);
  bool is_sure = error || claim->is_sure;
  vsi_cluster_unlock(cluster);
  if (is_sure) return error;
  error = acquire(cluster, claim);
  vsi_cluster_lock(cluster);
  cluster->stats.claims_count++;
  cluster->stats.claims_refused_count += error == VESTRY_EXISTS;
  cluster->stats.claims_unknown_count += error && error != VESTRY_EXISTS;
  claim->is_sure = !error;
  if (error) let_go(cluster, claim);
  pthread_cond_broadcast(&cluster->claimed);
  vsi_cluster_unlock(cluster);
  return error;
}

void vsi_claims_end(const vestry_scoped_key *key, void *ctx) {
  vestry_cluster *cluster = ctx;
  vsi_cluster_lock(cluster);
  let_go(cluster, find(cluster, vsi_cluster_hash_key(cluster, key)));
  vsi_cluster_unlock(cluster);
}
