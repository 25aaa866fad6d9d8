/* SPDX-License-Identifier: MIT */
/* A seal has 64 lowercase hexadecimal digits:
 *
 *     id (32)   128 random bits
 *     MAC (32)  first half of HMAC-SHA-256 (RFC 2104) of:
 *               kind (1 byte), length of the scope (2), length of the further text (2), scope, further text, id
 *
 * The lengths separate the texts, so that no two pairs of scope and further text give the same bytes. */
#include "app/session/seal.h"

#include <nettle/hmac.h>
#include <nettle/memops.h>
#include <nettle/sha2.h>
#include <string.h>

#include "base/hex.h"
#include "base/log.h"
#include "base/memory.h"
#include "http/request.h"
#include "instance/instance.h"
#include "vestry/app/secret.h"

enum { DIGEST_BYTES = 32, HALF_BYTES = VSI_SEAL_ID_LEN / 2, TAG = 0 };

/* Derive a key for seals from a secret, which has another use in a cluster. */
static void derive(unsigned char key[DIGEST_BYTES], const void *secret, size_t len) {
  static const char purpose[] = "vestry seals";
  unsigned char digest[DIGEST_BYTES];
  struct sha256_ctx sha;
  struct hmac_sha256_ctx hmac;
  sha256_init(&sha);
  sha256_update(&sha, len, secret);
  sha256_digest(&sha, sizeof digest, digest);
  hmac_sha256_set_key(&hmac, sizeof digest, digest);
  hmac_sha256_update(&hmac, sizeof purpose, (const uint8_t *)purpose);
  hmac_sha256_digest(&hmac, DIGEST_BYTES, key);
}

vestry_err vsi_seals_init(vsi_seals *seals, const vestry_host *host, const void *secret, size_t secret_len,
                          const void *previous, size_t previous_len) {
  if ((secret && secret_len < VSI_SEAL_SECRET_LEAST_BYTES) ||
      (previous && (!secret || previous_len < VSI_SEAL_SECRET_LEAST_BYTES)))
    return VESTRY_INVALID;
  seals->has_previous = previous != NULL;
  if (previous) derive(seals->previous, previous, previous_len);
  seals->is_random = !secret;
  if (!secret) return host->random(host->ctx, seals->key, sizeof seals->key);
  derive(seals->key, secret, secret_len);
  return VESTRY_OK;
}

static void add(struct hmac_sha256_ctx *hmac, const void *data, size_t len) {
  if (len) hmac_sha256_update(hmac, len, data);
}

static void mac(const unsigned char key[DIGEST_BYTES], unsigned kind, vestry_scope scope, const char *more,
                const char *id, size_t id_len, char *text, size_t bytes) {
  struct hmac_sha256_ctx hmac;
  unsigned char digest[DIGEST_BYTES];
  size_t more_len = more ? strlen(more) : 0;
  const unsigned char head[] = {(unsigned char)kind, (unsigned char)(scope.len >> 8), (unsigned char)scope.len,
                                (unsigned char)(more_len >> 8), (unsigned char)more_len};
  hmac_sha256_set_key(&hmac, DIGEST_BYTES, key);
  add(&hmac, head, sizeof head);
  add(&hmac, scope.data, scope.len);
  add(&hmac, more, more_len);
  add(&hmac, id, id_len);
  hmac_sha256_digest(&hmac, DIGEST_BYTES, digest);
  vsi_hex_write(text, digest, bytes);
}

vestry_err vsi_seal_make(const vsi_seals *seals, const vestry_host *host, vsi_seal_kind kind, vestry_scope scope,
                         const char *more, char text[VSI_SEAL_LEN + 1]) {
  if (!seals) return VESTRY_NO_MEMORY;
  unsigned char id[HALF_BYTES];
  vestry_err error = host->random(host->ctx, id, sizeof id);
  if (error) return error;
  char digits[VSI_SEAL_ID_LEN + 1];
  vsi_hex_write(digits, id, sizeof id);
  vsi_seal_make_of(seals, kind, scope, more, digits, text);
  return VESTRY_OK;
}

void vsi_seal_make_of(const vsi_seals *seals, vsi_seal_kind kind, vestry_scope scope, const char *more, const char *id,
                      char text[VSI_SEAL_LEN + 1]) {
  memcpy(text, id, VSI_SEAL_ID_LEN);
  mac(seals->key, kind, scope, more, id, VSI_SEAL_ID_LEN, text + VSI_SEAL_ID_LEN, HALF_BYTES);
}

static bool is_by(const unsigned char key[DIGEST_BYTES], vsi_seal_kind kind, vestry_scope scope, const char *more,
                  const char *text) {
  char wanted[VSI_SEAL_ID_LEN + 1];
  mac(key, kind, scope, more, text, VSI_SEAL_ID_LEN, wanted, HALF_BYTES);
  return memeql_sec(wanted, text + VSI_SEAL_ID_LEN, VSI_SEAL_ID_LEN);
}

