/* SPDX-License-Identifier: MIT */
/* essay: one visit to one shard; recency and expiry by one order */
/* The steps of operations on a shard. A visit is one operation under the shard's lock (table.h). All functions here run
 * under that lock. now: the shard's time (vsi_shard_now).
 *
 * Words. `used` is the list of entries in the order of use, `born` the list in the order of their creation. To file an
 * entry is to put it into `used`. The mark is the lowest bit of `touched`: the entry was used again in the tick of its
 * last move. An entry is due when its idle time or its lifetime is over. In a store with a lifetime or a limit per
 * scope, each entry has an extra, which links it into further lists (entry.h). */
#ifndef VSI_STORE_VISIT_H
#define VSI_STORE_VISIT_H

#include "base/assert.h"
#include "store/table.h"

/* ---------------------------------------------------------------------------------------------- order and time ---- */

/* Return the cause with which an entry must leave: idle time or lifetime, whichever ended first. NONE: the entry
 * stays. */
static inline vestry_cause vsi_visit_due(const vsi_table *table, vsi_entry *entry, uint32_t now) {
  const vsi_clock *clock = &table->clock;
  uint32_t unused = vsi_tick_age(now, vsi_entry_tick(entry));
  bool idle = unused > clock->idle_ticks && clock->idle_ticks;
  if (__builtin_expect(clock->lifetime_ticks != 0, 0)) {
    uint32_t lived = vsi_tick_age(now, vsi_entry_extra(entry)->born);
    if (lived > clock->lifetime_ticks && !(idle && unused - clock->idle_ticks > lived - clock->lifetime_ticks))
      return VESTRY_CAUSE_EXPIRED;
  }
  return __builtin_expect(idle, 0) ? VESTRY_CAUSE_IDLE : VESTRY_CAUSE_NONE;
}

static inline void vsi_visit_publish_tick(_Atomic(uint32_t) *to, uint32_t tick) {
  if (atomic_load_explicit(to, memory_order_relaxed) != tick) atomic_store_explicit(to, tick, memory_order_relaxed);
}
/* Publish the tick of the first entry in the list of uses, after it has changed. */
static inline void vsi_visit_publish(vsi_table *table, const vsi_shard *shard) {
  if (!table->rules.evicts) return;
  uint32_t tick = VSI_TICK_NONE;
  if (!vsi_ring_is_empty(&shard->used)) tick = vsi_entry_tick(vsi_entry_of_used(shard->used.next));
  vsi_visit_publish_tick(&table->oldest[shard->number], tick);
}
static inline void vsi_visit_file_last(vsi_table *table, vsi_shard *shard, vsi_entry *entry, uint32_t now) {
  bool was_empty = vsi_ring_is_empty(&shard->used);
  entry->touched = now << 1;
  vsi_ring_add_last(&shard->used, &entry->used);
  if (__builtin_expect(was_empty, 0)) vsi_visit_publish(table, shard);
}
static inline void vsi_visit_unfile(vsi_table *table, vsi_shard *shard, vsi_entry *entry) {
  bool was_first = shard->used.next == &entry->used;
  vsi_ring_remove(&entry->used);
  if (was_first) vsi_visit_publish(table, shard);
}

/* Count a use of an entry that is the only one of its key. */
static inline void vsi_visit_use(vsi_table *table, vsi_shard *shard, vsi_entry *entry, uint32_t now) {
  if (__builtin_expect(table->rules.max_per_scope != 0, 0)) vsi_scopes_use(entry);
  if (__builtin_expect(entry->touched == (now << 1 | 1), 1)) return;
  if (vsi_entry_tick(entry) == now) { /* used in this tick already */
    entry->touched |= 1;
    return;
  }
  vsi_visit_unfile(table, shard, entry);
  vsi_visit_file_last(table, shard, entry, now);
}

/* Count a use of all values of a key that has several, in the order of their puts, or of one of them. */
void vsi_visit_use_all(vsi_table *table, vsi_shard *shard, vsi_entry *newest, uint32_t now);
void vsi_visit_use_one(vsi_table *table, vsi_shard *shard, vsi_entry *newest, vsi_entry *used, uint32_t now);
/* Clear the mark of the newest value of a key, before a second value joins the key. */
void vsi_visit_settle(vsi_table *table, vsi_shard *shard, vsi_entry *newest, uint32_t now);

/* As vsi_visit_due, for a caller that is about to remove the entry. A value may have been used without the store's
 * knowledge: for example, a stream is used when an event is written to it. So if the entry seems idle, the store gets
 * the time of the last use from the value (vestry_value_ops.used_ns). If that was not too long ago, the entry's place
 * in the order of use is corrected, and it stays. */
