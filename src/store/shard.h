/* A shard of a store: one lock, an index, the slots, and their ages. What is true of one shard alone is done here;
 * table.c has what takes several. */
#ifndef VSI_STORE_SHARD_H
#define VSI_STORE_SHARD_H

#include "store/ages.h"
#include "store/buckets.h"
#include "store/leaving.h"

typedef struct vsi_shard {
  vsi_buckets buckets; /* two lines: one that readers read, one that writers write */
  /* What every put writes comes next, in a line and a bit: each line that a put changes is one that the next processor
   * has to fetch. */
  _Alignas(VSI_CACHE_LINE) _Atomic(uint32_t) lock;
  uint32_t number;
  uint32_t fresh, sealed, waiting; /* lists of slots that readers may see: the youngest; older ones, to which none is
                                      added; and those whose grace period has begun */
  uint32_t fresh_count, fresh_last;
  uint32_t holders;                   /* callbacks under way that have no section: what waits goes on waiting */
  uint64_t fresh_begun, sealed_begun; /* the last grace period that had begun when a slot was put into the list */
  uint64_t turned_over;               /* puts that each sent one off for SIZE; not in put and removed */
  bool closed;
  vsi_ages ages; /* at: NULL when the store has none */
  vsi_slab slab;
  uint32_t cleared; /* hashes up to here are gone for good: it is closed */
  uint32_t born_first, born_last;
  uint64_t waiting_serves; /* what was unlinked before this number is served by waiting's grace period too */
  uint64_t hits, misses;   /* of look-ups that had no section */
  uint64_t put, live;      /* and removed: */
  uint64_t removed[VESTRY_CAUSE_COUNT];
  vsi_grace grace, buckets_grace; /* grace: of waiting */
} vsi_shard;

/* A test-and-set lock: it is held for some tens of nanoseconds, never over a callback or I/O. Who finds it taken for
 * longer lets another thread run. */
void vsi_shard_wait(vsi_shard *shard);
static inline void vsi_shard_lock(vsi_shard *shard) {
  /* acquire pairs with unlock */
  if (__builtin_expect(atomic_exchange_explicit(&shard->lock, 1, memory_order_acquire) != 0, 0)) vsi_shard_wait(shard);
}
static inline void vsi_shard_unlock(vsi_shard *shard) {
  atomic_store_explicit(&shard->lock, 0, memory_order_release);
}

#endif
