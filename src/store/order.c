/* SPDX-License-Identifier: MIT */
/* The order of use (order.h): dividing a list, and ticks that have come too far. */
#include "store/order.h"

/* Take all entries of a list, linked by `next`. 0: none. */
static uint32_t take_all(vsi_cold *cold, uint32_t list) {
  if (vsi_order_is_empty(cold, list)) return 0;
  const vsi_links in = cold[list].in;
  cold[in.prev].in.next = 0;
  cold[list].in = (vsi_links){list, list};
  return in.next;
}

static void file_all(vsi_shard *shard, uint32_t number) {
  for (uint32_t next; number; number = next) {
    next = shard->in->cold[number].in.next;
    vsi_order_file(shard, shard->in->cold, number, vsi_entry_tick(vsi_entry_at(shard->in, number)));
  }
}

/* Take the entries of a list: file those that belong to other lists by now, and return the others. *ret_least: their
 * least tick. Entries that were last used before `last` count as used at it (vsi_order_rebase). */
static uint32_t sift(vsi_shard *shard, uint32_t list, uint32_t *ret_least) {
  vsi_cold *cold = shard->in->cold;
  uint32_t first = 0, *to = &first, next;
  for (uint32_t number = take_all(cold, list); number; number = next) {
    next = cold[number].in.next;
    if (next) __builtin_prefetch(vsi_entry_at(shard->in, next));
    vsi_entry *entry = vsi_entry_at(shard->in, number);
    if (vsi_tick_age(shard->last, vsi_entry_tick(entry))) entry->use = shard->last << 1;
    uint32_t tick = vsi_entry_tick(entry);
    if (vsi_order_list(shard, tick) != list) {
      vsi_order_file(shard, cold, number, tick);
      continue;
    }
    if (!first || tick < *ret_least) *ret_least = tick;
    *to = number;
    to = &cold[number].in.next;
  }
  *to = 0;
  return first;
}

VSI_SELDOM bool vsi_order_refill(vsi_shard *shard) {
  vsi_cold *cold = shard->in->cold;
  if (!vsi_order_is_empty(cold, VSI_ORDER_BEHIND)) { /* the hand begins anew */
    const vsi_links in = cold[VSI_ORDER_BEHIND].in;
    cold[0].in = in;
    cold[in.next].in.prev = cold[in.prev].in.next = 0;
    cold[VSI_ORDER_BEHIND].in = (vsi_links){VSI_ORDER_BEHIND, VSI_ORDER_BEHIND};
    return true;
  }
  while (shard->lists &= ~1u) {
    uint32_t list = (uint32_t)__builtin_ctz(shard->lists), least = 0, first = sift(shard, list, &least);
    shard->lists &= ~(1u << list);
    if (!first) continue;
    shard->last = least;
    file_all(shard, first);
    return true;
  }
  return false;
}

VSI_SELDOM void vsi_order_rebase(vsi_shard *shard, uint32_t now) {
  uint32_t least;
  shard->last = (now - VSI_ORDER_SPAN) & VSI_TICK_MASK;
  shard->lists = 0;
  for (uint32_t list = 0; list < VSI_HEADS; list++) file_all(shard, sift(shard, list, &least));
}
