/* SPDX-License-Identifier: MIT */
/* SipHash (Aumasson and Bernstein, "SipHash: a fast short-input PRF", INDOCRYPT 2012): a keyed hash of bytes that come
 * from users. Without the key no user can choose inputs that collide. */
#ifndef VSI_BASE_SIPHASH_H
#define VSI_BASE_SIPHASH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vestry/host.h"

typedef struct vsi_siphash_key {
  uint64_t k0, k1;
} vsi_siphash_key;

/* Load a key from 16 bytes, little-endian, as in the paper. */
vsi_siphash_key vsi_siphash_key_load(const unsigned char bytes[16]);
/* Make a random key. OK | IO (no randomness) */
VESTRY_API vestry_err vsi_siphash_key_random(const vestry_host *host, vsi_siphash_key *ret_key);

/* Hash with one compression round and three finalization rounds, the variant for hash tables. data may be NULL if len
 * is 0. */
VESTRY_API uint64_t vsi_siphash_1_3(vsi_siphash_key key, const void *data, size_t len);

/* The state of a computation, and its steps. Inlined, so that the numbers of rounds are constants. */
typedef struct vsi_sip {
  uint64_t v0, v1, v2, v3;
} vsi_sip;
#define VSI_SIP_INLINE static inline __attribute__((always_inline))

VSI_SIP_INLINE vsi_sip vsi_sip_begin(vsi_siphash_key key) {
  return (vsi_sip){key.k0 ^ UINT64_C(0x736f6d6570736575), key.k1 ^ UINT64_C(0x646f72616e646f6d),
                   key.k0 ^ UINT64_C(0x6c7967656e657261), key.k1 ^ UINT64_C(0x7465646279746573)};
}
VSI_SIP_INLINE uint64_t vsi_sip_rotate(uint64_t word, unsigned bits) {
  return word << bits | word >> (64 - bits);
}
VSI_SIP_INLINE void vsi_sip_rounds(vsi_sip *s, unsigned count) {
#pragma GCC unroll 4
  for (; count; count--) {
    s->v0 += s->v1;
    s->v1 = vsi_sip_rotate(s->v1, 13) ^ s->v0;
    s->v0 = vsi_sip_rotate(s->v0, 32);
    s->v2 += s->v3;
    s->v3 = vsi_sip_rotate(s->v3, 16) ^ s->v2;
    s->v0 += s->v3;
    s->v3 = vsi_sip_rotate(s->v3, 21) ^ s->v0;
    s->v2 += s->v1;
    s->v1 = vsi_sip_rotate(s->v1, 17) ^ s->v2;
    s->v2 = vsi_sip_rotate(s->v2, 32);
  }
}
VSI_SIP_INLINE void vsi_sip_take(vsi_sip *s, uint64_t word, unsigned rounds) {
  s->v3 ^= word;
  vsi_sip_rounds(s, rounds);
  s->v0 ^= word;
}
/* Return 64 bits of output. mark: goes into the state before the final rounds. */
VSI_SIP_INLINE uint64_t vsi_sip_end(vsi_sip *s, uint64_t mark, unsigned rounds) {
  s->v2 ^= mark;
  vsi_sip_rounds(s, rounds);
  return s->v0 ^ s->v1 ^ s->v2 ^ s->v3;
}

/* Compute SipHash-1-3 of 16 to 23 bytes, given as two words and the rest in the lower bytes of a third (little-endian).
 * For fewer bytes the result is also a keyed hash of the words and the length, but not the SipHash of the bytes. */
static inline uint64_t vsi_siphash_1_3_words(vsi_siphash_key key, uint64_t first, uint64_t second, uint64_t rest,
                                             size_t len) {
  vsi_sip s = vsi_sip_begin(key);
  vsi_sip_take(&s, first, 1);
  vsi_sip_take(&s, second, 1);
  vsi_sip_take(&s, rest | (uint64_t)len << 56, 1);
  return vsi_sip_end(&s, 0xff, 3);
}

/* A hash of 128 bits. */
typedef struct vsi_hash_128 {
  uint64_t low, high; /* in the byte order of the authors: low first, each little-endian */
} vsi_hash_128;

static inline bool vsi_hash_128_equal(vsi_hash_128 a, vsi_hash_128 b) {
  return a.low == b.low && a.high == b.high;
}

/* State of SipHash-2-4 with 128 bits of output, for bytes that come in pieces; the result does not depend on the
 * division into pieces. */
typedef struct vsi_siphash_128 {
  vsi_sip state;
  uint64_t rest; /* the bytes that do not fill a word yet, in its lower ones */
  uint64_t len;
} vsi_siphash_128;

/* The same for vsi_siphash_1_3. */
VESTRY_API void vsi_siphash_pieces_init(vsi_siphash_128 *hash, vsi_siphash_key key);
/* Add bytes. data may be NULL if len is 0. */
VESTRY_API void vsi_siphash_pieces_update(vsi_siphash_128 *hash, const void *data, size_t len);
/* Return the hash of all bytes so far, as vsi_siphash_1_3 of them; more can be added afterwards. */
VESTRY_API uint64_t vsi_siphash_pieces_final(const vsi_siphash_128 *hash);

VESTRY_API void vsi_siphash_128_init(vsi_siphash_128 *hash, vsi_siphash_key key);
/* Add bytes. data may be NULL if len is 0. */
VESTRY_API void vsi_siphash_128_update(vsi_siphash_128 *hash, const void *data, size_t len);
/* Add three words, little-endian. Only words may have been added before. */
static inline void vsi_siphash_128_update_words(vsi_siphash_128 *hash, uint64_t first, uint64_t second,
                                                uint64_t third) {
  vsi_sip_take(&hash->state, first, 2);
  vsi_sip_take(&hash->state, second, 2);
  vsi_sip_take(&hash->state, third, 2);
  hash->len += 24;
}
/* Return the hash of all bytes so far; more can be added afterwards. */
VESTRY_API vsi_hash_128 vsi_siphash_128_final(const vsi_siphash_128 *hash);

/* Return the hash of bytes in one piece. */
static inline vsi_hash_128 vsi_siphash_128_of(vsi_siphash_key key, const void *data, size_t len) {
  vsi_siphash_128 hash;
  vsi_siphash_128_init(&hash, key);
  vsi_siphash_128_update(&hash, data, len);
  return vsi_siphash_128_final(&hash);
}

#endif
