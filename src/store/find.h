/* How readers search an index: the layout of its buckets, and the look-up, written so that a look-up of a store is one
 * function. buckets.c holds the essay, and what writers do. */
#ifndef VSI_STORE_FIND_H
#define VSI_STORE_FIND_H

#include "store/buckets.h"

#if defined(__SSE2__)
#include <emmintrin.h>
#endif
#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define VSI_THREAD_SANITIZER 1
#endif
#endif
#ifndef VSI_THREAD_SANITIZER
#define VSI_THREAD_SANITIZER 0
#endif

enum { VSI_BUCKET_WORDS = 7 };
#define VSI_ADDRESS_BITS 42
#define VSI_ADDRESS_MASK ((UINT64_C(1) << VSI_ADDRESS_BITS) - 1)

typedef struct vsi_bucket {
  _Atomic(uint64_t) words[VSI_BUCKET_WORDS];
  _Atomic(uint32_t) passed;
  uint32_t filled; /* a bit a word; the writer's own, so that it finds room without a look at each word */
} vsi_bucket;
_Static_assert(sizeof(vsi_bucket) == VSI_CACHE_LINE, "a bucket is a cache line");

struct vsi_table_memory {
  uint32_t count;
  vsi_bucket *at;
  vsi_table_memory *next; /* in a list of retired ones */
};

static inline uint64_t vsi_bucket_tag(uint64_t hash) {
  return (hash & 0xffffffff) >> 10;
}
static inline vsi_slot *vsi_bucket_slot(uint64_t word) {
  return (vsi_slot *)(uintptr_t)((word & VSI_ADDRESS_MASK) << 6);
}
static inline uint32_t vsi_bucket_home(const vsi_table_memory *table, uint32_t upper) {
  return (uint32_t)((uint64_t)upper * table->count >> 32);
}
static inline uint32_t vsi_bucket_after(const vsi_table_memory *table, uint32_t at) {
  return at + 1 == table->count ? 0 : at + 1;
}

/* A bit for each word of a bucket that may have this tag, or lead to this address: it is looked at again. Of an empty
 * one too, if the tag is 0. */
#if defined(__SSE2__) && !defined(__SANITIZE_THREAD__) && !VSI_THREAD_SANITIZER
/* Four 16-byte loads. Each word's eight bytes are read at once, as every x86-64 does; a hit is read again as an atomic.
 * The processor keeps loads in order, and the compiler does not move them before the section's signal fence. The eighth
 * lane is the count, masked out. */
static inline uint32_t vsi_lanes_equal(__m128i first, __m128i second, __m128i wanted) {
  return (uint32_t)(_mm_movemask_ps(_mm_castsi128_ps(_mm_cmpeq_epi32(first, wanted))) |
                    _mm_movemask_ps(_mm_castsi128_ps(_mm_cmpeq_epi32(second, wanted))) << 4) &
         0x7f;
}
#define VSI_HALVES(in, i, lanes)                                                                                       \
  _mm_castps_si128(_mm_shuffle_ps(_mm_load_ps((const float *)(const void *)&(in)->words[i]),                           \
                                  _mm_load_ps((const float *)(const void *)&(in)->words[(i) + 2]), lanes))
static inline uint32_t vsi_bucket_tagged(const vsi_bucket *in, uint64_t tag) {
  enum { UPPER = _MM_SHUFFLE(3, 1, 3, 1) };
  return vsi_lanes_equal(_mm_srli_epi32(VSI_HALVES(in, 0, UPPER), VSI_ADDRESS_BITS - 32),
                         _mm_srli_epi32(VSI_HALVES(in, 4, UPPER), VSI_ADDRESS_BITS - 32), _mm_set1_epi32((int)tag));
}
static inline uint32_t vsi_bucket_leading_to(const vsi_bucket *in, uint64_t address) {
  enum { LOWER = _MM_SHUFFLE(2, 0, 2, 0) };
  return vsi_lanes_equal(VSI_HALVES(in, 0, LOWER), VSI_HALVES(in, 4, LOWER), _mm_set1_epi32((int)(uint32_t)address));
}
#undef VSI_HALVES
#else
static inline uint32_t vsi_bucket_tagged(const vsi_bucket *in, uint64_t tag) {
  uint32_t hits = 0;
  for (int i = 0; i < VSI_BUCKET_WORDS; i++)
    hits |= (uint32_t)(atomic_load_explicit(&in->words[i], memory_order_seq_cst) >> VSI_ADDRESS_BITS == tag) << i;
  return hits;
}
static inline uint32_t vsi_bucket_leading_to(const vsi_bucket *in, uint64_t address) {
  uint32_t hits = 0;
  for (int i = 0; i < VSI_BUCKET_WORDS; i++)
    hits |= (uint32_t)((atomic_load_explicit(&in->words[i], memory_order_relaxed) & VSI_ADDRESS_MASK) == address) << i;
  return hits;
}
#endif

static inline vsi_slot *vsi_bucket_find(const vsi_bucket *in, const vsi_probe *probe) {
  uint64_t tag = vsi_bucket_tag(probe->hash);
  for (uint32_t hits = vsi_bucket_tagged(in, tag); hits; hits &= hits - 1) {
    uint64_t word = atomic_load_explicit(&in->words[__builtin_ctz(hits)], memory_order_seq_cst); /* [R2] */
    if (!word || word >> VSI_ADDRESS_BITS != tag) continue; /* empty, or it has changed since */
    vsi_slot *slot = vsi_bucket_slot(word);
    if (vsi_probe_matches(probe, slot)) return slot;
  }
  return NULL;
}

/* vsi_buckets_find. What seldom happens takes the probe by value, here and in table.c: one whose address nobody takes
 * stays in registers. */
vsi_slot *vsi_find_again(const vsi_buckets *buckets, vsi_probe probe);

/* As vsi_buckets_find. Nearly always the table is not being changed, and a key lies in its home or is not there. */
static inline vsi_slot *vsi_find(const vsi_buckets *buckets, const vsi_probe *probe) {
  const vsi_table_memory *table = atomic_load_explicit(&buckets->current, memory_order_seq_cst);
  if (__builtin_expect(!atomic_load_explicit(&buckets->old, memory_order_seq_cst), 1)) {
    const vsi_bucket *home = &table->at[vsi_bucket_home(table, (uint32_t)(probe->hash >> 32))];
    vsi_slot *slot = vsi_bucket_find(home, probe);
    if (__builtin_expect(slot != NULL, 1)) return slot;
    if (!atomic_load_explicit(&home->passed, memory_order_seq_cst) &&
        table == atomic_load_explicit(&buckets->current, memory_order_seq_cst))
      return NULL;
  }
  return vsi_find_again(buckets, *probe);
}

#endif
