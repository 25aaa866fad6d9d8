/* The table under both built-in stores: shards, the bound they share, and time. hash.c and lru.c say what a store of
 * their type does with it. */
#ifndef VSI_STORE_TABLE_H
#define VSI_STORE_TABLE_H

#include "base/keyed_hash.h"
#include "store/scopes.h"
#include "store/shard.h"
#include "store/store.h"

enum { VSI_SHARDS_MAX = 256 };

typedef struct vsi_table_rules {
  bool evicts;          /* at a bound the oldest leaves; otherwise the put is refused */
  size_t max_count;     /* 0: none */
  size_t max_per_scope; /* 0: none */
  uint64_t idle_ns;     /* UINT64_MAX: never; only if evicts */
  uint64_t lifetime_ns; /* UINT64_MAX: never; only if evicts */
} vsi_table_rules;

typedef struct vsi_table {
  const vestry_host *host;
  vestry_store_exit *exit;
  vsi_keyed_hash hash;
  vsi_table_rules rules;
  uint64_t (*now_ns)(void *ctx); /* for uses: the host's coarse clock where that will do */
  uint64_t origin_ns, tick_ns;
  uint64_t ticks_factor; /* for division by tick_ns, exact for 146 years; and */
  uint32_t ticks_shift;
  uint32_t idle_ticks, lifetime_ticks; /* 0: none */
  uint32_t shards_count;               /* a power of two */
  uint32_t grace_batch;                /* slots that a shard gathers in one list (shard.c) */
  bool turns_over;                     /* evicts, and keeps nothing in extras: see put.c */
  vsi_shard *shards;
  struct vsi_age *ages_at[VSI_SHARDS_MAX]; /* each shard's, where nothing around it changes */
  void *memory, *shards_memory;
  vsi_sections sections;
  vsi_scopes scopes; /* only if there is a bound per scope */
  /* Kept only if there is a bound: places taken, soon to be taken too. A line of its own. */
  _Alignas(VSI_CACHE_LINE) _Atomic(size_t) count;
  _Alignas(VSI_CACHE_LINE) _Atomic(uint64_t) begun; /* grace periods, see shard.c */
  _Atomic(uint64_t) passed, completed;
  _Atomic(bool) grace_busy; /* somebody makes a barrier */
  _Atomic(bool) unsettled;  /* something has left that readers may see: a tick is due soon, traffic or not */
  /* Of each shard, the tick its oldest slot is filed under, and its eldest was born; NONE. Written under its lock when
   * it changes, read by whoever looks for a victim or a deadline. */
  _Alignas(VSI_CACHE_LINE) _Atomic(uint32_t) oldest[VSI_SHARDS_MAX];
  _Atomic(uint32_t) eldest[VSI_SHARDS_MAX];
  _Atomic(uint32_t) floor; /* when somebody last looked at all shards, no oldest was older than this tick */
} vsi_table;

#define VSI_TICK_NONE UINT32_MAX

/* The members of vestry_store_ops for both types; self is a vsi_table. */
vestry_err vsi_table_create(const vestry_store_options *options, const vsi_table_rules *rules, vestry_store_exit *exit,
                            void **ret_self);
void vsi_table_destroy(void *self);
vestry_err vsi_table_put(void *self, const vestry_scoped_key *key, void *value, vestry_put_policy policy,
                         size_t many_count, vestry_put_result *ret_result);
vestry_err vsi_table_get(void *self, const vestry_scoped_key *key, void **values, size_t *count);
vestry_err vsi_table_with(void *self, const vestry_scoped_key *key, vestry_with_fn fn, void *ctx);
size_t vsi_table_remove(void *self, const vestry_scoped_key *key, vestry_cause cause);
bool vsi_table_remove_if(void *self, vestry_handle handle, vestry_cause cause);
void vsi_table_clear(void *self, vestry_cause cause);
vestry_err vsi_table_list(void *self, const vestry_scope *only_scope, size_t page_count, vestry_list_cursor *cursor,
                          vestry_list_fn fn, void *ctx); /* listing.c */
void vsi_table_tick(void *self);                         /* expiry.c */
uint64_t vsi_table_next_deadline_ns(void *self);         /* expiry.c */
void vsi_table_stats(void *self, vestry_store_stats *ret_stats);

/* What others wrote under a shard's lock before is seen from here on; who takes one from here on sees what this thread
 * wrote before. */
void vsi_table_pass_locks(vsi_table *table);

