/* SPDX-License-Identifier: MIT */
/* The running requests in a daemon of the application, found by the pointer that libmicrohttpd passes. */
#include "adapter/microhttpd/slots.h"

#include "base/hash.h"

vestry_err vsi_microhttpd_slots_init(vsi_microhttpd_slots *slots, const vestry_host *host, uint32_t count) {
  vsi_map taken = {.buckets = NULL};
  if (vsi_map_reserve(&taken, host, count)) return VESTRY_NO_MEMORY;
  *slots = (vsi_microhttpd_slots){.host = host, .count = count, .taken = taken};
  vsi_mutex_init(&slots->lock, VSI_LOCK_MICROHTTPD_SLOTS);
  return VESTRY_OK;
}

void vsi_microhttpd_slots_finish(vsi_microhttpd_slots *slots) {
  if (!slots->count) return;
  vsi_mutex_finish(&slots->lock);
  vsi_map_finish(&slots->taken, slots->host);
  slots->count = 0;
}

/* Different pointers have different hashes. */
static uint64_t hash_of(const void *pointer) {
  return vsi_hash_number((uintptr_t)pointer);
}

bool vsi_microhttpd_slots_take(vsi_microhttpd_slots *slots, vsi_map_link *link) {
  vsi_mutex_lock(&slots->lock);
  bool is_taken = slots->taken.count < slots->count;
  if (is_taken) vsi_map_add(&slots->taken, link, hash_of(link));
  vsi_mutex_unlock(&slots->lock);
  return is_taken;
}

vsi_map_link *vsi_microhttpd_slots_at(vsi_microhttpd_slots *slots, const void *pointer) {
  if (!slots->count) return NULL;
  vsi_mutex_lock(&slots->lock);
  vsi_map_link *found = vsi_map_first(&slots->taken, hash_of(pointer));
  vsi_mutex_unlock(&slots->lock);
  return found;
}

void vsi_microhttpd_slots_give(vsi_microhttpd_slots *slots, const vsi_map_link *link) {
  vsi_mutex_lock(&slots->lock);
  vsi_map_remove(&slots->taken, link);
  vsi_mutex_unlock(&slots->lock);
}

vsi_map_link *vsi_microhttpd_slots_pop(vsi_microhttpd_slots *slots) {
  if (!slots->count) return NULL;
  vsi_mutex_lock(&slots->lock);
  vsi_map_link *found = vsi_map_after(&slots->taken, NULL);
  if (found) vsi_map_remove(&slots->taken, found);
  vsi_mutex_unlock(&slots->lock);
  return found;
}
