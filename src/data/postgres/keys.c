/* SPDX-License-Identifier: MIT */
/* A set of keys: an array in the order of insertion. A large set also has a hash table. */
#include "data/postgres/keys.h"

#include "base/array.h"

enum { FEW = 8, FIRST_SLOTS = 32 };

static size_t slot_of(const vsi_postgres_keys *set, vsi_postgres_key key) {
  size_t mask = set->slots_count - 1, at = (size_t)(vsi_postgres_key_hash(key) >> 32) & mask;
  while (set->slots[at] && !vsi_postgres_keys_are_equal(set->keys[set->slots[at] - 1], key)) at = (at + 1) & mask;
  return at;
}

bool vsi_postgres_keys_have(const vsi_postgres_keys *set, vsi_postgres_key key) {
  if (set->slots) return set->slots[slot_of(set, key)] != 0;
  for (size_t i = 0; i < set->count; i++)
    if (vsi_postgres_keys_are_equal(set->keys[i], key)) return true;
  return false;
}

/* Make room for one more key; half of the slots stay free. */
static vestry_err make_slots(vsi_postgres_keys *set, const vestry_host *host) {
  if (set->count < FEW || (set->count + 1) * 2 <= set->slots_count) return VESTRY_OK;
  size_t count = set->slots_count ? set->slots_count * 2 : FIRST_SLOTS;
  uint32_t *slots = vsi_calloc(host, count, sizeof *slots);
  if (!slots) return VESTRY_NO_MEMORY;
  vsi_free(host, set->slots);
  set->slots = slots;
  set->slots_count = count;
  for (size_t i = 0; i < set->count; i++) slots[slot_of(set, set->keys[i])] = (uint32_t)i + 1;
  return VESTRY_OK;
}

vestry_err vsi_postgres_keys_add(vsi_postgres_keys *set, const vestry_host *host, vsi_postgres_key key) {
  if (vsi_postgres_keys_have(set, key)) return VESTRY_EXISTS;
  if (VSI_ARRAY_RESERVE(host, set->keys, set->count, set->room, 1) || make_slots(set, host)) return VESTRY_NO_MEMORY;
  if (set->slots) set->slots[slot_of(set, key)] = (uint32_t)set->count + 1;
  set->keys[set->count++] = key;
  return VESTRY_OK;
}

void vsi_postgres_keys_clear(vsi_postgres_keys *set, const vestry_host *host) {
  vsi_free(host, set->keys);
  vsi_free(host, set->slots);
  *set = (vsi_postgres_keys){.count = 0};
}
