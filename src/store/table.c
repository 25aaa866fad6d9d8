#include "store/table.h"

#include <string.h>
#include <unistd.h>

#include "base/memory.h"
#include "store/find.h"
#include "store/showing.h"

/* The bound is one for all shards: `count` is the number of places taken. A put that adds a value first takes a place,
 * or, when there is none, takes a victim out and keeps its place. So a full store stays full, the bound is never
 * exceeded, nothing leaves while there is room, and a put into a full store writes no word that all shards share.
 *
 * The victim is the oldest of the shard whose oldest is oldest, by tick; of shards that are alike, the put's own, so
 * that one lock does for both. With several shards each lock is taken alone: never two at once. */

enum { TICKS_A_SPAN = VSI_AGES - 16, ENTRIES_A_SHARD = 256, GRACE_BATCH = 64 };
#define TICK_DEFAULT_NS  UINT64_C(150000000)
#define COARSE_ENOUGH_NS UINT64_C(20000000)
#define COARSE_LAG_NS    UINT64_C(10000000) /* so far behind the exact clock may the coarse one be */

/* -------------------------------------------------------------------------------------------------- its life ---- */

static uint32_t shards_for(const vsi_table_rules *rules) {
  long processors = sysconf(_SC_NPROCESSORS_ONLN);
  uint64_t wanted = processors > 0 ? (uint64_t)processors * 16 : 16;
  if (rules->max_count && wanted > rules->max_count / ENTRIES_A_SHARD) wanted = rules->max_count / ENTRIES_A_SHARD;
  uint32_t count = 1;
  while (count < wanted && count < VSI_SHARDS_MAX) count *= 2;
  return count;
}

/* Ticks that make up a span; a use that the coarse clock noted may have been later by its lag. */
static uint32_t ticks_in(const vsi_table *table, uint64_t span_ns) {
  if (span_ns == UINT64_MAX) return 0;
  if (table->now_ns != table->host->now_ns) span_ns = vsi_add_saturating(span_ns, COARSE_LAG_NS);
  uint64_t ticks = span_ns / table->tick_ns + (span_ns % table->tick_ns != 0);
  return ticks > VSI_TICK_MASK / 4 ? 0 : (uint32_t)ticks;
}

static void set_time(vsi_table *table) {
  uint64_t span_ns = table->rules.idle_ns < table->rules.lifetime_ns ? table->rules.idle_ns : table->rules.lifetime_ns;
  /* Whole milliseconds, as the runtime's timers have them: a driver wakes up when a tick begins. */
  uint64_t tick_ms = span_ns / TICKS_A_SPAN / VSI_NS_PER_MS + 1;
  table->tick_ns = span_ns == UINT64_MAX ? TICK_DEFAULT_NS : tick_ms * VSI_NS_PER_MS;
  /* After Granlund and Montgomery (1994): with 2^(l-1) < d <= 2^l and m = 2^(62+l) / d, rounded up, the quotient of x
   * by d is x m / 2^(62+l), rounded down, for all x below 2^62. */
  uint32_t l = 64 - (uint32_t)__builtin_clzll(table->tick_ns - 1);
  table->ticks_factor = (uint64_t)(((vsi_wide)1 << (62 + l)) / table->tick_ns) + 1;
  table->ticks_shift = l - 2;
  bool coarse = table->host->coarse_ns && table->tick_ns >= COARSE_ENOUGH_NS;
  table->now_ns = coarse ? table->host->coarse_ns : table->host->now_ns;
  table->idle_ticks = ticks_in(table, table->rules.idle_ns);
  table->lifetime_ticks = ticks_in(table, table->rules.lifetime_ns);
  /* What lives no longer than it may idle has expired before it is idle for too long. */
  if (table->lifetime_ticks && table->lifetime_ticks <= table->idle_ticks) table->idle_ticks = 0;
  table->origin_ns = vsi_now_ns(table->host) / VSI_NS_PER_MS * VSI_NS_PER_MS;
}

static void free_shards(vsi_table *table, uint32_t count) {
  for (uint32_t i = 0; i < count; i++) {
    vsi_buckets_finish(&table->shards[i].buckets);
    vsi_slab_finish(&table->shards[i].slab);
    if (table->shards[i].ages.at) vsi_ages_finish(&table->shards[i].ages);
  }
}

static vestry_err make_shard(vsi_table *table, uint32_t number) {
  vsi_shard *shard = &table->shards[number];
  shard->number = number;
  atomic_init(&table->oldest[number], VSI_TICK_NONE);
  atomic_init(&table->eldest[number], VSI_TICK_NONE);
  vestry_err error = vsi_buckets_init(&shard->buckets, table->host, &shard->buckets_grace);
  if (error) return error;
  vsi_slab_init(&shard->slab, table->host, table->lifetime_ticks || table->rules.max_per_scope);
  if (table->rules.evicts) error = vsi_ages_init(&shard->ages, table->host, 0);
  table->ages_at[number] = shard->ages.at;
  if (error) vsi_buckets_finish(&shard->buckets);
  return error;
}

