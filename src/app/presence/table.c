/* SPDX-License-Identifier: MIT */
#include "app/presence/table.h"

#include "base/memory.h"

vestry_err vsi_presence_init(vestry_presence *presence) {
  vsi_ring_init(&presence->gone);
  vsi_ring_init(&presence->news);
  vsi_mutex_init(&presence->lock, VSI_LOCK_PRESENCE);
  vsi_mutex_init(&presence->telling, VSI_LOCK_PRESENCE_TELLING);
  vestry_err error = vsi_map_reserve(&presence->places, presence->host, 1);
  if (!error) error = vsi_map_reserve(&presence->guests, presence->host, 1);
  return error ? error : vsi_keyed_hash_init(&presence->hash, presence->host);
}

static void free_presence(vestry_presence *presence) {
  vsi_map_free_all(&presence->guests, presence->host, offsetof(vsi_guest, in));
  vsi_map_free_all(&presence->places, presence->host, offsetof(vsi_place, in));
  vsi_mutex_finish(&presence->lock);
  vsi_mutex_finish(&presence->telling);
  vsi_free(presence->host, presence);
}

void vsi_presence_unref(vestry_presence *presence) {
  vsi_mutex_lock(&presence->lock);
  bool is_last = --presence->refs == 0;
  vsi_mutex_unlock(&presence->lock);
  if (is_last) free_presence(presence);
}

void vsi_presence_grow_locked(vestry_presence *presence) {
  size_t count = presence->guests.count + presence->reserved_count + 1;
  (void)vsi_map_reserve(&presence->places, presence->host, count);
  (void)vsi_map_reserve(&presence->guests, presence->host, count);
}
