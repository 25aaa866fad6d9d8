#include "store/slots.h"

#include "base/memory.h"

#define NONE UINT32_MAX
#define MOST (UINT32_MAX / sizeof(vsi_slot)) /* so that a size in bytes fits everywhere: 268 million slots */

void vsi_slots_init(vsi_slots *slots, const vestry_host *host, uint32_t most) {
  *slots = (vsi_slots){.host = host, .first_free = NONE, .most = most < MOST ? most : MOST};
}

void vsi_slots_finish(vsi_slots *slots) {
  vsi_free(slots->host, slots->items);
  slots->items = NULL;
  slots->used = slots->capacity = 0;
}

static vestry_err grow(vsi_slots *slots) {
  uint32_t capacity = slots->capacity ? slots->capacity * 2 : 8;
  if (capacity > slots->most) capacity = slots->most;
  if (capacity == slots->capacity) return VESTRY_NO_MEMORY;
  vsi_slot *items = vsi_realloc(slots->host, slots->items, capacity * sizeof *items);
  if (!items) return VESTRY_NO_MEMORY;
  slots->items = items;
  slots->capacity = capacity;
  return VESTRY_OK;
}

vestry_err vsi_slots_take(vsi_slots *slots, void *object, vsi_slot_number *ret_number) {
  uint32_t slot = slots->first_free;
  if (slot != NONE) {
    slots->first_free = slots->items[slot].next_free;
  } else {
    if (slots->used == slots->capacity && grow(slots)) return VESTRY_NO_MEMORY;
    slot = slots->used++;
    slots->items[slot].generation = 1;
  }
  slots->items[slot].object = object;
  *ret_number = (uint64_t)slots->items[slot].generation << 32 | slot;
  return VESTRY_OK;
}

void *vsi_slots_find(const vsi_slots *slots, vsi_slot_number number) {
  uint32_t slot = (uint32_t)number;
  if (slot >= slots->used || slots->items[slot].generation != number >> 32) return NULL;
  return slots->items[slot].object;
}

void vsi_slots_give(vsi_slots *slots, vsi_slot_number number) {
  uint32_t slot = (uint32_t)number;
  vsi_slot *item = &slots->items[slot];
  item->object = NULL;
  item->generation++;
  if (item->generation == 0) return; /* it has had all its numbers: retired, 16 bytes for four billion uses */
  item->next_free = slots->first_free;
  slots->first_free = slot;
}

void *vsi_slots_at(const vsi_slots *slots, uint32_t slot) {
  return slot < slots->used ? slots->items[slot].object : NULL;
}
