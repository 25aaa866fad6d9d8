#include "store/invariants.h"

#include <stdlib.h>

#include "store/buckets_view.h"
#include "store/table.h"
#include "support/test.h"

typedef struct check {
  vsi_table *table;
  vsi_shard *shard;
  vsi_slot **keys; /* the newest slot of each key */
  size_t keys_count, keys_room;
  size_t live_count; /* slots in the index, chains and all */
} check;

/* --------------------------------------------------------------------------------------------------- the index ---- */

static void gather(vsi_slot *slot, void *ctx) {
  check *c = ctx;
  if (c->keys_count == c->keys_room) {
    c->keys_room = c->keys_room ? c->keys_room * 2 : 64;
    c->keys = realloc(c->keys, c->keys_room * sizeof(vsi_slot *));
    assert_non_null(c->keys);
  }
  c->keys[c->keys_count++] = slot;
}

static uint32_t older(const vsi_slot *slot) {
  return atomic_load_explicit(&slot->older, memory_order_relaxed);
}

static void check_chain(check *c, const vsi_slot *newest) {
  const vsi_slab *slab = &c->shard->slab;
  vestry_slice key = vsi_slot_key(newest);
  uint32_t count = 0;
  const vsi_slot *above = NULL, *slot = newest;
  for (;; count++) {
    assert_int_equal(vsi_slot_state_of(slot), VSI_SLOT_LIVE);
    assert_ptr_equal(vsi_slab_at(slab, slot->number), slot);
    assert_ptr_equal(vsi_slab_look(slab, slot->number), slot);
    vestry_slice own = vsi_slot_key(slot);
    assert_int_equal(own.len, key.len);
    assert_memory_equal(own.data, key.data, key.len);
    assert_int_equal(slot->hash, newest->hash);
    if (above) assert_int_equal(slot->newer, above->number);
    above = slot;
    if (!older(slot)) break;
    slot = vsi_slab_at(slab, older(slot));
  }
  assert_int_equal(newest->newer, slot->number); /* the newest leads to the oldest */
  assert_int_equal(vsi_slot_count(newest), count + 1);
  c->live_count += count + 1;
}

static void check_index(check *c) {
  vsi_buckets *buckets = &c->shard->buckets;
  vsi_buckets_range(buckets, 0, UINT32_MAX, gather, c);
  assert_int_equal(c->keys_count, buckets->words_count);
  for (size_t i = 0; i < c->keys_count; i++) {
    vestry_slice key = vsi_slot_key(c->keys[i]);
    vsi_probe probe;
    vsi_probe_init(&probe, &c->table->hash, key.data, key.len);
    assert_int_equal(c->keys[i]->hash, (uint32_t)(probe.hash >> 32));
    assert_ptr_equal(vsi_table_shard(c->table, &probe), c->shard);
    assert_ptr_equal(vsi_buckets_find(buckets, &probe), c->keys[i]); /* so no key is there twice */
    check_chain(c, c->keys[i]);
  }
  buckets_look(buckets);
  assert_int_equal(c->live_count, c->shard->live);
}

/* ---------------------------------------------------------------------------------------------- ages and births ----
 */

static void check_ages(const check *c) {
  const vsi_ages *ages = &c->shard->ages;
  uint32_t first_tick = VSI_TICK_NONE;
  size_t count = 0;
  for (uint32_t distance = 0; distance < VSI_AGES; distance++) {
    uint32_t tick = (ages->oldest + distance) & VSI_TICK_MASK, place = tick % VSI_AGES;
    const struct vsi_age *age = &ages->at[place];
    assert_int_equal(ages->filled[place / 64] >> place % 64 & 1, age->first != 0);
    if (!age->first) continue;
    bool is_first = first_tick == VSI_TICK_NONE;
    if (is_first) first_tick = tick;
    uint32_t before = VSI_AGES_END | place, at = age->first;
    for (;; count++) {
      const vsi_slot *slot = vsi_slab_at(&c->shard->slab, at);
      assert_int_equal(vsi_slot_state_of(slot), VSI_SLOT_LIVE);
      assert_int_equal(slot->prev, before);
      /* filed no later than it was used; what fell out of the window is filed in the first age */
      uint32_t touch = atomic_load_explicit(&slot->touch, memory_order_relaxed);
      if (!is_first) assert_int_equal(vsi_tick_age(tick, vsi_touch_tick(touch)), 0);
      before = at;
      if (slot->next & VSI_AGES_END) break;
      at = slot->next;
    }
    count++;
    assert_int_equal(age->last, at);
    assert_int_equal(vsi_slab_at(&c->shard->slab, at)->next, VSI_AGES_END | place);
  }
  assert_int_equal(count, ages->count);
  assert_int_equal(count, c->live_count);
  assert_int_equal(atomic_load(&c->table->oldest[c->shard->number]), first_tick);
}

