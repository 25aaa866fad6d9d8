/* SPDX-License-Identifier: MIT */

#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>

#include "base/log.h"
#include "base/memory.h"
#include "base/mutex.h"
#include "base/refs.h"
#include "runtime/actor.h"
#include "runtime/runtime.h"

/* vestry_timer: an intrusive timer that notifies an actor, whose run calls the callback. The actor ensures that the
 * callback never runs on two threads at once, and that it runs on a thread of the pool. `pending` passes the expiry
 * from the timer to the actor; because it is a flag, several missed periods become one.
 *
 * References. The owner holds one until destroy. While the timer is on the wheel, the wheel holds one, which is dropped
 * by the thread that removes the timer (a cancel that returns true, or the fire). The actor holds one from READY to the
 * end of the run. So if the timer is cancelled or destroyed while wheel_fire runs, wheel_fire still finds the memory,
 * sees that the timer is not due, and drops its reference.
 *
 * wheel_fire does not assume that the timer is due, but compares the clock with the deadline that was set last. So if
 * the deadline was replaced meanwhile, the callback does not run before the new deadline.
 *
 * The timer's lock is outside the ticker's. No callback runs under either. */

struct vestry_timer {
  vsi_actor actor; /* first member: the class functions get a pointer to it */
  vsi_timer wheel_timer;
  _Atomic(size_t) references;
  vestry_runtime *runtime;
  vestry_timer_fn fire;
  void *ctx;
  vsi_mutex lock;
  pthread_cond_t idle; /* running became false */
  bool armed;          /* guarded by lock: due_ns has not come yet */
  bool pending;        /* guarded by lock: due_ns has come, and the callback has yet to run */
  bool running;        /* guarded by lock */
  bool destroyed;      /* guarded by lock */
  pthread_t runner;    /* guarded by lock, while running */
  uint64_t due_ns;     /* guarded by lock, while armed */
  uint64_t period_ns;  /* guarded by lock; 0: once */
};

static void class_ref(vsi_actor *actor) {
  VSI_REFS_TAKE(&((vestry_timer *)actor)->references);
}

static void timer_unref(vestry_timer *timer) {
  /* release and acquire: the writes of all holders come before the free */
  if (!VSI_REFS_DROP(&timer->references)) return;
  pthread_cond_destroy(&timer->idle);
  vsi_mutex_finish(&timer->lock);
  vsi_free(timer->runtime->host, timer);
}

static void class_unref(vsi_actor *actor) {
  timer_unref((vestry_timer *)actor);
}

static void class_run(vsi_actor *actor) {
  vestry_timer *timer = (vestry_timer *)actor;
  vsi_mutex_lock(&timer->lock);
  bool run = timer->pending;
  timer->pending = false;
  timer->running = run;
  timer->runner = pthread_self();
  vsi_mutex_unlock(&timer->lock);
  if (!run) return;
  timer->fire(timer, timer->ctx);
  vsi_mutex_lock(&timer->lock);
  timer->running = false;
  pthread_cond_broadcast(&timer->idle);
  vsi_mutex_unlock(&timer->lock);
}

static const vsi_actor_class timer_actor = {.run = class_run, .ref = class_ref, .unref = class_unref};

/* Put the timer on the wheel for due_ns, or move it there. */
static vestry_err arm_locked(vestry_timer *timer, uint64_t due_ns) {
  bool was_armed;
  VSI_REFS_TAKE(&timer->references); /* first, because an armed timer may fire and drop it at once */
  vestry_err error = vsi_ticker_arm(&timer->runtime->ticker, &timer->wheel_timer, due_ns, 0, &was_armed);
  if (error != VESTRY_OK || was_armed) timer_unref(timer); /* not the last reference, because the caller has one */
  if (error) return error;
  timer->armed = true;
  timer->due_ns = due_ns;
  return VESTRY_OK;
}

static void disarm_locked(vestry_timer *timer) {
  timer->armed = timer->pending = false;
  /* not the last reference, as above */
  if (vsi_ticker_cancel(&timer->runtime->ticker, &timer->wheel_timer)) timer_unref(timer);
}

