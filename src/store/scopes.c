/* SPDX-License-Identifier: MIT */
/* The shares of scopes: how many values each scope has in a shard, and which of them is evicted when the scope is
 * full. */
#include "store/scopes.h"

#include "base/assert.h"
#include "store/exit.h"

static vsi_scope_share *create_share(vsi_map *scopes, const vestry_host *host, uint64_t hash,
                                     const vestry_scope *scope) {
  if (vsi_map_reserve(scopes, host, scopes->count + 1)) return NULL;
  vsi_scope_share *share = vsi_alloc(host, sizeof *share + scope->len);
  if (!share) return NULL;
  *share = (vsi_scope_share){.len = scope->len};
  vsi_ring_init(&share->used);
  if (scope->len) memcpy(share->scope, scope->data, scope->len);
  vsi_map_add(scopes, &share->in, hash);
  return share;
}

static void drop_if_unused(vsi_map *scopes, const vestry_host *host, vsi_scope_share *share) {
  if (share->count || share->puts_count) return;
  vsi_map_remove(scopes, &share->in);
  vsi_free(host, share);
}

vsi_scope_share *vsi_scopes_enter(vsi_map *scopes, const vestry_host *host, vsi_siphash_key secret,
                                  const vestry_scope *scope) {
  uint64_t hash = vsi_siphash_1_3(secret, scope->data, scope->len);
  hash = hash << 32 | hash >> 32; /* swapped, because all scopes of a shard have the same upper bits */
  vsi_scope_share *share = (vsi_scope_share *)vsi_map_first(scopes, hash);
  while (share && (share->len != scope->len || memcmp(share->scope, scope->data, scope->len) != 0))
    share = (vsi_scope_share *)vsi_map_further(&share->in);
  if (!share) share = create_share(scopes, host, hash, scope);
  if (share) share->puts_count++;
  return share;
}

void vsi_scopes_leave(vsi_map *scopes, const vestry_host *host, vsi_scope_share *share) {
  VSI_ASSERT(share->puts_count > 0);
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

void vsi_scopes_remove(vsi_map *scopes, const vestry_host *host, vsi_entry *entry) {
  vsi_extra *extra = vsi_entry_extra(entry);
  vsi_ring_remove(&extra->scope_in);
  VSI_ASSERT(extra->share->count > 0);
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
