/* SPDX-License-Identifier: MIT */
/* What the built-in stores are made of: shards, a bound over all of them, and a clock. */
#ifndef VSI_STORE_TABLE_H
#define VSI_STORE_TABLE_H

#include "store/exit.h"
#include "store/shard.h"

enum { VSI_SHARDS_MOST = 256 };

/* What a store type makes of the options. */
typedef struct vsi_table_rules {
  bool evicts;                     /* a newcomer displaces the least recently used; otherwise it is refused */
  size_t max_count, max_per_scope; /* 0: no bound */
  uint64_t idle_ns, lifetime_ns;   /* of a store that evicts; UINT64_MAX: for ever */
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
  /* Places taken, when there is a bound. Written only while the store is not full. relaxed: the number alone matters,
   * entries travel under the shards' locks. */
  _Alignas(VSI_CACHE_LINE) _Atomic(size_t) count;
  /* Each shard's first tick of use and of birth, or VSI_TICK_NONE: written under its lock when that changes, which is
   * about once a tick. Hints where the oldest is; relaxed. */
  _Alignas(VSI_CACHE_LINE) _Atomic(uint32_t) oldest[VSI_SHARDS_MOST];
  _Atomic(uint32_t) eldest[VSI_SHARDS_MOST];
  _Atomic(uint32_t) floor;       /* the oldest of `oldest` when a put last compared them all; see put.c */
  _Atomic(uint64_t) deadline_ns; /* see expiry.c */
} vsi_table;

vestry_err vsi_table_create(const vestry_host *host, const vsi_table_rules *rules, vestry_store_exit *exit,
                            void **ret_self);
/* As the members of vestry_store_ops; the others are operations with files of their own (builtin.c). */
void vsi_table_destroy(void *self);
void vsi_table_stats(void *self, vestry_store_stats *ret_stats);

/* By which a key is placed. */
static inline uint64_t vsi_table_hash(const vsi_table *table, const vestry_scoped_key *key) {
  if (__builtin_expect(!table->placing.scope_bits, 1)) return key->hash;
  return vsi_placing_by_scope(&table->placing, vsi_scoped_key_lens(key), vsi_scoped_key_words(key), key->hash);
}
static inline vsi_shard *vsi_table_shard(const vsi_table *table, uint64_t hash) {
  return &table->shards[hash >> 1 >> (63 - table->placing.shard_bits)];
}

/* Unlock, and see through what has left. */
static inline void vsi_table_release(vsi_table *table, vsi_shard *shard, vsi_leaving *leaving) {
  vsi_spin_lock_give(&shard->lock);
  if (!vsi_leaving_is_empty(leaving)) vsi_leaving_run(leaving, table->host, table->extra_bytes, table->exit);
}

#endif