/* All of them. */
#define VSI_TABLE_OPS(type_name, create_fn)                                                                            \
  {                                                                                                                    \
    .version = VESTRY_STORE_OPS_VERSION, .type = type_name, .create = create_fn, .destroy = vsi_table_destroy,         \
    .put = vsi_table_put, .get = vsi_table_get, .with = vsi_table_with, .remove = vsi_table_remove,                    \
    .remove_if = vsi_table_remove_if, .clear = vsi_table_clear, .list = vsi_table_list, .tick = vsi_table_tick,        \
    .next_deadline_ns = vsi_table_next_deadline_ns, .stats = vsi_table_stats,                                          \
  }

/* The same with a probe at hand. key: NULL if there is no bound per scope. */
vestry_err vsi_table_put_probed(vsi_table *table, const vsi_probe *probe, const vestry_scoped_key *key, void *value,
                                vestry_put_policy policy, size_t many_count, vestry_put_result *ret_result);
vestry_err vsi_table_get_probed(vsi_table *table, const vsi_probe *probe, void **values, size_t *count);
vestry_err vsi_table_with_probed(vsi_table *table, const vsi_probe *probe, vestry_with_fn fn, void *ctx);

static inline uint32_t vsi_table_shard_number(const vsi_table *table, const vsi_probe *probe) {
  return (uint32_t)(probe->hash >> 32) & (table->shards_count - 1);
}
static inline vsi_shard *vsi_table_shard(const vsi_table *table, const vsi_probe *probe) {
  return &table->shards[vsi_table_shard_number(table, probe)];
}

/* Between the files of a table. Ticks of the host's clock since the table was made, and now, as cheap as uses need it.
 */
__extension__ typedef unsigned __int128 vsi_wide;
static inline uint64_t vsi_table_ticks(const vsi_table *table, uint64_t now_ns) {
  if (now_ns < table->origin_ns) return 0; /* a coarse clock lags behind */
  return (uint64_t)((vsi_wide)(now_ns - table->origin_ns) * table->ticks_factor >> 64) >> table->ticks_shift;
}
static inline uint32_t vsi_table_now(const vsi_table *table) {
  return (uint32_t)vsi_table_ticks(table, table->now_ns(table->host->ctx)) & VSI_TICK_MASK;
}
/* NONE, or why it is due: of two reasons, what was first. */
static inline vestry_cause vsi_table_due(const vsi_table *table, const vsi_shard *shard, const vsi_slot *slot,
                                         uint32_t now) {
  uint32_t touch = atomic_load_explicit(&slot->touch, memory_order_relaxed);
  uint32_t unused = vsi_tick_age(now, vsi_touch_tick(touch));
  bool idle = table->idle_ticks && unused > table->idle_ticks;
  if (__builtin_expect(table->lifetime_ticks, 0)) {
    uint32_t lived = vsi_tick_age(now, vsi_slab_extra(&shard->slab, slot)->born);
    if (lived > table->lifetime_ticks && !(idle && unused - table->idle_ticks > lived - table->lifetime_ticks))
      return VESTRY_CAUSE_EXPIRED;
  }
  return idle ? VESTRY_CAUSE_IDLE : VESTRY_CAUSE_NONE;
}

static inline vestry_handle vsi_table_handle(const vsi_table *table, const vsi_shard *shard, const vsi_slot *slot) {
  return (uint64_t)slot->generation << 32 | (slot->number * table->shards_count + shard->number);
}

/* Under a shard's lock (shard.c). Unlink a live slot; with keeps_place its place in the table's bound is the caller's;
 * unchained: it is in no chain any more. The leaving has room. */
void vsi_shard_take(vsi_table *table, vsi_shard *shard, vsi_slot *slot, vestry_cause cause, bool keeps_place,
                    bool unchained, vsi_leaving *leaving);
/* Slots whose readers are gone become free: at the beginning of what is done under the lock. all: begin to wait for
 * what has left since, however little it is. */
void vsi_shard_settle(vsi_table *table, vsi_shard *shard, bool all, vsi_leaving *leaving);
/* There is nothing to settle. Under the lock. */
bool vsi_shard_is_settled(const vsi_table *table, const vsi_shard *shard);
/* The same for all that has left, as far as no reader is inside: when time allows, so that references are dropped.
 * Returns whether nothing waits any more. */
bool vsi_shard_tidy(vsi_table *table, vsi_shard *shard);
/* What was taken goes: its slots are free at once, or wait for their readers. Part of release. */
void vsi_shard_part(vsi_table *table, vsi_shard *shard, vsi_leaving *leaving);
/* The callbacks of a leaving that was counted have run. Without the lock. */
void vsi_shard_uncount(vsi_shard *shard);
/* Tell others the shard's oldest and eldest. */
void vsi_shard_publish(vsi_table *table, vsi_shard *shard);
/* Unlock; then callbacks of what was taken. */
void vsi_shard_release(vsi_table *table, vsi_shard *shard, vsi_leaving *leaving);

#endif
