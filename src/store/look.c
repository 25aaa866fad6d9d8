/* SPDX-License-Identifier: MIT */
/* Lookups. */
#include "store/look.h"

#include "store/visit.h"

/* Look up a key that has several values, or values that are due: remove the due ones, call fn for each of the others,
 * and unlock. */
static VSI_SELDOM vestry_err look_at_all(vsi_table *table, vsi_shard *shard, vsi_entry *newest, uint32_t now,
                                         vestry_with_fn fn, void *ctx) {
  vsi_leaving leaving;
  vsi_leaving_init(&leaving);
  newest = vsi_visit_drop_due(table, shard, newest, now, &leaving);
  *(newest ? &shard->hits : &shard->misses) += 1;
  if (newest) vsi_visit_use_all(table, shard, newest, now);
  for (vsi_entry *entry = newest; entry; entry = entry->older == newest ? NULL : entry->older) fn(entry->value, ctx);
  vsi_table_release(table, shard, &leaving);
  return newest ? VESTRY_OK : VESTRY_NOT_FOUND;
}

/* Call fn for each value of a key under the lock, the newest first. */
static inline __attribute__((always_inline)) vestry_err look(vsi_table *table, const vestry_scoped_key *key,
                                                             vestry_with_fn fn, void *ctx) {
  uint64_t hash = vsi_table_hash(table, key);
  vsi_shard *shard = vsi_table_shard(table, hash);
  vsi_prefetch_to_write(&shard->lock); /* prefetch this and the key's home while the clock is read */
  vsi_index_fetch(&shard->index, hash, false);
  uint32_t now = vsi_clock_now(&table->clock);
  vsi_spin_lock_take(&shard->lock, VSI_LOCK_SHARD);
  now = vsi_shard_now(shard, now);
  vsi_entry *entry = vsi_index_find(&shard->index, key, hash);
  if (entry && !vsi_visit_is_sole(table, entry, now)) return look_at_all(table, shard, entry, now, fn, ctx);
  if (entry) {
    shard->hits++;
    vsi_visit_use(table, shard, entry, now);
    fn(entry->value, ctx);
  } else {
    shard->misses++;
  }
  vsi_spin_lock_give(&shard->lock);
  return entry ? VESTRY_OK : VESTRY_NOT_FOUND;
}

vestry_err vsi_table_with(void *self, const vestry_scoped_key *key, vestry_with_fn fn, void *ctx) {
  return look(self, key, fn, ctx);
}

typedef struct held {
  vestry_store_exit *exit;
  void **values;
  size_t room, count;
} held;

static inline void hold_value(void *value, void *ctx) {
  held *h = ctx;
  if (h->count == h->room) return;
  h->values[h->count++] = value;
  h->exit->value.ref(value);
}

vestry_err vsi_table_get(void *self, const vestry_scoped_key *key, void **values, size_t *count) {
  held h = {((vsi_table *)self)->exit, values, *count, 0};
  if (look(self, key, hold_value, &h)) return VESTRY_NOT_FOUND;
  for (size_t i = 0; i < h.count / 2; i++) { /* reverse the order: the newest last */
    void *other = values[h.count - 1 - i];
    values[h.count - 1 - i] = values[i];
    values[i] = other;
  }
  *count = h.count;
  return VESTRY_OK;
}

bool vsi_table_key_of(void *self, vestry_handle handle, vestry_key_of_fn fn, void *ctx) {
  vsi_table *table = self;
  vsi_shard *shard = vsi_table_shard(table, handle);
  vsi_spin_lock_take(&shard->lock, VSI_LOCK_SHARD);
  const vsi_entry *entry = vsi_visit_find_handle(shard, handle);
  if (entry) {
    const vestry_scoped_key key = vsi_entry_key(entry);
    fn(&key, ctx);
  }
  vsi_spin_lock_give(&shard->lock);
  return entry;
}
