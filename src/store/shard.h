/* SPDX-License-Identifier: MIT */
/* essay: one visit to one shard; recency and expiry by one order */
/* A shard: one lock, and the data that it guards, which is an index and the entries in the order of use.
 *
 * Every operation of the built-in stores is one visit to one shard under its lock, lookups included. Therefore no
 * thread looks at an entry that another has removed: the entry's callbacks run after the unlock, and it is freed at
 * once.
 *
 * The order of use. A use moves its entry to the end of the list, but only once a tick; another use in that tick sets a
 * mark, which is the lowest bit of `touched`. So the list is in the order of ticks, and its head is both the next
 * victim and the first entry to fall due. Between ticks the order is exact. Within a tick it is the order of first
 * uses, and a marked entry is passed over once (visit.h). If several values have one key, each use moves all of them,
 * so that they are evicted in the order of their uses, even if all uses fall into one tick. The list of a scope
 * (scopes.h), which determines the victim when the scope is full, is in the order of all uses.
 *
 * The clock is read before the lock is taken, so the value may be outdated: another thread may have held the lock with
 * a later time. Therefore a shard has its own time, which does not go back while the shard has entries, and every
 * operation under the lock uses that time (vsi_shard_now). */
#ifndef VSI_STORE_SHARD_H
#define VSI_STORE_SHARD_H

#include "base/spin_lock.h"
#include "store/clock.h"
#include "store/index.h"
#include "store/leaving.h"
#include "store/multivalues.h"
#include "store/scopes.h"

typedef struct vsi_shard {
  /* Cache lines that change when the index grows, or with rare causes. */
  _Alignas(VSI_CACHE_LINE) vsi_index index;
  bool closed; /* puts are refused */
  uint32_t number;
  vsi_map scopes; /* if there is a limit per scope */
  vsi_multivalues multivalues;
  vsi_ring born;                                 /* if entries have extras */
  uint64_t removed_by_cause[VESTRY_CAUSE_COUNT]; /* without SIZE, which is computed as the rest of the sum */
  /* The cache line that every operation changes. */
  _Alignas(VSI_CACHE_LINE) vsi_spin_lock lock;
  uint32_t live; /* number of entries */
  uint32_t now;  /* the latest tick in which the shard was visited */
  vsi_ring used;
  uint64_t puts, hits, misses;
} vsi_shard;

/* Return the time of a visit, under the lock. read: the tick that was read before the lock was taken. */
static inline uint32_t vsi_shard_now(vsi_shard *shard, uint32_t read) {
  if (__builtin_expect(shard->now == read, 1)) return read;
  if (shard->live && vsi_tick_age(shard->now, read)) return shard->now;
  return shard->now = read;
}

#endif
