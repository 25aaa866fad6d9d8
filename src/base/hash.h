/* SPDX-License-Identifier: MIT */
/* The hash of keys that are vestry's or the application's own: no client chooses them to collide. What a stranger may
 * choose is hashed with a secret: base/keyed_hash.h, base/siphash.h. The upper bits are the good ones.
 *
 * Rows that all nodes lock are picked by vsi_hash_bytes (data/postgres/jobs.c, data/postgres/forms.c,
 * data/sqlite/forms.c): it is the same on every machine, whatever its order of bytes, and stays what it is in later
 * versions. */
#ifndef VSI_BASE_HASH_H
#define VSI_BASE_HASH_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define VSI_HASH_GOLDEN UINT64_C(0x9E3779B97F4A7C15) /* 2^64 over the golden ratio: Knuth's multiplicative hashing */

/* Of numbers that spread by themselves, as ids do. */
static inline uint64_t vsi_hash_number(uint64_t number) {
  return number * VSI_HASH_GOLDEN;
}
/* Of one word more. */
static inline uint64_t vsi_hash_mix(uint64_t hash, uint64_t word) {
  hash = (hash ^ word) * VSI_HASH_GOLDEN;
  return hash ^ hash >> 32;
}
/* Up to eight bytes as a word, the first one lowest. */
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