static void free_table(vsi_table *table, uint32_t shards_made, void *shards_memory) {
  const vestry_host *host = table->host;
  free_shards(table, shards_made);
  vsi_free(host, shards_memory);
  if (table->rules.max_per_scope) vsi_scopes_finish(&table->scopes);
  if (table->sections.memory) vsi_sections_finish(&table->sections);
  vsi_free(host, table->memory);
}

vestry_err vsi_table_create(const vestry_store_options *options, const vsi_table_rules *rules, vestry_store_exit *exit,
                            void **ret_self) {
  const vestry_host *host = options->host;
  void *memory = vsi_calloc(host, 1, sizeof(vsi_table) + VSI_CACHE_LINE);
  if (!memory) return VESTRY_NO_MEMORY;
  vsi_table *table = vsi_cache_line_up(memory);
  if (vsi_keyed_hash_init(&table->hash, host)) {
    vsi_free(host, memory);
    return VESTRY_IO;
  }
  table->memory = memory;
  table->host = host;
  table->exit = exit;
  table->rules = *rules;
  set_time(table);
  table->shards_count = shards_for(rules);
  table->grace_batch = GRACE_BATCH;
  table->turns_over = rules->evicts && rules->max_count && !rules->max_per_scope && !table->lifetime_ticks;
  vestry_err error = VESTRY_OK;
  if (rules->max_per_scope) error = vsi_scopes_init(&table->scopes, host, table->hash.siphash);
  if (!error) error = vsi_sections_init(&table->sections, host);
  uint32_t made = 0;
  if (!error) {
    table->shards_memory = vsi_calloc(host, 1, table->shards_count * sizeof(vsi_shard) + VSI_CACHE_LINE);
    if (!table->shards_memory)
      error = VESTRY_NO_MEMORY;
    else
      table->shards = vsi_cache_line_up(table->shards_memory);
  }
  while (!error && made < table->shards_count) {
    error = make_shard(table, made);
    if (!error) made++;
  }
  if (error) {
    free_table(table, made, table->shards_memory);
    return error;
  }
  *ret_self = table;
  return VESTRY_OK;
}

void vsi_table_destroy(void *self) {
  vsi_table *table = self;
  for (uint32_t i = 0; i < table->shards_count; i++) {
    vsi_shard *shard = &table->shards[i];
    while (shard->fresh || shard->sealed || shard->waiting) vsi_shard_tidy(table, shard); /* nobody reads any more */
  }
  free_table(table, table->shards_count, table->shards_memory);
}

/* --------------------------------------------------------------------------------------------------- finding ---- */

/* A look-up has met values whose time has come but no tick: they leave. */
VSI_SELDOM static void expire_key(vsi_table *table, vsi_shard *shard, vsi_probe probe, uint32_t now) {
  vsi_leaving leaving;
  vsi_leaving_init(&leaving, table->host);
  vsi_shard_lock(shard);
  vsi_shard_settle(table, shard, false, &leaving);
  vsi_slot *slot = vsi_buckets_find(&shard->buckets, &probe);
  while (slot && leaving.count < leaving.room) {
    uint32_t older = atomic_load_explicit(&slot->older, memory_order_relaxed);
    vestry_cause cause = vsi_table_due(table, shard, slot, now);
    if (cause) vsi_shard_take(table, shard, slot, cause, false, false, &leaving);
    slot = older ? vsi_slab_at(&shard->slab, older) : NULL;
  }
  vsi_shard_release(table, shard, &leaving);
}

/* Whether a look-up may have this value. Notes the use. */
static bool may_have(const vsi_table *table, const vsi_shard *shard, vsi_slot *slot, uint32_t now, bool *ret_due) {
  if (!table->rules.evicts) return true;
  if (vsi_table_due(table, shard, slot, now)) {
    *ret_due = true;
    return false;
  }
  vsi_slot_use(slot, now);
  return true;
}

static vsi_slot *older_than(const vsi_shard *shard, const vsi_slot *slot) {
  uint32_t older = atomic_load_explicit(&slot->older, memory_order_acquire); /* pairs with what links chains */
  return older ? vsi_slab_look(&shard->slab, older) : NULL;
}

/* A section; or, when more threads than there are records have looked things up, the shard's lock (NULL). */
static inline vsi_section *open_section(vsi_table *table, vsi_shard *shard) {
  vsi_section *section = vsi_section_enter(&table->sections);
  if (__builtin_expect(!section, 0)) vsi_shard_lock(shard);
  return section;
}

/* The index is between two sizes: go on with that, unless somebody is busy there. */
VSI_SELDOM static void help_to_move(vsi_table *table, vsi_shard *shard) {
  if (atomic_exchange_explicit(&shard->lock, 1, memory_order_acquire)) return;
  (void)vsi_buckets_move_on(&shard->buckets, &table->sections);
  vsi_shard_unlock(shard);
}

enum { HELP_EVERY = 16 };

