/* SPDX-License-Identifier: MIT */
/* essay: an index of cache lines without tombstones */
/* The index of one shard: from a key to its newest entry. All functions run under the shard's lock, except
 * vsi_index_fetch.
 *
 *   a group, one cache line:  12 tags of 8 bits | passed | 12 numbers of entries
 *
 * Each key has a home group. If the home is full, the key is stored in the next group that has room. Each full group
 * in between counts the key in `passed`, and a lookup ends at the first group whose count is 0. Therefore the index
 * needs no tombstones (Bronson and Shi, "Open-sourcing F14 for faster, more memory-efficient hash tables", 2019). The
 * tags of a group are compared at once.
 *
 * The home comes from the hash bits that the handle contains. So no key is read when the index grows. (Keys share homes
 * if a shard has more groups than these bits distinguish: above 100 million entries.) */
#ifndef VSI_STORE_INDEX_H
#define VSI_STORE_INDEX_H

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

#include "base/processor.h"
#include "store/shard.h"

/* Places of a group, and the number of entries for each group. */
enum { VSI_GROUP_PLACES = 12, VSI_GROUP_LOAD = 8, VSI_GROUP_MASK = (1 << VSI_GROUP_PLACES) - 1 };

struct vsi_index_group {
  uint8_t tags[VSI_GROUP_PLACES]; /* not 0, from the hash; 0: empty */
  uint32_t passed;                /* number of keys stored further on whose home is this group or an earlier
                                             one, so that lookups continue */
  uint32_t numbers[VSI_GROUP_PLACES];
};

/* The bits of a hash that determine the place of a key. In a store with a limit per scope, all keys of a scope are in
 * one shard. Therefore the upper scope_bits, which select the shard, come from the hash of the scope. */
typedef struct vsi_placing {
  const vsi_keyed_hash *hash;
  unsigned shard_bits, scope_bits;
} vsi_placing;

/* Return the hash of a scope, whose upper scope_bits select the shard of all its keys. */
uint64_t vsi_placing_of_scope(const vsi_placing *placing, const void *scope, size_t len);
/* Return the hash that places a key, given the hash of its words. */
uint64_t vsi_placing_by_scope(const vsi_placing *placing, uint32_t lens, const uint64_t *words, uint64_t hash);
/* Return the hash that places the key of an entry, computed from the key's words. */
uint64_t vsi_placing_anew(const vsi_placing *placing, const vsi_entry *entry);

/* Return the next entry of a home, in no order, the newest of each key only. at: 0 to start with. 0: no more. */
uint32_t vsi_index_next_at_home(const vsi_arrays *in, const vsi_placing *placing, uint32_t home, uint32_t *at);

/* Return the last hash whose home is that of `hash`. Homes are in the order of the hashes. */
uint64_t vsi_index_last_hash(const vsi_arrays *in, const vsi_placing *placing, uint64_t hash);

/* ------------------------------------------------------------------------------------------------------ inline ---- */

static inline vsi_index_group *vsi_index_groups(const vsi_arrays *in) {
  return atomic_load_explicit(&in->groups, memory_order_relaxed);
}
static inline uint32_t vsi_index_count(const vsi_arrays *in) {
  return atomic_load_explicit(&in->groups_count, memory_order_relaxed);
}
static inline uint32_t vsi_index_home(const vsi_arrays *in, const vsi_placing *placing, uint64_t hash) {
  uint32_t bits = (uint32_t)(hash >> (64 - VSI_HANDLE_HASH_BITS)) << placing->shard_bits & 0xffffff;
  return (uint32_t)((uint64_t)bits * vsi_index_count(in) >> VSI_HANDLE_HASH_BITS);
}
static inline uint32_t vsi_index_after(const vsi_arrays *in, uint32_t group) {
  return group + 1 == vsi_index_count(in) ? 0 : group + 1;
}
static inline uint8_t vsi_index_tag(uint64_t hash) {
  uint8_t tag = (uint8_t)(hash >> 32);
  return (uint8_t)(tag + !tag);
}

/* Return a bit for each place that has this tag. */
static inline unsigned vsi_group_tagged(const vsi_index_group *in, uint8_t tag) {
#if defined(__SSE2__)
  __m128i equal = _mm_cmpeq_epi8(_mm_load_si128((const __m128i *)(const void *)in), _mm_set1_epi8((char)tag));
  return (unsigned)_mm_movemask_epi8(equal) & VSI_GROUP_MASK;
#else
  unsigned hits = 0;
  for (unsigned i = 0; i < VSI_GROUP_PLACES; i++) hits |= (unsigned)(in->tags[i] == tag) << i;
  return hits;
#endif
}
/* Return a bit for the place of an entry; 0: it is not here. The code has no branch that depends on the place, because
 * no processor could predict it. */
