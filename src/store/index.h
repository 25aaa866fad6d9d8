/* SPDX-License-Identifier: MIT */
/* essay: an index of cache lines without tombstones */
/* The index of one shard: from a key to its newest entry. All functions run under the shard's lock, except
 * vsi_index_fetch.
 *
 *   a bucket, one cache line:  6 tags of 16 bits | passed | 6 entries
 *
 * Each key has a home bucket. If the home is full, the key is stored in the next bucket that has room. Each full bucket
 * in between counts the key in `passed`, and a lookup ends at the first bucket whose count is 0. Therefore the index
 * needs no tombstones (Bronson and Shi, "Open-sourcing F14 for faster, more memory-efficient hash tables", 2019). The
 * tags of a bucket are compared at once. */
#ifndef VSI_STORE_INDEX_H
#define VSI_STORE_INDEX_H

#include <stdatomic.h>

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

#include "base/assert.h"
#include "base/processor.h"
#include "store/entry.h"

/* Places of a bucket, and the average number of occupied places above which the index grows. */
enum { VSI_BUCKET_PLACES = 6, VSI_BUCKET_LOAD_MOST = 4 };

typedef struct vsi_bucket {
  uint16_t tags[VSI_BUCKET_PLACES]; /* odd, from the hash; 0: empty */
  uint32_t passed;                  /* number of keys stored further on whose home is this bucket or an earlier one, so
                                       that lookups continue */
  vsi_entry *at[VSI_BUCKET_PLACES];
} vsi_bucket;

/* The bits of a hash that determine the place of a key. In a store with a limit per scope, all keys of a scope are in
 * one shard. Therefore the upper scope_bits, which select the shard, come from the hash of the scope. */
typedef struct vsi_placing {
  const vsi_keyed_hash *hash;
  unsigned shard_bits, scope_bits;
} vsi_placing;

typedef struct vsi_index {
  _Atomic(vsi_bucket *) buckets; /* these three are atomic only for vsi_index_fetch: relaxed */
  _Atomic(uint32_t) mask;
  _Atomic(uint8_t) shift; /* home = (hash >> shift) & mask */
  uint8_t bits;           /* there are 1 << bits buckets */
  const vsi_placing *placing;
  const vestry_host *host;
  vsi_bucket *first; /* its smallest buckets, which are not its own */
  void *memory;      /* of larger ones */
} vsi_index;

/* Number of buckets of a new index. */
enum { VSI_INDEX_FIRST_BITS = 1, VSI_INDEX_FIRST_BUCKETS = 1 << VSI_INDEX_FIRST_BITS };

/* Initialize an index. first: its VSI_INDEX_FIRST_BUCKETS buckets, zeroed, on a cache line; borrowed. They are given,
 * so that the many indexes of a store take no allocations while they have few keys. */
void vsi_index_init(vsi_index *index, const vestry_host *host, const vsi_placing *placing, vsi_bucket *first);
void vsi_index_finish(vsi_index *index);

/* Free memory if count keys need far less of it. */
void vsi_index_shrink(vsi_index *index, size_t count);

/* Return the hash of a scope, whose upper scope_bits select the shard of all its keys. */
uint64_t vsi_placing_of_scope(const vsi_placing *placing, const void *scope, size_t len);
/* Return the hash that places a key, given the hash of its words. */
uint64_t vsi_placing_by_scope(const vsi_placing *placing, uint32_t lens, const uint64_t *words, uint64_t hash);
/* Return the hash that places the key of an entry, computed from the key's words. */
uint64_t vsi_placing_anew(const vsi_placing *placing, const vsi_entry *entry);

/* Return the next entry of a home, in no order, the newest of each key only. at: 0 to start with. NULL: no more. */
vsi_entry *vsi_index_next_at_home(const vsi_index *index, uint32_t home, uint32_t *at);

/* ------------------------------------------------------------------------------------------------------ inline ---- */

static inline vsi_bucket *vsi_index_buckets(const vsi_index *index) {
  return atomic_load_explicit(&index->buckets, memory_order_relaxed);
}
static inline uint32_t vsi_index_mask(const vsi_index *index) {
  return atomic_load_explicit(&index->mask, memory_order_relaxed);
}
static inline unsigned vsi_index_shift(const vsi_index *index) {
  return atomic_load_explicit(&index->shift, memory_order_relaxed);
}
static inline uint32_t vsi_index_home(const vsi_index *index, uint64_t hash) {
  return (uint32_t)(hash >> vsi_index_shift(index)) & vsi_index_mask(index);
}
/* Return the hash of an entry. Its handle contains the upper bits, which select the home; only a very large store needs
 * more bits, and computes the hash anew. */
static inline uint64_t vsi_index_hash_of(const vsi_index *index, const vsi_entry *entry) {
  if (__builtin_expect(vsi_index_shift(index) >= 64 - VSI_HANDLE_HASH_BITS, 1)) return entry->handle;
  return vsi_placing_anew(index->placing, entry);
}
static inline uint16_t vsi_index_tag(uint64_t hash) {
  return (uint16_t)(hash >> 24) | 1;
}

