/* SPDX-License-Identifier: MIT */
/* A token is the id of a session with a user, or a dash and the id of an anonymous user. An id consists of lowercase
 * hexadecimal digits, which need no escaping in a cookie. */
#include "app/session/token.h"

#include <nettle/sha2.h>
#include <string.h>

#include "base/hex.h"

vestry_err vsi_token_id(const vestry_host *host, char id[VSI_TOKEN_ID_LEN + 1]) {
  unsigned char bytes[VSI_TOKEN_ID_LEN / 2];
  vestry_err error = host->random(host->ctx, bytes, sizeof bytes);
  if (!error) vsi_hex_write(id, bytes, sizeof bytes);
  return error;
}

void vsi_token_hash(const char *id, char hash[VSI_TOKEN_HASH_LEN + 1]) {
  unsigned char digest[SHA256_DIGEST_SIZE];
  struct sha256_ctx sha;
  sha256_init(&sha);
  sha256_update(&sha, VSI_TOKEN_ID_LEN, (const uint8_t *)id);
  sha256_digest(&sha, sizeof digest, digest);
  vsi_hex_write(hash, digest, VSI_TOKEN_HASH_LEN / 2);
}

void vsi_token_write(const vsi_token *token, char text[VSI_TOKEN_MAX_LEN + 1]) {
  *text = '-';
  strcpy(text + token->is_anonymous, token->id);
}

bool vsi_token_read(vestry_slice given, vsi_token *ret_token) {
  const char *text = given.data;
  const bool is_anonymous = given.len && *text == '-';
  const char *id = text + is_anonymous;
  if (given.len != VSI_TOKEN_ID_LEN + (size_t)is_anonymous || !vsi_hex_is(id, VSI_TOKEN_ID_LEN)) return false;
  *ret_token = (vsi_token){.is_anonymous = is_anonymous};
  memcpy(ret_token->id, id, VSI_TOKEN_ID_LEN);
  return true;
}