static void check_births(const check *c) {
  const vsi_slab *slab = &c->shard->slab;
  size_t count = 0;
  uint32_t before = 0, eldest = VSI_TICK_NONE;
  for (uint32_t at = c->shard->born_first; at; count++) {
    const vsi_slot *slot = vsi_slab_at(slab, at);
    const vsi_extra *extra = vsi_slab_extra(slab, slot);
    assert_int_equal(vsi_slot_state_of(slot), VSI_SLOT_LIVE);
    assert_int_equal(extra->born_prev, before);
    if (!before) eldest = extra->born;
    before = at;
    at = extra->born_next;
  }
  assert_int_equal(c->shard->born_last, before);
  assert_int_equal(count, c->live_count);
  assert_int_equal(atomic_load(&c->table->eldest[c->shard->number]), eldest);
}

/* --------------------------------------------------------------------------------------------------- the slots ---- */

static size_t list_length(const vsi_slab *slab, uint32_t at) {
  size_t count = 0;
  for (; at; count++) {
    assert_int_equal(vsi_slot_state_of(vsi_slab_at(slab, at)), VSI_SLOT_LEAVING);
    at = vsi_slab_at(slab, at)->next;
  }
  return count;
}

static void check_slots(const check *c) {
  const vsi_slab *slab = &c->shard->slab;
  size_t states[4] = {0}, free_count = 0, retired_count = 0;
  for (uint32_t number = 0; number < slab->chunks_count; number++) {
    const vsi_chunk *chunk = vsi_slab_chunk(slab, number);
    bool roomy = slab->roomy[number / 64] >> number % 64 & 1;
    assert_int_equal(roomy, chunk->free_count > 0);
    if (!chunk->memory) continue;
    vsi_slot *slots = atomic_load(&chunk->slots);
    size_t in_list = 0;
    for (uint32_t at = chunk->free_first; at; at = slots[at - 1].next, in_list++) {
      assert_in_range(at, 1, VSI_SLOTS_A_CHUNK);
      assert_int_equal(vsi_slot_state_of(&slots[at - 1]), VSI_SLOT_FREE);
    }
    assert_int_equal(in_list, chunk->free_count);
    free_count += in_list;
    for (uint32_t i = 0; i < VSI_SLOTS_A_CHUNK; i++) {
      assert_int_equal(slots[i].number, number * VSI_SLOTS_A_CHUNK + i + 1);
      assert_true(slots[i].generation >= 1);
      states[vsi_slot_state_of(&slots[i])]++;
      retired_count += vsi_slot_state_of(&slots[i]) == VSI_SLOT_FREE && slots[i].generation == UINT32_MAX;
    }
  }
  for (uint32_t i = 0; i < slab->shelf_count; i++) {
    assert_int_equal(vsi_slot_state_of(slab->shelf[i]), VSI_SLOT_FREE);
    for (uint32_t k = 0; k < i; k++) assert_ptr_not_equal(slab->shelf[i], slab->shelf[k]);
  }
  assert_int_equal(states[VSI_SLOT_TAKEN], 0);
  assert_int_equal(states[VSI_SLOT_LIVE], c->live_count);
  size_t fresh = list_length(slab, c->shard->fresh);
  assert_int_equal(fresh, c->shard->fresh_count);
  assert_int_equal(states[VSI_SLOT_LEAVING],
                   fresh + list_length(slab, c->shard->sealed) + list_length(slab, c->shard->waiting));
  assert_int_equal(states[VSI_SLOT_FREE], free_count + slab->shelf_count + retired_count);
  assert_int_equal(slab->free_count, free_count);
  assert_int_equal(slab->live_count, c->live_count + states[VSI_SLOT_LEAVING] + slab->shelf_count + retired_count);
}

