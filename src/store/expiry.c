/* SPDX-License-Identifier: MIT */
/* essay: a deadline that is read with one load */
/* Expiry: removes the entries of a table that are due, and computes the time of the next tick. A tick in this file is a
 * call of vsi_store_tick, which removes the due entries. (In clock.h a tick is a unit of time.)
 *
 * deadline_ns is never later than the first due time, so the store's driver can sleep until then; reading it takes one
 * load. It changes as follows:
 *
 * - A tick sets it to UINT64_MAX, removes due entries shard by shard, and then lowers it to the earliest due time that
 *   is left in the shards.
 * - A put that has linked its entry and finds UINT64_MAX lowers it to its own due time. A put that finds another value
 *   leaves it, because earlier puts are due earlier. (If the put reaches a shard before the tick, the tick sees its
 *   entry. If it reaches the shard later, it sees UINT64_MAX from the tick, or a value written since.)
 * - Uses and removals only make entries due later. Then a tick may find nothing to do, at most once for each value.
 *
 * The accesses are seq_cst, as those of the driver's armed_ns. A put sets the deadline and then looks for a driver, and
 * a driver is attached and then reads the deadline, so at least one sees the write of the other. */
#include "store/table.h"

enum { EXPIRE_BATCH = 64 };

static void set_earlier(vsi_table *table, uint64_t deadline_ns) {
  uint64_t before_ns = atomic_load_explicit(&table->deadline_ns, memory_order_seq_cst);
  while (deadline_ns < before_ns && !atomic_compare_exchange_weak_explicit(&table->deadline_ns, &before_ns, deadline_ns,
                                                                           memory_order_seq_cst, memory_order_seq_cst))
    continue;
}

static uint64_t due_ns(const vsi_table *table, uint64_t now_ticks, uint32_t used, uint32_t born) {
  uint64_t idle_ns = vsi_clock_due_ns(&table->clock, now_ticks, used, table->clock.idle_ticks);
  uint64_t life_ns = vsi_clock_due_ns(&table->clock, now_ticks, born, table->clock.lifetime_ticks);
  return idle_ns < life_ns ? idle_ns : life_ns;
}

VSI_SELDOM void vsi_table_expect(vsi_table *table, uint32_t now) {
  uint64_t now_ticks = vsi_clock_ticks(&table->clock, vsi_now_ns(table->host));
  set_earlier(table, due_ns(table, now_ticks, now, now));
}

/* Handle an entry, if it is due. Returns whether another may be due. */
static bool expire_first(vsi_store_visit *visit, uint32_t number) {
  if (!number || !vsi_visit_due(visit, number)) return false;
  vestry_cause cause = vsi_visit_expire(visit, number);
  if (cause) vsi_visit_take(visit, number, cause, false);
  return true;
}

/* Remove a batch of due entries of a shard. Returns whether there may be more; if not, lowers *deadline_ns to the
 * earliest due time that is left. */
static bool expire_some(vsi_table *table, vsi_shard *shard, uint64_t now_ticks, uint64_t *deadline_ns) {
  int left = EXPIRE_BATCH;
  vsi_store_visit visit;
  vsi_visit_begin(&visit, table, shard, (uint32_t)now_ticks & VSI_TICK_MASK);
  while (left && table->clock.lifetime_ticks && expire_first(&visit, shard->born.next)) left--;
  while (left && table->clock.idle_ticks && expire_first(&visit, vsi_order_first(shard))) left--;
  if (left) {
    uint32_t used = shard->live ? shard->last : VSI_TICK_NONE;
    uint32_t born = shard->born.next ? vsi_extra_at(shard, shard->born.next)->born : VSI_TICK_NONE;
    uint64_t shard_ns = due_ns(table, now_ticks, used, born);
    if (shard_ns < *deadline_ns) *deadline_ns = shard_ns;
    vsi_visit_publish(table, shard);
  }
  vsi_visit_end(&visit);
  return left == 0;
}

void vsi_table_tick(void *self) {
  vsi_table *table = self;
  if (table->clock.sure_ticks == UINT32_MAX) return;
  uint64_t now_ticks = vsi_clock_ticks(&table->clock, vsi_now_ns(table->host)), deadline_ns = UINT64_MAX;
  atomic_store_explicit(&table->deadline_ns, UINT64_MAX, memory_order_seq_cst);
  for (uint32_t i = 0; i < table->shards_count; i++)
    while (expire_some(table, &table->shards[i], now_ticks, &deadline_ns)) continue;
  set_earlier(table, deadline_ns);
}

uint64_t vsi_table_next_deadline_ns(void *self) {
  return atomic_load_explicit(&((vsi_table *)self)->deadline_ns, memory_order_seq_cst);
}
