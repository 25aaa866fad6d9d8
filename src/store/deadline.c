/* SPDX-License-Identifier: MIT */
/* essay: a driver that never sleeps past a deadline */
/* The driver of a store: a timer that calls vestry_store_tick at the store's next deadline.
 *
 * A put can create an earlier deadline; in most stores this happens only when they were empty. armed_ns is the time
 * until which the driver sleeps. A put or a tick that finds an earlier deadline re-arms the timer. The driver never
 * sleeps past a deadline, because each side writes before it reads:
 *
 * - a thread that makes a deadline earlier writes the deadline first, and then reads armed_ns;
 * - the driver, when it is attached and after it has fired, writes armed_ns first, and then reads the deadline.
 *
 * All four accesses are sequentially consistent (in the built-in stores; a store of the application orders them by a
 * lock), so at least one side sees the write of the other. */
#include "store/deadline.h"

#include "runtime/timer.h"

/* Lock order: driver_lock, then the locks that vsi_timer_set_at takes. */
static vestry_err arm_locked(vestry_store *store, uint64_t deadline_ns) {
  if (!store->timer || deadline_ns >= atomic_load_explicit(&store->armed_ns, memory_order_relaxed)) return VESTRY_OK;
  vestry_err error = vsi_timer_set_at(store->timer, deadline_ns);
  if (!error) atomic_store_explicit(&store->armed_ns, deadline_ns, memory_order_relaxed);
  return error;
}

vestry_err vsi_store_arm(vestry_store *store, uint64_t deadline_ns) {
  vsi_mutex_lock(&store->driver_lock);
  vestry_err error = arm_locked(store, deadline_ns);
  vsi_mutex_unlock(&store->driver_lock);
  return error;
}

uint64_t vsi_store_deadline_ns(vestry_store *store) {
  return store->ops->next_deadline_ns ? store->ops->next_deadline_ns(store->self) : UINT64_MAX;
}

void vsi_store_driver_wake_armed(vestry_store *store, uint64_t armed_ns) {
  uint64_t deadline_ns = vsi_store_deadline_ns(store);
  /* The runtime may be closed. Then the timer cannot be set, and nothing expires on time any more, as documented. */
  if (deadline_ns < armed_ns) (void)vsi_store_arm(store, deadline_ns);
}
