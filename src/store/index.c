/* SPDX-License-Identifier: MIT */
/* The index of a shard (index.h): growing, shrinking and moving entries. */
#include "store/index.h"

/* The index doubles when its buckets hold more than VSI_BUCKET_LOAD_MOST keys on average, and halves below 1. */
enum { BITS_LEAST = VSI_INDEX_FIRST_BITS, BITS_MOST = 31 };

static void set_buckets(vsi_index *index, vsi_bucket *buckets, unsigned bits) {
  index->bits = (uint8_t)bits;
  atomic_store_explicit(&index->buckets, buckets, memory_order_relaxed);
  atomic_store_explicit(&index->shift, (uint8_t)(64 - index->placing->shard_bits - bits), memory_order_relaxed);
  atomic_store_explicit(&index->mask, (uint32_t)((UINT64_C(1) << bits) - 1), memory_order_relaxed);
}

/* Set the number of buckets to 1 << bits, and move all entries. The smallest number needs no memory. */
static vestry_err resize(vsi_index *index, unsigned bits) {
  const bool is_first = bits == BITS_LEAST;
  void *memory = is_first ? NULL : vsi_calloc(index->host, 1, (sizeof(vsi_bucket) << bits) + VSI_CACHE_LINE);
  if (!memory && !is_first) return VESTRY_NO_MEMORY;
  vsi_bucket *old = vsi_index_buckets(index);
  const size_t old_count = (size_t)vsi_index_mask(index) + 1;
  if (is_first) memset(index->first, 0, VSI_INDEX_FIRST_BUCKETS * sizeof(vsi_bucket));
  set_buckets(index, is_first ? index->first : vsi_cache_line_up(memory), bits);
  for (size_t i = 0; i < old_count; i++)
    for (unsigned k = 0; k < VSI_BUCKET_PLACES; k++)
      if (old[i].at[k]) vsi_index_add(index, vsi_index_hash_of(index, old[i].at[k]), old[i].tags[k], old[i].at[k]);
  vsi_free(index->host, index->memory);
  index->memory = memory;
  return VESTRY_OK;
}

void vsi_index_init(vsi_index *index, const vestry_host *host, const vsi_placing *placing, vsi_bucket *first) {
  *index = (vsi_index){.placing = placing, .host = host, .first = first};
  set_buckets(index, first, BITS_LEAST);
}

void vsi_index_finish(vsi_index *index) {
  vsi_free(index->host, index->memory);
  index->memory = NULL;
}

VSI_SELDOM vestry_err vsi_index_grow_now(vsi_index *index, size_t count) {
  if (index->bits < BITS_MOST && !resize(index, index->bits + 1u)) return VESTRY_OK;
  return count < ((size_t)vsi_index_mask(index) + 1) * VSI_BUCKET_PLACES ? VESTRY_OK : VESTRY_NO_MEMORY;
}

VSI_SELDOM void vsi_index_shrink(vsi_index *index, size_t count) {
  if (index->bits > BITS_LEAST && count <= vsi_index_mask(index)) (void)resize(index, index->bits - 1u);
}

VSI_SELDOM void vsi_index_replace(vsi_index *index, const vsi_entry *from, vsi_entry *to) {
  vsi_bucket *buckets = vsi_index_buckets(index);
  uint32_t i = vsi_index_home(index, vsi_index_hash_of(index, from));
  unsigned place;
  while ((place = vsi_bucket_place_of(&buckets[i], from)) == VSI_BUCKET_PLACES) i = (i + 1) & vsi_index_mask(index);
  buckets[i].at[place] = to;
}

VSI_SELDOM uint64_t vsi_placing_of_scope(const vsi_placing *placing, const void *scope, size_t len) {
  return vsi_siphash_1_3(placing->hash->siphash, scope, len);
}

VSI_SELDOM uint64_t vsi_placing_by_scope(const vsi_placing *placing, uint32_t lens, const uint64_t *words,
                                         uint64_t hash) {
  if (!placing->scope_bits) return hash;
  uint64_t of_scope = vsi_placing_of_scope(placing, words, vsi_lens_scope(lens));
  return (of_scope & ~(UINT64_MAX >> placing->scope_bits)) | hash >> placing->scope_bits;
}

VSI_SELDOM uint64_t vsi_placing_anew(const vsi_placing *placing, const vsi_entry *entry) {
  uint64_t hash = vsi_keyed_hash_words(placing->hash, entry->words, vsi_lens_words(entry->lens), entry->lens);
  return placing->scope_bits ? vsi_placing_by_scope(placing, entry->lens, entry->words, hash) : hash;
}

vsi_entry *vsi_index_next_at_home(const vsi_index *index, uint32_t home, uint32_t *at) {
  const vsi_bucket *buckets = vsi_index_buckets(index);
  uint32_t mask = vsi_index_mask(index);
  for (;; ++*at) {
    uint32_t distance = *at / VSI_BUCKET_PLACES;
    if (*at % VSI_BUCKET_PLACES == 0 && distance && (distance > mask || !buckets[(home + distance - 1) & mask].passed))
      return NULL;
    vsi_entry *entry = buckets[(home + distance) & mask].at[*at % VSI_BUCKET_PLACES];
    if (!entry || vsi_index_home(index, vsi_index_hash_of(index, entry)) != home) continue;
    ++*at;
    return entry;
  }
}
