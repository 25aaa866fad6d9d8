/* SPDX-License-Identifier: MIT */
/* A driven store sleeps on a timer until its next deadline, ticks, and asks for the deadline after that (deadline.c).
 * */
#include "store/deadline.h"

/* timer: NULL to detach. Returns the timer that has nothing to do any more: the store's, or one that finds another. */
static vestry_timer *attach(vestry_store *store, vestry_timer *timer) {
  vsi_mutex_lock(&store->driver_lock);
  vestry_timer *left = timer && store->timer ? timer : store->timer;
  if (left != timer || !timer) {
    store->timer = timer;
    atomic_store_explicit(&store->armed_ns, timer ? UINT64_MAX : 0, memory_order_seq_cst);
  }
  vsi_mutex_unlock(&store->driver_lock);
  return left;
}

static void fire(vestry_timer *timer, void *ctx) {
  (void)timer;
  vestry_store *store = ctx;
  vsi_mutex_lock(&store->driver_lock);
  /* A timer that is being destroyed is detached already, and its destruction waits for this call to end. */
  if (store->timer) atomic_store_explicit(&store->armed_ns, UINT64_MAX, memory_order_seq_cst);
  vsi_mutex_unlock(&store->driver_lock);
  (void)vestry_store_tick(store); /* which arms it anew */
}

vestry_err vestry_store_drive(vestry_store *store, vestry_runtime *runtime) {
  vestry_timer *timer = NULL;
  if (!store) return VESTRY_INVALID;
  vestry_err error = runtime ? vestry_timer_create(runtime, fire, store, &timer) : VESTRY_OK;
  if (error) return error;
  vestry_timer *left = attach(store, timer);
  if (timer) error = left ? VESTRY_EXISTS : vsi_store_arm(store, vsi_store_deadline_ns(store));
  if (error && !left) left = attach(store, NULL);
  vestry_timer_destroy(left); /* waits for fire, which takes driver_lock: not held here */
  return error;
}
