/* SPDX-License-Identifier: MIT */
/* essay: keys that users choose, and a hash that they cannot aim at */
#include "base/keyed_hash.h"

/* An attacker that floods a table wants many keys with one home, that is with one value of the upper d bits of their
 * hashes. He sees no hash; he can at best measure time. So it must be improbable, over the choice of the secret, that
 * any two keys he names share a home: then the keys that are in one's way are few on average, whatever keys he names.
 *
 * NH (Black, Halevi, Krawczyk, Krovetz and Rogaway, "UMAC: fast and secure message authentication", CRYPTO 1999): the
 * sum of (w[0] + k[0]) (w[1] + k[1]) + (w[2] + k[2]) (w[3] + k[3]) + …, the inner sums modulo 2^64, the outer one
 * modulo 2^128. For two messages of one length the sums differ by any given number, 0 among them, with a probability of
 * at most 2^-64. If one is longer, it has a product that the other lacks; it takes each value but 0 with at most 2^-64,
 * and 0 with less than 2^-63.
 *
 * Then a multiply-shift (Dietzfelbinger, Hagerup, Katajainen and Penttonen, "A reliable randomized algorithm for the
 * closest-pair problem", J. Algorithms 1997) of the sum's halves and the number, each by an odd random word, the
 * products added. Let two keys have different sums or numbers, and let t be the fewest zero bits at the end of one of
 * the three differences. Its product is then evenly distributed over the odd multiples of 2^t, and what the other two
 * add does not depend on it. If t <= 64 - d, the upper d bits agree with a probability of at most 2^(1-d). If t is
 * greater, of the 2^(128-2t) differences that the sums can have then, each has come with at most 2^-63, and the
 * products agree with at most 2^(t-63): added up over all such t, less than 2^(d-60). (Where the sums are equal, the
 * numbers are not; the numbers that are used have fewer than 32 bits, so t is less than 32.)
 *
 * Together: two keys share a home of d bits with a probability of at most 2^(1-d) + 2^(d-60) + 2^-63, which for every
 * index that fits into memory is twice what a random function would have. The lower bits are worse: they are used only
 * to tell keys apart before they are compared.
 *
 * It is no pseudo-random function: from hashes one could learn the secret. No client sees any; only the order of keys
 * in an index and in a listing follows them. A longer key than the secret has words for is hashed with SipHash, which
 * is slower and assumes more, but takes any length. */

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
