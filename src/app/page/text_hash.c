/* SPDX-License-Identifier: MIT */
/* essay: a fast hash of content that clients may choose and whose value they see */
#include "app/page/text_hash.h"

#include "base/hash.h"
#include "base/keyed_hash.h"

/* The hash of a page's content is the id of its event, so clients see it, and a user often chooses parts of the
 * content. A page whose content changes is not sent again if the new content has the hash of the former one. So a user
 * who finds two such contents could let others see a former content, as long as nothing else on the page changes. It
 * must be improbable that any two given contents have one hash, and the hashes must not help to find such a pair.
 *
 * SipHash-2-4 of the whole text fulfils this, but takes 3.5 instructions for each byte, more than many handlers take to
 * make it. So the text is first reduced: each block of up to VSI_TEXT_HASH_BLOCK bytes becomes its length and its NH
 * sum, which has 128 bits and takes half an instruction for each byte. SipHash-2-4 then hashes lengths and sums.
 *
 * - Collisions. Let two texts differ. If they have another number of blocks, or one of another length, SipHash gets
 *   different bytes. Otherwise some block differs, but not its length. Both blocks are padded with zeros to the same
 *   number of words, and two different sequences of words of one length have the same NH sum with a probability of at
 *   most 2^-64 over the choice of the key (Black, Halevi, Krawczyk, Krovetz and Rogaway, CRYPTO 1999). This needs no
 *   assumption about the texts. A million changes of content in a second for a thousand years lose one change with a
 *   probability of 0.2 %. (The claims of parts in tags have 64 bits, too.)
 * - Secrecy. NH alone would reveal its key, because its sums are linear in each word of the key. But clients see
 *   SipHash of the sums, which is a pseudo-random function: they learn nothing but whether two sums are equal, which
 *   happens with the probability above. So each attempt is a new guess, however the attacker chooses it.
 *
 * Processors with AES instructions could hash faster with them, but this needs a second implementation that has the
 * same values on all nodes of a cluster, and the sums are already cheaper than copying the text into its event. */

static uint64_t word_at(const unsigned char *at) {
  return vsi_hash_word(at, 8);
}

/* Return the NH sum of a block: (w[0] + k[0]) (w[1] + k[1]) + (w[2] + k[2]) (w[3] + k[3]) + …, where the inner sums are
 * modulo 2^64 and the outer sum is modulo 2^128. */
static vsi_wide sum_of(const uint64_t *key, const unsigned char *at, size_t len) {
  vsi_wide sum = 0;
#pragma GCC unroll 4
  for (; len >= 16; at += 16, key += 2, len -= 16) sum += (vsi_wide)(word_at(at) + key[0]) * (word_at(at + 8) + key[1]);
  if (!len) return sum;
  const uint64_t first = vsi_hash_word(at, len < 8 ? len : 8), second = len > 8 ? vsi_hash_word(at + 8, len - 8) : 0;
  return sum + (vsi_wide)(first + key[0]) * (second + key[1]);
}

void vsi_text_key_derive(vsi_text_key *key, vsi_siphash_key secret) {
  uint64_t number = 0;
  for (; number < VSI_TEXT_HASH_WORDS; number++) key->nh[number] = vsi_siphash_1_3_words(secret, number, 0, 0, 17);
  key->sums.k0 = vsi_siphash_1_3_words(secret, number, 0, 0, 17);
  key->sums.k1 = vsi_siphash_1_3_words(secret, number + 1, 0, 0, 17);
}

void vsi_text_hash_init(vsi_text_hash *hash, const vsi_text_key *key) {
  hash->key = key;
  vsi_siphash_128_init(&hash->sums, key->sums);
}

void vsi_text_hash_update(vsi_text_hash *hash, const void *data, size_t len) {
  const unsigned char *at = data;
  for (size_t block; len; at += block, len -= block) {
    block = len < VSI_TEXT_HASH_BLOCK ? len : VSI_TEXT_HASH_BLOCK;
    const vsi_wide sum = sum_of(hash->key->nh, at, block);
    vsi_siphash_128_update_words(&hash->sums, (uint64_t)sum, (uint64_t)(sum >> 64), block);
  }
}

vsi_hash_128 vsi_text_hash_final(const vsi_text_hash *hash) {
  return vsi_siphash_128_final(&hash->sums);
}

uint64_t vsi_text_hash_hidden(const vsi_text_key *key, uint64_t with, const void *data, size_t len) {
  const unsigned char *at = data;
  vsi_sip s = vsi_sip_begin(key->sums);
  vsi_sip_take(&s, with, 1);
  for (size_t block; len; at += block, len -= block) {
    block = len < VSI_TEXT_HASH_BLOCK ? len : VSI_TEXT_HASH_BLOCK;
    const vsi_wide sum = sum_of(key->nh, at, block);
    vsi_sip_take(&s, (uint64_t)sum, 1);
    vsi_sip_take(&s, (uint64_t)(sum >> 64), 1);
    vsi_sip_take(&s, block, 1);
  }
  return vsi_sip_end(&s, 0xff, 3);
}
