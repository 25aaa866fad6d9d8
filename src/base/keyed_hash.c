/* SPDX-License-Identifier: MIT */
/* essay: a hash for keys that users choose, without chosen collisions */
#include "base/keyed_hash.h"

/* An attacker who floods a table needs many keys with the same home, that is, with the same upper d bits of their
 * hashes. The attacker sees no hash and can at best measure time. So it must be improbable, over the choice of the
 * secret, that any two given keys share a home. Then few keys collide with a given key on average, for any choice of
 * keys.
 *
 * NH (Black, Halevi, Krawczyk, Krovetz and Rogaway, "UMAC: fast and secure message authentication", CRYPTO 1999) is the
 * sum of (w[0] + k[0]) (w[1] + k[1]) + (w[2] + k[2]) (w[3] + k[3]) + …, with inner sums modulo 2^64 and the outer sum
 * modulo 2^128. For two messages of the same length, the sums differ by any given number, including 0, with a
 * probability of at most 2^-64. If one message is longer, it has a product that the other lacks; that product takes
 * each value except 0 with at most 2^-64, and 0 with less than 2^-63.
 *
 * Then a multiply-shift (Dietzfelbinger, Hagerup, Katajainen and Penttonen, "A reliable randomized algorithm for the
 * closest-pair problem", J. Algorithms 1997) multiplies the sum's halves and the number by an odd random word each, and
 * adds the products. Let two keys have different sums or numbers, and let t be the smallest number of trailing zero
 * bits of the three differences. The product of that difference is evenly distributed over the odd multiples of 2^t,
 * independently of the other two products. If t <= 64 - d, the upper d bits are equal with a probability of at most
 * 2^(1-d). If t is greater, the sums can have 2^(128-2t) differences, each of which occurs with a probability of at
 * most 2^-63, and the products are equal with a probability of at most 2^(t-63). Added up over all such t, this is less
 * than 2^(d-60). (If the sums are equal, the numbers are not. The numbers in use have fewer than 32 bits, so t is less
 * than 32.)
 *
 * Together: two keys share a home of d bits with a probability of at most 2^(1-d) + 2^(d-60) + 2^-63. For every index
 * that fits into memory, this is twice the probability of a random function. The lower bits are worse; they are only
 * used to distinguish keys before they are compared.
 *
 * This is not a pseudo-random function: the secret could be computed from hashes. No client sees any; only the order of
 * keys in an index and in a listing depends on them. A key with more words than the secret is hashed with SipHash,
 * which is slower and relies on stronger assumptions, but accepts any length. */

vestry_err vsi_keyed_hash_init(vsi_keyed_hash *hash, const vestry_host *host) {
  if (host->random(host->ctx, hash, sizeof *hash)) return VESTRY_IO;
  hash->low |= 1;
  hash->high |= 1;
  hash->number |= 1;
  return VESTRY_OK;
}

uint64_t vsi_keyed_hash_long(const vsi_keyed_hash *hash, const uint64_t *words, size_t count, uint64_t number) {
  return vsi_siphash_1_3(hash->siphash, words, count * sizeof *words) + number * hash->number;
}
