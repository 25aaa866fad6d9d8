/* Looking up. */
#include "store/visit.h"

/* Call fn for each value of a key under the lock, the newest first. */
static inline __attribute__((always_inline)) vestry_err look(vsi_table *table, const vestry_scoped_key *key,
                                                             vestry_with_fn fn, void *ctx) {
  uint64_t hash = vsi_table_hash(table, key);
  vsi_shard *shard = vsi_table_shard(table, hash);
  vsi_prefetch_to_write(&shard->lock); /* this and the key's home come while the clock is read */
  vsi_index_fetch(&shard->index, hash, table->placing.shard_bits, false);
  uint32_t now = vsi_clock_now(&table->clock);
  vsi_leaving leaving;
  vsi_leaving_init(&leaving);
  vsi_spin_lock_take(&shard->lock);
  vsi_entry *newest = vsi_visit_find(table, shard, key, hash, now, &leaving), *entry = newest;
  if (__builtin_expect(newest != NULL, 1)) {
    shard->hits++;
    do {
      vsi_visit_use(table, shard, entry, now);
      fn(entry->value, ctx);
      entry = entry->older;
    } while (__builtin_expect(entry != newest, 0));
  } else {
    shard->misses++;
  }
  vsi_table_release(table, shard, &leaving);
  return newest ? VESTRY_OK : VESTRY_NOT_FOUND;
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
  vestry_store_hold(h->exit, value);
}

vestry_err vsi_table_get(void *self, const vestry_scoped_key *key, void **values, size_t *count) {
  held h = {((vsi_table *)self)->exit, values, *count, 0};
  if (look(self, key, hold_value, &h)) return VESTRY_NOT_FOUND;
  for (size_t i = 0; i < h.count / 2; i++) { /* the newest last */
    void *other = values[h.count - 1 - i];
    values[h.count - 1 - i] = values[i];
    values[i] = other;
  }
  *count = h.count;
  return VESTRY_OK;
}
