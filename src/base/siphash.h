/* SipHash (Aumasson and Bernstein, "SipHash: a fast short-input PRF", INDOCRYPT 2012): a keyed hash of bytes that come
 * from users. Who does not know the key cannot choose inputs that collide. */
#ifndef VSI_BASE_SIPHASH_H
#define VSI_BASE_SIPHASH_H

#include <stddef.h>
#include <stdint.h>

typedef struct vsi_siphash_key {
  uint64_t k0, k1;
} vsi_siphash_key;

/* From 16 bytes, little-endian, as the paper has it. */
vsi_siphash_key vsi_siphash_key_load(const unsigned char bytes[16]);

/* One compression and three finalization rounds: what hash tables use. data may be NULL when len is 0. */
uint64_t vsi_siphash_1_3(vsi_siphash_key key, const void *data, size_t len);

/* SipHash-1-3 of 16 to 23 bytes, given as two words and, in the lower bytes of a third, the rest (little-endian). Of
 * fewer bytes it is a keyed hash too, of the words and the length, but not the SipHash of the bytes. */
static inline uint64_t vsi_siphash_1_3_words(vsi_siphash_key key, uint64_t first, uint64_t second, uint64_t rest,
                                             size_t len) {
  uint64_t v0 = key.k0 ^ UINT64_C(0x736f6d6570736575), v1 = key.k1 ^ UINT64_C(0x646f72616e646f6d);
  uint64_t v2 = key.k0 ^ UINT64_C(0x6c7967656e657261), v3 = key.k1 ^ UINT64_C(0x7465646279746573);
  uint64_t words[3] = {first, second, rest | (uint64_t)len << 56};
#define VSI_SIPROUND                                                                                                   \
  v0 += v1, v1 = v1 << 13 | v1 >> 51, v1 ^= v0, v0 = v0 << 32 | v0 >> 32, v2 += v3, v3 = v3 << 16 | v3 >> 48,          \
            v3 ^= v2, v0 += v3, v3 = v3 << 21 | v3 >> 43, v3 ^= v0, v2 += v1, v1 = v1 << 17 | v1 >> 47, v1 ^= v2,      \
            v2 = v2 << 32 | v2 >> 32
#pragma GCC unroll 3
  for (int i = 0; i < 3; i++) {
    v3 ^= words[i];
    VSI_SIPROUND;
    v0 ^= words[i];
  }
  v2 ^= 0xff;
#pragma GCC unroll 3
  for (int i = 0; i < 3; i++) VSI_SIPROUND;
#undef VSI_SIPROUND
  return v0 ^ v1 ^ v2 ^ v3;
}

#endif
