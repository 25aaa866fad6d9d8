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

/* The paper's own parameters: the published test vectors are of these, so they prove the rounds that both share. */
uint64_t vsi_siphash_2_4(vsi_siphash_key key, const void *data, size_t len);

#endif
