/* What falls due in a table, and when. */
#include "base/memory.h"
#include "store/table.h"

/* References that could not be dropped at once, because a reader was inside, are dropped this soon. */
#define SETTLE_WITHIN_NS UINT64_C(100000000)

/* An entry that was last used in tick t is due when a whole idle time has passed since that tick ended: in tick
 * t + idle_ticks + 1, never early, at most one tick late, or two when uses are noted by the coarse clock. The same for
 * birth and lifetime. */

/* A batch of what is due in a shard. Returns whether there may be more. */
static bool expire_some(vsi_table *table, vsi_shard *shard, uint32_t now) {
  vsi_leaving leaving;
  vsi_leaving_init(&leaving, table->host);
  size_t looked = 0;
  vsi_shard_lock(shard);
  vsi_shard_settle(table, shard, false, &leaving);
  (void)vsi_buckets_prepare(&shard->buckets, &table->sections); /* goes on with a change of size, if one is under way */
  while (table->lifetime_ticks && shard->born_first && leaving.count < leaving.room) {
    vsi_slot *slot = vsi_slab_at(&shard->slab, shard->born_first);
    vestry_cause cause = vsi_table_due(table, shard, slot, now);
    if (!cause) break;
    vsi_shard_take(table, shard, slot, cause, false, false, &leaving);
  }
  uint32_t tick;
  vsi_slot *slot;
  for (; looked < VSI_LEAVING_BATCH && leaving.count < leaving.room; looked++) {
    slot = table->idle_ticks ? vsi_ages_oldest(&shard->ages, &shard->slab, &tick) : NULL;
    if (!slot || vsi_tick_age(now, tick) <= table->idle_ticks) break;
    vestry_cause cause = vsi_table_due(table, shard, slot, now);
    if (cause) {
      vsi_shard_take(table, shard, slot, cause, false, false, &leaving);
      continue;
    }
    vsi_ages_refile(&shard->ages, &shard->slab, slot, now); /* it was used since it was filed */
  }
  bool more = looked == VSI_LEAVING_BATCH || leaving.count == leaving.room || leaving.rests_count == VSI_LEAVING_BATCH;
  vsi_shard_release(table, shard, &leaving);
  return more;
}

void vsi_table_tick(void *self) {
  vsi_table *table = self;
  uint32_t now = (uint32_t)vsi_table_ticks(table, table->host->now_ns(table->host->ctx)) & VSI_TICK_MASK;
  bool settled = true;
  atomic_store_explicit(&table->unsettled, false, memory_order_relaxed); /* from here on others may set it again */
  for (uint32_t i = 0; i < table->shards_count; i++) {
    while (expire_some(table, &table->shards[i], now)) continue;
    if (!vsi_shard_tidy(table, &table->shards[i])) settled = false;
  }
  if (!settled) atomic_store_explicit(&table->unsettled, true, memory_order_relaxed);
}

/* The time at which a tick that began some ticks ago will be `span` whole ticks old; beyond the end of the clock:
 * never. */
static uint64_t due_ns(const vsi_table *table, uint64_t now_tick, uint32_t then, uint32_t span) {
  uint64_t tick = now_tick - vsi_tick_age((uint32_t)now_tick & VSI_TICK_MASK, then) + span + 1;
  if (tick > (UINT64_MAX - table->origin_ns) / table->tick_ns) return UINT64_MAX;
  return table->origin_ns + tick * table->tick_ns;
}

uint64_t vsi_table_next_deadline_ns(void *self) {
  const vsi_table *table = self;
  bool unsettled = atomic_load_explicit(&table->unsettled, memory_order_relaxed);
  if (!table->idle_ticks && !table->lifetime_ticks && !unsettled) return UINT64_MAX;
  uint64_t now_ns = table->now_ns(table->host->ctx), now_tick = vsi_table_ticks(table, now_ns), deadline = UINT64_MAX;
  if (unsettled) deadline = vsi_add_saturating(now_ns, SETTLE_WITHIN_NS);
  for (uint32_t i = 0; i < table->shards_count; i++) {
    uint32_t oldest = atomic_load_explicit(&table->oldest[i], memory_order_relaxed);
    uint32_t eldest = atomic_load_explicit(&table->eldest[i], memory_order_relaxed);
    if (table->idle_ticks && oldest != VSI_TICK_NONE) {
      uint64_t at = due_ns(table, now_tick, oldest, table->idle_ticks);
      if (at < deadline) deadline = at;
    }
    if (table->lifetime_ticks && eldest != VSI_TICK_NONE) {
      uint64_t at = due_ns(table, now_tick, eldest, table->lifetime_ticks);
      if (at < deadline) deadline = at;
    }
  }
  return deadline;
}
