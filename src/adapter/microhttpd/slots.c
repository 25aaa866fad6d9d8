/* SPDX-License-Identifier: MIT */
#include "adapter/microhttpd/slots.h"

#include "base/memory.h"

vestry_err vsi_microhttpd_slots_init(vsi_microhttpd_slots *slots, const vestry_host *host, uint32_t count) {
  void **places = vsi_calloc(host, count, sizeof *places);
  uint32_t *free_places = vsi_calloc(host, count, sizeof *free_places);
  if (!places || !free_places) {
    vsi_free(host, places);
    vsi_free(host, free_places);
    return VESTRY_NO_MEMORY;
  }
  *slots =
      (vsi_microhttpd_slots){.host = host, .count = count, .slots = places, .free = free_places, .free_count = count};
  for (uint32_t i = 0; i < count; i++) free_places[i] = count - 1 - i;
  vsi_mutex_init(&slots->lock, VSI_LOCK_MICROHTTPD_SLOTS);
  return VESTRY_OK;
}

void vsi_microhttpd_slots_finish(vsi_microhttpd_slots *slots) {
  if (!slots->count) return;
  vsi_mutex_finish(&slots->lock);
  vsi_free(slots->host, slots->slots);
  vsi_free(slots->host, slots->free);
  slots->count = 0;
}

void *vsi_microhttpd_slots_take(vsi_microhttpd_slots *slots, void *thing) {
  void **taken = NULL;
  vsi_mutex_lock(&slots->lock);
  if (slots->free_count) {
    taken = &slots->slots[slots->free[--slots->free_count]];
    *taken = thing;
  }
  vsi_mutex_unlock(&slots->lock);
  return taken;
}

/* count: it is none. */
static uint32_t index_of(const vsi_microhttpd_slots *slots, const void *slot) {
  uintptr_t at = (uintptr_t)slot, begin = (uintptr_t)slots->slots;
  if (at < begin || at >= begin + slots->count * sizeof *slots->slots) return slots->count;
  return (uint32_t)((at - begin) / sizeof *slots->slots);
}

void *vsi_microhttpd_slots_at(vsi_microhttpd_slots *slots, const void *slot) {
  uint32_t index = index_of(slots, slot);
  if (index == slots->count) return NULL;
  vsi_mutex_lock(&slots->lock);
  void *found = slots->slots[index];
  vsi_mutex_unlock(&slots->lock);
  return found;
}

void vsi_microhttpd_slots_give(vsi_microhttpd_slots *slots, const void *slot) {
  uint32_t index = index_of(slots, slot);
  vsi_mutex_lock(&slots->lock);
  slots->slots[index] = NULL;
  slots->free[slots->free_count++] = index;
  vsi_mutex_unlock(&slots->lock);
}

void *vsi_microhttpd_slots_pop(vsi_microhttpd_slots *slots) {
  for (uint32_t i = 0; i < slots->count; i++) {
    void *found = vsi_microhttpd_slots_at(slots, &slots->slots[i]);
    if (!found) continue;
    vsi_microhttpd_slots_give(slots, &slots->slots[i]);
    return found;
  }
  return NULL;
}
