/* SPDX-License-Identifier: MIT */
/* A set of numbers below VSI_BITS_MAX, a bit each. Zeroes are an empty set. */
#ifndef VSI_PRESENCE_BITS_H
#define VSI_PRESENCE_BITS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { VSI_BITS_MAX = 1024, VSI_BITS_WORDS = VSI_BITS_MAX / 64 };

typedef struct vsi_bits {
  uint64_t words[VSI_BITS_WORDS];
} vsi_bits;

static inline bool vsi_bits_has(const vsi_bits *set, size_t number) {
  return set->words[number / 64] >> number % 64 & 1;
}
static inline void vsi_bits_add(vsi_bits *set, size_t number) {
  set->words[number / 64] |= UINT64_C(1) << number % 64;
}
static inline void vsi_bits_remove(vsi_bits *set, size_t number) {
  set->words[number / 64] &= ~(UINT64_C(1) << number % 64);
}

/* Return the numbers that are in both sets; in one of them; in `of` and not in `without`. */
static inline vsi_bits vsi_bits_both(vsi_bits set, const vsi_bits *other) {
  for (size_t i = 0; i < VSI_BITS_WORDS; i++) set.words[i] &= other->words[i];
  return set;
}
static inline vsi_bits vsi_bits_any(vsi_bits set, const vsi_bits *other) {
  for (size_t i = 0; i < VSI_BITS_WORDS; i++) set.words[i] |= other->words[i];
  return set;
}
static inline vsi_bits vsi_bits_less(vsi_bits of, const vsi_bits *without) {
  for (size_t i = 0; i < VSI_BITS_WORDS; i++) of.words[i] &= ~without->words[i];
  return of;
}

static inline size_t vsi_bits_count(const vsi_bits *set) {
  size_t count = 0;
  for (size_t i = 0; i < VSI_BITS_WORDS; i++) count += (size_t)__builtin_popcountll(set->words[i]);
  return count;
}
static inline bool vsi_bits_is_empty(const vsi_bits *set) {
  return !vsi_bits_count(set);
}

#endif
