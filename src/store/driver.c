/* The driver sleeps on a timer until the store's next deadline, ticks, and asks for the deadline after that.
 *
 * A put can bring the deadline forward, in most stores only when they were empty: armed_ns says how far the driver
 * sleeps, and a put that finds an earlier deadline re-arms the timer. No deadline is slept over: if the put came before
 * the store's part of a tick, that tick saw what was put; if it came after, it sees the armed_ns that was set before
 * the tick (the store's own lock orders the two), UINT64_MAX or what was armed since. So relaxed order will do.
 *
 * The first deadline is asked for without a tick, and the built-in stores answer that without their locks. A put that
 * has found no driver may still have its deadline on the way to us: it writes that, then reads armed_ns; we write
 * armed_ns, then read that. So we go through the store's locks in between, as a tick would. */
#include "base/memory.h"
#include "runtime/timer.h"
#include "store/store.h"
#include "store/table.h"

struct vestry_store_driver {
  vestry_store *store;
  vestry_timer *timer;
};

/* Lock order: driver_lock, then what vsi_timer_set_at takes. */
static vestry_err arm_locked(vestry_store *store, uint64_t deadline_ns) {
  if (!store->driver || deadline_ns >= atomic_load_explicit(&store->armed_ns, memory_order_relaxed)) return VESTRY_OK;
  vestry_err error = vsi_timer_set_at(store->driver->timer, deadline_ns);
  if (!error) atomic_store_explicit(&store->armed_ns, deadline_ns, memory_order_relaxed);
  return error;
}

static vestry_err arm(vestry_store *store, uint64_t deadline_ns) {
  pthread_mutex_lock(&store->driver_lock);
  vestry_err error = arm_locked(store, deadline_ns);
  pthread_mutex_unlock(&store->driver_lock);
  return error;
}

void vsi_store_driver_wake(vestry_store *store) {
  if (!store->ops->next_deadline_ns) return;
  uint64_t armed_ns = atomic_load_explicit(&store->armed_ns, memory_order_relaxed);
  if (armed_ns == 0) return;
  uint64_t deadline_ns = store->ops->next_deadline_ns(store->self);
  /* The runtime may have been closed: then nothing expires on time any more, which is what closing it means. */
  if (deadline_ns < armed_ns) (void)arm(store, deadline_ns);
}

/* The driver is attached. */
static vestry_err arm_first(vestry_store *store) {
  if (!store->ops->next_deadline_ns) return VESTRY_OK;
  if (store->table) vsi_table_pass_locks(store->table);
  return arm(store, store->ops->next_deadline_ns(store->self));
}

/* driver: NULL to detach. */
static bool attach(vestry_store *store, vestry_store_driver *driver) {
  pthread_mutex_lock(&store->driver_lock);
  bool free = !driver || !store->driver;
  if (free) {
    store->driver = driver;
    atomic_store_explicit(&store->armed_ns, driver ? UINT64_MAX : 0, memory_order_relaxed);
  }
  pthread_mutex_unlock(&store->driver_lock);
  return free;
}

static void fire(vestry_timer *timer, void *ctx) {
  (void)timer;
  vestry_store *store = ((vestry_store_driver *)ctx)->store;
  pthread_mutex_lock(&store->driver_lock);
  /* A driver that is being destroyed is detached already, and is waiting for this call to end. */
  if (store->driver) atomic_store_explicit(&store->armed_ns, UINT64_MAX, memory_order_relaxed);
  pthread_mutex_unlock(&store->driver_lock);
  (void)arm(store, vestry_store_tick(store));
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
  bool attached = attach(store, driver);
  error = attached ? arm_first(store) : VESTRY_EXISTS;
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
