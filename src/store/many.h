/* SPDX-License-Identifier: MIT */
/* Keys that have several values: the entries of a key form a ring in the order of their puts, and the index contains
 * the newest. Chains find an entry by its handle or by its value in a constant number of steps, because a key may have
 * thousands of values. The chains need no further memory: they start at places of the same array. All functions
 * run under the lock of the shard. */
#ifndef VSI_STORE_MANY_H
#define VSI_STORE_MANY_H

#include "store/shard.h"

static inline uint32_t vsi_many_older(const vsi_shard *shard, uint32_t number) {
  return vsi_many_has(shard, number) ? vsi_extra_at(shard, number)->older : number;
}
static inline uint32_t vsi_many_newer(const vsi_shard *shard, uint32_t number) {
  return vsi_many_has(shard, number) ? vsi_extra_at(shard, number)->newer : number;
}
/* Return the number of values of a key. newest: 0: none. */
static inline size_t vsi_many_count(const vsi_shard *shard, uint32_t newest) {
  return newest && vsi_many_has(shard, newest) ? vsi_extra_at(shard, newest)->count : newest != 0;
}

/* Return the entry of a key that has this value; 0: none. newest: of the key; 0: none. */
uint32_t vsi_many_search(const vsi_shard *shard, const vestry_scoped_key *key, uint32_t newest, const void *value);
static inline uint32_t vsi_many_find(const vsi_shard *shard, const vestry_scoped_key *key, uint32_t newest,
                                     const void *value) {
  if (__builtin_expect(!newest || vsi_entry_at(shard->in, newest)->value == value, 0)) return newest;
  return vsi_many_has(shard, newest) ? vsi_many_search(shard, key, newest, value) : 0;
}
/* Return the entry with this handle, if its key has several values; else 0. */
uint32_t vsi_many_with_handle(const vsi_shard *shard, vestry_handle handle);

/* Make the array ready, after it was allocated for `count` entries and perhaps copied: enter the rings into the chains
 * if there are any. */
void vsi_many_renew(const vsi_shard *shard, bool has_rings);
/* An entry is new: it is the only one of its key. */
static inline void vsi_many_begin(const vsi_shard *shard, uint32_t number) {
  vsi_extra *own = vsi_extra_at(shard, number);
  own->older = own->newer = number;
}
/* Add a new entry, as the newest, to a key that has others. shard->extra is not NULL. */
void vsi_many_join(const vsi_shard *shard, const vsi_placing *placing, uint32_t newest, uint32_t number);
/* Remove an entry from the ring of its key, and correct the index. */
void vsi_many_leave(const vsi_shard *shard, const vsi_placing *placing, uint32_t number);

#endif
