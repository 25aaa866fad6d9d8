/* SPDX-License-Identifier: MIT */
/* What an entry needs only in some stores: its birth, the share of its scope, and the ring of the values of one key.
 * All functions run under the shard's lock.
 *
 * Births: a list in the order of puts. Shares: in a store with a limit per scope, all keys of a scope are in one shard,
 * which has one share for each scope: the number of the scope's values, and their order of use. A share exists while
 * the scope has a value or a put for it is running.
 *
 * Rings: the entries of a key that has several values form a ring in the order of their puts, and the index contains
 * the newest. Chains find an entry by its handle or by its value in a constant number of steps, because a key may have
 * thousands of values. The chains need no further memory: they start at places of the same array. */
#ifndef VSI_STORE_EXTRA_H
#define VSI_STORE_EXTRA_H

#include "store/index.h"

typedef struct vsi_scope_share {
  vsi_map_link in;          /* first member; in the shard's map */
  vsi_links used;           /* head of the list of the scope's entries, in the order of use */
  size_t count, puts_count; /* number of values; number of running puts */
  size_t len;
  unsigned char scope[];
} vsi_scope_share;

/* Begin a put: return the share of the scope, created if necessary. NULL: out of memory. */
vsi_scope_share *vsi_scopes_enter(vsi_shard *shard, const vestry_host *host, vsi_siphash_key secret,
                                  const vestry_scope *scope);
/* End a put. */
void vsi_scopes_leave(vsi_shard *shard, const vestry_host *host, vsi_scope_share *share);
/* Note the use of an entry. The list is in the order of all uses, even within a tick. */
void vsi_scopes_use(vsi_shard *shard, uint32_t number);

/* Add the extra of a new entry to the order of birth and to the share of its scope (NULL: none), or remove it. */
void vsi_extra_add(vsi_shard *shard, uint32_t number, vsi_scope_share *share);
void vsi_extra_take(vsi_shard *shard, const vestry_host *host, uint32_t number);

/* ---------------------------------------------------------------------------------- several values of one key ---- */

static inline uint32_t vsi_many_older(const vsi_shard *shard, uint32_t number) {
  return vsi_many_has(shard, number) ? vsi_extra_at(shard, number)->older : number;
}
/* Return the entry that was put next after `number`; 0: begin with the oldest. newest: of the key. 0: no more. */
static inline uint32_t vsi_many_next(const vsi_shard *shard, uint32_t newest, uint32_t number) {
  if (number == newest) return 0;
  if (!number) number = newest;
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
