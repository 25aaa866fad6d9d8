#include "store/shard.h"

#include <sched.h>
#include <string.h>

#include "store/table.h"

enum { SPINS = 128 };

VSI_SELDOM void vsi_shard_wait(vsi_shard *shard) {
  do {
    for (int spins = 0; atomic_load_explicit(&shard->lock, memory_order_relaxed); spins++)
      if (spins > SPINS) sched_yield();
  } while (atomic_exchange_explicit(&shard->lock, 1, memory_order_acquire));
}

/* The slots of one key are a chain: older leads from the newest, which is in the index, to the oldest and ends there;
 * newer leads back, and from the newest to the oldest. The newest knows how many there are. */

static bool is_newest(const vsi_shard *shard, const vsi_slot *slot) {
  const vsi_slot *above = vsi_slab_at(&shard->slab, slot->newer);
  return atomic_load_explicit(&above->older, memory_order_relaxed) != slot->number;
}

static vsi_slot *newest_of(const vsi_table *table, const vsi_shard *shard, const vsi_slot *slot) {
  vestry_slice key = vsi_slot_key(slot);
  vsi_probe probe;
  vsi_probe_init(&probe, &table->hash, key.data, key.len);
  return vsi_buckets_find(&shard->buckets, &probe);
}

static void set_count(vsi_slot *newest, uint32_t count) {
  newest->state_count = (uint32_t)VSI_SLOT_LIVE | count << 8;
}

static void unchain(const vsi_table *table, vsi_shard *shard, vsi_slot *slot) {
  uint32_t older = atomic_load_explicit(&slot->older, memory_order_relaxed);
  vsi_slot *below = older ? vsi_slab_at(&shard->slab, older) : NULL;
  if (!is_newest(shard, slot)) {
    vsi_slot *newest = newest_of(table, shard, slot), *above = vsi_slab_at(&shard->slab, slot->newer);
    /* release: a reader that goes on from above finds what is below filled */
    atomic_store_explicit(&above->older, older, memory_order_release);
    if (below)
      below->newer = slot->newer;
    else
      newest->newer = slot->newer;
    set_count(newest, vsi_slot_count(newest) - 1);
  } else if (below) {
    below->newer = slot->newer == older ? older : slot->newer;
    set_count(below, vsi_slot_count(slot) - 1);
    vsi_buckets_swap(&shard->buckets, slot, below);
  } else {
    vsi_buckets_erase(&shard->buckets, slot);
  }
}

static void born_remove(vsi_shard *shard, const vsi_slot *slot) {
  vsi_extra *extra = vsi_slab_extra(&shard->slab, slot);
  vsi_slab *slab = &shard->slab;
  if (extra->born_prev)
    vsi_slab_extra(slab, vsi_slab_at(slab, extra->born_prev))->born_next = extra->born_next;
  else
    shard->born_first = extra->born_next;
  if (extra->born_next)
    vsi_slab_extra(slab, vsi_slab_at(slab, extra->born_next))->born_prev = extra->born_prev;
  else
    shard->born_last = extra->born_prev;
}

void vsi_shard_take(vsi_table *table, vsi_shard *shard, vsi_slot *slot, vestry_cause cause, bool keeps_place,
                    bool unchained, vsi_leaving *leaving) {
  if (!unchained) unchain(table, shard, slot);
  if (shard->ages.at) vsi_ages_remove(&shard->ages, &shard->slab, slot);
  if (table->lifetime_ticks) born_remove(shard, slot);
  if (table->rules.max_per_scope) vsi_scopes_leave(&table->scopes, slot, vsi_slab_extra(&shard->slab, slot));
  if (table->rules.max_count && !keeps_place) atomic_fetch_sub_explicit(&table->count, 1, memory_order_relaxed);
  shard->removed[cause]++;
  shard->live--;
  vsi_leaving_add(leaving, slot, vsi_table_handle(table, shard, slot), cause);
  slot->state_count = VSI_SLOT_LEAVING;
  slot->next = leaving->taken;
  leaving->taken = slot->number;
}

