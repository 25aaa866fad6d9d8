/* SPDX-License-Identifier: MIT */
/* Functions for the state that all pages share: the budget of copied requests, random numbers, the release of the lock
 * for woken workers, and the secrets of tags. */
#include "app/page/pages.h"

#include <string.h>

#include "app/session/seal.h"

vestry_err vsi_requests_may_take(vestry_pages *pages, size_t bytes) {
  if (bytes <= pages->max_requests_bytes - pages->requests_bytes) return VESTRY_OK;
  pages->stats.requests_refused_count++;
  return VESTRY_LIMIT;
}

vestry_err vsi_requests_take(vestry_pages *pages, size_t bytes) {
  vestry_err error = vsi_requests_may_take(pages, bytes);
  if (!error) pages->requests_bytes += bytes;
  return error;
}

uint32_t vsi_pages_chance(const vestry_pages *pages, uint32_t below) {
  uint32_t number = 0;
  (void)pages->host->random(pages->host->ctx, &number, sizeof number);
  return below ? number % below : 0;
}

void vsi_pages_unlock_woken(vestry_pages *pages) {
  vsi_woken *next, *woken = pages->woken;
  pages->woken = NULL;
  atomic_fetch_add_explicit(&pages->notifying_count, 1, memory_order_relaxed); /* under the lock */
  vsi_mutex_unlock(&pages->lock);
  for (; woken; woken = next) {
    next = woken->next; /* a worker that runs may be woken again */
    vestry_actor_notify(woken->actor);
  }
  atomic_fetch_sub_explicit(&pages->notifying_count, 1, memory_order_release); /* pairs with vestry_pages_destroy */
}

/* Secrets of pages: keys of the hashes in tags. */

/* Derive a key for a purpose from the secret of the application. */
static vsi_siphash_key derive_key(const void *secret, size_t len, uint64_t purpose) {
  const vsi_siphash_key first = {purpose, 0}, second = {purpose, 1};
  return (vsi_siphash_key){vsi_siphash_1_3(first, secret, len), vsi_siphash_1_3(second, secret, len)};
}

void vsi_pages_share_secret(vestry_pages *pages, const void *secret, size_t len) {
  if (pages->has_secret) return;
  pages->name_secret = derive_key(secret, len, 1);
  pages->version_secret = derive_key(secret, len, 2);
  vsi_text_key_derive(&pages->content_key, derive_key(secret, len, 3));
}

vestry_err vsi_secret_make(vestry_pages *pages, const vestry_pages_options *options) {
  vsi_siphash_key content;
  vsi_siphash_key *const keys[] = {&pages->buckets_secret, &pages->own_secret, &pages->name_secret,
                                   &pages->version_secret, &content};
  for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
    vestry_err error = vsi_siphash_key_random(pages->host, keys[i]);
    if (error) return error;
  }
  vsi_text_key_derive(&pages->content_key, content);
  unsigned char derived[32];
  if (options->secret)
    vsi_pages_share_secret(pages, options->secret, options->secret_len);
  else if (vsi_seals_derive(pages->v, "vestry state tags", derived))
    vsi_pages_share_secret(pages, derived, sizeof derived);
  pages->has_secret = options->secret;
  return VESTRY_OK;
}

vsi_part_claim vsi_secret_claim(const vestry_pages *pages, const char *id, const char *share, uint64_t hash) {
  const uint64_t words[2] = {vsi_siphash_1_3(pages->name_secret, id, strlen(id)),
                             vsi_siphash_1_3(pages->name_secret, share, strlen(share))};
  const vsi_hash_128 own = vsi_siphash_128_of(pages->version_secret, words, sizeof words);
  return (vsi_part_claim){.name = (uint32_t)own.low, .content = own.high ^ hash};
}

/* If two claims have the same name, two parts collide by chance; then neither claim counts. */
bool vsi_secret_claimed(const vsi_state_tag *tag, vsi_part_claim own, uint64_t *ret_hash) {
  size_t count = 0;
  for (size_t i = 0; i < tag->parts_count; i++) {
    if (tag->parts[i].name != own.name) continue;
    *ret_hash = tag->parts[i].content ^ own.content;
    count++;
  }
  return count == 1;
}
