/* Numbers for objects: a growing array of slots, each of which counts its generations, so that a number is never used
 * twice and an old one finds nothing. Also an order in which objects can be visited while others come and go: by slot.
 *
 * Not locked, as index.h. */
#ifndef VSI_STORE_SLOTS_H
#define VSI_STORE_SLOTS_H

#include "vestry/host.h"

typedef struct vsi_slot {
  void *object; /* NULL: free */
  uint32_t generation;
  uint32_t next_free;
} vsi_slot;

typedef struct vsi_slots {
  const vestry_host *host;
  vsi_slot *items;
  uint32_t used, capacity; /* used: slots that were ever taken */
  uint32_t first_free;
  uint32_t most; /* slots there can be */
} vsi_slots;

/* A number: generation in the upper half (never 0), slot in the lower. */
typedef uint64_t vsi_slot_number;

/* Allocates nothing yet. most: numbers have slots below it. */
void vsi_slots_init(vsi_slots *slots, const vestry_host *host, uint32_t most);
void vsi_slots_finish(vsi_slots *slots);

/* OK | NO_MEMORY (unchanged; also when there are no more slots). */
vestry_err vsi_slots_take(vsi_slots *slots, void *object, vsi_slot_number *ret_number);

/* The object with this number; NULL: it was given back, or there never was one. */
void *vsi_slots_find(const vsi_slots *slots, vsi_slot_number number);

/* Give a number back that is taken. */
void vsi_slots_give(vsi_slots *slots, vsi_slot_number number);

/* The object in a slot, NULL when it is free or not below slots->used. */
void *vsi_slots_at(const vsi_slots *slots, uint32_t slot);

#endif