/* If nobody can be looking at the taken slots, they are free at once, and the values' references are dropped as soon as
 * the callbacks have run. Otherwise the slots, with values and keys, wait in `fresh` until a grace period is made for
 * many together; and our own section, open until the callbacks have run, keeps them there as long, for a later grace
 * period will count it. Without a section to be had, the shard counts us. */
void vsi_shard_part(vsi_table *table, vsi_shard *shard, vsi_leaving *leaving) {
  leaving->readers = !vsi_sections_are_mine(&table->sections);
  if (leaving->readers && !leaving->section) {
    leaving->section = vsi_section_enter(&table->sections);
    leaving->counted = !leaving->section;
    shard->holders += leaving->counted;
  }
  for (uint32_t number = leaving->taken; number;) {
    vsi_slot *slot = vsi_slab_at(&shard->slab, number);
    number = slot->next;
    if (leaving->readers) {
      if (!shard->fresh) shard->fresh_last = slot->number;
      slot->next = shard->fresh;
      shard->fresh = slot->number;
      shard->fresh_count++;
      shard->fresh_begun = atomic_load_explicit(&table->begun, memory_order_relaxed); /* [G1] */
    } else {
      vsi_slab_give(&shard->slab, slot);
    }
  }
  if (leaving->readers && !atomic_load_explicit(&table->unsettled, memory_order_relaxed))
    atomic_store_explicit(&table->unsettled, true, memory_order_relaxed); /* who ticks next looks */
  leaving->taken = 0;
}

static void rest(vsi_shard *shard, uint32_t *list, vsi_leaving *leaving) {
  while (*list && leaving->rests_count < VSI_LEAVING_BATCH) {
    vsi_slot *slot = vsi_slab_at(&shard->slab, *list);
    *list = slot->next;
    vsi_rest *to = &leaving->rests[leaving->rests_count++];
    to->value = slot->value;
    to->outside = NULL;
    if (slot->len == VSI_SLOT_OUTSIDE) memcpy(&to->outside, slot->key, sizeof to->outside);
    vsi_slab_give(&shard->slab, slot);
  }
}

/* A grace period that one shard makes serves others too. Its number is drawn from `begun` before its barrier; after the
 * barrier `passed` says so. Slots in `fresh` were unlinked before G1 read a number. Unlinked, but perhaps not yet for
 * all to see: a grace period with a later number may have had its barrier pass a reader's processor first, and ours,
 * with the unlinking on its way, after that; it has missed the reader. But when its barrier has passed everywhere, the
 * unlinking is seen by all who read of that in `passed` [G3], and by all whom their barriers pass. So a grace period
 * serves what was unlinked before the number that it read in G3 was drawn, and that number goes into `completed` when
 * it is over. Acquire in G2 pairs with the release of who completed it, and so with the readers it saw leave.
 *
 * For this to happen the slots must have been unlinked before some other shard's grace periods, and a list to which
 * slots are added all the time never was. So a list that has grown to a batch is sealed, and another one begun. Of many
 * shards that are as busy, one fills its second batch first, and its grace periods serve what the others have sealed:
 * there is about one for a batch of all shards together, and not for a batch of each. Where there is no other shard's,
 * the shard makes one for both lists. */
static void raise_to(_Atomic(uint64_t) *number, uint64_t to) {
  uint64_t now = atomic_load_explicit(number, memory_order_relaxed);
  while (now < to &&
         !atomic_compare_exchange_weak_explicit(number, &now, to, memory_order_release, memory_order_relaxed))
    continue;
}

bool vsi_shard_is_settled(const vsi_table *table, const vsi_shard *shard) {
  if (shard->waiting || shard->fresh_count >= table->grace_batch) return false;
  return !shard->sealed ||
         atomic_load_explicit(&table->completed, memory_order_acquire) <= shard->sealed_begun; /* [G2] */
}

static void seal(vsi_shard *shard) {
  shard->sealed = shard->fresh;
  shard->sealed_begun = shard->fresh_begun;
  shard->fresh = shard->fresh_count = 0;
}

