/* SPDX-License-Identifier: MIT */
/* essay: a driver that sleeps over no deadline */
/* A put can bring the deadline forward, in most stores only when they were empty: armed_ns says how far the driver
 * sleeps, and a put or a tick that finds an earlier deadline re-arms the timer. No deadline is slept over: a thread
 * that makes a deadline earlier does so first, and then reads armed_ns; the driver, when it comes and when it has
 * fired, first writes armed_ns and then asks for the deadline. All four are sequentially consistent (in the built-in
 * stores; an application's own has a lock of its own to order them), so one sees the other. */
#include "store/deadline.h"

#include "runtime/timer.h"

/* Lock order: driver_lock, then what vsi_timer_set_at takes. */
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
  /* The runtime may have been closed: then nothing expires on time any more, which is what closing it means. */
  if (deadline_ns < armed_ns) (void)vsi_store_arm(store, deadline_ns);
}
