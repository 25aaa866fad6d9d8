/* SPDX-License-Identifier: MIT */
/* A hash for keys that come from users: without the secret no user can choose keys that collide.
 *
 * A key is given as words and a number (for example its lengths). Up to 64 words are hashed by NH and a multiply-shift,
 * with three multiplications for 48 bytes and three at the end; longer keys by SipHash-1-3. The proof is in
 * keyed_hash.c. The upper bits are better than the lower ones. A hash is valid only in the process that drew the
 * secret, so it must not be stored or sent. */
#ifndef VSI_BASE_KEYED_HASH_H
#define VSI_BASE_KEYED_HASH_H

#include "base/siphash.h"
#include "vestry/host.h"

enum { VSI_KEYED_HASH_WORDS = 64 };

/* The secret; all of it is random. */
typedef struct vsi_keyed_hash {
  uint64_t nh[VSI_KEYED_HASH_WORDS];
  uint64_t low, high, number; /* odd */
  vsi_siphash_key siphash;
} vsi_keyed_hash;

/* Draw a secret. OK | IO (the host has no randomness). */
VESTRY_API vestry_err vsi_keyed_hash_init(vsi_keyed_hash *hash, const vestry_host *host);

/* Hash a key with more words than NH has keys for. */
uint64_t vsi_keyed_hash_long(const vsi_keyed_hash *hash, const uint64_t *words, size_t count, uint64_t number);

__extension__ typedef unsigned __int128 vsi_wide;

/* Hash a key. Equal words, counts and numbers have equal hashes. count is even. */
static inline uint64_t vsi_keyed_hash_words(const vsi_keyed_hash *hash, const uint64_t *words, size_t count,
                                            uint64_t number) {
  if (__builtin_expect(count > VSI_KEYED_HASH_WORDS, 0)) return vsi_keyed_hash_long(hash, words, count, number);
  vsi_wide sum = 0;
  for (size_t i = 0; i < count; i += 2) sum += (vsi_wide)(words[i] + hash->nh[i]) * (words[i + 1] + hash->nh[i + 1]);
  return (uint64_t)sum * hash->low + (uint64_t)(sum >> 64) * hash->high + number * hash->number;
}

#endif
