/* SPDX-License-Identifier: MIT */
#include "store/invariants.h"

#include <stdlib.h>

#include "store/table.h"
#include "support/test.h"

typedef struct check {
  vsi_table *table;
  vsi_shard *shard;
  size_t keys_count, live_count; /* entries in the index; all entries, including rings */
  unsigned char *seen;           /* of each number: how often it was seen in a ring, a list, or as free */
} check;

vsi_table *invariants_table(vestry_store *store) {
  return store->ops == &vsi_hash_store_ops || store->ops == &vsi_lru_store_ops ? store->self : NULL;
}

static const vsi_entry *entry_of(const check *c, uint32_t number) {
  assert_in_range(number, VSI_HEADS, c->shard->fresh - 1);
  return vsi_entry_at(c->shard->in, number);
}

/* --------------------------------------------------------------------------------------------------- the index ---- */

static void check_ring(check *c, uint32_t newest) {
  vestry_scoped_key key = vsi_entry_key(entry_of(c, newest));
  uint32_t number = newest, count = 0;
  do {
    const vsi_entry *entry = entry_of(c, number);
    vestry_scoped_key own = vsi_entry_key(entry);
    vestry_handle handle = c->shard->in->cold[number].handle;
    assert_int_equal(own.len, key.len);
    assert_memory_equal(own.data, key.data, key.len);
    assert_non_null(entry->value);
    assert_int_equal(vsi_many_next(c->shard, 0, vsi_many_older(c->shard, number)), number);
    if (vsi_many_older(c->shard, number) != newest)
      assert_true(c->shard->in->cold[vsi_many_older(c->shard, number)].handle < handle);
    assert_int_equal(vsi_many_with_handle(c->shard, handle), vsi_many_has(c->shard, newest) ? number : 0);
    c->seen[number]++;
    c->live_count++;
    count++;
    number = vsi_many_older(c->shard, number);
  } while (number != newest);
  assert_int_equal(vsi_many_count(c->shard, newest), count);
}

static void check_key(check *c, uint32_t newest, uint8_t tag) {
  uint64_t hash = vsi_placing_anew(&c->table->placing, entry_of(c, newest));
  vestry_scoped_key key = vsi_entry_key(entry_of(c, newest));
  assert_int_equal((hash ^ c->shard->in->cold[newest].handle) & ~VSI_HANDLE_NUMBER_MASK, 0);
  assert_int_equal(tag, vsi_index_tag(hash));
  assert_ptr_equal(vsi_table_shard(c->table, hash), c->shard);
  /* each key exists once */
  assert_int_equal(vsi_index_find(c->shard->in, &c->table->placing, &key, hash), newest);
  check_ring(c, newest);
  c->keys_count++;
}

/* Each group has the correct count of entries that passed it. */
static void check_passed(const check *c) {
  const vsi_arrays *in = c->shard->in;
  const vsi_index_group *groups = vsi_index_groups(in);
  uint32_t count = vsi_index_count(in);
  uint32_t *passed = calloc(count, sizeof *passed);
  assert_non_null(passed);
  for (uint32_t i = 0; i < count; i++)
    for (size_t k = 0; k < VSI_GROUP_PLACES; k++)
      if (groups[i].numbers[k])
        for (uint32_t at = vsi_index_home(in, &c->table->placing, in->cold[groups[i].numbers[k]].handle); at != i;
             at = vsi_index_after(in, at))
          passed[at]++;
  for (uint32_t i = 0; i < count; i++) assert_int_equal(groups[i].passed, passed[i]);
  free(passed);
}

static void check_index(check *c) {
  const vsi_arrays *in = c->shard->in;
  const vsi_index_group *groups = vsi_index_groups(in);
  assert_int_equal(c->shard->in->room, VSI_HEADS + (c->shard->memory ? vsi_index_count(in) * VSI_GROUP_LOAD : 0));
  for (uint32_t i = 0; i < vsi_index_count(in); i++) {
    for (size_t k = 0; k < VSI_GROUP_PLACES; k++) {
      assert_int_equal(!groups[i].tags[k], !groups[i].numbers[k]);
      if (groups[i].numbers[k]) check_key(c, groups[i].numbers[k], groups[i].tags[k]);
    }
  }
  check_passed(c);
  assert_int_equal(c->live_count, c->shard->live);
}

