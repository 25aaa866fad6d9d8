/* SPDX-License-Identifier: MIT */
#include "base/siphash.h"

#include <string.h>

typedef struct state {
  uint64_t v0, v1, v2, v3;
} state;

static inline uint64_t rotate(uint64_t word, unsigned bits) {
  return word << bits | word >> (64 - bits);
}

static inline void rounds(state *s, unsigned count) {
#pragma GCC unroll 4
  for (; count; count--) {
    s->v0 += s->v1;
    s->v1 = rotate(s->v1, 13) ^ s->v0;
    s->v0 = rotate(s->v0, 32);
    s->v2 += s->v3;
    s->v3 = rotate(s->v3, 16) ^ s->v2;
    s->v0 += s->v3;
    s->v3 = rotate(s->v3, 21) ^ s->v0;
    s->v2 += s->v1;
    s->v1 = rotate(s->v1, 17) ^ s->v2;
    s->v2 = rotate(s->v2, 32);
  }
}

static inline uint64_t load(const unsigned char *at) {
#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
  uint64_t word;
  memcpy(&word, at, sizeof word);
  return word;
#else
  return (uint64_t)at[0] | (uint64_t)at[1] << 8 | (uint64_t)at[2] << 16 | (uint64_t)at[3] << 24 |
         (uint64_t)at[4] << 32 | (uint64_t)at[5] << 40 | (uint64_t)at[6] << 48 | (uint64_t)at[7] << 56;
#endif
}

/* Return the last word: the rest of the data, and its length in the top byte. If there are at least eight bytes, the
 * rest is read by a load that overlaps bytes already read. */
static inline uint64_t last_word(const unsigned char *at, size_t left, size_t len) {
  uint64_t last = (uint64_t)(len & 0xff) << 56;
  if (left == 0) return last;
  if (len >= 8) return last | load(at + left - 8) >> (64 - 8 * left);
  for (size_t i = 0; i < left; i++) last |= (uint64_t)at[i] << (8 * i);
  return last;
}

enum { ROUNDS_A_WORD = 1, ROUNDS_AT_END = 3 };

uint64_t vsi_siphash_1_3(vsi_siphash_key key, const void *data, size_t len) {
  state s = {key.k0 ^ UINT64_C(0x736f6d6570736575), key.k1 ^ UINT64_C(0x646f72616e646f6d),
             key.k0 ^ UINT64_C(0x6c7967656e657261), key.k1 ^ UINT64_C(0x7465646279746573)};
  const unsigned char *at = data;
  for (size_t words = len / 8; words; words--, at += 8) {
    uint64_t word = load(at);
    s.v3 ^= word;
    rounds(&s, ROUNDS_A_WORD);
    s.v0 ^= word;
  }
  uint64_t last = last_word(at, len % 8, len);
  s.v3 ^= last;
  rounds(&s, ROUNDS_A_WORD);
  s.v0 ^= last;
  s.v2 ^= 0xff;
  rounds(&s, ROUNDS_AT_END);
  return s.v0 ^ s.v1 ^ s.v2 ^ s.v3;
}

/* The output of 128 bits is defined by the authors' code (not by the paper): 0xee goes into v1 at the beginning and, in
 * place of 0xff, into v2 at the end. For the second half, 0xdd goes into v1, and the final rounds are repeated. */
enum { ROUNDS_A_WORD_128 = 2, ROUNDS_AT_END_128 = 4 };

void vsi_siphash_128_init(vsi_siphash_128 *hash, vsi_siphash_key key) {
  *hash = (vsi_siphash_128){.v0 = key.k0 ^ UINT64_C(0x736f6d6570736575),
                            .v1 = key.k1 ^ UINT64_C(0x646f72616e646f6d) ^ 0xee,
                            .v2 = key.k0 ^ UINT64_C(0x6c7967656e657261),
                            .v3 = key.k1 ^ UINT64_C(0x7465646279746573)};
}

static inline void take(state *s, uint64_t word) {
  s->v3 ^= word;
  rounds(s, ROUNDS_A_WORD_128);
  s->v0 ^= word;
}

void vsi_siphash_128_update(vsi_siphash_128 *hash, const void *data, size_t len) {
  if (!len) return;
  const unsigned char *at = data, *end = at + len;
  state s = {hash->v0, hash->v1, hash->v2, hash->v3};
  unsigned held = (unsigned)(hash->len % 8);
  hash->len += len;
  if (held) {
    for (; held < 8 && at < end; held++) hash->rest |= (uint64_t)*at++ << 8 * held;
    if (held < 8) return;
    take(&s, hash->rest);
    hash->rest = 0;
  }
  for (; end - at >= 8; at += 8) take(&s, load(at));
  for (held = 0; at < end; held++) hash->rest |= (uint64_t)*at++ << 8 * held;
  hash->v0 = s.v0;
  hash->v1 = s.v1;
  hash->v2 = s.v2;
  hash->v3 = s.v3;
}

vsi_hash_128 vsi_siphash_128_final(const vsi_siphash_128 *hash) {
  vsi_hash_128 made;
  state s = {hash->v0, hash->v1, hash->v2, hash->v3};
  take(&s, hash->rest | hash->len << 56);
  s.v2 ^= 0xee;
  rounds(&s, ROUNDS_AT_END_128);
  made.low = s.v0 ^ s.v1 ^ s.v2 ^ s.v3;
  s.v1 ^= 0xdd;
  rounds(&s, ROUNDS_AT_END_128);
  made.high = s.v0 ^ s.v1 ^ s.v2 ^ s.v3;
  return made;
}

vsi_siphash_key vsi_siphash_key_load(const unsigned char bytes[16]) {
  return (vsi_siphash_key){load(bytes), load(bytes + 8)};
}

vestry_err vsi_siphash_key_random(const vestry_host *host, vsi_siphash_key *ret_key) {
  unsigned char bytes[16];
  vestry_err error = host->random(host->ctx, bytes, sizeof bytes);
  if (!error) *ret_key = vsi_siphash_key_load(bytes);
  return error;
}
