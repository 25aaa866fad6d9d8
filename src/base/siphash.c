/* SPDX-License-Identifier: MIT */
#include "base/siphash.h"

#include "base/hash.h"

uint64_t vsi_siphash_1_3(vsi_siphash_key key, const void *data, size_t len) {
  vsi_siphash_128 hash;
  vsi_siphash_pieces_init(&hash, key);
  vsi_siphash_pieces_update(&hash, data, len);
  return vsi_siphash_pieces_final(&hash);
}

/* The output of 128 bits is defined by the authors' code (not by the paper): 0xee goes into v1 at the beginning and, in
 * place of 0xff, into v2 at the end. For the second half, 0xdd goes into v1, and the final rounds are repeated. */
void vsi_siphash_128_init(vsi_siphash_128 *hash, vsi_siphash_key key) {
  *hash = (vsi_siphash_128){.state = vsi_sip_begin(key)};
  hash->state.v1 ^= 0xee;
}

VSI_SIP_INLINE void update(vsi_siphash_128 *hash, const void *data, size_t len, unsigned rounds) {
  if (!len) return;
  const unsigned char *at = data, *end = at + len;
  vsi_sip s = hash->state;
  unsigned held = (unsigned)(hash->len % 8);
  hash->len += len;
  if (held) {
    for (; held < 8 && at < end; held++) hash->rest |= (uint64_t)*at++ << 8 * held;
    if (held < 8) return;
    vsi_sip_take(&s, hash->rest, rounds);
    hash->rest = 0;
  }
  for (; end - at >= 8; at += 8) vsi_sip_take(&s, vsi_hash_word(at, 8), rounds);
  for (held = 0; at < end; held++) hash->rest |= (uint64_t)*at++ << 8 * held;
  hash->state = s;
}

void vsi_siphash_128_update(vsi_siphash_128 *hash, const void *data, size_t len) {
  update(hash, data, len, 2);
}

void vsi_siphash_pieces_init(vsi_siphash_128 *hash, vsi_siphash_key key) {
  *hash = (vsi_siphash_128){.state = vsi_sip_begin(key)};
}

void vsi_siphash_pieces_update(vsi_siphash_128 *hash, const void *data, size_t len) {
  update(hash, data, len, 1);
}

uint64_t vsi_siphash_pieces_final(const vsi_siphash_128 *hash) {
  vsi_sip s = hash->state;
  vsi_sip_take(&s, hash->rest | hash->len << 56, 1);
  return vsi_sip_end(&s, 0xff, 3);
}

vsi_hash_128 vsi_siphash_128_final(const vsi_siphash_128 *hash) {
  vsi_hash_128 made;
  vsi_sip s = hash->state;
  vsi_sip_take(&s, hash->rest | hash->len << 56, 2);
  made.low = vsi_sip_end(&s, 0xee, 4);
  s.v1 ^= 0xdd;
  made.high = vsi_sip_end(&s, 0, 4);
  return made;
}

vsi_siphash_key vsi_siphash_key_load(const unsigned char bytes[16]) {
  return (vsi_siphash_key){vsi_hash_word(bytes, 8), vsi_hash_word(bytes + 8, 8)};
}

vestry_err vsi_siphash_key_random(const vestry_host *host, vsi_siphash_key *ret_key) {
  unsigned char bytes[16];
  vestry_err error = host->random(host->ctx, bytes, sizeof bytes);
  if (!error) *ret_key = vsi_siphash_key_load(bytes);
  return error;
}