vestry_cause vsi_visit_end(vsi_table *table, vsi_shard *shard, vsi_entry *entry, uint32_t now);

/* Return the next entry to evict; NULL: there is none. An entry of the current tick that has a mark moves to the end of
 * the list. At most VSI_VISIT_CHANCES entries move, because otherwise one put could walk through a whole shard. */
enum { VSI_VISIT_CHANCES = 64 };
static inline vsi_entry *vsi_visit_oldest(vsi_shard *shard, uint32_t now) {
  if (__builtin_expect(vsi_ring_is_empty(&shard->used), 0)) return NULL;
  vsi_entry *entry = vsi_entry_of_used(shard->used.next);
  for (int i = 0; i < VSI_VISIT_CHANCES && entry->touched == (now << 1 | 1); i++) {
    entry->touched ^= 1;
    vsi_ring_remove(&entry->used);
    vsi_ring_add_last(&shard->used, &entry->used);
    entry = vsi_entry_of_used(shard->used.next);
  }
  return entry;
}

/* ---------------------------------------------------------------------------------------------- add and remove ---- */

/* Add the extra of an entry to the order of birth and to the share of its scope, or remove it from both. share: NULL in
 * a store without a limit per scope. */
void vsi_visit_add_extra(vsi_table *table, vsi_shard *shard, vsi_entry *entry, vsi_scope_share *share);
void vsi_visit_take_extra(vsi_table *table, vsi_shard *shard, vsi_entry *entry);

/* Remove an entry from the lists and the index. */
static inline void vsi_visit_unlink(vsi_table *table, vsi_shard *shard, vsi_entry *entry) {
  vsi_multivalues_remove(&shard->multivalues, table->host, entry);
  if (__builtin_expect(entry->older == entry, 1)) {
    vsi_index_remove(&shard->index, entry);
  } else {
    bool is_newest = entry->newer->handle < entry->handle; /* the oldest follows it in the ring; handles grow */
    if (is_newest) vsi_index_replace(&shard->index, entry, entry->older);
    entry->older->newer = entry->newer;
    entry->newer->older = entry->older;
  }
  vsi_visit_unfile(table, shard, entry);
  if (__builtin_expect(table->extra_bytes != 0, 0)) vsi_visit_take_extra(table, shard, entry);
  VSI_ASSERT(shard->live > 0);
  shard->live--;
}

/* Remove an entry with a cause. keeps_place: its place under the limit (max_count) is not freed, but goes to the
 * caller. */
static inline void vsi_visit_take(vsi_table *table, vsi_shard *shard, vsi_entry *entry, vestry_cause cause,
                                  bool keeps_place, vsi_leaving *leaving) {
  vsi_visit_unlink(table, shard, entry);
  if (cause != VESTRY_CAUSE_SIZE) shard->removed_by_cause[cause]++;
  vsi_leaving_add(leaving, entry, cause);
  if (keeps_place) return;
  if (table->rules.max_count) atomic_fetch_sub_explicit(&table->count, 1, memory_order_relaxed);
  if (__builtin_expect(shard->live <= vsi_index_mask(&shard->index), 0)) vsi_index_shrink(&shard->index, shard->live);
}

/* Return whether an entry is the only one of its key, and not due. */
static inline bool vsi_visit_is_sole(const vsi_table *table, vsi_entry *entry, uint32_t now) {
  return __builtin_expect(entry->older == entry && !vsi_visit_due(table, entry, now), 1);
}

/* Remove the due entries of a key. Returns the newest of the others; NULL: none is left. */
vsi_entry *vsi_visit_drop_due(vsi_table *table, vsi_shard *shard, vsi_entry *newest, uint32_t now,
                              vsi_leaving *leaving);

/* Return the newest entry of a key, after its due entries were removed; NULL: none. */
static inline vsi_entry *vsi_visit_find(vsi_table *table, vsi_shard *shard, const vestry_scoped_key *key, uint64_t hash,
                                        uint32_t now, vsi_leaving *leaving) {
  vsi_entry *newest = vsi_index_find(&shard->index, key, hash);
  if (!newest || vsi_visit_is_sole(table, newest, now)) return newest;
  return vsi_visit_drop_due(table, shard, newest, now, leaving);
}

/* Return the entry with that handle; NULL: it has left. */
vsi_entry *vsi_visit_find_handle(const vsi_shard *shard, vestry_handle handle);

#endif
