/* SPDX-License-Identifier: MIT */
#include "store/invariants.h"

#include <stdlib.h>

#include "store/table.h"
#include "support/test.h"

typedef struct check {
  vsi_table *table;
  vsi_shard *shard;
  size_t keys_count, live_count; /* entries in the index; all entries, including chains */
  size_t nodes_count;            /* of keys with many values */
} check;

vsi_table *invariants_table(vestry_store *store) {
  return store->ops == &vsi_hash_store_ops || store->ops == &vsi_lru_store_ops ? store->self : NULL;
}

/* --------------------------------------------------------------------------------------------------- the index ---- */

static void check_chain(check *c, const vsi_entry *newest) {
  vestry_scoped_key key = vsi_entry_key(newest);
  const vsi_entry *entry = newest;
  do {
    vestry_scoped_key own = vsi_entry_key(entry);
    assert_int_equal(own.len, key.len);
    assert_memory_equal(own.data, key.data, key.len);
    assert_non_null(entry->value);
    assert_ptr_equal(entry->older->newer, entry);
    assert_ptr_equal(entry->newer->older, entry);
    if (entry->older != newest) assert_true(entry->older->handle < entry->handle);
    c->live_count++;
    entry = entry->older;
  } while (entry != newest);
}

/* Values with a node are the newest of their key, their shared counter counts all of them, and the middle is one of
 * them. */
static size_t check_many(const check *c, const vsi_entry *newest) {
  size_t nodes = 0, count = 0;
  const vsi_entry *entry = newest, *middle = vsi_multivalues_middle(&c->shard->multivalues, newest);
  bool has_middle = false;
  do {
    has_middle |= entry == middle;
    bool has_node = vsi_multivalues_with_handle(&c->shard->multivalues, entry->handle) == entry;
    assert_true(!has_node || nodes == count);
    nodes += has_node;
    count++;
    entry = entry->older;
  } while (entry != newest);
  assert_true(has_middle);
  assert_int_equal(vsi_multivalues_count(&c->shard->multivalues, newest), count);
  assert_in_range(count - nodes, 0, VSI_MULTIVALUE_WALK);
  return nodes;
}

static void check_key(check *c, vsi_entry *newest, uint16_t tag) {
  uint64_t hash = vsi_placing_anew(&c->table->placing, newest);
  vestry_scoped_key key = vsi_entry_key(newest);
  assert_int_equal((hash ^ newest->handle) & ~VSI_HANDLE_NUMBER_MASK, 0);
  assert_int_equal(tag, vsi_index_tag(hash));
  assert_ptr_equal(vsi_table_shard(c->table, hash), c->shard);
  assert_ptr_equal(vsi_index_find(&c->shard->index, &key, hash), newest); /* so each key exists once */
  check_chain(c, newest);
  c->nodes_count += check_many(c, newest);
  c->keys_count++;
}

/* Each bucket has the correct count of entries that passed it. */
static void check_passed(const vsi_index *index) {
  vsi_bucket *buckets = vsi_index_buckets(index);
  uint32_t mask = vsi_index_mask(index);
  uint32_t *passed = calloc((size_t)mask + 1, sizeof *passed);
  assert_non_null(passed);
  for (uint32_t i = 0; i <= mask; i++)
    for (size_t k = 0; k < VSI_BUCKET_PLACES; k++)
      if (buckets[i].at[k])
        for (uint32_t at = vsi_index_home(index, vsi_index_hash_of(index, buckets[i].at[k])); at != i;
             at = (at + 1) & mask)
          passed[at]++;
  for (uint32_t i = 0; i <= mask; i++) assert_int_equal(buckets[i].passed, passed[i]);
  free(passed);
}

static void check_index(check *c) {
  const vsi_index *index = &c->shard->index;
  const vsi_bucket *buckets = vsi_index_buckets(index);
  assert_int_equal(vsi_index_mask(index), (1u << index->bits) - 1);
  assert_int_equal(index->shift + index->bits + c->table->placing.shard_bits, 64);
  for (uint32_t i = 0; i <= vsi_index_mask(index); i++)
    for (size_t k = 0; k < VSI_BUCKET_PLACES; k++) {
      assert_int_equal(!buckets[i].tags[k], !buckets[i].at[k]);
      if (buckets[i].at[k]) check_key(c, buckets[i].at[k], buckets[i].tags[k]);
    }
  check_passed(index);
  assert_int_equal(c->live_count, c->shard->live);
  assert_int_equal(c->shard->multivalues.by_handle.count, c->nodes_count);
  assert_int_equal(c->shard->multivalues.by_value.count, c->nodes_count);
}

