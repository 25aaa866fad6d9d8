/* SPDX-License-Identifier: MIT */
/* A storage's readers have hashes of the nonce, from which neither the nonce nor the key follows: these are hashes of
 * the same for other purposes, and a nonce has 128 random bits. ChaCha20-Poly1305 (RFC 8439) seals the answer. */
#include "app/guard/once_sealed.h"

#include <nettle/chacha-poly1305.h>
#include <nettle/memops.h>
#include <nettle/sha2.h>
#include <string.h>

#include "base/hex.h"

enum { NUMBER_BYTES = CHACHA_POLY1305_NONCE_SIZE, TAG_BYTES = CHACHA_POLY1305_DIGEST_SIZE, HASH_LEN = 64 };
enum { RUN_BYTES = 16 };

static void hash_of(const char *purpose, vestry_scope owner, const char *nonce, unsigned char hash[32]) {
  struct sha256_ctx sha;
  const unsigned char len[] = {(unsigned char)(owner.len >> 8), (unsigned char)owner.len};
  sha256_init(&sha);
  sha256_update(&sha, strlen(purpose) + 1, (const uint8_t *)purpose);
  sha256_update(&sha, sizeof len, len);
  if (owner.len) sha256_update(&sha, owner.len, owner.data);
  sha256_update(&sha, strlen(nonce), (const uint8_t *)nonce);
  sha256_digest(&sha, 32, hash);
}

vestry_err vsi_once_sealed_init(vsi_once_sealed *sealed, const vestry_host *host, vestry_scope owner,
                                const char *nonce) {
  unsigned char hash[32], run[RUN_BYTES];
  vestry_err error = host->random(host->ctx, run, sizeof run);
  if (error) return error;
  vsi_hex_write(sealed->run, run, sizeof run);
  memcpy(sealed->number, run, NUMBER_BYTES);
  hash_of("vestry once hash", owner, nonce, hash);
  vsi_hex_write(sealed->hash, hash, sizeof hash);
  hash_of("vestry once owner", owner, "", hash);
  vsi_hex_write(sealed->owner, hash, sizeof hash);
  if (!owner.len) sealed->owner[0] = '\0';
  hash_of("vestry once key", owner, nonce, sealed->key);
  return VESTRY_OK;
}

vestry_once_submission vsi_once_sealed_press(const vsi_once_sealed *sealed) {
  return (vestry_once_submission){sizeof(vestry_once_submission), sealed->hash, sealed->owner, sealed->run};
}

static void start(struct chacha_poly1305_ctx *chacha, const vsi_once_sealed *sealed, const unsigned char *number) {
  chacha_poly1305_set_key(chacha, sealed->key);
  chacha_poly1305_set_nonce(chacha, number);
  chacha_poly1305_update(chacha, HASH_LEN, (const uint8_t *)sealed->hash);
}

void vsi_once_seal(const vsi_once_sealed *sealed, unsigned char *bytes, size_t len) {
  struct chacha_poly1305_ctx chacha;
  memcpy(bytes, sealed->number, NUMBER_BYTES);
  start(&chacha, sealed, bytes);
  chacha_poly1305_encrypt(&chacha, len, bytes + VSI_ONCE_SEAL_BYTES, bytes + VSI_ONCE_SEAL_BYTES);
  chacha_poly1305_digest(&chacha, TAG_BYTES, bytes + NUMBER_BYTES);
}

bool vsi_once_open(const vsi_once_sealed *sealed, unsigned char *bytes, size_t len) {
  struct chacha_poly1305_ctx chacha;
  unsigned char tag[TAG_BYTES];
  if (len < VSI_ONCE_SEAL_BYTES) return false;
  start(&chacha, sealed, bytes);
  chacha_poly1305_decrypt(&chacha, len - VSI_ONCE_SEAL_BYTES, bytes + VSI_ONCE_SEAL_BYTES, bytes + VSI_ONCE_SEAL_BYTES);
  chacha_poly1305_digest(&chacha, TAG_BYTES, tag);
  return memeql_sec(tag, bytes + NUMBER_BYTES, TAG_BYTES);
}
