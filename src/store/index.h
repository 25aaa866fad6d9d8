/* SPDX-License-Identifier: MIT */
/* essay: an index of cache lines without tombstones */
/* The index of one shard: from a key to its newest entry. All under the shard's lock, but vsi_index_fetch.
 *
 *   a bucket, one line of cache:  6 tags of 16 bits | passed | 6 entries
 *
 * A key's home is a bucket; if that is full, it lies in the next one that is not. Each full bucket that it passed by
 * counts it, and a look-up ends at the first bucket that no key has passed by: no tombstones (Bronson and Shi, "Open-
 * sourcing F14 for faster, more memory-efficient hash tables", 2019). A bucket's tags are compared at once. */
#ifndef VSI_STORE_INDEX_H
#define VSI_STORE_INDEX_H

#include <stdatomic.h>

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

#include "base/assert.h"
#include "base/processor.h"
#include "store/entry.h"

/* Places of a bucket, and how many of them are taken on average before the index grows. */
enum { VSI_BUCKET_PLACES = 6, VSI_BUCKET_LOAD_MOST = 4 };

typedef struct vsi_bucket {
  uint16_t tags[VSI_BUCKET_PLACES]; /* odd, of the hash; 0: empty */
  uint32_t passed;                  /* keys that belong here or before and lie further on */
  vsi_entry *at[VSI_BUCKET_PLACES];
} vsi_bucket;

/* Which bits of a hash say where a key lies. In a store with a cap per scope the upper scope_bits, which choose the
 * shard, are those of the scope's own hash: so all keys of a scope are in one shard. */
typedef struct vsi_placing {
  const vsi_keyed_hash *hash;
  unsigned shard_bits, scope_bits;
} vsi_placing;

typedef struct vsi_index {
  _Atomic(vsi_bucket *) buckets; /* these three are atomic for vsi_index_fetch alone: relaxed */
  _Atomic(uint32_t) mask;
  _Atomic(uint8_t) shift; /* a home is the hash >> shift, masked */
  uint8_t bits;           /* 1 << bits buckets */
  const vsi_placing *placing;
  const vestry_host *host;
  void *memory;
} vsi_index;

/* OK | NO_MEMORY. */
vestry_err vsi_index_init(vsi_index *index, const vestry_host *host, const vsi_placing *placing);
void vsi_index_finish(vsi_index *index);

/* Give room back if count keys need far less. */
void vsi_index_shrink(vsi_index *index, size_t count);

/* The hash by which a key is placed, from that of its words. */
uint64_t vsi_placing_by_scope(const vsi_placing *placing, uint32_t lens, const uint64_t *words, uint64_t hash);
/* The hash by which the key of an entry is placed, from the key's words. */
uint64_t vsi_placing_anew(const vsi_placing *placing, const vsi_entry *entry);

/* Entries of one home, one key after the other, in no order. at: 0 to start with. NULL: no more. */
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
/* The upper bits, which are the home's, are in the handle, unless the store is a very large one. */
static inline uint64_t vsi_index_hash_of(const vsi_index *index, const vsi_entry *entry) {
  if (__builtin_expect(vsi_index_shift(index) >= 64 - VSI_HANDLE_HASH_BITS, 1)) return entry->handle;
  return vsi_placing_anew(index->placing, entry);
}
static inline uint16_t vsi_index_tag(uint64_t hash) {
  return (uint16_t)(hash >> 24) | 1;
}

/* Which places have this tag: two bits set for each. */
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
/* The place of an entry; VSI_BUCKET_PLACES: it is not here. There is no branch on where it lies, since no processor
 * could predict that. */
static inline unsigned vsi_bucket_place_of(const vsi_bucket *in, const vsi_entry *entry) {
#if defined(__SSE2__)
  const __m128i *at = (const __m128i *)(const void *)in->at, sought = _mm_set1_epi64x((long long)(uintptr_t)entry);
  __m128i first = _mm_packs_epi32(_mm_cmpeq_epi32(at[0], sought), _mm_cmpeq_epi32(at[1], sought));
  __m128i all = _mm_packs_epi16(first, _mm_packs_epi32(_mm_cmpeq_epi32(at[2], sought), _mm_setzero_si128()));
  unsigned halves = (unsigned)_mm_movemask_epi8(all), hits = (halves & halves >> 1 & 0x555) | 0x1000; /* two a place */
  return (unsigned)__builtin_ctz(hits) / 2;
#else
  unsigned hits = 1u << VSI_BUCKET_PLACES;
  for (unsigned i = 0; i < VSI_BUCKET_PLACES; i++) hits |= (unsigned)(in->at[i] == entry) << i;
  return (unsigned)__builtin_ctz(hits);
#endif
}

/* The newest entry of a key; hash: by which it is placed. */
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

/* Make room for one more than count keys. OK | NO_MEMORY: there is none. (A little earlier memory is asked for too, but
 * not insisted on: a table that stays small is slower, not wrong.) */
static inline vestry_err vsi_index_grow(vsi_index *index, size_t count) {
  if (__builtin_expect(count / VSI_BUCKET_LOAD_MOST <= vsi_index_mask(index), 1)) return VESTRY_OK;
  return vsi_index_grow_now(index, count);
}

/* Add a key that is not there; vsi_index_grow has made room. */
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

/* Another entry of the same key is the newest. */
void vsi_index_replace(vsi_index *index, const vsi_entry *from, vsi_entry *to);

/* Begin to fetch a key's home. Without the lock: what is read is a hint. */
static inline void vsi_index_fetch(const vsi_index *index, uint64_t hash, bool to_write) {
  const vsi_bucket *home = vsi_index_buckets(index) + vsi_index_home(index, hash);
  if (to_write)
    vsi_prefetch_to_write(home);
  else
    __builtin_prefetch(home);
}

#endif
