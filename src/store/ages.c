#include "store/ages.h"

#include <string.h>

#include "base/memory.h"

/* A list's ends link to the list itself: END plus its place among the ages. So a slot can be taken out knowing nothing
 * but its links, and filing at the end touches two slots: the new one and the one before it.
 *
 * The ages are a window of VSI_AGES ticks that ends now. What is filed further back, which happens only when nothing
 * expires, is put to the oldest age of the window, in order. */

#define END VSI_AGES_END

void vsi_slot_use_anew(vsi_slot *slot, uint32_t tick) {
  uint32_t touch = atomic_load_explicit(&slot->touch, memory_order_relaxed), used;
  do {
    used = vsi_tick_age(tick, vsi_touch_tick(touch)) ? tick << 1 | 1 : touch | 1;
  } while (touch != used && !atomic_compare_exchange_weak_explicit(&slot->touch, &touch, used, memory_order_relaxed,
                                                                   memory_order_relaxed));
}

vestry_err vsi_ages_init(vsi_ages *ages, const vestry_host *host, uint32_t now) {
  memset(ages, 0, sizeof *ages);
  ages->host = host;
  ages->oldest = now;
  ages->at = vsi_calloc(host, VSI_AGES, sizeof *ages->at);
  return ages->at ? VESTRY_OK : VESTRY_NO_MEMORY;
}

void vsi_ages_finish(vsi_ages *ages) {
  vsi_free(ages->host, ages->at);
  ages->at = NULL;
}

/* The whole list of one age to the front of another's. */
static void merge(vsi_ages *ages, const vsi_slab *slab, uint32_t from, uint32_t to) {
  struct vsi_age *older = &ages->at[from], *newer = &ages->at[to];
  if (!older->first) return;
  vsi_slab_at(slab, older->first)->prev = END | to;
  if (newer->first) {
    vsi_slab_at(slab, older->last)->next = newer->first;
    vsi_slab_at(slab, newer->first)->prev = older->last;
  } else {
    vsi_slab_at(slab, older->last)->next = END | to;
    newer->last = older->last;
    vsi_ages_mark(ages, to, true);
  }
  newer->first = older->first;
  *older = (struct vsi_age){0, 0};
  vsi_ages_mark(ages, from, false);
}

/* Distance in places from `place` to the next filled one, going round; VSI_AGES: none. */
static uint32_t distance_to_filled(const vsi_ages *ages, uint32_t place) {
  uint32_t word = place / 64;
  uint64_t bits = ages->filled[word] >> place % 64;
  if (bits) return (uint32_t)__builtin_ctzll(bits);
  for (uint32_t i = 1; i <= VSI_AGES / 64; i++) {
    bits = ages->filled[(word + i) % (VSI_AGES / 64)];
    if (bits) return (i * 64 - place % 64 + (uint32_t)__builtin_ctzll(bits)) % VSI_AGES;
  }
  return VSI_AGES;
}

/* The window begins later: a tick before it must not pass for one in it. */
static void begin_at(vsi_ages *ages, uint32_t tick) {
  ages->oldest = tick;
  if (vsi_tick_age(tick, ages->newest)) ages->newest = tick;
}

/* Bring the window up to now: what would fall out of it goes to its oldest age. At most a turn or two an age. */
static void advance(vsi_ages *ages, const vsi_slab *slab, uint32_t now) {
  for (uint32_t behind; (behind = vsi_tick_age(now, ages->oldest)) >= VSI_AGES;) {
    uint32_t shift = behind - (VSI_AGES - 1), place = ages->oldest % VSI_AGES;
    uint32_t step = distance_to_filled(ages, place); /* up to the first filled one, nothing has to move */
    if (step == 0) {
      step = distance_to_filled(ages, (place + 1) % VSI_AGES) + 1; /* up to the next one it stays by itself */
      if (step > shift || step >= VSI_AGES) step = shift;          /* it is the only one: all the way at once */
      uint32_t to = (ages->oldest + step) % VSI_AGES;
      if (to != place) merge(ages, slab, place, to);
    } else if (step > shift) {
      step = shift;
    }
    begin_at(ages, (ages->oldest + step) & VSI_TICK_MASK);
  }
}

/* Where a tick is filed: moves the window, and keeps what is too old for it at its beginning. */
uint32_t vsi_ages_place(vsi_ages *ages, const vsi_slab *slab, uint32_t tick, uint32_t now) {
  advance(ages, slab, now);
  if (!ages->count) ages->oldest = tick;
  uint32_t before = vsi_tick_age(ages->oldest, tick);
  if (before && vsi_tick_age(now, tick) < VSI_AGES)
    ages->oldest = tick; /* the oldest so far */
  else if (before)
    return ages->oldest % VSI_AGES; /* older than the window */
  ages->newest = tick;
  return tick % VSI_AGES;
}

void vsi_ages_refile(vsi_ages *ages, const vsi_slab *slab, vsi_slot *slot, uint32_t now) {
  vsi_ages_remove(ages, slab, slot);
  /* Read and unmarked in one step: a use that is noted meanwhile is not lost. */
  uint32_t touch = atomic_fetch_and_explicit(&slot->touch, ~UINT32_C(1), memory_order_relaxed);
  uint32_t tick = vsi_touch_tick(touch);
  if (vsi_tick_age(tick, now)) tick = now; /* noted by a clock ahead of ours: the window ends now */
  vsi_ages_file(ages, slab, slot, tick, now);
}

void vsi_ages_seek(vsi_ages *ages) {
  begin_at(ages, (ages->oldest + distance_to_filled(ages, ages->oldest % VSI_AGES)) & VSI_TICK_MASK);
}
