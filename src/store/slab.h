/* Slots: where a shard keeps its entries, 64 bytes each. They have numbers, and generations that tell one stay from the
 * next; they lie in chunks that come when they are needed and go when they are empty.
 *
 * Every call is made under the shard's lock, but for vsi_slab_look. */
#ifndef VSI_STORE_SLAB_H
#define VSI_STORE_SLAB_H

#include <stdatomic.h>

#include "vestry/store.h"

enum {
  VSI_SLOT_KEY_BYTES = 19,
  VSI_SLOT_OUTSIDE = 255,
  VSI_SLOTS_A_CHUNK = 128,
  VSI_SLAB_SEGMENTS = 24,
  VSI_SHELF = 192, /* more than leave together, see GRACE_BATCH in table.c: they need not go to their chunks and back */
  VSI_SHELF_MOVES = 32
};
#define VSI_SLAB_MAX_SLOTS (((uint32_t)1 << VSI_SLAB_SEGMENTS) - 1)

/* What readers touch — value, key, hash, len — never changes from the time the slot is linked into the index to the end
 * of the grace period after it is unlinked; touch and older are atomic. Everything else is guarded by the shard's lock.
 * Links are slot numbers; 0 is none. */
typedef struct vsi_slot {
  void *value;
  _Atomic(uint32_t) older; /* under the same key: the one put before */
  uint32_t newer;          /* under the same key: the one put after; of the newest: the oldest */
  uint32_t hash;           /* upper half of the key's hash */
  _Atomic(uint32_t) touch; /* tick of the last use << 1 | used since it was filed */
  uint32_t generation;     /* 1 and up */
  uint32_t next, prev;     /* of its age, see ages.c; next: in a list of free or leaving slots */
  uint32_t number;         /* its own, from 1 */
  uint32_t state_count;    /* state in the lowest byte; above, in the newest of a key: how many are under the key */
  uint8_t len;             /* of the key; or VSI_SLOT_OUTSIDE: key holds a vsi_outside * */
  unsigned char key[VSI_SLOT_KEY_BYTES]; /* zero behind its end */
} vsi_slot;
_Static_assert(sizeof(vsi_slot) == 64, "a slot is a cache line");

/* A key that is too long for a slot. */
typedef struct vsi_outside {
  uint32_t len;
  unsigned char bytes[];
} vsi_outside;

typedef enum vsi_slot_state {
  VSI_SLOT_FREE,   /* in its chunk's list */
  VSI_SLOT_TAKEN,  /* not linked yet */
  VSI_SLOT_LIVE,   /* linked */
  VSI_SLOT_LEAVING /* unlinked; readers may still look */
} vsi_slot_state;

static inline vsi_slot_state vsi_slot_state_of(const vsi_slot *slot) {
  return (vsi_slot_state)(slot->state_count & 0xff);
}

/* Of the newest of a key. */
static inline uint32_t vsi_slot_count(const vsi_slot *newest) {
  return newest->state_count >> 8;
}

/* The whole key of a slot, and as what it was put; valid while the slot is. */
vestry_slice vsi_slot_key(const vsi_slot *slot);
vestry_scoped_key vsi_slot_scoped_key(const vsi_slot *slot);

/* What only some stores keep of an entry; in an array beside the chunk's slots. */
typedef struct vsi_extra {
  uint32_t born;                 /* tick of the first put */
  uint32_t born_next, born_prev; /* in the order of birth; 0 ends */
  uint32_t scope_place;          /* guarded by the scopes' lock */
} vsi_extra;

typedef struct vsi_chunk {
  _Atomic(vsi_slot *) slots; /* NULL: not there */
  void *memory;
  vsi_extra *extras;   /* NULL: none are kept */
  uint32_t generation; /* beyond all that its slots ever had */
  uint32_t spare_next; /* in the list of spare ones, + 1 */
  bool listed;         /* in that list */
  uint16_t free_first; /* slot in it + 1 */
  uint16_t free_count;
} vsi_chunk;