bool vsi_seal_is_good(const vsi_seals *seals, vsi_seal_kind kind, vestry_scope scope, const char *more,
                      const char *text, size_t len) {
  if (!seals || len != VSI_SEAL_LEN || !vsi_hex_is(text, len)) return false;
  return is_by(seals->key, kind, scope, more, text) ||
         (seals->has_previous && is_by(seals->previous, kind, scope, more, text));
}

void vsi_seal_name(const vsi_seals *seals, vsi_seal_kind kind, vestry_scope scope, const char *more,
                   char name[VSI_SEAL_LEN + 1]) {
  mac(seals->key, kind, scope, more, NULL, 0, name, DIGEST_BYTES);
}

static bool is_name_by(const unsigned char key[DIGEST_BYTES], vsi_seal_kind kind, vestry_scope scope, const char *more,
                       const char *text) {
  char wanted[VSI_SEAL_LEN + 1];
  mac(key, kind, scope, more, NULL, 0, wanted, DIGEST_BYTES);
  return memeql_sec(wanted, text, VSI_SEAL_LEN);
}

bool vsi_seal_is_name(const vsi_seals *seals, vsi_seal_kind kind, vestry_scope scope, const char *more,
                      const char *text) {
  if (!seals || strlen(text) != VSI_SEAL_LEN) return false;
  return is_name_by(seals->key, kind, scope, more, text) ||
         (seals->has_previous && is_name_by(seals->previous, kind, scope, more, text));
}

void vsi_seal_tag(const vsi_seals *seals, vestry_scope scope, char tag[VSI_SEAL_TAG_LEN + 1]) {
  mac(seals->key, TAG, scope, NULL, NULL, 0, tag, VSI_SEAL_TAG_LEN / 2);
}

/* ------------------------------------------------------------------------------------ keys of an instance --------- */

static void destroy(vestry *v, void *state) {
  vsi_free(v->host, state);
}

/* Create the keys. OK | INVALID | NO_MEMORY | IO */
static vestry_err make(vestry *v, const vestry_secret *secret, void **ret_state) {
  vsi_seals *seals = vsi_calloc(v->host, 1, sizeof *seals);
  if (!seals) return VESTRY_NO_MEMORY;
  vestry_err error =
      vsi_seals_init(seals, v->host, secret->secret, secret->secret_len, secret->previous, secret->previous_len);
  if (error)
    destroy(v, seals);
  else
    *ret_state = seals;
  return error;
}

static vestry_err create(vestry *v, void **ret_state) {
  return make(v, &(vestry_secret){0}, ret_state);
}

static const vsi_extension kind = {
    .name = "vestry_secret_set", .create = create, .destroy = destroy, .request_bytes = sizeof(vsi_sealed)};

vestry_err vsi_seals_use(vestry *v, const vsi_seals **ret_seals) {
  void *seals = NULL;
  vestry_err error = vsi_extension_use(v, &kind, &seals);
  *ret_seals = seals;
  return error;
}

const vsi_seals *vsi_seals_of(vestry *v) {
  const vsi_seals *seals;
  return vsi_seals_use(v, &seals) ? NULL : seals;
}

vsi_sealed *vsi_sealed_of(const vestry_request *req) {
  return vsi_seals_of(req->v) ? vsi_request_room(req, &kind) : NULL;
}

bool vsi_seals_derive(const vestry *v, const char *purpose, unsigned char key[DIGEST_BYTES]) {
  const vsi_seals *seals = vsi_extension_find(v, &kind);
  struct hmac_sha256_ctx hmac;
  if (!seals || seals->is_random) return false;
  hmac_sha256_set_key(&hmac, sizeof seals->key, seals->key);
  hmac_sha256_update(&hmac, strlen(purpose), (const uint8_t *)purpose);
  hmac_sha256_digest(&hmac, DIGEST_BYTES, key);
  return true;
}

vestry_err vestry_secret_set(vestry *v, const vestry_secret *given) {
  if (!v) return VESTRY_INVALID;
  void *seals = NULL;
  vestry_err error = given && given->secret ? make(v, given, &seals) : VESTRY_INVALID;
  if (!error) error = vsi_extension_add(v, &kind, seals);
  if (error && seals) destroy(v, seals);
  if (error == VESTRY_INVALID)
    return vsi_mistake(v->host, "vestry_secret_set",
                       "a secret is required; it and a previous secret must have at least 32 bytes");
  return error == VESTRY_EXISTS ? vsi_extension_repeated(v, &kind) : error;
}

bool vestry_secret_is(const char *text, const char *secret) {
  const size_t len = text ? strlen(text) : 0;
  return text && secret && len == strlen(secret) && memeql_sec(text, secret, len);
}
