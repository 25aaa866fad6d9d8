/* SPDX-License-Identifier: MIT */
/* The data of the built-in stores: shards, a limit for all of them, and a clock. */
#ifndef VSI_STORE_TABLE_H
#define VSI_STORE_TABLE_H

#include "store/exit.h"
#include "store/shard.h"

enum { VSI_SHARDS_MOST = 256 };

/* The rules of a store type, derived from its options. */
typedef struct vsi_table_rules {
  bool evicts;                     /* a put into a full store evicts the least recently used; else it fails */
  size_t max_count, max_per_scope; /* 0: no limit */
  uint64_t idle_ns, lifetime_ns;   /* of a store that evicts; UINT64_MAX: unlimited */
} vsi_table_rules;

typedef struct vsi_table {
  const vestry_host *host;
  vestry_store_exit *exit;
  vsi_table_rules rules;
  vsi_clock clock;
  vsi_placing placing;
  size_t extra_bytes; /* before each entry */
  vsi_shard *shards;
  uint32_t shards_count;
  void *memory, *shards_memory;
  /* Number of places taken, if there is a limit: each entry holds one of max_count places, and a put takes one before
   * its entry is linked (put.c). Written only while the store is not full. Relaxed, because only the number matters;
   * the shards' locks publish the entries. */
  _Alignas(VSI_CACHE_LINE) _Atomic(size_t) count;
  /* The tick of the first entry of each shard in the order of use (oldest) and in the order of birth (eldest);
   * VSI_TICK_NONE: no entry. Written under the shard's lock when it changes, which is about once a tick. A hint for
   * finding the oldest entry; relaxed. */
  _Alignas(VSI_CACHE_LINE) _Atomic(uint32_t) oldest[VSI_SHARDS_MOST];
  _Atomic(uint32_t) eldest[VSI_SHARDS_MOST];
  _Atomic(uint32_t) floor;       /* the smallest tick in `oldest` when a put last compared them all; see put.c */
  _Atomic(uint64_t) deadline_ns; /* see expiry.c */
} vsi_table;

vestry_err vsi_table_create(const vestry_host *host, const vsi_table_rules *rules, vestry_store_exit *exit,
                            void **ret_self);
/* As the members of vestry_store_ops; the other operations are in separate files (see builtin.c). */
void vsi_table_destroy(void *self);
void vsi_table_stats(void *self, vestry_store_stats *ret_stats);

/* Return the hash that places a key. */
static inline uint64_t vsi_table_hash(const vsi_table *table, const vestry_scoped_key *key) {
  if (__builtin_expect(!table->placing.scope_bits, 1)) return key->hash;
  return vsi_placing_by_scope(&table->placing, vsi_scoped_key_lens(key), vsi_scoped_key_words(key), key->hash);
}
static inline vsi_shard *vsi_table_shard(const vsi_table *table, uint64_t hash) {
  return &table->shards[hash >> 1 >> (63 - table->placing.shard_bits)];
}

/* Unlock the shard, and run the callbacks of the entries that have left. */
static inline void vsi_table_release(vsi_table *table, vsi_shard *shard, vsi_leaving *leaving) {
  vsi_spin_lock_give(&shard->lock);
  if (!vsi_leaving_is_empty(leaving)) vsi_leaving_run(leaving, table->host, table->extra_bytes, table->exit);
}

#endif
