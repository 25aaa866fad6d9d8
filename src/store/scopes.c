/* SPDX-License-Identifier: MIT */
/* The shares of scopes: how many values each scope has in a shard, and which of them is evicted when the scope is
 * full. */
#include "store/scopes.h"

static vsi_scope_share *create_share(vsi_map *scopes, const vestry_host *host, uint64_t hash,
                                     const vestry_scope *scope) {
  if (vsi_map_reserve(scopes, host, scopes->count + 1)) return NULL;
  vsi_scope_share *share = vsi_alloc(host, sizeof *share + scope->len);
  if (!share) return NULL;
  *share = (vsi_scope_share){.len = scope->len};
  if (scope->len) memcpy(share->scope, scope->data, scope->len);
  vsi_map_add(scopes, &share->in, hash);
  return share;
}

static void drop_if_unused(vsi_map *scopes, const vestry_host *host, vsi_scope_share *share) {
  if (share->count || share->puts_count) return;
  vsi_map_remove(scopes, &share->in);
  vsi_free(host, share);
}

vsi_scope_share *vsi_scopes_enter(vsi_shard *shard, const vestry_host *host, vsi_siphash_key secret,
                                  const vestry_scope *scope) {
  uint64_t hash = vsi_siphash_1_3(secret, scope->data, scope->len);
  hash = hash << 32 | hash >> 32; /* swapped, because all scopes of a shard have the same upper bits */
  vsi_scope_share *share = (vsi_scope_share *)vsi_map_first(&shard->scopes, hash);
  while (share && (share->len != scope->len || memcmp(share->scope, scope->data, scope->len) != 0))
    share = (vsi_scope_share *)vsi_map_further(&share->in);
  if (!share) share = create_share(&shard->scopes, host, hash, scope);
  if (share) share->puts_count++;
  return share;
}

void vsi_scopes_leave(vsi_shard *shard, const vestry_host *host, vsi_scope_share *share) {
  VSI_ASSERT(share->puts_count > 0);
  share->puts_count--;
  drop_if_unused(&shard->scopes, host, share);
}

void vsi_scopes_add(vsi_shard *shard, vsi_scope_share *share, uint32_t number) {
  vsi_extra_at(shard, number)->share = share;
  vsi_links_add(&share->used, shard->extra, VSI_IN_SCOPE, number);
  share->count++;
}

void vsi_scopes_use(vsi_shard *shard, uint32_t number) {
  vsi_links *used = &vsi_extra_at(shard, number)->share->used;
  if (used->prev == number) return;
  vsi_links_take(used, shard->extra, VSI_IN_SCOPE, number);
  vsi_links_add(used, shard->extra, VSI_IN_SCOPE, number);
}

void vsi_scopes_remove(vsi_shard *shard, const vestry_host *host, uint32_t number) {
  vsi_scope_share *share = vsi_extra_at(shard, number)->share;
  vsi_links_take(&share->used, shard->extra, VSI_IN_SCOPE, number);
  VSI_ASSERT(share->count > 0);
  share->count--;
  drop_if_unused(&shard->scopes, host, share);
}

uint32_t vsi_scopes_first(const vsi_shard *shard, const vsi_scope_share *share, vestry_store_exit *exit,
                          const void *newcomer) {
  uint32_t first = 0;
  int looked = 0;
  for (uint32_t number = share->used.next; number; number = vsi_extra_at(shard, number)->in[VSI_IN_SCOPE].next) {
    void *value = vsi_entry_at(shard->in, number)->value;
    if (value == newcomer) continue;
    if (exit->value.has_ended(value)) return number;
    if (!first) first = number;
    if (++looked == VSI_SCOPE_LOOKS) break;
  }
  return first;
}
