/* SPDX-License-Identifier: MIT */
/* The index of a shard (index.h): the hashes that place keys, and walks through homes. */
#include "store/index.h"

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
  const vestry_scoped_key *key = vsi_entry_long_key(entry);
  const uint64_t *words = key ? vsi_scoped_key_words(key) : entry->words;
  uint64_t hash = vsi_keyed_hash_words(placing->hash, words, vsi_lens_words(entry->lens), entry->lens);
  return vsi_placing_by_scope(placing, entry->lens, words, hash);
}

VSI_SELDOM uint32_t vsi_index_find_any(const vsi_index_group *groups, uint32_t count, const vsi_entry *entries,
                                       uint32_t home, const vestry_scoped_key *key, uint8_t tag) {
  uint32_t i = home;
  do {
    const vsi_index_group *at = &groups[i];
    for (unsigned hits = vsi_group_tagged(at, tag); hits; hits &= hits - 1) {
      const uint32_t number = at->numbers[__builtin_ctz(hits)];
      if (vsi_entry_has_key(&entries[number - VSI_HEADS], key)) return number;
    }
    if (!at->passed) return 0;
    i = i + 1 == count ? 0 : i + 1;
  } while (i != home);
  return 0;
}

uint32_t vsi_index_next_at_home(const vsi_arrays *in, const vsi_placing *placing, uint32_t home, uint32_t *at) {
  const vsi_index_group *groups = vsi_index_groups(in);
  uint32_t count = vsi_index_count(in);
  for (;; ++*at) {
    uint32_t distance = *at / VSI_GROUP_PLACES;
    if (*at % VSI_GROUP_PLACES == 0 && distance && (distance == count || !groups[(home + distance - 1) % count].passed))
      return 0;
    uint32_t number = groups[(home + distance) % count].numbers[*at % VSI_GROUP_PLACES];
    if (!number || vsi_index_home(in, placing, in->cold[number].handle) != home) continue;
    ++*at;
    return number;
  }
}

uint64_t vsi_index_last_hash(const vsi_arrays *in, const vsi_placing *placing, uint64_t hash) {
  const uint64_t count = vsi_index_count(in), next = vsi_index_home(in, placing, hash) + UINT64_C(1);
  const uint64_t step = UINT64_C(1) << placing->shard_bits;
  /* the least bits that a hash can have and whose home is the next one; beyond all bits, if there is no next one */
  const uint64_t bits = (((next << VSI_HANDLE_HASH_BITS) + count - 1) / count + step - 1) / step * step;
  const uint64_t last = (bits << (64 - VSI_HANDLE_HASH_BITS)) - 1;
  return (hash & ~(UINT64_MAX >> placing->shard_bits)) | last >> placing->shard_bits;
}
