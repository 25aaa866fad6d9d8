/* Listing a table: a page of keys is copied under a shard's lock, and handed out without it.
 *
 * Keys are listed in the order of their hashes, shard by shard. A key's hash never changes, so it does not matter what
 * is put, moved or resized meanwhile: a key that is there all the time is met exactly once, one that comes or goes at
 * most once. The cursor is a shard and the hash from which to go on. */
#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "base/memory.h"
#include "store/scoped_key.h"
#include "store/table.h"

typedef struct item {
  size_t offset, len; /* of the key's copy */
  size_t values_count;
  uint32_t hash;
} item;

typedef struct listing {
  const vsi_table *table;
  const vsi_shard *shard;
  const vestry_scope *only_scope;
  uint32_t now;
  vsi_buffer items, keys;
  size_t count;
} listing;

static size_t live_count(const listing *l, const vsi_slot *newest) {
  size_t count = 0;
  for (const vsi_slot *slot = newest; slot;) {
    if (!l->table->rules.evicts || !vsi_table_due(l->table, l->shard, slot, l->now)) count++;
    uint32_t older = atomic_load_explicit(&slot->older, memory_order_relaxed);
    slot = older ? vsi_slab_at(&l->shard->slab, older) : NULL;
  }
  return count;
}

static void take_key(vsi_slot *slot, void *ctx) {
  listing *l = ctx;
  vestry_scoped_key key = vsi_slot_scoped_key(slot);
  if (l->only_scope && !vsi_scoped_key_is_of(&key, l->only_scope)) return;
  item made = {l->keys.len, key.len, live_count(l, slot), slot->hash};
  if (!made.values_count) return;
  vsi_buffer_append(&l->keys, key.data, key.len);
  vsi_buffer_append(&l->items, &made, sizeof made);
  l->count++;
}

static int by_hash(const void *a, const void *b) {
  uint32_t x = ((const item *)a)->hash, y = ((const item *)b)->hash;
  return (x > y) - (x < y);
}

/* Of what was gathered from `first` on, keep what fits on the page, in order; keys with one hash are not parted.
 * Returns where to go on, 0: behind `to`. */
static uint32_t cut(listing *l, size_t first, size_t page_count, uint32_t to) {
  item *items = (item *)(void *)l->items.data;
  if (l->count <= page_count) return to + 1;
  qsort(items + first, l->count - first, sizeof *items, by_hash);
  size_t end = page_count;
  while (end < l->count && end > first && items[end].hash == items[end - 1].hash) end++;
  uint32_t next = end < l->count ? items[end].hash : to + 1;
  l->count = end;
  return next;
}

/* From `from` on in a shard, until the page is full or the shard ends; returns where to go on, 0: the shard has ended.
 */
static uint32_t fill_page(listing *l, vsi_shard *shard, uint32_t from, size_t page_count) {
  l->shard = shard;
  vsi_shard_lock(shard);
  uint32_t stride = vsi_buckets_stride(&shard->buckets);
  uint32_t turns = 0;
  do {
    uint32_t to = from > UINT32_MAX - stride ? UINT32_MAX : from + stride;
    size_t first = l->count;
    vsi_buckets_range(&shard->buckets, from, to, take_key, l);
    from = l->keys.error || l->items.error ? 0 : cut(l, first, page_count, to);
  } while (from && l->count < page_count && ++turns < 64);
  vsi_shard_unlock(shard);
  return from;
}

static void hand_out(const listing *l, vestry_list_fn fn, void *ctx) {
  const item *items = (const item *)(const void *)l->items.data;
  for (size_t i = 0; i < l->count; i++) {
    vestry_scoped_key key = vsi_scoped_key_read((const unsigned char *)l->keys.data + items[i].offset, items[i].len);
    fn(&(vestry_listed){key.scope, key.data + key.key_offset, key.len - key.key_offset, items[i].values_count}, ctx);
  }
}

vestry_err vsi_table_list(void *self, const vestry_scope *only_scope, size_t page_count, vestry_list_cursor *cursor,
                          vestry_list_fn fn, void *ctx) {
  vsi_table *table = self;
  listing l = {.table = table, .only_scope = only_scope, .now = table->rules.evicts ? vsi_table_now(table) : 0};
  vsi_buffer_init(&l.items, table->host);
  vsi_buffer_init(&l.keys, table->host);
  uint64_t position = cursor->position; /* shard << 32 | hash */
  while (l.count < page_count && position >> 32 < table->shards_count && !l.keys.error && !l.items.error) {
    uint32_t next = fill_page(&l, &table->shards[position >> 32], (uint32_t)position, page_count);
    position = next ? (position >> 32) << 32 | next : ((position >> 32) + 1) << 32;
  }
  vestry_err error = l.keys.error ? l.keys.error : l.items.error;
  if (!error) {
    cursor->position = position;
    cursor->done = position >> 32 == table->shards_count;
    hand_out(&l, fn, ctx);
  }
  vsi_buffer_finish(&l.items);
  vsi_buffer_finish(&l.keys);
  return error;
}
