/* SPDX-License-Identifier: MIT */
/* The scheduling half of an actor, without a mailbox: its owner decides what a run does.
 *
 * vestry_actor (a mailbox of messages) and the stream (a bounded mailbox of events) are both built on it. An actor runs
 * where its class specifies: on the runtime's pool, or on its owner's thread, which `wake` wakes. */
#ifndef VSI_RUNTIME_ACTOR_H
#define VSI_RUNTIME_ACTOR_H

#include <stdatomic.h>
#include <stdbool.h>

#include "runtime/pool.h"

typedef struct vsi_actor vsi_actor;

/* A send that a run has queued (sends.h). */
enum { VSI_SENDS_TOGETHER = 16 };
typedef struct vsi_send {
  vsi_actor *actor;
  int result; /* of send(2), or the negative errno */
  int descriptor;
  uint32_t at, len; /* of its bytes, in those of the batch */
} vsi_send;

typedef struct vsi_actor_class {
  /* Performs one run. Never on two threads at once. */
  void (*run)(vsi_actor *actor);
  /* Hold the embedding object from "ready" until the run is over. Called by the notifying thread, which holds another
   * reference at that moment. */
  void (*ref)(vsi_actor *actor);
  void (*unref)(vsi_actor *actor);
  /* NULL: the pool runs the actor. Otherwise, wakes the thread that will call vsi_actor_run. Any thread, no lock held,
   * must not block. */
  void (*wake)(vsi_actor *actor);
  /* Called on the thread of the runs when sends that they have queued (sends.h) have their results. The runs end
   * afterwards. count: at most VSI_SENDS_TOGETHER. All actors of a pool that send are of one class. NULL: its runs
   * queue no sends; they may take long, so the sends that wait are sent before each. */
  void (*sent)(const vsi_send *all, size_t count);
} vsi_actor_class;

struct vsi_actor {
  vsi_job job; /* first member: a job is its actor. In the pool's queue while READY, unless the class has a wake */
  const vsi_actor_class *class;
  vsi_pool *pool;
  _Atomic(uint32_t) state; /* IDLE, READY, RUNNING, RUNNING_NOTIFIED: see actor.c */
  bool is_sending;         /* the run continues until `sent` was called; used inside a run only */
};

VESTRY_API void vsi_actor_init(vsi_actor *actor, const vsi_actor_class *class, vsi_pool *pool);
/* Initialize as held: no run begins before vsi_actor_release. A notify meanwhile is recorded, and wakes no worker. The
 * caller has taken a reference by the class for this, which vsi_actor_release drops. */
void vsi_actor_init_held(vsi_actor *actor, const vsi_actor_class *class, vsi_pool *pool);
/* End the held state, or a vsi_actor_try_enter, once. If the actor was notified meanwhile, it runs soon. */
void vsi_actor_release(vsi_actor *actor);

/* Notify an actor: it will run at least once after this call, and that run sees everything that the caller wrote
 * before. Any thread; lock-free except for the pool's queue. Works on a closed runtime; after the runtime has stopped,
 * the run waits for the destroy. */
VESTRY_API void vsi_actor_notify(vsi_actor *actor);

/* Actors that are notified together. The members are used by the functions below. */
typedef struct vsi_notices {
  vsi_jobs jobs; /* of actors of `pool` that have become READY */
  size_t count;
  vsi_pool *pool;
} vsi_notices;
static inline void vsi_notices_init(vsi_notices *notices) {
  STAILQ_INIT(&notices->jobs);
  notices->count = 0;
}
/* Notify an actor, as vsi_actor_notify, at the latest when the notices are sent. Nothing may wait for its run before
 * that. */
void vsi_notices_add(vsi_notices *notices, vsi_actor *actor);
void vsi_notices_send(vsi_notices *notices);

/* Enter an actor, to do the work on this thread.
 * Returns  true: the actor was IDLE and is RUNNING, and the caller is inside until it calls vsi_actor_release; notifies
 *          that arrive meanwhile get a run after that. false: it is busy, does not belong to the pool, or the pool has
 *          no threads */
bool vsi_actor_try_enter(vsi_actor *actor);

/* Continue and end runs that have queued sends; called by sends.c. */
void vsi_actor_sent(const vsi_send *all, size_t count);

/* Run a READY actor once, on this thread. Returns true if it was notified meanwhile and is READY again (an actor of the
 * pool was queued again, another one was woken again); false if it is IDLE or was not READY. */
bool vsi_actor_run(vsi_actor *actor);
/* As vsi_pool_init requires. A short run is one that may queue sends. */
void vsi_actor_run_jobs(vsi_job *const *jobs, size_t count);
bool vsi_actor_job_is_short(const vsi_job *job);

#endif
