/* SPDX-License-Identifier: MIT */
#include "store/scopes.h"

#include "store/exit.h"

enum { CHAINS_LEAST = 8 };

static vsi_scope_share **chain_of(const vsi_scopes *scopes, uint64_t hash) {
  return &scopes->chains[hash & (scopes->chains_count - 1)];
}

static vestry_err grow_chains(vsi_scopes *scopes, const vestry_host *host) {
  vsi_scopes made = {.chains_count = scopes->chains_count ? 2 * scopes->chains_count : CHAINS_LEAST,
                     .count = scopes->count};
  made.chains = vsi_calloc(host, made.chains_count, sizeof(vsi_scope_share *));
  if (!made.chains) return scopes->chains ? VESTRY_OK : VESTRY_NO_MEMORY; /* longer chains are slower, not wrong */
  for (size_t i = 0; i < scopes->chains_count; i++)
    for (vsi_scope_share *share = scopes->chains[i], *next; share; share = next) {
      next = share->next;
      vsi_scope_share **to = chain_of(&made, share->hash);
      share->next = *to;
      *to = share;
    }
  vsi_free(host, scopes->chains);
  *scopes = made;
  return VESTRY_OK;
}

static vsi_scope_share *create_share(vsi_scopes *scopes, const vestry_host *host, uint64_t hash,
                                     const vestry_scope *scope) {
  if (scopes->count >= scopes->chains_count && grow_chains(scopes, host)) return NULL;
  vsi_scope_share *share = vsi_alloc(host, sizeof *share + scope->len);
  if (!share) return NULL;
  vsi_scope_share **chain = chain_of(scopes, hash);
  *share = (vsi_scope_share){.next = *chain, .hash = hash, .len = scope->len};
  vsi_ring_init(&share->used);
  if (scope->len) memcpy(share->scope, scope->data, scope->len);
  *chain = share;
  scopes->count++;
  return share;
}

static void drop_if_unused(vsi_scopes *scopes, const vestry_host *host, vsi_scope_share *share) {
  if (share->count || share->puts_count) return;
  vsi_scope_share **at = chain_of(scopes, share->hash);
  while (*at != share) at = &(*at)->next;
  *at = share->next;
  scopes->count--;
  vsi_free(host, share);
}

vsi_scope_share *vsi_scopes_enter(vsi_scopes *scopes, const vestry_host *host, vsi_siphash_key secret,
                                  const vestry_scope *scope) {
  uint64_t hash = vsi_siphash_1_3(secret, scope->data, scope->len);
  vsi_scope_share *share = scopes->chains ? *chain_of(scopes, hash) : NULL;
  while (share && (share->hash != hash || share->len != scope->len || memcmp(share->scope, scope->data, scope->len)))
    share = share->next;
  if (!share) share = create_share(scopes, host, hash, scope);
  if (share) share->puts_count++;
  return share;
}

void vsi_scopes_leave(vsi_scopes *scopes, const vestry_host *host, vsi_scope_share *share) {
  share->puts_count--;
  drop_if_unused(scopes, host, share);
}

void vsi_scopes_add(vsi_scope_share *share, vsi_entry *entry) {
  vsi_entry_extra(entry)->share = share;
  vsi_ring_add_last(&share->used, &vsi_entry_extra(entry)->scope_in);
  share->count++;
}

void vsi_scopes_use(vsi_entry *entry) {
  vsi_extra *extra = vsi_entry_extra(entry);
  if (extra->share->used.prev == &extra->scope_in) return;
  vsi_ring_remove(&extra->scope_in);
  vsi_ring_add_last(&extra->share->used, &extra->scope_in);
}

void vsi_scopes_remove(vsi_scopes *scopes, const vestry_host *host, vsi_entry *entry) {
  vsi_extra *extra = vsi_entry_extra(entry);
  vsi_ring_remove(&extra->scope_in);
  extra->share->count--;
  drop_if_unused(scopes, host, extra->share);
}

vsi_entry *vsi_scopes_first(const vsi_scope_share *share, vestry_store_exit *exit, const void *newcomer) {
  vsi_entry *first = NULL;
  int looked = 0;
  for (vsi_ring *node = share->used.next; node != &share->used; node = node->next) {
    vsi_entry *entry = vsi_entry_of_scope(node);
    if (entry->value == newcomer) continue;
    if (exit->value.has_ended(entry->value)) return entry;
    if (!first) first = entry;
    if (++looked == VSI_SCOPE_LOOKS) break;
  }
  return first;
}
