/* SPDX-License-Identifier: MIT */
/* essay: one visit to one shard; recency and expiry by one order */
/* A shard: one lock, and what it guards: an index, and its entries in the order of use.
 *
 * Every operation of the built-in stores is one visit to one shard under its lock, look-ups too. So no thread looks at
 * what another has taken out: it goes through its callbacks after the unlock, and is freed at once.
 *
 * The order. A use moves its entry to the list's end, but once a tick only; a further use in that tick leaves a mark.
 * So the list is in the order of ticks, and its head is both the next victim and what falls due first. Between ticks
 * the order is exact. Inside one tick it is that of first uses, and an entry that is marked is passed over once
 * (visit.h). Of values that share a key each use moves them all, so that they leave in the order of their uses inside a
 * tick too; and a scope's own list (scopes.h), which says which entry goes when the scope is full, is in the order of
 * all uses.
 *
 * The clock is read before the lock is waited for, so what was read may be late: others had the lock meanwhile, with a
 * later time. So a shard has a time of its own, which does not go back while it has entries, and all that is done under
 * the lock is done at that time (vsi_shard_now). */
#ifndef VSI_STORE_SHARD_H
#define VSI_STORE_SHARD_H

#include "base/spin_lock.h"
#include "store/clock.h"
#include "store/crowds.h"
#include "store/index.h"
#include "store/leaving.h"
#include "store/scopes.h"

typedef struct vsi_shard {
  /* Lines that change when the index grows, or with seldom causes. */
  _Alignas(VSI_CACHE_LINE) vsi_index index;
  bool closed; /* puts are refused */
  uint32_t number;
  vsi_map scopes; /* if there is a cap per scope */
  vsi_crowds crowds;
  vsi_ring born;                                 /* if there are extras */
  uint64_t removed_by_cause[VESTRY_CAUSE_COUNT]; /* but for SIZE: that is what is missing in the sum */
  /* The line that every operation changes. */
  _Alignas(VSI_CACHE_LINE) vsi_spin_lock lock;
  uint32_t live; /* entries */
  uint32_t now;  /* the latest tick that the shard was visited in */
  vsi_ring used;
  uint64_t puts, hits, misses;
} vsi_shard;

/* The time of a visit, under the lock. read: what the clock said before. */
static inline uint32_t vsi_shard_now(vsi_shard *shard, uint32_t read) {
  if (__builtin_expect(shard->now == read, 1)) return read;
  if (shard->live && vsi_tick_age(shard->now, read)) return shard->now;
  return shard->now = read;
}

#endif