/* All that is sealed or fresh waits from here on. */
static void wait_for_all(vsi_shard *shard) {
  shard->waiting = shard->sealed;
  if (shard->fresh) {
    vsi_slab_at(&shard->slab, shard->fresh_last)->next = shard->sealed;
    shard->waiting = shard->fresh;
  }
  shard->sealed = shard->fresh = shard->fresh_count = 0;
}

void vsi_shard_settle(vsi_table *table, vsi_shard *shard, bool all, vsi_leaving *leaving) {
  if (shard->holders) return;
  if (shard->waiting && vsi_grace_is_over(&table->sections, &shard->grace)) {
    raise_to(&table->completed, shard->waiting_serves);
    rest(shard, &shard->waiting, leaving);
  }
  bool full = shard->fresh_count >= table->grace_batch;
  if (!shard->sealed && shard->fresh && (all || full)) {
    seal(shard);
    full = false;
  }
  if (shard->waiting || !shard->sealed) return;
  if (atomic_load_explicit(&table->completed, memory_order_acquire) > shard->sealed_begun) { /* [G2] */
    shard->waiting = shard->sealed;
    shard->waiting_serves = 0;
    shard->sealed = 0;
    vsi_grace_none(&shard->grace);
    rest(shard, &shard->waiting, leaving);
  } else if (all || full) {
    /* One at a time: the kernel makes barriers one after the other anyway, and who waits there waits with a lock. */
    if (atomic_exchange_explicit(&table->grace_busy, true, memory_order_acquire) && !all) return;
    wait_for_all(shard);
    shard->waiting_serves = atomic_load_explicit(&table->passed, memory_order_acquire); /* [G3] */
    uint64_t number = atomic_fetch_add_explicit(&table->begun, 1, memory_order_seq_cst) + 1;
    bool none = vsi_grace_begin(&table->sections, &shard->grace);
    raise_to(&table->passed, number);
    atomic_store_explicit(&table->grace_busy, false, memory_order_release);
    if (!none) return;
    raise_to(&table->completed, shard->waiting_serves);
    rest(shard, &shard->waiting, leaving);
  }
}

static void publish(_Atomic(uint32_t) *to, uint32_t tick) {
  /* relaxed: a hint where to look; who looks takes the lock */
  if (atomic_load_explicit(to, memory_order_relaxed) != tick) atomic_store_explicit(to, tick, memory_order_relaxed);
}

void vsi_shard_publish(vsi_table *table, vsi_shard *shard) {
  if (!shard->ages.at) return;
  uint32_t tick = VSI_TICK_NONE;
  (void)vsi_ages_oldest(&shard->ages, &shard->slab, &tick);
  publish(&table->oldest[shard->number], tick);
  if (!table->lifetime_ticks) return;
  tick = VSI_TICK_NONE;
  if (shard->born_first) tick = vsi_slab_extra(&shard->slab, vsi_slab_at(&shard->slab, shard->born_first))->born;
  publish(&table->eldest[shard->number], tick);
}

void vsi_shard_release(vsi_table *table, vsi_shard *shard, vsi_leaving *leaving) {
  if (leaving->taken) vsi_shard_part(table, shard, leaving);
  vsi_shard_publish(table, shard);
  vsi_shard_unlock(shard);
  bool counted = leaving->counted;
  if (leaving->count || leaving->rests_count) vsi_leaving_run(leaving, table->exit);
  if (__builtin_expect(!counted, 1)) return;
  leaving->counted = false;
  vsi_shard_uncount(shard);
}

void vsi_shard_uncount(vsi_shard *shard) {
  vsi_shard_lock(shard);
  shard->holders--;
  vsi_shard_unlock(shard);
}

bool vsi_shard_tidy(vsi_table *table, vsi_shard *shard) {
  vsi_leaving leaving;
  bool more, settled;
  do {
    vsi_leaving_init(&leaving, table->host);
    vsi_shard_lock(shard);
    vsi_shard_settle(table, shard, true, &leaving);
    settled = !shard->waiting && !shard->sealed && !shard->fresh;
    more = leaving.rests_count > 0 && !settled;
    vsi_shard_release(table, shard, &leaving);
  } while (more);
  return settled;
}
