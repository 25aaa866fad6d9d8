/* SPDX-License-Identifier: MIT */
/* The nodes that have streams of a key, by their last announcements. */
#ifndef TESTS_CLUSTER_HOLDERS_H
#define TESTS_CLUSTER_HOLDERS_H

#include "cluster/cluster/cluster.h"

/* Return their number, with the node itself. */
static inline size_t holders_of_hash(vsi_keys *keys, uint64_t hash) {
  const vsi_bits others = vsi_keys_others(keys, hash);
  return vsi_bits_count(&others) + vsi_keys_are_here(keys, hash);
}

static inline size_t holders_of(vestry_cluster *cluster, vestry_scope scope, const vestry_key *key) {
  vsi_scoped_key name;
  if (vsi_store_pack(cluster->v->store, &name, scope, key)) return 0;
  const size_t count = holders_of_hash(&cluster->keys, vsi_cluster_hash_key(cluster, name.key));
  vsi_scoped_key_finish(&name);
  return count;
}

#endif
