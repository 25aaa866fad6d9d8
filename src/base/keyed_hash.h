/* The hash of a key that comes from users: who does not know the secret cannot choose keys that collide.
 *
 * Long keys take SipHash-1-3. Short ones, of three words, take four rounds of AES over each 16-byte block, each with
 * keys of its own, where the processor has the instruction; elsewhere SipHash too. keyed_hash.c says why that is
 * enough. A hash is of its process only: it is never stored or sent. */
#ifndef VSI_BASE_KEYED_HASH_H
#define VSI_BASE_KEYED_HASH_H

#include <stdbool.h>

#include "base/siphash.h"
#include "vestry/host.h"

#if defined(__x86_64__)
#include <emmintrin.h>
#define VSI_KEYED_HASH_AES 1
#else
#define VSI_KEYED_HASH_AES 0
#endif

enum { VSI_AES_BLOCKS = 2, VSI_AES_ROUNDS = 4 };

typedef struct vsi_keyed_hash {
#if VSI_KEYED_HASH_AES
  __m128i aes[VSI_AES_BLOCKS][1 + VSI_AES_ROUNDS]; /* a block's own: what is added first, then a key a round */
#endif
  bool has_aes;
  vsi_siphash_key siphash;
} vsi_keyed_hash;

/* Draw a secret. OK | IO (the host has no randomness). */
vestry_err vsi_keyed_hash_init(vsi_keyed_hash *hash, const vestry_host *host);
/* The same from a given secret. */
enum { VSI_KEYED_HASH_SECRET_BYTES = 16 * (1 + VSI_AES_BLOCKS * (1 + VSI_AES_ROUNDS)) };
void vsi_keyed_hash_load(vsi_keyed_hash *hash, const unsigned char secret[VSI_KEYED_HASH_SECRET_BYTES]);

/* Of at most 23 bytes, given as words, zero behind the end. */
static inline uint64_t vsi_keyed_hash_words(const vsi_keyed_hash *hash, uint64_t first, uint64_t second, uint64_t rest,
                                            size_t len) {
#if VSI_KEYED_HASH_AES
  if (__builtin_expect(hash->has_aes, 1)) {
    __m128i block = _mm_xor_si128(_mm_set_epi64x((long long)second, (long long)first), hash->aes[0][0]);
    __m128i other = _mm_xor_si128(_mm_set_epi64x((long long)len, (long long)rest), hash->aes[1][0]);
    /* assembler, so that what calls this need not be compiled for processors that have it */
#pragma GCC unroll 4
    for (int i = 1; i <= VSI_AES_ROUNDS; i++) {
      __asm__("aesenc %1, %0" : "+x"(block) : "xm"(hash->aes[0][i]));
      __asm__("aesenc %1, %0" : "+x"(other) : "xm"(hash->aes[1][i]));
    }
    return (uint64_t)_mm_cvtsi128_si64(_mm_xor_si128(block, other));
  }
#endif
  return vsi_siphash_1_3_words(hash->siphash, first, second, rest, len);
}

#endif
