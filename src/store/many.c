/* SPDX-License-Identifier: MIT */
/* Keys that have several values (many.h): rings and chains. */
#include "store/many.h"

#include "base/hash.h"

enum { BY_HANDLE, BY_VALUE };

/* Return the place at which a chain starts. A multiplication is enough because clients choose neither number: handles
 * are counted, and values are addresses. A value may be stored under many keys, so the handle's bits of the key's hash
 * are hashed with it. */
static uint32_t *chain_of(const vsi_shard *shard, int which, vestry_handle handle, const void *value) {
  uint64_t hash = vsi_hash_number(handle);
  if (which == BY_VALUE) hash = vsi_hash_number((uint64_t)(uintptr_t)value ^ vsi_hash_number(handle >> 40));
  uint32_t count = shard->in->room - VSI_HEADS;
  return &shard->extra[(uint32_t)((hash >> 32) * count >> 32)].first[which];
}

static void enter_chains(const vsi_shard *shard, uint32_t number) {
  for (int which = BY_HANDLE; which <= BY_VALUE; which++) {
    uint32_t *first = chain_of(shard, which, shard->in->cold[number].handle, vsi_entry_at(shard->in, number)->value);
    vsi_extra_at(shard, number)->after[which] = *first;
    *first = number;
  }
}

static void leave_chains(const vsi_shard *shard, uint32_t number) {
  for (int which = BY_HANDLE; which <= BY_VALUE; which++) {
    uint32_t *at = chain_of(shard, which, shard->in->cold[number].handle, vsi_entry_at(shard->in, number)->value);
    while (*at != number) at = &vsi_extra_at(shard, *at)->after[which];
    *at = vsi_extra_at(shard, number)->after[which];
  }
}

VSI_SELDOM uint32_t vsi_many_search(const vsi_shard *shard, const vestry_scoped_key *key, uint32_t newest,
                                    const void *value) {
  uint32_t number = *chain_of(shard, BY_VALUE, shard->in->cold[newest].handle, value);
  for (; number; number = vsi_extra_at(shard, number)->after[BY_VALUE]) {
    const vsi_entry *entry = vsi_entry_at(shard->in, number);
    if (entry->value == value && vsi_entry_has_key(entry, key)) break;
  }
  return number;
}

VSI_SELDOM uint32_t vsi_many_with_handle(const vsi_shard *shard, vestry_handle handle) {
  if (!shard->extra) return 0;
  uint32_t number = *chain_of(shard, BY_HANDLE, handle, NULL);
  while (number && shard->in->cold[number].handle != handle) number = vsi_extra_at(shard, number)->after[BY_HANDLE];
  return number;
}

void vsi_many_renew(const vsi_shard *shard, bool has_rings) {
  for (uint32_t i = VSI_HEADS; i < shard->in->room; i++) {
    vsi_extra *at = vsi_extra_at(shard, i);
    if (!has_rings || i >= shard->fresh) at->older = at->newer = i;
    at->first[BY_HANDLE] = at->first[BY_VALUE] = 0;
  }
  for (uint32_t i = VSI_HEADS; has_rings && i < shard->fresh; i++)
    if (vsi_extra_at(shard, i)->older != i) enter_chains(shard, i);
}

VSI_SELDOM void vsi_many_join(const vsi_shard *shard, const vsi_placing *placing, uint32_t newest, uint32_t number) {
  vsi_extra *own = vsi_extra_at(shard, number), *of_newest = vsi_extra_at(shard, newest);
  own->count = 1 + (uint32_t)vsi_many_count(shard, newest);
  if (own->count == 2) enter_chains(shard, newest);
  own->older = newest;
  own->newer = of_newest->newer;
  vsi_extra_at(shard, of_newest->newer)->older = number;
  of_newest->newer = number;
  enter_chains(shard, number);
  vsi_index_replace(shard->in, placing, newest, number);
}

/* Return the newest entry of the key of an entry. */
static uint32_t newest_of(const vsi_shard *shard, const vsi_placing *placing, uint32_t number) {
  const vsi_entry *entry = vsi_entry_at(shard->in, number);
  vestry_scoped_key key = vsi_entry_key(entry);
  return vsi_index_find(shard->in, placing, &key, vsi_placing_anew(placing, entry));
}

VSI_SELDOM void vsi_many_leave(const vsi_shard *shard, const vsi_placing *placing, uint32_t number) {
  vsi_extra *own = vsi_extra_at(shard, number);
  const uint32_t older = own->older, newest = newest_of(shard, placing, number);
  const uint32_t count = vsi_extra_at(shard, newest)->count - 1, after = newest == number ? older : newest;
  leave_chains(shard, number);
  vsi_extra_at(shard, own->newer)->older = older;
  vsi_extra_at(shard, older)->newer = own->newer;
  own->older = own->newer = number;
  vsi_extra_at(shard, after)->count = count;
  if (count == 1) leave_chains(shard, after);
  if (after != newest) vsi_index_replace(shard->in, placing, newest, after);
}
