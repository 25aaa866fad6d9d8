/* SPDX-License-Identifier: MIT */
/* Creating and destroying the data of a built-in store, and its counters. put.c, look.c, remove.c, expiry.c and
 * listing.c implement the operations. */
#include "store/table.h"

#include <unistd.h>

enum { SHARDS_A_PROCESSOR = 32, ENTRIES_A_SHARD = 64 };

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