/* -------------------------------------------------------------------------------------------- uses and births ---- */

/* Each entry is in the list once, in the order of ticks, and the first tick is published. */
static void check_used(const check *c) {
  size_t count = 0;
  uint32_t first = VSI_TICK_NONE, before = 0;
  const vsi_uses *used = &c->shard->used;
  assert_int_equal(!used->first, !used->last);
  for (vsi_entry *entry = used->first, *next; entry; entry = entry == used->last ? NULL : next, count++) {
    next = vsi_entry_of_used(entry->used.next);
    if (entry == used->last)
      assert_ptr_equal(next, used->first);
    else
      assert_ptr_equal(next->used.prev, &entry->used);
    uint32_t tick = vsi_entry_tick(entry);
    if (first == VSI_TICK_NONE)
      first = tick;
    else
      assert_int_equal(vsi_tick_age(before, tick), 0);
    before = tick;
  }
  assert_int_equal(count, c->live_count);
  if (c->table->evicts) assert_int_equal(atomic_load(&c->table->oldest[c->shard->number]), first);
}

static void check_born(const check *c) {
  size_t count = 0;
  uint32_t first = VSI_TICK_NONE, before = 0;
  const vsi_ring *list = &c->shard->born;
  for (vsi_ring *node = list->next; node != list; node = node->next, count++) {
    assert_ptr_equal(node->next->prev, node);
    uint32_t tick = vsi_entry_extra(vsi_entry_of_born(node))->born;
    if (first == VSI_TICK_NONE)
      first = tick;
    else
      assert_int_equal(vsi_tick_age(before, tick), 0);
    before = tick;
  }
  assert_int_equal(count, c->live_count);
  assert_int_equal(atomic_load(&c->table->eldest[c->shard->number]), first);
}

/* -------------------------------------------------------------------------------------------------- the scopes ---- */

static size_t check_share(const check *c, vsi_scope_share *share) {
  size_t count = 0;
  uint32_t before = 0;
  for (vsi_ring *node = share->used.next; node != &share->used; node = node->next, count++) {
    vsi_entry *entry = vsi_entry_of_scope(node);
    vestry_scoped_key key = vsi_entry_key(entry);
    assert_ptr_equal(vsi_entry_extra(entry)->share, share);
    assert_true(vsi_scoped_key_is_of(&key, &(vestry_scope){share->scope, share->len}));
    if (count) assert_int_equal(vsi_tick_age(before, vsi_entry_tick(entry)), 0);
    before = vsi_entry_tick(entry);
  }
  assert_int_equal(share->puts_count, 0);
  assert_int_equal(share->count, count);
  assert_in_range(count, 1, c->table->max_per_scope);
  return count;
}

static void check_scopes(const check *c) {
  const vsi_map *scopes = &c->shard->scopes;
  size_t shares_count = 0, count = 0;
  for (vsi_map_link *at = vsi_map_after(scopes, NULL); at; at = vsi_map_after(scopes, at), shares_count++) {
    vsi_scope_share *share = (vsi_scope_share *)at;
    vsi_map_link *found = vsi_map_first(scopes, at->hash);
    while (found && found != at) found = vsi_map_further(found);
    assert_ptr_equal(found, at);
    count += check_share(c, share);
  }
  assert_int_equal(shares_count, scopes->count);
  assert_int_equal(count, c->live_count);
}

/* ------------------------------------------------------------------------------------------------------- all ---- */

void invariants_check(vestry_store *store) {
  vsi_table *table = invariants_table(store);
  if (!table) return;
  size_t live_count = 0;
  for (uint32_t i = 0; i < table->shards_count; i++) {
    check c = {.table = table, .shard = &table->shards[i]};
    vsi_spin_lock_take(&c.shard->lock, VSI_LOCK_SHARD);
    check_index(&c);
    check_used(&c);
    if (table->extra_bytes) check_born(&c);
    if (table->max_per_scope) check_scopes(&c);
    vsi_spin_lock_give(&c.shard->lock);
    live_count += c.live_count;
  }
  if (!table->max_count) return;
  assert_int_equal(atomic_load(&table->count), live_count);
  assert_in_range(live_count, 0, table->max_count);
}
