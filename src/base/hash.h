/* SPDX-License-Identifier: MIT */
/* An unkeyed hash for keys of vestry or the application, which no client can choose to collide. Keys from clients are
 * hashed with a secret: base/keyed_hash.h, base/siphash.h. The upper bits are better than the lower ones.
 *
 * vsi_hash_bytes determines numbers that are stored in databases and shared by all nodes (data/sql/forms.c). Therefore,
 * it is the same on all machines, for any byte order, and must not change in later versions. */
#ifndef VSI_BASE_HASH_H
#define VSI_BASE_HASH_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define VSI_HASH_GOLDEN UINT64_C(0x9E3779B97F4A7C15) /* 2^64 over the golden ratio: Knuth's multiplicative hashing */

/* Hash a number that is well distributed already, such as an id. */
static inline uint64_t vsi_hash_number(uint64_t number) {
  return number * VSI_HASH_GOLDEN;
}
/* Add a word to a hash. */
static inline uint64_t vsi_hash_mix(uint64_t hash, uint64_t word) {
  hash = (hash ^ word) * VSI_HASH_GOLDEN;
  return hash ^ hash >> 32;
}
/* Load up to eight bytes as a word, the first one lowest. */
static inline uint64_t vsi_hash_word(const void *bytes, size_t len) {
  uint64_t word = 0;
  if (len) memcpy(&word, bytes, len);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
  word = __builtin_bswap64(word);
#endif
  return word;
}
static inline uint64_t vsi_hash_bytes(uint64_t seed, const void *bytes, size_t len) {
  uint64_t hash = seed;
  const unsigned char *at = bytes;
  size_t all = len;
  for (; len > sizeof hash; at += sizeof hash, len -= sizeof hash)
    hash = vsi_hash_mix(hash, vsi_hash_word(at, sizeof hash));
  return vsi_hash_mix(vsi_hash_mix(hash, vsi_hash_word(at, len)), all);
}

#endif
