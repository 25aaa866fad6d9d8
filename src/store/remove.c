/* SPDX-License-Identifier: MIT */
/* Removing values from a table: by key, by handle, or all. */
#include "store/remove.h"

#include "store/visit.h"

enum { CLEAR_BATCH = 64 };

size_t vsi_table_remove(void *self, const vestry_scoped_key *key, vestry_cause cause) {
  vsi_table *table = self;
  uint64_t hash = vsi_table_hash(table, key);
  vsi_shard *shard = vsi_table_shard(table, hash);
  uint32_t now = vsi_clock_now(&table->clock);
  size_t count = 0;
  vsi_leaving leaving;
  vsi_leaving_init(&leaving);
  vsi_spin_lock_take(&shard->lock, VSI_LOCK_SHARD);
  now = vsi_shard_now(shard, now);
  vsi_entry *newest = vsi_visit_find(table, shard, key, hash, now, &leaving);
  for (vsi_entry *entry = newest ? newest->newer : NULL, *next; entry; entry = next) { /* the oldest first */
    next = entry == newest ? NULL : entry->newer;
    vsi_visit_take(table, shard, entry, cause, false, &leaving);
    count++;
  }
  vsi_table_release(table, shard, &leaving);
  return count;
}

bool vsi_table_remove_if(void *self, vestry_handle handle, vestry_cause cause) {
  vsi_table *table = self;
  vsi_shard *shard = vsi_table_shard(table, handle);
  uint32_t now = vsi_clock_now(&table->clock);
  vestry_cause due = VESTRY_CAUSE_NONE;
  vsi_leaving leaving;
  vsi_leaving_init(&leaving);
  vsi_spin_lock_take(&shard->lock, VSI_LOCK_SHARD);
  now = vsi_shard_now(shard, now);
  vsi_entry *entry = vsi_visit_find_handle(shard, handle);
  if (entry && table->rules.evicts) due = vsi_visit_end(table, shard, entry, now);
  if (entry) vsi_visit_take(table, shard, entry, due ? due : cause, false, &leaving);
  vsi_table_release(table, shard, &leaving);
  return entry && !due;
}

/* Close a shard and remove a batch of its entries. Returns whether there are more. */
static bool clear_some(vsi_table *table, vsi_shard *shard, vestry_cause cause) {
  vsi_leaving leaving;
  vsi_leaving_init(&leaving);
  vsi_spin_lock_take(&shard->lock, VSI_LOCK_SHARD);
  shard->closed = true;
  for (int i = 0; i < CLEAR_BATCH && !vsi_ring_is_empty(&shard->used); i++)
    vsi_visit_take(table, shard, vsi_entry_of_used(shard->used.next), cause, false, &leaving);
  bool more = !vsi_ring_is_empty(&shard->used);
  vsi_table_release(table, shard, &leaving);
  return more;
}

void vsi_table_clear(void *self, vestry_cause cause) {
  vsi_table *table = self;
  for (uint32_t i = 0; i < table->shards_count; i++)
    while (clear_some(table, &table->shards[i], cause)) continue;
}