static inline void close_section(vsi_table *table, vsi_shard *shard, vsi_section *section, bool found) {
  if (__builtin_expect(!section, 0)) {
    if (found)
      shard->hits++;
    else
      shard->misses++;
    vsi_shard_unlock(shard);
    return;
  }
  vsi_section_count(found ? &section->hits : &section->misses, 1);
  vsi_section_leave(section);
  if (__builtin_expect(vsi_buckets_is_moving(&shard->buckets), 0) &&
      atomic_load_explicit(&section->hits, memory_order_relaxed) % HELP_EVERY == 0)
    help_to_move(table, shard);
}

vestry_err vsi_table_get_probed(vsi_table *table, const vsi_probe *probe, void **values, size_t *count) {
  vsi_shard *shard = vsi_table_shard(table, probe);
  uint32_t now = table->rules.evicts ? vsi_table_now(table) : 0;
  size_t room = *count, got = 0;
  bool found = false, due = false;
  vsi_section *section = open_section(table, shard);
  for (vsi_slot *slot = vsi_find(&shard->buckets, probe); slot; slot = older_than(shard, slot)) {
    if (!may_have(table, shard, slot, now, &due)) continue;
    found = true; /* and used, also those that there is no room for */
    if (got == room) continue;
    values[got++] = slot->value;
    table->exit->value.ref(slot->value);
  }
  close_section(table, shard, section, found);
  if (__builtin_expect(due, 0)) expire_key(table, shard, *probe, now);
  for (size_t i = 0; i < got / 2; i++) { /* found newest first, handed out newest last */
    void *value = values[i];
    values[i] = values[got - 1 - i];
    values[got - 1 - i] = value;
  }
  *count = got;
  return found ? VESTRY_OK : VESTRY_NOT_FOUND;
}

vestry_err vsi_table_get(void *self, const vestry_scoped_key *key, void **values, size_t *count) {
  vsi_table *table = self;
  vsi_probe probe;
  vsi_probe_init(&probe, &table->hash, key->data, key->len);
  return vsi_table_get_probed(table, &probe, values, count);
}

static vestry_err get_probed_to_show(void *self, const void *probe, void **values, size_t *count) {
  return vsi_table_get_probed(self, probe, values, count);
}

/* There is no section to be had: a callback would run under the lock. */
VSI_SELDOM static vestry_err show_probed(vsi_table *table, vsi_probe probe, vestry_with_fn fn, void *ctx) {
  return vsi_showing(table->host, table->exit, get_probed_to_show, table, &probe, fn, ctx);
}

vestry_err vsi_table_with_probed(vsi_table *table, const vsi_probe *probe, vestry_with_fn fn, void *ctx) {
  vsi_shard *shard = vsi_table_shard(table, probe);
  uint32_t now = table->rules.evicts ? vsi_table_now(table) : 0;
  bool found = false, due = false;
  vsi_section *section = vsi_section_enter(&table->sections);
  if (__builtin_expect(!section, 0)) return show_probed(table, *probe, fn, ctx);
  for (vsi_slot *slot = vsi_find(&shard->buckets, probe); slot; slot = older_than(shard, slot)) {
    if (!may_have(table, shard, slot, now, &due)) continue;
    found = true;
    fn(slot->value, ctx);
  }
  close_section(table, shard, section, found);
  if (__builtin_expect(due, 0)) expire_key(table, shard, *probe, now);
  return found ? VESTRY_OK : VESTRY_NOT_FOUND;
}

vestry_err vsi_table_with(void *self, const vestry_scoped_key *key, vestry_with_fn fn, void *ctx) {
  vsi_table *table = self;
  vsi_probe probe;
  vsi_probe_init(&probe, &table->hash, key->data, key->len);
  return vsi_table_with_probed(table, &probe, fn, ctx);
}

void vsi_table_pass_locks(vsi_table *table) {
  for (uint32_t i = 0; i < table->shards_count; i++) {
    vsi_shard_lock(&table->shards[i]);
    vsi_shard_unlock(&table->shards[i]);
  }
}

void vsi_table_stats(void *self, vestry_store_stats *ret_stats) {
  vsi_table *table = self;
  vestry_store_stats stats = {0};
  for (uint32_t i = 0; i < table->shards_count; i++) {
    vsi_shard *shard = &table->shards[i];
    vsi_shard_lock(shard);
    stats.put += shard->put + shard->turned_over;
    stats.removed += shard->turned_over;
    stats.removed_by_cause[VESTRY_CAUSE_SIZE] += shard->turned_over;
    for (int cause = 0; cause < VESTRY_CAUSE_COUNT; cause++) {
      stats.removed_by_cause[cause] += shard->removed[cause];
      stats.removed += shard->removed[cause];
    }
    stats.live += shard->live;
    stats.hits += shard->hits;
    stats.misses += shard->misses;
    vsi_shard_unlock(shard);
  }
  for (int i = 0; i < VSI_SECTIONS_COUNT; i++) {
    stats.hits += atomic_load_explicit(&table->sections.records[i].hits, memory_order_relaxed);
    stats.misses += atomic_load_explicit(&table->sections.records[i].misses, memory_order_relaxed);
  }
  *ret_stats = stats;
}
