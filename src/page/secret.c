/* SPDX-License-Identifier: MIT */
#include "page/secret.h"

#include <string.h>

/* What an application's secret makes of a purpose. */
static vsi_siphash_key derive_key(const void *secret, size_t len, uint64_t purpose) {
  const vsi_siphash_key first = {purpose, 0}, second = {purpose, 1};
  return (vsi_siphash_key){vsi_siphash_1_3(first, secret, len), vsi_siphash_1_3(second, secret, len)};
}

void vsi_pages_share_secret(vestry_pages *pages, const void *secret, size_t len) {
  if (pages->has_secret) return;
  pages->content_secret = derive_key(secret, len, 1);
  pages->version_secret = derive_key(secret, len, 2);
}

vestry_err vsi_secret_make(vestry_pages *pages, const vestry_pages_options *options) {
  vestry_err error = vsi_siphash_key_random(pages->host, &pages->buckets_secret);
  if (!error) error = vsi_siphash_key_random(pages->host, &pages->own_secret);
  if (!error && options->secret) {
    vsi_pages_share_secret(pages, options->secret, options->secret_len);
    pages->has_secret = true;
    return VESTRY_OK;
  }
  if (!error) error = vsi_siphash_key_random(pages->host, &pages->content_secret);
  if (!error) error = vsi_siphash_key_random(pages->host, &pages->version_secret);
  return error;
}

uint64_t vsi_secret_claim(const vestry_pages *pages, const char *id, const char *share, uint64_t hash) {
  const uint64_t words[2] = {vsi_siphash_1_3(pages->content_secret, id, strlen(id)),
                             vsi_siphash_1_3(pages->content_secret, share, strlen(share))};
  return hash ^ vsi_siphash_1_3(pages->version_secret, words, sizeof words);
}
