/* SPDX-License-Identifier: MIT */
/* The operations of the built-in stores, except puts, listings and expiry: put.c, listing.c, expiry.c. */
#include "store/table.h"

#include <unistd.h>

#include "store/visit.h"

enum { SHARDS_A_PROCESSOR = 32, ENTRIES_A_SHARD = 64, CLEAR_BATCH = 64 };

/* Return the number of bits that select a shard. There are enough shards that threads seldom contend, but a shard of a
 * bounded store has several entries, so that a put finds a victim in its own shard. */
static uint32_t bits_for(const vsi_table_rules *rules) {
  long processors = sysconf(_SC_NPROCESSORS_ONLN);
  uint64_t wanted = (processors > 0 ? (uint64_t)processors : 1) * SHARDS_A_PROCESSOR;
  if (wanted > VSI_SHARDS_MOST) wanted = VSI_SHARDS_MOST;
  if (rules->max_count && wanted > rules->max_count / ENTRIES_A_SHARD) wanted = rules->max_count / ENTRIES_A_SHARD;
  uint32_t bits = 0;
  while (UINT64_C(1) << bits < wanted) bits++;
  return bits;
}

static vestry_err make_shard(vsi_table *table, uint32_t number) {
  vsi_shard *shard = &table->shards[number];
  shard->number = number;
  vsi_ring_init(&shard->used);
  vsi_ring_init(&shard->born);
  atomic_init(&table->oldest[number], VSI_TICK_NONE);
  atomic_init(&table->eldest[number], VSI_TICK_NONE);
  return vsi_index_init(&shard->index, table->host, &table->placing);
}

static vestry_err make_shards(vsi_table *table) {
  size_t count = (size_t)1 << table->placing.shard_bits;
  table->shards_memory = vsi_calloc(table->host, 1, count * sizeof(vsi_shard) + VSI_CACHE_LINE);
  if (!table->shards_memory) return VESTRY_NO_MEMORY;
  table->shards = vsi_cache_line_up(table->shards_memory);
  vestry_err error = VESTRY_OK;
  for (; !error && table->shards_count < count; table->shards_count++) error = make_shard(table, table->shards_count);
  return error;
}

vestry_err vsi_table_create(const vestry_host *host, const vsi_table_rules *rules, vestry_store_exit *exit,
                            void **ret_self) {
  void *memory = vsi_calloc(host, 1, sizeof(vsi_table) + VSI_CACHE_LINE);
  if (!memory) return VESTRY_NO_MEMORY;
  vsi_table *table = vsi_cache_line_up(memory);
  table->memory = memory;
  table->host = host;
  table->exit = exit;
  table->rules = *rules;
  if (rules->evicts) vsi_clock_init(&table->clock, host, rules->idle_ns, rules->lifetime_ns);
  atomic_init(&table->deadline_ns, UINT64_MAX);
  table->placing = (vsi_placing){.hash = &exit->hash, .shard_bits = bits_for(rules)};
  if (rules->max_per_scope) table->placing.scope_bits = table->placing.shard_bits;
  table->extra_bytes = table->clock.lifetime_ticks || rules->max_per_scope ? sizeof(vsi_extra) : 0;
  vestry_err error = make_shards(table);
  if (error) {
    vsi_table_destroy(table);
    return error;
  }
  *ret_self = table;
  return VESTRY_OK;
}

void vsi_table_destroy(void *self) {
  vsi_table *table = self;
  for (uint32_t i = 0; i < table->shards_count; i++) {
    vsi_index_finish(&table->shards[i].index);
    vsi_map_finish(&table->shards[i].scopes, table->host);
    vsi_map_finish(&table->shards[i].multivalues.by_handle, table->host);
    vsi_map_finish(&table->shards[i].multivalues.by_value, table->host);
  }
  vsi_free(table->host, table->shards_memory);
  vsi_free(table->host, table->memory);
}

static void add_stats(vsi_shard *shard, vestry_store_stats *stats) {
  vsi_spin_lock_take(&shard->lock, VSI_LOCK_SHARD);
  stats->put_count += shard->puts;
  stats->live_count += shard->live;
  stats->hits_count += shard->hits;
  stats->misses_count += shard->misses;
  uint64_t for_size = shard->puts - shard->live; /* all values that left; those that left with another cause are
                                                    subtracted below */
  for (size_t cause = 0; cause < VESTRY_CAUSE_COUNT; cause++) {
    stats->removed_by_cause[cause] += shard->removed_by_cause[cause];
    for_size -= shard->removed_by_cause[cause];
  }
  stats->removed_by_cause[VESTRY_CAUSE_SIZE] += for_size;
  stats->removed_count += shard->puts - shard->live;
  vsi_spin_lock_give(&shard->lock);
}

void vsi_table_stats(void *self, vestry_store_stats *ret_stats) {
  vsi_table *table = self;
  vestry_store_stats stats = {0};
  for (uint32_t i = 0; i < table->shards_count; i++) add_stats(&table->shards[i], &stats);
  *ret_stats = stats;
}

/* --------------------------------------------------------------------------------------------------- lookups ---- */

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

/* -------------------------------------------------------------------------------------------------- removals ---- */

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
