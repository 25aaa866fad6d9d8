/* SPDX-License-Identifier: MIT */
/* The steps of visit.h that are too long to be inline: keys with several values, entries that have expired, the
 * search by handle, and the callbacks of entries that have left. visit.h explains the words. */
#include "store/visit.h"

/* Publish the birth tick of the oldest entry of the shard in table->eldest, after it has changed. (vsi_visit_publish
 * does the same for the order of use and table->oldest.) */
static void publish_born(vsi_table *table, vsi_shard *shard) {
  uint32_t tick = VSI_TICK_NONE;
  if (!vsi_ring_is_empty(&shard->born)) tick = vsi_entry_extra(vsi_entry_of_born(shard->born.next))->born;
  vsi_visit_publish_tick(&table->eldest[shard->number], tick);
}

VSI_SELDOM void vsi_visit_add_extra(vsi_table *table, vsi_shard *shard, vsi_entry *entry, vsi_scope_share *share) {
  vsi_extra *extra = vsi_entry_extra(entry);
  extra->born = vsi_entry_tick(entry);
  vsi_ring_add_last(&shard->born, &extra->born_in);
  publish_born(table, shard);
  if (share) vsi_scopes_add(share, entry);
}

VSI_SELDOM void vsi_visit_take_extra(vsi_table *table, vsi_shard *shard, vsi_entry *entry) {
  vsi_ring_remove(&vsi_entry_extra(entry)->born_in);
  publish_born(table, shard);
  if (table->rules.max_per_scope) vsi_scopes_remove(&shard->scopes, table->host, entry);
}

static void file_again(vsi_table *table, vsi_shard *shard, vsi_entry *entry, uint32_t now) {
  vsi_visit_unfile(table, shard, entry);
  vsi_visit_file_last(table, shard, entry, now);
}

/* Values of one key are evicted in the order of their uses, even if all uses fall into one tick. Therefore each use of
 * a key with several values moves the used values to the end of the list again. To save this work, the newest value,
 * which stands after all other values of its key in the list, may have a mark (the lowest bit of `touched`). The mark
 * means that all values of the key were used in the tick that `touched` contains, and that they stand in the right
 * order in the list. */
VSI_SELDOM void vsi_visit_use_all(vsi_table *table, vsi_shard *shard, vsi_entry *newest, uint32_t now) {
  bool in_order = newest->touched == (now << 1 | 1);
  bool capped = table->rules.max_per_scope != 0;
  if (in_order && !capped) return;
  vsi_entry *entry = newest;
  do {
    entry = entry->newer; /* the oldest first */
    if (capped) vsi_scopes_use(entry);
    if (!in_order) file_again(table, shard, entry, now);
  } while (entry != newest);
  newest->touched |= 1;
}

VSI_SELDOM void vsi_visit_use_one(vsi_table *table, vsi_shard *shard, vsi_entry *newest, vsi_entry *used,
                                  uint32_t now) {
  if (table->rules.max_per_scope) vsi_scopes_use(used);
  newest->touched &= ~1u;
  file_again(table, shard, used, now);
}

/* Clear a mark. If the first entry in the list has a mark of the current tick, vsi_visit_oldest does not evict it, but
 * moves it to the end of the list. Without the mark, the entry would be evicted, although it was used again in this
 * tick. So if its mark is of the current tick, it moves to the end of the list now. */
VSI_SELDOM void vsi_visit_settle(vsi_table *table, vsi_shard *shard, vsi_entry *newest, uint32_t now) {
  newest->touched &= ~1u;
  if (vsi_entry_tick(newest) == now) file_again(table, shard, newest, now);
}

/* Set the last use of an entry to the tick `used`, which may be long past, and move the entry to the corresponding
 * place in the order of use. If `used` is later than shard->now, shard->now is taken instead. After FILE_STEPS steps
 * the search ends, and the entry counts as used somewhat later. */
enum { FILE_STEPS = 64 };
static void file_at(vsi_table *table, vsi_shard *shard, vsi_entry *entry, uint32_t used) {
  if (vsi_tick_age(used, shard->now)) used = shard->now;
  vsi_visit_unfile(table, shard, entry);
  vsi_ring *before = shard->used.prev;
  for (int i = 0; before != &shard->used && vsi_tick_age(vsi_entry_tick(vsi_entry_of_used(before)), used); i++) {
    if (i == FILE_STEPS) {
      used = vsi_entry_tick(vsi_entry_of_used(before));
      break;
    }
    before = before->prev;
  }
  entry->touched = used << 1;
  vsi_ring_add_last(before->next, &entry->used);
  vsi_visit_publish(table, shard);
  if (table->rules.max_per_scope) vsi_scopes_use(entry);
}

