/* SPDX-License-Identifier: MIT */
/* Those that hold something, filed by how much: which of them hold most is found without a look at the others. A rank
 * is a range of a fifth: of one rank the first that was filed is found first, though another one may hold a little
 * more. Zeroes are no load; the user's lock guards all. Header only, as base/memory.h is. */
#ifndef VSI_BASE_LOAD_H
#define VSI_BASE_LOAD_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include "base/assert.h"

/* Four ranks for each doubling, up to 2^46. */
enum { VSI_LOAD_RANKS = 46 * 4 };

typedef struct vsi_load {
  TAILQ_ENTRY(vsi_load) in;
} vsi_load;
/* Of each, wherever its user has a byte for it. 0: it is not filed. Written under the lock; relaxed for those that look
 * without it. */
typedef _Atomic(uint8_t) vsi_load_place;

typedef struct vsi_loads {
  TAILQ_HEAD(, vsi_load) ranks[VSI_LOAD_RANKS];
} vsi_loads;

#define VSI_LOAD_OWNER(load, type, member) ((type *)(void *)((char *)(load)-offsetof(type, member)))

static inline void vsi_loads_init(vsi_loads *loads) {
  for (int i = 0; i < VSI_LOAD_RANKS; i++) TAILQ_INIT(&loads->ranks[i]);
}

/* 0: nothing is held. */
static inline uint8_t vsi_load_rank(uint64_t held) {
  if (held < 4) return held != 0;
  unsigned doublings = 63 - (unsigned)__builtin_clzll(held), rank = doublings * 4 + (held >> (doublings - 2) & 3);
  return (uint8_t)(rank < VSI_LOAD_RANKS ? rank : VSI_LOAD_RANKS - 1);
}

static inline uint8_t vsi_load_rank_of(const vsi_load_place *place) {
  return atomic_load_explicit(place, memory_order_relaxed);
}

/* File it last of a rank, or take it out (0). */
static inline void vsi_loads_file(vsi_loads *loads, vsi_load *load, vsi_load_place *place, uint8_t rank) {
  uint8_t before = vsi_load_rank_of(place);
  VSI_ASSERT(before < VSI_LOAD_RANKS && rank < VSI_LOAD_RANKS);
  if (before == rank) return;
  if (before) TAILQ_REMOVE(&loads->ranks[before], load, in);
  if (rank) TAILQ_INSERT_TAIL(&loads->ranks[rank], load, in);
  atomic_store_explicit(place, rank, memory_order_relaxed);
}

/* The first of the highest rank that is below another; NULL: none is. */
static inline vsi_load *vsi_loads_first_below(const vsi_loads *loads, unsigned rank) {
  while (rank-- > 1)
    if (!TAILQ_EMPTY(&loads->ranks[rank])) return TAILQ_FIRST(&loads->ranks[rank]);
  return NULL;
}
static inline vsi_load *vsi_loads_largest(const vsi_loads *loads) {
  return vsi_loads_first_below(loads, VSI_LOAD_RANKS);
}
/* The one after it, of its rank or the next below. */
static inline vsi_load *vsi_loads_next(const vsi_loads *loads, const vsi_load *load, uint8_t rank) {
  vsi_load *next = TAILQ_NEXT(load, in);
  return next ? next : vsi_loads_first_below(loads, rank);
}
/* File one lower, or take it out; returns the one that was after it, or itself if that is where it is now. */
static inline vsi_load *vsi_loads_refile(vsi_loads *loads, vsi_load *load, vsi_load_place *place, uint8_t rank) {
  uint8_t before = vsi_load_rank_of(place);
  vsi_load *next = TAILQ_NEXT(load, in);
  vsi_loads_file(loads, load, place, rank);
  return next ? next : vsi_loads_first_below(loads, before);
}

#endif
