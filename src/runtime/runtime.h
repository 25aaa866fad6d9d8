/* SPDX-License-Identifier: MIT */
/* The parts of a runtime: a pool that runs actors, and a ticker that fires timers. */
#ifndef VSI_RUNTIME_RUNTIME_H
#define VSI_RUNTIME_RUNTIME_H

#include <stdatomic.h>

#include "base/mutex.h"
#include "runtime/pool.h"
#include "runtime/ticker.h"
#include "vestry/runtime.h"

struct vestry_runtime {
  const vestry_host *host;
  _Atomic(bool) closed;
  _Atomic(const void *) stepper; /* relaxed: identifies the thread that is in a step; NULL: none */
  vsi_pool pool;
  vsi_ticker ticker;
  vsi_mutex stage_lock; /* held while the threads are stopped */
  bool is_stopped;      /* guarded by stage_lock */
  bool has_wake;        /* guarded by stage_lock */
  vsi_wake wake;
};

/* Return whether this process is a child of the process that created the runtime, so that no thread runs here. */
static inline bool vsi_runtime_is_forked(const vestry_runtime *runtime) {
  return !vsi_is_at_home(runtime->pool.home);
}

/* Return whether new work is refused. After false, a close may still come first: work that the caller then starts is
 * run by the stop, or at the latest by the destroy. */
static inline bool vsi_runtime_is_closed(vestry_runtime *runtime) {
  /* acquire pairs with the exchange in vsi_runtime_close */
  return atomic_load_explicit(&runtime->closed, memory_order_acquire) || vsi_runtime_is_forked(runtime);
}

/* Return whether the runtime has no threads, so that its user steps it. */
static inline bool vsi_runtime_is_stepped(const vestry_runtime *runtime) {
  return !runtime->pool.workers;
}

/* Return whether the runtime is running a function on this thread. If this thread waited for other work of the runtime,
 * it could wait for ever. */
VESTRY_API bool vsi_runtime_is_inside(const vestry_runtime *runtime);

/* Post a message without a notify: vestry_actor_post in two steps, for a thread that posts several. vestry_actor_notify
 * must follow the last. */
VESTRY_API vestry_err vsi_message_actor_put(vestry_actor *actor, vestry_message *message);
/* Do vsi_actor_try_enter and vsi_actor_release for a vestry_actor. true: all messages posted before were handled, and
 * those posted meanwhile wait. */
VESTRY_API bool vsi_message_actor_try_enter(vestry_actor *actor);
VESTRY_API void vsi_message_actor_release(vestry_actor *actor);

/* Set a timer to a time on the host's clock, once. Otherwise as vestry_timer_set. */
vestry_err vsi_timer_set_at(vestry_timer *timer, uint64_t due_ns);

/* Refuse new work, as vestry_runtime_stop does, and do not wait: messages in mailboxes are still received. Idempotent.
 * Any thread; does not block. */
void vsi_runtime_close(vestry_runtime *runtime);

#endif
