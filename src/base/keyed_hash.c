#include "base/keyed_hash.h"

#include <string.h>

/* Who floods a table wants many keys with one hash, or with hashes that share their first bits. He sees no hash; he can
 * at best measure time. So it must be improbable, over the choice of the secret, that any two keys he names collide.
 *
 * Four rounds of AES with independent round keys map two different blocks to a given difference with a probability of
 * at most 1.881 * 2^-114 (Keliher and Sui, "Exact maximum expected differential and linear probability for two-round
 * Advanced Encryption Standard", IET Information Security 2007). That makes them an almost universal hash of one
 * block, and the sum of two, with keys of their own, one of two blocks (Minematsu and Tsunoo, "Provably secure MACs
 * from differentially-uniform permutations and AES-based implementations", FSE 2006, hash and authenticate by it). Of
 * the 128 bits we keep 64, which leaves at most 2^-50 a pair, far more than tables of 2^32 keys ask for. Go's maps rest
 * on fewer rounds (runtime/alg.go).
 *
 * It is no pseudo-random function: who saw hashes could learn the keys. Nobody does; only their order in an index
 * matters, which is not told. Where a hash leaves the process, or a key is long, it is SipHash. */

void vsi_keyed_hash_load(vsi_keyed_hash *hash, const unsigned char secret[VSI_KEYED_HASH_SECRET_BYTES]) {
  hash->siphash = vsi_siphash_key_load(secret);
  hash->has_aes = false;
#if VSI_KEYED_HASH_AES
  memcpy(hash->aes, secret + 16, sizeof hash->aes);
  hash->has_aes = __builtin_cpu_supports("aes") != 0;
#endif
}

vestry_err vsi_keyed_hash_init(vsi_keyed_hash *hash, const vestry_host *host) {
  unsigned char secret[VSI_KEYED_HASH_SECRET_BYTES];
  if (host->random(host->ctx, secret, sizeof secret)) return VESTRY_IO;
  vsi_keyed_hash_load(hash, secret);
  return VESTRY_OK;
}
