/* SPDX-License-Identifier: MIT */
/* Objects filed by the number of bytes that they hold, so that the largest are found without visiting the others. A
 * rank covers a range of about a fifth. Within a rank, the object filed first is found first, even if another object
 * holds a little more. A zeroed struct is not filed. All functions are called under a lock of the caller. Header only,
 * like base/memory.h. */
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
/* The rank of an object, stored wherever its user has a byte for it. 0: not filed. Written under the lock; relaxed for
 * threads that read without it. */
typedef _Atomic(uint8_t) vsi_load_place;

typedef struct vsi_loads {
  TAILQ_HEAD(, vsi_load) ranks[VSI_LOAD_RANKS];
} vsi_loads;

#define VSI_LOAD_OWNER(load, type, member) ((type *)(void *)((char *)(load)-offsetof(type, member)))

static inline void vsi_loads_init(vsi_loads *loads) {
  for (int i = 0; i < VSI_LOAD_RANKS; i++) TAILQ_INIT(&loads->ranks[i]);
}

/* Return the rank for a number of bytes. 0: none are held. */
static inline uint8_t vsi_load_rank(uint64_t held) {
  if (held < 4) return held != 0;
  unsigned doublings = 63 - (unsigned)__builtin_clzll(held), rank = doublings * 4 + (held >> (doublings - 2) & 3);
  return (uint8_t)(rank < VSI_LOAD_RANKS ? rank : VSI_LOAD_RANKS - 1);
}

static inline uint8_t vsi_load_rank_of(const vsi_load_place *place) {
  return atomic_load_explicit(place, memory_order_relaxed);
}

/* File an object as the last of a rank, or remove it (0). */
static inline void vsi_loads_file(vsi_loads *loads, vsi_load *load, vsi_load_place *place, uint8_t rank) {
  uint8_t before = vsi_load_rank_of(place);
  VSI_ASSERT(before < VSI_LOAD_RANKS && rank < VSI_LOAD_RANKS);
  if (before == rank) return;
  if (before) TAILQ_REMOVE(&loads->ranks[before], load, in);
  if (rank) TAILQ_INSERT_TAIL(&loads->ranks[rank], load, in);
  atomic_store_explicit(place, rank, memory_order_relaxed);
}

/* Return the first object of the highest rank below `rank` that is not empty. NULL: there is none. */
static inline vsi_load *vsi_loads_first_below(const vsi_loads *loads, unsigned rank) {
  while (rank-- > 1)
    if (!TAILQ_EMPTY(&loads->ranks[rank])) return TAILQ_FIRST(&loads->ranks[rank]);
  return NULL;
}
static inline vsi_load *vsi_loads_largest(const vsi_loads *loads) {
  return vsi_loads_first_below(loads, VSI_LOAD_RANKS);
}
/* Return the object after `load` in its rank. If `load` is the last one, return the first object of the highest rank
 * below that is not empty. NULL: there is no further object. */
static inline vsi_load *vsi_loads_next(const vsi_loads *loads, const vsi_load *load, uint8_t rank) {
  vsi_load *next = TAILQ_NEXT(load, in);
  return next ? next : vsi_loads_first_below(loads, rank);
}
/* File an object lower, or remove it. Returns the object that was after it in its former rank, or else the first object
 * below, which may be the object itself. */
static inline vsi_load *vsi_loads_refile(vsi_loads *loads, vsi_load *load, vsi_load_place *place, uint8_t rank) {
  uint8_t before = vsi_load_rank_of(place);
  vsi_load *next = TAILQ_NEXT(load, in);
  vsi_loads_file(loads, load, place, rank);
  return next ? next : vsi_loads_first_below(loads, before);
}

#endif