VSI_SELDOM vestry_cause vsi_visit_end(vsi_table *table, vsi_shard *shard, vsi_entry *entry, uint32_t now) {
  vestry_cause cause = vsi_visit_due(table, entry, now);
  if (cause != VESTRY_CAUSE_IDLE) return cause;
  uint64_t used_ns = table->exit->value.used_ns(entry->value), now_ns = used_ns ? vsi_now_ns(table->host) : 0;
  uint64_t used = vsi_clock_ticks(&table->clock, used_ns);
  if (!used_ns || vsi_clock_ticks(&table->clock, now_ns) > used + table->clock.idle_ticks) return cause;
  file_at(table, shard, entry, (uint32_t)used & VSI_TICK_MASK);
  return vsi_visit_due(table, entry, now); /* that use may be too old as well */
}

/* Return whether any entry of the shard may be due: whether the first entry in the order of use, or in the order of
 * birth, is. */
static bool has_due(const vsi_table *table, const vsi_shard *shard, uint32_t now) {
  const vsi_clock *clock = &table->clock;
  if (clock->idle_ticks && !vsi_ring_is_empty(&shard->used) &&
      vsi_tick_age(now, vsi_entry_tick(vsi_entry_of_used(shard->used.next))) > clock->idle_ticks)
    return true;
  return clock->lifetime_ticks && !vsi_ring_is_empty(&shard->born) &&
         vsi_tick_age(now, vsi_entry_extra(vsi_entry_of_born(shard->born.next))->born) > clock->lifetime_ticks;
}

VSI_SELDOM vsi_entry *vsi_visit_drop_due(vsi_table *table, vsi_shard *shard, vsi_entry *newest, uint32_t now,
                                         vsi_leaving *leaving) {
  if (!has_due(table, shard, now)) return newest;
  vsi_entry *left = NULL, *entry = newest->newer, *next; /* the oldest first */
  for (bool more = true; more; entry = next) {
    next = entry->newer;
    more = entry != newest;
    vestry_cause cause = vsi_visit_end(table, shard, entry, now);
    if (cause)
      vsi_visit_take(table, shard, entry, cause, false, leaving);
    else
      left = entry;
  }
  return left;
}

/* A handle contains only the upper bits of the hash. So in a very large index it does not determine the bucket in which
 * the search for its key begins (its home), and several homes are searched. */
vsi_entry *vsi_visit_find_handle(const vsi_shard *shard, vestry_handle handle) {
  const vsi_index *index = &shard->index;
  vsi_entry *of_many = vsi_multivalues_with_handle(&shard->multivalues, handle);
  if (of_many) return of_many;
  uint32_t last = vsi_index_home(index, handle | VSI_HANDLE_NUMBER_MASK);
  for (uint32_t home = vsi_index_home(index, handle & ~VSI_HANDLE_NUMBER_MASK); home <= last; home++) {
    uint32_t at = 0;
    for (vsi_entry *newest; (newest = vsi_index_next_at_home(index, home, &at)) != NULL;) {
      if ((newest->handle ^ handle) & ~VSI_HANDLE_NUMBER_MASK) continue;
      vsi_entry *found = vsi_multivalues_walk(newest, handle);
      if (found) return found;
    }
  }
  return NULL;
}

void vsi_leaving_run(vsi_leaving *leaving, const vestry_host *host, size_t extra_bytes, vestry_store_exit *exit) {
  vsi_parted *parted = &leaving->parted;
  if (parted->value) {
    vestry_scoped_key key = vsi_scoped_key_at(&parted->lens, parted->lens, 0);
    vestry_store_leave(exit, &key, parted->value, parted->handle, VESTRY_CAUSE_SIZE);
  }
  for (vsi_ring *node = leaving->first, *next; node; node = next) {
    next = node->next;
    vsi_entry *entry = vsi_entry_of_used(node);
    vestry_scoped_key key = vsi_entry_key(entry);
    vestry_store_leave(exit, &key, entry->value, entry->handle, (vestry_cause)entry->touched);
    vsi_entry_destroy(host, extra_bytes, entry);
  }
}
