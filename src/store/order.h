/* SPDX-License-Identifier: MIT */
/* essay: an order of use that no use writes */
/* The order of use of a shard's entries: a radix heap of ticks (Ahuja, Mehlhorn, Orlin, Tarjan, "Faster algorithms for
 * the shortest path problem", 1990). It serves eviction and idle expiry. All functions run under the shard's lock.
 *
 * A use only notes its tick in the entry. So the tick by which an entry is filed may be earlier than that of its use,
 * and the search for the least recently used entry repairs the order as far as it goes.
 *
 *   list 0       entries filed at the tick `last`; no entry is filed at an earlier one
 *   list 1 + b   entries filed at ticks whose highest bit that differs from `last` is bit b
 *   list BEHIND  entries of list 0 that were passed over
 *
 * The head of list 0 is the least recently used entry, unless it was used since: then it is filed again. If the list is
 * empty, the first list that has entries is divided: `last` becomes the least tick in it, and its entries move to lists
 * below. Each entry moves down at most once for each bit of its distance from `last`.
 *
 * Within the current tick, uses have no order. An entry that was used again in that tick is passed over once: it goes
 * behind the hand, and list BEHIND becomes list 0 when the hand has come round (Zhang and others, "SIEVE is simpler
 * than LRU", 2024).
 *
 * Invariants: an entry is in one list, or free, or leaving. The tick by which it is filed is not later than that of its
 * use, and not earlier than `last`; its list is the right one for `last`. A bit of `lists` is set for each list from 1
 * to 31 that has entries, perhaps for others. Ticks are compared by bits, modulo 2^31, so all of them lie within half
 * of that range: vsi_order_rebase. */
#ifndef VSI_STORE_ORDER_H
#define VSI_STORE_ORDER_H

#include "store/clock.h"
#include "store/shard.h"

enum { VSI_ORDER_BEHIND = 32 };
/* Age of `last` in ticks beyond which the order is rebased. */
#define VSI_ORDER_SPAN (VSI_TICK_MASK / 8 * 3)

static inline bool vsi_order_is_empty(const vsi_cold *cold, uint32_t list) {
  return cold[list].in.next == list;
}
static inline void vsi_order_add(vsi_cold *cold, uint32_t list, uint32_t number) {
  uint32_t tail = cold[list].in.prev;
  cold[number].in = (vsi_links){list, tail};
  cold[tail].in.next = cold[list].in.prev = number;
}
static inline void vsi_order_take(vsi_cold *cold, uint32_t number) {
  const vsi_links own = cold[number].in;
  VSI_ASSERT(cold[own.prev].in.next == number && cold[own.next].in.prev == number);
  cold[own.prev].in.next = own.next;
  cold[own.next].in.prev = own.prev;
}

static inline uint32_t vsi_order_list(const vsi_shard *shard, uint32_t tick) {
  uint32_t differs = tick ^ shard->last;
  return differs ? 32 - (uint32_t)__builtin_clz(differs) : 0;
}
/* Add an entry, as the last one of the tick. */
static inline void vsi_order_file(vsi_shard *shard, vsi_cold *cold, uint32_t number, uint32_t tick) {
  uint32_t list = vsi_order_list(shard, tick);
  shard->lists |= 1u << list;
  vsi_order_add(cold, list, number);
}
static inline void vsi_order_file_again(vsi_shard *shard, uint32_t number, uint32_t tick) {
  vsi_order_take(shard->in->cold, number);
  vsi_order_file(shard, shard->in->cold, number, tick);
}

/* Make list 0 the next one of the order. Returns false if the shard is empty. */
bool vsi_order_refill(vsi_shard *shard);
/* Bring `last` so near to `now` that all ticks are compared rightly. Entries that were last used before it count as
 * used at it. */
void vsi_order_rebase(vsi_shard *shard, uint32_t now);

/* Return the least recently used entry; 0: none. Its tick is `last`. */
static inline uint32_t vsi_order_first(vsi_shard *shard) {
  for (;;) {
    uint32_t number = shard->in->cold[0].in.next;
    if (__builtin_expect(number == 0, 0)) {
      if (!vsi_order_refill(shard)) return 0;
      continue;
    }
    uint32_t tick = vsi_entry_tick(vsi_entry_at(shard->in, number));
    if (__builtin_expect(tick == shard->last, 1)) return number;
    vsi_order_file_again(shard, number, tick);
  }
}

/* Return the next entry to evict; 0: none. At most VSI_ORDER_CHANCES entries are passed over, because otherwise one put
 * could walk through a whole shard. The values of a key that has several leave in order, so none is passed over. */
enum { VSI_ORDER_CHANCES = 64 };
static inline uint32_t vsi_order_victim(vsi_shard *shard, uint32_t now) {
  for (int chances = 0;; chances++) {
    uint32_t number = vsi_order_first(shard);
    if (!number || chances == VSI_ORDER_CHANCES) return number;
    vsi_entry *entry = vsi_entry_at(shard->in, number);
    if (__builtin_expect(entry->use != (now << 1 | 1), 1) || vsi_many_has(shard, number)) return number;
    entry->use ^= 1;
    vsi_order_take(shard->in->cold, number);
    vsi_order_add(shard->in->cold, VSI_ORDER_BEHIND, number);
  }
}

/* Return a tick that no entry was last used before, without a walk; VSI_TICK_NONE: the shard is empty. */
static inline uint32_t vsi_order_bound(const vsi_shard *shard) {
  if (!shard->live) return VSI_TICK_NONE;
  const vsi_cold *cold = shard->in->cold;
  uint32_t lists = shard->lists & ~1u;
  if (!lists || !vsi_order_is_empty(cold, 0) || !vsi_order_is_empty(cold, VSI_ORDER_BEHIND)) return shard->last;
  unsigned bit = (unsigned)__builtin_ctz(lists) - 1;
  return (shard->last >> bit ^ 1) << bit;
}

#endif
