/* SPDX-License-Identifier: MIT */
/* The driver sleeps on a timer until the store's next deadline, ticks, and asks for the deadline after that
 * (deadline.c). */
#include "base/memory.h"
#include "store/deadline.h"

struct vestry_store_driver {
  vestry_store *store;
  vestry_timer *timer;
};

/* timer: NULL to detach. */
static bool attach(vestry_store *store, vestry_timer *timer) {
  vsi_mutex_lock(&store->driver_lock);
  bool free = !timer || !store->timer;
  if (free) {
    store->timer = timer;
    atomic_store_explicit(&store->armed_ns, timer ? UINT64_MAX : 0, memory_order_seq_cst);
  }
  vsi_mutex_unlock(&store->driver_lock);
  return free;
}

static void fire(vestry_timer *timer, void *ctx) {
  (void)timer;
  vestry_store *store = ((vestry_store_driver *)ctx)->store;
  vsi_mutex_lock(&store->driver_lock);
  /* A driver that is being destroyed is detached already, and is waiting for this call to end. */
  if (store->timer) atomic_store_explicit(&store->armed_ns, UINT64_MAX, memory_order_seq_cst);
  vsi_mutex_unlock(&store->driver_lock);
  (void)vestry_store_tick(store); /* which arms it anew */
}

vestry_err vestry_store_driver_create(vestry_store *store, vestry_runtime *runtime, vestry_store_driver **ret_driver) {
  if (!store || !runtime || !ret_driver) return VESTRY_INVALID;
  vestry_store_driver *driver = vsi_calloc(store->host, 1, sizeof *driver);
  if (!driver) return VESTRY_NO_MEMORY;
  driver->store = store;
  vestry_err error = vestry_timer_create(runtime, fire, driver, &driver->timer);
  if (error) {
    vsi_free(store->host, driver);
    return error;
  }
  bool attached = attach(store, driver->timer);
  error = attached ? vsi_store_arm(store, vsi_store_deadline_ns(store)) : VESTRY_EXISTS;
  if (error) {
    if (attached) attach(store, NULL);
    vestry_timer_destroy(driver->timer);
    vsi_free(store->host, driver);
    return error;
  }
  *ret_driver = driver;
  return VESTRY_OK;
}

void vestry_store_driver_destroy(vestry_store_driver *driver) {
  if (!driver) return;
  attach(driver->store, NULL);
  vestry_timer_destroy(driver->timer); /* waits for fire, which takes driver_lock: not held here */
  vsi_free(driver->store->host, driver);
}
