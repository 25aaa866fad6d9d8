/* SPDX-License-Identifier: MIT */
/* A shard: one lock, and the entries that it guards, in the order of use. */
#ifndef VSI_STORE_SHARD_H
#define VSI_STORE_SHARD_H

#include "base/map.h"
#include "base/spin_lock.h"
#include "store/clock.h"
#include "store/index.h"
#include "vestry/store.h"

typedef struct vsi_shard {
  /* The cache line that every operation changes. */
  _Alignas(VSI_CACHE_LINE) vsi_spin_lock lock;
  uint32_t live;        /* number of entries */
  uint32_t now;         /* the latest tick in which the shard was visited */
  uint32_t last, lists; /* the order of use: see order.h */
  uint32_t free, fresh; /* the first free entry; the first number that no entry has had yet */
  bool has_extra;       /* extra is not NULL */
  uint64_t puts, hits, misses;
  vsi_arrays *in;
  /* Cache lines that change when the arrays grow, or with rare causes. */
  uint32_t number;
  uint32_t busy;    /* number of entries in no list: they leave, or puts without the lock have claimed them */
  vsi_extra *extra; /* NULL: no entry needs one */
  void *memory;     /* of the arrays; NULL: they are those that empty shards share */
  vsi_map scopes;   /* if there is a limit per scope */
  vsi_links born;   /* head of the order of birth */
  uint64_t removed_by_cause[VESTRY_CAUSE_COUNT]; /* without SIZE, which is computed as the rest of the sum */
} vsi_shard;

static inline vsi_extra *vsi_extra_at(const vsi_shard *shard, uint32_t number) {
  return &shard->extra[number - VSI_HEADS];
}
/* Return whether the key of an entry has several values. */
static inline bool vsi_many_has(const vsi_shard *shard, uint32_t number) {
  return __builtin_expect(shard->has_extra, 0) && vsi_extra_at(shard, number)->older != number;
}

#endif
