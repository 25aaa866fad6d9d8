/* SPDX-License-Identifier: MIT */
/* Extras (extra.h): lists of births and of the uses in a scope; rings and chains of the values of one key. */
#include "store/extra.h"

#include "base/hash.h"

/* ---------------------------------------------------------------------------------------------------- lists ---- */

/* Return the links of an entry in a list; number 0: the head of the list. */
static vsi_links *links_of(const vsi_shard *shard, vsi_links *head, int which, uint32_t number) {
  return number ? &vsi_extra_at(shard, number)->in[which] : head;
}

static void list_add(const vsi_shard *shard, vsi_links *head, int which, uint32_t number) {
  *links_of(shard, head, which, number) = (vsi_links){0, head->prev};
  links_of(shard, head, which, head->prev)->next = number;
  head->prev = number;
}

static void list_take(const vsi_shard *shard, vsi_links *head, int which, uint32_t number) {
  const vsi_links own = *links_of(shard, head, which, number);
  VSI_ASSERT(links_of(shard, head, which, own.prev)->next == number);
  links_of(shard, head, which, own.prev)->next = own.next;
  links_of(shard, head, which, own.next)->prev = own.prev;
}

/* --------------------------------------------------------------------------------------------------- scopes ---- */

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

void vsi_scopes_use(vsi_shard *shard, uint32_t number) {
  vsi_links *used = &vsi_extra_at(shard, number)->share->used;
  if (used->prev == number) return;
  list_take(shard, used, VSI_IN_SCOPE, number);
  list_add(shard, used, VSI_IN_SCOPE, number);
}

VSI_SELDOM void vsi_extra_add(vsi_shard *shard, uint32_t number, vsi_scope_share *share) {
  vsi_extra *own = vsi_extra_at(shard, number);
  own->born = shard->now;
  own->share = share;
  list_add(shard, &shard->born, VSI_IN_BORN, number);
  if (!share) return;
  list_add(shard, &share->used, VSI_IN_SCOPE, number);
  share->count++;
}

VSI_SELDOM void vsi_extra_take(vsi_shard *shard, const vestry_host *host, uint32_t number) {
  vsi_scope_share *share = vsi_extra_at(shard, number)->share;
  list_take(shard, &shard->born, VSI_IN_BORN, number);
  if (!share) return;
  list_take(shard, &share->used, VSI_IN_SCOPE, number);
  VSI_ASSERT(share->count > 0);
  share->count--;
  drop_if_unused(&shard->scopes, host, share);
}

/* ---------------------------------------------------------------------------------------- rings and chains ---- */

enum { BY_HANDLE, BY_VALUE };

/* Return the place at which a chain starts. A multiplication is enough because clients choose neither number: handles
 * are counted, and values are addresses. A value may be stored under many keys, so the handle's bits of the key's hash
 * are hashed with it. */
static uint32_t *chain_of(const vsi_shard *shard, int which, vestry_handle handle, const void *value) {
  uint64_t hash = vsi_hash_number(handle);
  if (which == BY_VALUE) hash = vsi_hash_number((uint64_t)(uintptr_t)value ^ vsi_hash_number(handle >> 40));
  uint32_t count = shard->in->room - VSI_HEADS;
  return &shard->extra[(uint32_t)((hash >> 32) * count >> 32)].first[which];
}

static void enter_chains(const vsi_shard *shard, uint32_t number) {
  for (int which = BY_HANDLE; which <= BY_VALUE; which++) {
    uint32_t *first = chain_of(shard, which, shard->in->cold[number].handle, vsi_entry_at(shard->in, number)->value);
    vsi_extra_at(shard, number)->after[which] = *first;
    *first = number;
  }
}

static void leave_chains(const vsi_shard *shard, uint32_t number) {
  for (int which = BY_HANDLE; which <= BY_VALUE; which++) {
    uint32_t *at = chain_of(shard, which, shard->in->cold[number].handle, vsi_entry_at(shard->in, number)->value);
    while (*at != number) at = &vsi_extra_at(shard, *at)->after[which];
    *at = vsi_extra_at(shard, number)->after[which];
  }
}

VSI_SELDOM uint32_t vsi_many_search(const vsi_shard *shard, const vestry_scoped_key *key, uint32_t newest,
                                    const void *value) {
  uint32_t number = *chain_of(shard, BY_VALUE, shard->in->cold[newest].handle, value);
  for (; number; number = vsi_extra_at(shard, number)->after[BY_VALUE]) {
    const vsi_entry *entry = vsi_entry_at(shard->in, number);
    if (entry->value == value && vsi_entry_has_key(entry, key)) break;
  }
  return number;
}

VSI_SELDOM uint32_t vsi_many_with_handle(const vsi_shard *shard, vestry_handle handle) {
  if (!shard->extra) return 0;
  uint32_t number = *chain_of(shard, BY_HANDLE, handle, NULL);
  while (number && shard->in->cold[number].handle != handle) number = vsi_extra_at(shard, number)->after[BY_HANDLE];
  return number;
}

void vsi_many_renew(const vsi_shard *shard, bool has_rings) {
  for (uint32_t i = VSI_HEADS; i < shard->in->room; i++) {
    vsi_extra *at = vsi_extra_at(shard, i);
    if (!has_rings || i >= shard->fresh) at->older = at->newer = i;
    at->first[BY_HANDLE] = at->first[BY_VALUE] = 0;
  }
  for (uint32_t i = VSI_HEADS; has_rings && i < shard->fresh; i++)
    if (vsi_extra_at(shard, i)->older != i) enter_chains(shard, i);
}

static void replace_newest(const vsi_shard *shard, const vsi_placing *placing, uint32_t from, uint32_t to) {
  const uint8_t tag = vsi_index_remove(shard->in, placing, from);
  vsi_index_add(shard->in, vsi_index_home(shard->in, placing, shard->in->cold[to].handle), tag, to);
}

VSI_SELDOM void vsi_many_join(const vsi_shard *shard, const vsi_placing *placing, uint32_t newest, uint32_t number) {
  vsi_extra *own = vsi_extra_at(shard, number), *of_newest = vsi_extra_at(shard, newest);
  own->count = 1 + (uint32_t)vsi_many_count(shard, newest);
  if (own->count == 2) enter_chains(shard, newest);
  own->older = newest;
  own->newer = of_newest->newer;
  vsi_extra_at(shard, of_newest->newer)->older = number;
  of_newest->newer = number;
  enter_chains(shard, number);
  replace_newest(shard, placing, newest, number);
}

VSI_SELDOM void vsi_many_leave(const vsi_shard *shard, const vsi_placing *placing, uint32_t number) {
  vsi_extra *own = vsi_extra_at(shard, number);
  const vsi_entry *entry = vsi_entry_at(shard->in, number);
  const vestry_scoped_key key = vsi_entry_key(entry);
  const uint32_t older = own->older,
                 newest = vsi_index_find(shard->in, placing, &key, vsi_placing_anew(placing, entry));
  const uint32_t count = vsi_extra_at(shard, newest)->count - 1, after = newest == number ? older : newest;
  leave_chains(shard, number);
  vsi_extra_at(shard, own->newer)->older = older;
  vsi_extra_at(shard, older)->newer = own->newer;
  own->older = own->newer = number;
  vsi_extra_at(shard, after)->count = count;
  if (count == 1) leave_chains(shard, after);
  if (after != newest) replace_newest(shard, placing, newest, after);
}
