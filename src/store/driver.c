/* The driver sleeps on a timer until the store's next deadline, ticks, and asks for the deadline after that.
 *
 * A put can bring the deadline forward, in most stores only when they were empty: armed_ns says how far the driver
 * sleeps, and a put or a tick that finds an earlier deadline re-arms the timer. No deadline is slept over: who makes a
 * deadline earlier does so first, and then reads armed_ns; the driver, when it comes and when it has fired, first
 * writes armed_ns and then asks for the deadline. All four are sequentially consistent (in the built-in stores; an
 * application's own has a lock of its own to order them), so one sees the other. */
#include "base/memory.h"
#include "runtime/timer.h"
#include "store/store.h"

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

uint64_t vsi_store_deadline_ns(vestry_store *store) {
  return store->ops->next_deadline_ns ? store->ops->next_deadline_ns(store->self) : UINT64_MAX;
}

void vsi_store_driver_wake_armed(vestry_store *store, uint64_t armed_ns) {
  uint64_t deadline_ns = vsi_store_deadline_ns(store);
  /* The runtime may have been closed: then nothing expires on time any more, which is what closing it means. */
  if (deadline_ns < armed_ns) (void)arm(store, deadline_ns);
}

/* driver: NULL to detach. */
static bool attach(vestry_store *store, vestry_store_driver *driver) {
  pthread_mutex_lock(&store->driver_lock);
  bool free = !driver || !store->driver;
  if (free) {
    store->driver = driver;
    atomic_store_explicit(&store->armed_ns, driver ? UINT64_MAX : 0, memory_order_seq_cst);
  }
  pthread_mutex_unlock(&store->driver_lock);
  return free;
}

static void fire(vestry_timer *timer, void *ctx) {
  (void)timer;
  vestry_store *store = ((vestry_store_driver *)ctx)->store;
  pthread_mutex_lock(&store->driver_lock);
  /* A driver that is being destroyed is detached already, and is waiting for this call to end. */
  if (store->driver) atomic_store_explicit(&store->armed_ns, UINT64_MAX, memory_order_seq_cst);
  pthread_mutex_unlock(&store->driver_lock);
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
  bool attached = attach(store, driver);
  error = attached ? arm(store, vsi_store_deadline_ns(store)) : VESTRY_EXISTS;
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
