/* The ages of a shard's slots: lists of slots that were filed under the tick of their last use, oldest first. It is the
 * order in which a store evicts, and in which idle entries fall due. Guarded by the shard's lock.
 *
 * A use does not file a slot anew; it leaves its tick and a mark in the slot's touch. Who comes to take the oldest
 * finds the mark and files the slot where it belongs: exact to a tick, and inside a tick a second chance (after
 * Corbató's clock, 1968). */
#ifndef VSI_STORE_AGES_H
#define VSI_STORE_AGES_H

#include "store/slab.h"

enum { VSI_AGES = 4096 };

/* Ticks count modulo 2^31; of two, the later is at most 2^30 ahead. */
#define VSI_TICK_MASK UINT32_C(0x7fffffff)
static inline uint32_t vsi_tick_age(uint32_t now, uint32_t then) {
  uint32_t age = (now - then) & VSI_TICK_MASK;
  return age > VSI_TICK_MASK / 2 ? 0 : age; /* then is later than now: another thread's clock was ahead */
}

static inline uint32_t vsi_touch_tick(uint32_t touch) {
  return touch >> 1;
}
/* A reader's note of use: nothing is written unless it says something new. A reader that was held up since it read the
 * clock leaves a later use as it is: otherwise what is in use would pass for idle. relaxed: nothing travels with it. */
void vsi_slot_use_anew(vsi_slot *slot, uint32_t tick);
static inline void vsi_slot_use(vsi_slot *slot, uint32_t tick) {
  if (atomic_load_explicit(&slot->touch, memory_order_relaxed) != (tick << 1 | 1)) vsi_slot_use_anew(slot, tick);
}

typedef struct vsi_ages {
  struct vsi_age {
    uint32_t first, last; /* slot numbers; 0: empty */
  } * at;                 /* VSI_AGES of them, a tick each, round and round; NULL: the store has no ages */
  size_t count;
  uint32_t oldest; /* no slot is filed before this tick */
  uint32_t newest; /* the last tick that was filed under: it is inside the window */
  const vestry_host *host;
  uint64_t filled[VSI_AGES / 64];
} vsi_ages;

/* OK | NO_MEMORY. */
vestry_err vsi_ages_init(vsi_ages *ages, const vestry_host *host, uint32_t now);
void vsi_ages_finish(vsi_ages *ages);

/* The slow halves of what follows. */
uint32_t vsi_ages_place(vsi_ages *ages, const vsi_slab *slab, uint32_t tick, uint32_t now);
void vsi_ages_seek(vsi_ages *ages);

#define VSI_AGES_END UINT32_C(0x80000000)

static inline void vsi_ages_mark(vsi_ages *ages, uint32_t place, bool filled) {
  uint64_t bit = UINT64_C(1) << place % 64;
  if (filled)
    ages->filled[place / 64] |= bit;
  else
    ages->filled[place / 64] &= ~bit;
}

/* File a slot under a tick, behind those already there. now: where the window of ages ends. */
static inline void vsi_ages_file(vsi_ages *ages, const vsi_slab *slab, vsi_slot *slot, uint32_t tick, uint32_t now) {
  uint32_t place = ages->count && tick == ages->newest ? tick % VSI_AGES : vsi_ages_place(ages, slab, tick, now);
  struct vsi_age *age = &ages->at[place];
  slot->next = VSI_AGES_END | place;
  if (age->first) {
    slot->prev = age->last;
    vsi_slab_at(slab, age->last)->next = slot->number;
  } else {
    slot->prev = VSI_AGES_END | place;
    age->first = slot->number;
    vsi_ages_mark(ages, place, true);
  }
  age->last = slot->number;
  ages->count++;
}

static inline void vsi_ages_remove(vsi_ages *ages, const vsi_slab *slab, vsi_slot *slot) {
  struct vsi_age *age = NULL;
  if (slot->prev & VSI_AGES_END) {
    age = &ages->at[slot->prev & ~VSI_AGES_END];
    age->first = slot->next & VSI_AGES_END ? 0 : slot->next;
  } else {
    vsi_slab_at(slab, slot->prev)->next = slot->next;
  }
  if (slot->next & VSI_AGES_END) {
    age = &ages->at[slot->next & ~VSI_AGES_END];
    age->last = slot->prev & VSI_AGES_END ? 0 : slot->prev;
  } else {
    vsi_slab_at(slab, slot->next)->prev = slot->prev;
  }
  if (age && !age->first) vsi_ages_mark(ages, (uint32_t)(age - ages->at), false);
  ages->count--;
}

/* File a slot that was used since it was filed under the tick of that use. */
void vsi_ages_refile(vsi_ages *ages, const vsi_slab *slab, vsi_slot *slot, uint32_t now);

/* The slot filed longest ago, or NULL, and the tick it is filed under. */
static inline vsi_slot *vsi_ages_oldest(vsi_ages *ages, const vsi_slab *slab, uint32_t *ret_tick) {
  if (!ages->count) return NULL;
  if (!ages->at[ages->oldest % VSI_AGES].first) vsi_ages_seek(ages);
  *ret_tick = ages->oldest;
  return vsi_slab_at(slab, ages->at[ages->oldest % VSI_AGES].first);
}

#endif