typedef struct vsi_slab {
  vsi_slot **flat; /* the slots of each chunk, for who has the lock */
  uint32_t shelf_count;
  vsi_slot *shelf[VSI_SHELF]; /* free slots at hand, the last one given first; for the chunks they are taken */
  const vestry_host *host;
  bool with_extras;
  _Atomic(vsi_chunk *) segments[VSI_SLAB_SEGMENTS]; /* segment k: 2^k chunks */
  uint32_t chunks_count;                            /* that the segments have room for */
  uint64_t *roomy;                                  /* a bit a chunk: it is there and has a free slot */
  uint32_t roomy_words, lowest;                     /* lowest: no word before it has a bit */
  uint32_t spare_first;                             /* list of chunks that were empty when they came in, + 1 */
  size_t live_count, free_count;                    /* slots taken; slots free in chunks that are there */
} vsi_slab;

void vsi_slab_init(vsi_slab *slab, const vestry_host *host, bool with_extras);
/* All slots are free. */
void vsi_slab_finish(vsi_slab *slab);

/* Some slots from the chunks to the shelf, or NO_MEMORY; and the oldest of the shelf back to the chunks. */
vestry_err vsi_slab_fetch(vsi_slab *slab);
void vsi_slab_return(vsi_slab *slab);

/* A free slot, now TAKEN; NULL: out of memory. */
static inline vsi_slot *vsi_slab_take(vsi_slab *slab) {
  if (__builtin_expect(!slab->shelf_count, 0) && vsi_slab_fetch(slab)) return NULL;
  vsi_slot *slot = slab->shelf[--slab->shelf_count];
  slot->state_count = VSI_SLOT_TAKEN;
  return slot;
}

/* It is free; nobody can reach it any more. */
static inline void vsi_slab_give(vsi_slab *slab, vsi_slot *slot) {
  if (__builtin_expect(slab->shelf_count == VSI_SHELF, 0)) vsi_slab_return(slab);
  slot->value = NULL;
  slot->state_count = VSI_SLOT_FREE;
  if (__builtin_expect(slot->generation == UINT32_MAX, 0))
    return; /* a handle must never come again: it has had its day */
  slot->generation++;
  slab->shelf[slab->shelf_count++] = slot;
}

static inline vsi_chunk *vsi_slab_chunk(const vsi_slab *slab, uint32_t chunk) {
  uint32_t segment = 31 - (uint32_t)__builtin_clz(chunk + 1);
  /* acquire pairs with grow() in slab.c */
  return atomic_load_explicit(&slab->segments[segment], memory_order_acquire) + (chunk + 1 - (UINT32_C(1) << segment));
}

/* The slot with this number. Under the lock. */
static inline vsi_slot *vsi_slab_at(const vsi_slab *slab, uint32_t number) {
  return slab->flat[(number - 1) / VSI_SLOTS_A_CHUNK] + (number - 1) % VSI_SLOTS_A_CHUNK;
}

/* The same in a section that found the number linked, without the lock. */
static inline vsi_slot *vsi_slab_look(const vsi_slab *slab, uint32_t number) {
  vsi_chunk *chunk = vsi_slab_chunk(slab, (number - 1) / VSI_SLOTS_A_CHUNK);
  /* relaxed: the chunk was there before the number was linked */
  return atomic_load_explicit(&chunk->slots, memory_order_relaxed) + (number - 1) % VSI_SLOTS_A_CHUNK;
}

/* The LIVE slot with this number and generation, or NULL. Any number will do. Under the lock. */
vsi_slot *vsi_slab_find(const vsi_slab *slab, uint32_t number, uint32_t generation);

/* Under the lock, or in a section that found the slot linked. */
static inline vsi_extra *vsi_slab_extra(const vsi_slab *slab, const vsi_slot *slot) {
  return &vsi_slab_chunk(slab, (slot->number - 1) / VSI_SLOTS_A_CHUNK)->extras[(slot->number - 1) % VSI_SLOTS_A_CHUNK];
}

#endif