/* Return the places that have this tag, as two set bits for each. */
static inline unsigned vsi_bucket_tagged(const vsi_bucket *in, uint16_t tag) {
#if defined(__SSE2__)
  __m128i equal = _mm_cmpeq_epi16(_mm_load_si128((const __m128i *)(const void *)in), _mm_set1_epi16((short)tag));
  return (unsigned)_mm_movemask_epi8(equal) & ((1u << 2 * VSI_BUCKET_PLACES) - 1);
#else
  unsigned hits = 0;
  for (unsigned i = 0; i < VSI_BUCKET_PLACES; i++) hits |= (in->tags[i] == tag ? 3u : 0) << 2 * i;
  return hits;
#endif
}
/* Return the place of an entry; VSI_BUCKET_PLACES: it is not here. The code has no branch that depends on the place,
 * because no processor could predict it. */
static inline unsigned vsi_bucket_place_of(const vsi_bucket *in, const vsi_entry *entry) {
#if defined(__SSE2__)
  const __m128i *at = (const __m128i *)(const void *)in->at, sought = _mm_set1_epi64x((long long)(uintptr_t)entry);
  __m128i first = _mm_packs_epi32(_mm_cmpeq_epi32(at[0], sought), _mm_cmpeq_epi32(at[1], sought));
  __m128i all = _mm_packs_epi16(first, _mm_packs_epi32(_mm_cmpeq_epi32(at[2], sought), _mm_setzero_si128()));
  unsigned halves = (unsigned)_mm_movemask_epi8(all), hits = (halves & halves >> 1 & 0x555) | 0x1000; /* 2 a place */
  return (unsigned)__builtin_ctz(hits) / 2;
#else
  unsigned hits = 1u << VSI_BUCKET_PLACES;
  for (unsigned i = 0; i < VSI_BUCKET_PLACES; i++) hits |= (unsigned)(in->at[i] == entry) << i;
  return (unsigned)__builtin_ctz(hits);
#endif
}

/* Return the newest entry of a key. hash: the hash that places it. */
static inline vsi_entry *vsi_index_find(const vsi_index *index, const vestry_scoped_key *key, uint64_t hash) {
  vsi_bucket *buckets = vsi_index_buckets(index);
  uint32_t mask = vsi_index_mask(index);
  for (uint32_t i = vsi_index_home(index, hash), looked = 0;; i = (i + 1) & mask) {
    const vsi_bucket *in = &buckets[i];
    for (unsigned hits = vsi_bucket_tagged(in, vsi_index_tag(hash)), at; hits; hits &= ~(3u << at)) {
      at = (unsigned)__builtin_ctz(hits);
      vsi_entry *entry = in->at[at / 2];
      if (__builtin_expect(vsi_entry_has_key(entry, key), 1)) return entry;
    }
    if (__builtin_expect(!in->passed || looked++ == mask, 1)) return NULL;
  }
}

vestry_err vsi_index_grow_now(vsi_index *index, size_t count);

/* Make room for one more than count keys. OK | NO_MEMORY. The index tries to grow before it is full; if that fails, it
 * keeps its size, which is slower but correct. */
static inline vestry_err vsi_index_grow(vsi_index *index, size_t count) {
  if (__builtin_expect(count / VSI_BUCKET_LOAD_MOST <= vsi_index_mask(index), 1)) return VESTRY_OK;
  return vsi_index_grow_now(index, count);
}

/* Add a key that is not in the index, after vsi_index_grow has made room. */
static inline void vsi_index_add(vsi_index *index, uint64_t hash, uint16_t tag, vsi_entry *entry) {
  vsi_bucket *buckets = vsi_index_buckets(index);
  uint32_t mask = vsi_index_mask(index);
  for (uint32_t i = vsi_index_home(index, hash);; i = (i + 1) & mask) {
    vsi_bucket *in = &buckets[i];
    unsigned empty = vsi_bucket_tagged(in, 0);
    if (__builtin_expect(empty != 0, 1)) {
      unsigned place = (unsigned)__builtin_ctz(empty) / 2;
      in->tags[place] = tag;
      in->at[place] = entry;
      return;
    }
    in->passed++;
  }
}

static inline void vsi_index_remove(vsi_index *index, const vsi_entry *entry) {
  vsi_bucket *buckets = vsi_index_buckets(index);
  uint32_t mask = vsi_index_mask(index);
  for (uint32_t i = vsi_index_home(index, vsi_index_hash_of(index, entry));; i = (i + 1) & mask) {
    vsi_bucket *in = &buckets[i];
    unsigned place = vsi_bucket_place_of(in, entry);
    if (__builtin_expect(place < VSI_BUCKET_PLACES, 1)) {
      in->tags[place] = 0;
      in->at[place] = NULL;
      return;
    }
    VSI_ASSERT(in->passed > 0);
    in->passed--;
  }
}

/* Replace an entry by another one of the same key, which becomes the newest. */
void vsi_index_replace(vsi_index *index, const vsi_entry *from, vsi_entry *to);

/* Prefetch the entries that are stored in a bucket, for a walk through the homes. */
static inline void vsi_index_fetch_entries(const vsi_index *index, uint32_t bucket) {
  vsi_entry *const *at = vsi_index_buckets(index)[bucket & vsi_index_mask(index)].at;
  for (unsigned i = 0; i < VSI_BUCKET_PLACES; i++) __builtin_prefetch(at[i]);
}

/* Prefetch the home of a key, without the lock: the members read are only a hint. */
static inline void vsi_index_fetch(const vsi_index *index, uint64_t hash, bool to_write) {
  const vsi_bucket *home = vsi_index_buckets(index) + vsi_index_home(index, hash);
  if (to_write)
    vsi_prefetch_to_write(home);
  else
    __builtin_prefetch(home);
}

#endif
