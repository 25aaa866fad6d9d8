/* SPDX-License-Identifier: MIT */
/* All grace times are equal, so guests that have gone leave in the order in which they went: a list and one timer. */
#include "app/presence/grace.h"

#include "app/presence/guest.h"
#include "base/memory.h"

/* NULL: none has gone. */
static vsi_guest *first_locked(const vestry_presence *presence) {
  return vsi_ring_is_empty(&presence->gone) ? NULL : VSI_RING_OWNER(presence->gone.next, vsi_guest, gone);
}

/* Have the timer fire when the first guest that has gone is to leave. */
static void arm_locked(vestry_presence *presence) {
  const vsi_guest *first = first_locked(presence);
  if (!first || presence->is_closed) return;
  uint64_t now = vsi_now_ns(presence->host), due = first->leaves_ns;
  uint64_t ms = due > now ? (due - now + VSI_NS_PER_MS - 1) / VSI_NS_PER_MS : 0;
  (void)vestry_timer_set(presence->timer, ms, 0); /* CLOSED: the runtime ends, and no change is told any more */
}

void vsi_grace_begin_locked(vestry_presence *presence, vsi_guest *one) {
  one->is_gone = true;
  one->leaves_ns = vsi_now_ns(presence->host) + presence->grace_ns;
  vsi_ring_add_last(&presence->gone, &one->gone);
  if (first_locked(presence) == one) arm_locked(presence);
}

void vsi_grace_end_locked(vsi_guest *one) {
  one->is_gone = false;
  vsi_ring_remove(&one->gone);
}

void vsi_grace_fire(vestry_timer *timer, void *ctx) {
  vestry_presence *presence = ctx;
  (void)timer;
  vsi_mutex_lock(&presence->lock);
  uint64_t now = vsi_now_ns(presence->host);
  for (vsi_guest *one; (one = first_locked(presence)) && one->leaves_ns <= now;) {
    vsi_grace_end_locked(one);
    vsi_guest_own_locked(presence, one, false);
    if (!one->others) vsi_guest_leave_locked(presence, one);
  }
  arm_locked(presence);
  vsi_mutex_unlock(&presence->lock);
}