static inline unsigned vsi_group_place_of(const vsi_index_group *in, uint32_t number) {
  unsigned hits = 0;
#if defined(__SSE2__)
  const __m128i *at = (const __m128i *)(const void *)in->numbers, sought = _mm_set1_epi32((int)number);
  __m128i first = _mm_packs_epi32(_mm_cmpeq_epi32(at[0], sought), _mm_cmpeq_epi32(at[1], sought));
  __m128i all = _mm_packs_epi16(first, _mm_packs_epi32(_mm_cmpeq_epi32(at[2], sought), _mm_setzero_si128()));
  hits = (unsigned)_mm_movemask_epi8(all);
#else
  for (unsigned i = 0; i < VSI_GROUP_PLACES; i++) hits |= (unsigned)(in->numbers[i] == number) << i;
#endif
  return hits & VSI_GROUP_MASK;
}

/* As vsi_index_find, but examines all entries that have the tag. It gets the parts of the arrays, so that no function
 * gets the address of the arrays, and a caller can keep them in registers (replace_victim). */
uint32_t vsi_index_find_any(const vsi_index_group *groups, uint32_t count, const vsi_entry *entries, uint32_t home,
                            const vestry_scoped_key *key, uint8_t tag);
/* Return the newest entry of a key; 0: none. hash: the hash that places it. Nearly always the key's entry is the first
 * one of its home that has the tag. */
static inline uint32_t vsi_index_find(const vsi_arrays *in, const vsi_placing *placing, const vestry_scoped_key *key,
                                      uint64_t hash) {
  const uint32_t home = vsi_index_home(in, placing, hash);
  const uint8_t tag = vsi_index_tag(hash);
  const vsi_index_group *at = &vsi_index_groups(in)[home];
  const unsigned hits = vsi_group_tagged(at, tag);
  if (__builtin_expect(hits != 0, 1)) {
    const uint32_t number = at->numbers[__builtin_ctz(hits)];
    if (__builtin_expect(vsi_entry_has_key(vsi_entry_at(in, number), key), 1)) return number;
  }
  if (!(hits & (hits - 1)) && !at->passed) return 0;
  return vsi_index_find_any(vsi_index_groups(in), vsi_index_count(in), in->entries, home, key, tag);
}

/* Add an entry whose key is not in the index. There are more places than entries. */
static inline void vsi_index_add(const vsi_arrays *in, uint32_t home, uint8_t tag, uint32_t number) {
  for (uint32_t i = home;; i = vsi_index_after(in, i)) {
    vsi_index_group *at = &vsi_index_groups(in)[i];
    unsigned empty = vsi_group_tagged(at, 0);
    if (__builtin_expect(empty != 0, 1)) {
      unsigned place = (unsigned)__builtin_ctz(empty);
      at->tags[place] = tag;
      at->numbers[place] = number;
      return;
    }
    at->passed++;
  }
}

/* Remove an entry, which is the newest of its key. Returns its tag. */
static inline uint8_t vsi_index_remove(const vsi_arrays *in, const vsi_placing *placing, uint32_t number) {
  for (uint32_t i = vsi_index_home(in, placing, in->cold[number].handle);; i = vsi_index_after(in, i)) {
    vsi_index_group *at = &vsi_index_groups(in)[i];
    unsigned bit = vsi_group_place_of(at, number);
    if (__builtin_expect(bit != 0, 1)) {
      const uint8_t tag = at->tags[__builtin_ctz(bit)];
      at->tags[__builtin_ctz(bit)] = 0;
      at->numbers[__builtin_ctz(bit)] = 0;
      return tag;
    }
    VSI_ASSERT(at->passed > 0);
    at->passed--;
  }
}

/* Prefetch the home of a key. Without the lock: the members read are only a hint. */
static inline void vsi_index_fetch(const vsi_arrays *in, const vsi_placing *placing, uint64_t hash, bool to_write) {
  const vsi_index_group *home = vsi_index_groups(in) + vsi_index_home(in, placing, hash);
  if (to_write)
    vsi_prefetch_to_write(home);
  else
    __builtin_prefetch(home);
}

#endif
