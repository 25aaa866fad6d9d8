/* SPDX-License-Identifier: MIT */
/* The scheduling half of an actor, without a mailbox: its owner decides what a run does.
 *
 * vestry_actor (mailbox of messages) and the stream (bounded mailbox of events) are both built on it. An actor runs
 * where its class says: on the runtime's pool, or on a thread of its owner's that `wake` rouses. */
#ifndef VSI_RUNTIME_ACTOR_H
#define VSI_RUNTIME_ACTOR_H

#include <stdatomic.h>
#include <stdbool.h>

#include "runtime/pool.h"

typedef struct vsi_actor vsi_actor;

typedef struct vsi_actor_class {
  /* One run. Never in two threads at once. */
  void (*run)(vsi_actor *actor);
  /* Hold the embedding object from "ready" until the run is over. Called by the notifying thread, which holds a
   * reference of its own at that moment. */
  void (*ref)(vsi_actor *actor);
  void (*unref)(vsi_actor *actor);
  /* NULL: the pool runs it. Otherwise: rouse the thread that will call vsi_actor_run. Any thread, no lock held, must
   * not block. */
  void (*wake)(vsi_actor *actor);
} vsi_actor_class;

struct vsi_actor {
  vsi_job job; /* first: a job is its actor. In the pool's queue while READY, unless the class has a wake */
  const vsi_actor_class *class;
  vsi_pool *pool;
  _Atomic(uint32_t) state; /* IDLE, READY, RUNNING, RUNNING_NOTIFIED: see actor.c */
};

/* It has become READY: have it run. */
static inline void vsi_actor_schedule(vsi_actor *actor) {
  if (actor->class->wake)
    actor->class->wake(actor);
  else
    vsi_pool_submit(actor->pool, &actor->job);
}

VESTRY_API void vsi_actor_init(vsi_actor *actor, const vsi_actor_class *class, vsi_pool *pool);
/* Initialize held: no run begins before vsi_actor_release. A notify meanwhile is remembered, and wakes no worker. The
 * caller has taken a reference by the class for it, which vsi_actor_release drops. */
void vsi_actor_init_held(vsi_actor *actor, const vsi_actor_class *class, vsi_pool *pool);
/* The end of that, once; also of what vsi_actor_enter began. If the actor was notified meanwhile, it runs soon. */
void vsi_actor_release(vsi_actor *actor);

/* The actor will run at least once after this call; everything the caller wrote before is visible to that run.
 * Any thread; lock-free but for the pool's queue. Works on a closed runtime; after it has stopped, the run waits for
 * the destroy. */
VESTRY_API void vsi_actor_notify(vsi_actor *actor);

/* vsi_actor_notify by a thread that would rather do itself what the notify is for.
 * Returns  true: the actor was IDLE and is RUNNING; the caller is inside until it calls vsi_actor_release. What others
 *          notify of meanwhile gets a run after that. false: it will run, as after a notify: it is busy, is not the
 *          pool's, or the pool has no threads of its own */
bool vsi_actor_enter(vsi_actor *actor);
/* The same without the notify: nothing is done when it returns false. */
bool vsi_actor_try_enter(vsi_actor *actor);

/* Run a READY actor once, on this thread. Returns true when it was notified meanwhile and is READY again (a pool actor
 * has been queued again, a woken one has been woken again); false when it is IDLE or was not READY. */
bool vsi_actor_run_job(vsi_job *job); /* as vsi_pool_init wants it */
static inline bool vsi_actor_run(vsi_actor *actor) {
  return vsi_actor_run_job(&actor->job);
}

#endif