/* -------------------------------------------------------------------------------------------- uses and births ---- */

/* Each entry is in the right list once, no use is earlier than `last`, and no earlier one than that is published. */
static void check_order(const check *c) {
  size_t count = 0;
  vsi_shard *shard = c->shard;
  const vsi_cold *cold = shard->in->cold;
  uint32_t published = atomic_load(&c->table->oldest[shard->number]);
  for (uint32_t list = 0; list < VSI_HEADS; list++) {
    if (list && list != VSI_ORDER_BEHIND && !(shard->lists >> list & 1)) assert_true(vsi_order_is_empty(cold, list));
    for (uint32_t number = cold[list].in.next; number != list; number = cold[number].in.next, count++) {
      uint32_t tick = vsi_entry_tick(entry_of(c, number));
      assert_int_equal(cold[cold[number].in.prev].in.next, number);
      assert_int_equal(vsi_tick_age(shard->last, tick), 0);
      if (c->table->evicts) assert_int_equal(vsi_tick_age(published, tick), 0);
      /* the list of a tick that is not later than that of the use */
      if (list != VSI_ORDER_BEHIND) assert_true(list <= vsi_order_list(shard, tick));
      c->seen[number]++;
    }
    assert_int_equal(cold[cold[list].in.prev].in.next, list);
  }
  assert_int_equal(count, c->live_count);
  if (c->table->evicts) assert_int_equal(published == VSI_TICK_NONE, !count);
}

/* Each number is used by an entry, or free, or busy. */
static void check_numbers(const check *c) {
  size_t free_count = 0, used = 0;
  for (uint32_t number = c->shard->free; number; number = c->shard->in->cold[number].in.next) {
    assert_int_equal(c->seen[number]++, 0);
    free_count++;
  }
  for (uint32_t number = VSI_HEADS; number < c->shard->fresh; number++) used += c->seen[number] == 2;
  assert_int_equal(used, c->live_count);
  assert_int_equal(used + free_count + c->shard->busy + VSI_HEADS, c->shard->fresh);
}

static void check_born(const check *c) {
  size_t count = 0;
  uint32_t before = 0;
  for (uint32_t number = c->shard->born.next, prev = 0; number; count++) {
    const vsi_extra *extra = vsi_extra_at(c->shard, number);
    assert_int_equal(extra->in[VSI_IN_BORN].prev, prev);
    if (count) assert_int_equal(vsi_tick_age(before, extra->born), 0);
    before = extra->born;
    prev = number;
    number = extra->in[VSI_IN_BORN].next;
  }
  assert_int_equal(count, c->live_count);
}

/* -------------------------------------------------------------------------------------------------- the scopes ---- */

static size_t check_share(const check *c, vsi_scope_share *share) {
  size_t count = 0;
  for (uint32_t number = share->used.next; number; number = vsi_extra_at(c->shard, number)->in[VSI_IN_SCOPE].next) {
    vestry_scoped_key key = vsi_entry_key(entry_of(c, number));
    assert_ptr_equal(vsi_extra_at(c->shard, number)->share, share);
    assert_true(vsi_scoped_key_is_of(&key, &(vestry_scope){share->scope, share->len}));
    count++;
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
    assert_non_null(c.seen = calloc(c.shard->in->room, 1));
    check_index(&c);
    check_order(&c);
    check_numbers(&c);
    if (table->has_extra) check_born(&c);
    if (table->max_per_scope) check_scopes(&c);
    vsi_spin_lock_give(&c.shard->lock);
    free(c.seen);
    live_count += c.live_count;
  }
  if (!table->max_count) return;
  assert_int_equal(atomic_load(&table->count), live_count);
  assert_in_range(live_count, 0, table->max_count);
}
