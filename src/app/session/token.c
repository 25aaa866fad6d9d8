/* SPDX-License-Identifier: MIT */
/* A token has one of three forms, in hexadecimal digits:
 *     -ID                           an anonymous user
 *     ID                            a session with a user, in memory or storage
 *     ID.CREATED.ISSUED.USER.MAC    a signed session
 * This alphabet needs no escaping in a cookie, and each token has exactly one form. The MAC is HMAC-SHA-256 (RFC 2104)
 * of everything before its dot. It is compared in constant time. */
#include "app/session/token.h"

#include <inttypes.h>
#include <nettle/hmac.h>
#include <nettle/memops.h>
#include <nettle/sha2.h>
#include <stdio.h>
#include <string.h>

#include "base/hex.h"

enum { MAC_LEN = 64, DIGEST_BYTES = 32 };

static void sha256(const void *data, size_t len, unsigned char digest[DIGEST_BYTES]) {
  struct sha256_ctx sha;
  sha256_init(&sha);
  sha256_update(&sha, len, data);
  sha256_digest(&sha, DIGEST_BYTES, digest);
}

void vsi_secret_init(vsi_secret *secret, const void *given, size_t len) {
  sha256(given, len, secret->digest);
}

vestry_err vsi_token_id(const vestry_host *host, char id[VSI_TOKEN_ID_LEN + 1]) {
  unsigned char bytes[VSI_TOKEN_ID_LEN / 2];
  vestry_err error = host->random(host->ctx, bytes, sizeof bytes);
  if (!error) vsi_hex_write(id, bytes, sizeof bytes);
  return error;
}

void vsi_token_hash(const char *id, char hash[VSI_TOKEN_HASH_LEN + 1]) {
  unsigned char digest[DIGEST_BYTES];
  sha256(id, VSI_TOKEN_ID_LEN, digest);
  vsi_hex_write(hash, digest, VSI_TOKEN_HASH_LEN / 2);
}

static void sign(const vsi_secret *secret, const char *text, size_t len, char mac[MAC_LEN + 1]) {
  struct hmac_sha256_ctx hmac;
  unsigned char digest[DIGEST_BYTES];
  hmac_sha256_set_key(&hmac, sizeof secret->digest, secret->digest);
  hmac_sha256_update(&hmac, len, (const uint8_t *)text);
  hmac_sha256_digest(&hmac, DIGEST_BYTES, digest);
  vsi_hex_write(mac, digest, DIGEST_BYTES);
}

void vsi_token_write(const vsi_token *token, const vsi_secret *secret, char text[VSI_TOKEN_MAX_LEN + 1]) {
  *text = '-';
  strcpy(text + token->is_anonymous, token->id);
  if (!token->is_signed) return;
  size_t len = VSI_TOKEN_ID_LEN;
  len +=
      (size_t)sprintf(text + len, ".%" PRIx64 ".%" PRIx64 ".", (uint64_t)token->created_s, (uint64_t)token->issued_s);
  vsi_hex_write(text + len, (const unsigned char *)token->user, strlen(token->user));
  len += strlen(text + len);
  text[len] = '.';
  sign(secret, text, len, text + len + 1);
}

static bool is_of(const vsi_secret *secret, const char *text, size_t len, const char *mac) {
  char wanted[MAC_LEN + 1];
  if (!secret) return false;
  sign(secret, text, len, wanted);
  return memeql_sec(wanted, mac, MAC_LEN);
}

/* Parse a number in hexadecimal digits that ends with a dot. Returns the position after the dot, or NULL. */
static const char *read_number(const char *at, int64_t *ret_number) {
  uint64_t number = 0;
  size_t len = 0;
  for (; vsi_hex_digit(at[len]) >= 0 && len < 16; len++) number = number << 4 | (uint64_t)vsi_hex_digit(at[len]);
  if (!len || at[len] != '.' || number > INT64_MAX) return NULL;
  *ret_number = (int64_t)number;
  return at + len + 1;
}

bool vsi_token_read(vestry_slice given, const vsi_secret *secret, const vsi_secret *previous, vsi_token *ret_token) {
  char text[VSI_TOKEN_MAX_LEN + 1];
  *ret_token = (vsi_token){.is_anonymous = given.len && *(const char *)given.data == '-'};
  if (ret_token->is_anonymous) given = (vestry_slice){(const char *)given.data + 1, given.len - 1};
  if (given.len < VSI_TOKEN_ID_LEN || given.len > VSI_TOKEN_MAX_LEN) return false;
  memcpy(text, given.data, given.len);
  text[given.len] = '\0';
  ret_token->is_signed = given.len > VSI_TOKEN_ID_LEN;
  /* If sessions are signed, an unsigned token cannot have a user. */
  if (ret_token->is_anonymous ? ret_token->is_signed : ret_token->is_signed != (secret != NULL)) return false;
  if (!vsi_hex_is(text, VSI_TOKEN_ID_LEN)) return false;
  memcpy(ret_token->id, text, VSI_TOKEN_ID_LEN);
  if (!ret_token->is_signed) return true;
  if (!secret || given.len < VSI_TOKEN_ID_LEN + 2 + MAC_LEN || text[VSI_TOKEN_ID_LEN] != '.') return false;
  size_t signed_len = given.len - MAC_LEN - 1;
  const char *mac = text + signed_len + 1;
  if (text[signed_len] != '.') return false;
  if (!is_of(secret, text, signed_len, mac) && !is_of(previous, text, signed_len, mac)) return false;
  /* The signature is valid, so the rest was written by vsi_token_write. */
  const char *at = read_number(text + VSI_TOKEN_ID_LEN + 1, &ret_token->created_s);
  if (at) at = read_number(at, &ret_token->issued_s);
  size_t len = at ? (size_t)(text + signed_len - at) / 2 : 0;
  if (!len || len > VESTRY_SESSION_USER_MAX_BYTES || !vsi_hex_is(at, 2 * len)) return false;
  vsi_hex_read((unsigned char *)ret_token->user, at, len);
  return true;
}