/* -------------------------------------------------------------------------------------------------- the scopes ---- */

static vestry_handle handle_of(const void *ctx, const vsi_slot *slot) {
  const vsi_table *table = ctx;
  return vsi_table_handle(table, &table->shards[slot->hash & (table->shards_count - 1)], slot);
}

static bool same_scope(const vestry_scoped_key *a, const vestry_scoped_key *b) {
  return a->key_offset == b->key_offset && memcmp(a->data, b->data, a->key_offset) == 0;
}

/* Every scope has as many shares as it has slots, and can name its oldest. */
static void check_scopes(vsi_table *table, vsi_slot **slots, size_t count) {
  size_t scopes_count = 0;
  for (size_t i = 0; i < count; i++) {
    vestry_scoped_key key = vsi_slot_scoped_key(slots[i]);
    size_t before = 0, members = 0;
    for (size_t k = 0; k < count; k++) {
      vestry_scoped_key other = vsi_slot_scoped_key(slots[k]);
      if (!same_scope(&key, &other)) continue;
      members++;
      before += k < i;
    }
    if (before) continue;
    scopes_count++;
    vestry_handle oldest = 0;
    bool pinned = false;
    vestry_err error = vsi_scopes_reserve(&table->scopes, &key, members, &pinned, &oldest, handle_of, table);
    if (error == VESTRY_NO_MEMORY) continue;
    assert_int_equal(error, VESTRY_LIMIT);
    bool is_member = false;
    for (size_t k = 0; k < count; k++) {
      vestry_scoped_key other = vsi_slot_scoped_key(slots[k]);
      is_member |= same_scope(&key, &other) && handle_of(table, slots[k]) == oldest;
    }
    assert_true(is_member);
    assert_int_equal(vsi_scopes_reserve(&table->scopes, &key, members + 1, &pinned, &oldest, handle_of, table),
                     VESTRY_OK);
    vsi_scopes_cancel(&table->scopes, &key);
    vsi_scopes_unpin(&table->scopes, &key);
  }
  assert_int_equal(vsi_index_count(&table->scopes.index), scopes_count);
}

/* ------------------------------------------------------------------------------------------------------- all ---- */

enum { SCOPED_MOST = 300 }; /* with more the check of scopes would take too long */

static size_t all_slots(const check *c, vsi_slot **slots, size_t room) {
  size_t count = 0;
  for (size_t i = 0; i < c->keys_count; i++)
    for (vsi_slot *slot = c->keys[i]; slot; slot = older(slot) ? vsi_slab_at(&c->shard->slab, older(slot)) : NULL)
      if (count++ < room) slots[count - 1] = slot;
  return count;
}

void invariants_check(vestry_store *store, bool may_allocate) {
  vsi_table *table = store->table;
  if (!table) return;
  size_t live_count = 0, scoped_count = 0;
  vsi_slot *scoped[SCOPED_MOST];
  for (uint32_t i = 0; i < table->shards_count; i++) {
    check c = {.table = table, .shard = &table->shards[i]};
    vsi_shard_lock(c.shard);
    check_index(&c);
    if (table->rules.evicts) check_ages(&c);
    if (table->lifetime_ticks) check_births(&c);
    check_slots(&c);
    assert_int_equal(c.shard->holders, 0);
    if (scoped_count < SCOPED_MOST) scoped_count += all_slots(&c, scoped + scoped_count, SCOPED_MOST - scoped_count);
    vsi_shard_unlock(c.shard);
    live_count += c.live_count;
    free(c.keys);
  }
  if (table->rules.max_count) {
    assert_int_equal(atomic_load(&table->count), live_count);
    assert_in_range(live_count, 0, table->rules.max_count);
  }
  if (table->rules.max_per_scope && may_allocate && live_count <= SCOPED_MOST) check_scopes(table, scoped, live_count);
  for (uint32_t i = 0; i < VSI_SECTIONS_COUNT; i++) {
    assert_int_equal(atomic_load(&table->sections.records[i].word) % 2, 0);
    assert_int_equal(atomic_load(&table->sections.records[i].depth), 0);
  }
}