static void wheel_fire(vsi_timer *wheel_timer, vsi_notices *notices) {
  vestry_timer *timer = (vestry_timer *)((char *)wheel_timer - offsetof(vestry_timer, wheel_timer));
  vsi_mutex_lock(&timer->lock);
  uint64_t now_ns = vsi_now_ns(timer->runtime->host);
  const bool due = timer->armed && timer->due_ns <= now_ns;
  uint64_t next_ns = timer->due_ns; /* this fire belongs to a replaced deadline, or the clock was set back */
  if (due && timer->period_ns) {
    uint64_t missed = (now_ns - timer->due_ns) / timer->period_ns;
    /* the product is at most now_ns - due_ns */
    next_ns = vsi_add_saturating(timer->due_ns + missed * timer->period_ns, timer->period_ns);
  }
  if (due && !timer->period_ns)
    disarm_locked(timer); /* it may have been set again since it left the wheel, to a time that is due */
  else if (timer->armed)
    timer->armed = !arm_locked(timer, next_ns);
  if (due) timer->pending = true;
  vsi_mutex_unlock(&timer->lock);
  if (due) vsi_notices_add(notices, &timer->actor);
  timer_unref(timer); /* the reference of the wheel */
}

vestry_err vestry_timer_create(vestry_runtime *runtime, vestry_timer_fn fire, void *ctx, vestry_timer **ret_timer) {
  if (!runtime) return VESTRY_INVALID;
  if (!fire || !ret_timer) return vsi_mistake(runtime->host, "vestry_timer_create", "fire or ret_timer is NULL");
  if (vsi_runtime_is_closed(runtime)) return VESTRY_CLOSED;
  vestry_timer *timer = vsi_calloc(runtime->host, 1, sizeof *timer);
  if (!timer) return VESTRY_NO_MEMORY;
  vsi_actor_init(&timer->actor, &timer_actor, &runtime->pool);
  vsi_timer_init(&timer->wheel_timer, wheel_fire);
  VSI_REFS_INIT(&timer->references, 1);
  timer->runtime = runtime;
  timer->fire = fire;
  timer->ctx = ctx;
  vsi_mutex_init(&timer->lock, VSI_LOCK_TIMER); /* cannot fail on Linux */
  pthread_cond_init(&timer->idle, NULL);
  *ret_timer = timer;
  return VESTRY_OK;
}

/* Set the timer. wait_ns: relative to now, which is read under the lock, or to the beginning of the clock; UINT64_MAX:
 * never */
static vestry_err set(vestry_timer *timer, bool from_now, uint64_t wait_ns, uint64_t period_ns) {
  if (vsi_runtime_is_forked(timer->runtime)) return VESTRY_CLOSED;
  vsi_mutex_lock(&timer->lock);
  vestry_err error = VESTRY_OK;
  if (wait_ns == UINT64_MAX)
    disarm_locked(timer);
  else if (timer->destroyed)
    error = VESTRY_CLOSED;
  else
    error = arm_locked(timer, vsi_add_saturating(from_now ? vsi_now_ns(timer->runtime->host) : 0, wait_ns));
  if (!error) {
    timer->pending = false; /* a callback that has not begun belongs to the deadline that is replaced */
    timer->period_ns = period_ns;
  }
  vsi_mutex_unlock(&timer->lock);
  return error;
}

vestry_err vestry_timer_set(vestry_timer *timer, uint64_t delay_ms, uint64_t period_ms) {
  return set(timer, true, vsi_ms_to_ns(delay_ms), vsi_ms_to_ns(period_ms));
}

vestry_err vsi_timer_set_at(vestry_timer *timer, uint64_t due_ns) {
  return set(timer, false, due_ns, 0);
}

void vestry_timer_destroy(vestry_timer *timer) {
  if (!timer || vsi_runtime_is_forked(timer->runtime)) return;
  vsi_mutex_lock(&timer->lock);
  timer->destroyed = true;
  disarm_locked(timer);
  while (timer->running && !pthread_equal(timer->runner, pthread_self())) vsi_mutex_wait(&timer->lock, &timer->idle);
  vsi_mutex_unlock(&timer->lock);
  timer_unref(timer); /* the reference of the owner */
}
