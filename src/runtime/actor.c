/* SPDX-License-Identifier: MIT */
/* essay: no lost wake-up, at most one thread in an actor, also one that only looks in */
#include "runtime/actor.h"
#include "base/assert.h"

/* The scheduling state is two bits:
 *
 *        NOTIFIED  there is a reason to run that no run has seen yet
 *        RUNNING   a thread is inside
 *
 *                    notify                    begin
 *        IDLE ------------------> READY ------------------> RUNNING
 *         ^   (takes a reference,  ^                         |    |
 *         |    then schedules)     | end (schedules)         |    | notify
 *         |                        |                         |    v
 *         |                        +--------- RUNNING_NOTIFIED <--+
 *         +--------------------------------------------------+
 *                    end (drops the reference)
 *
 * One that is made held begins as RUNNING, and the thread that makes it is the one inside: release is the end of that
 * run. So it is for a thread that enters, from IDLE to RUNNING: it is no run, and what others notify of meanwhile gets
 * one after it.
 *
 * Exclusion.       Only READY → RUNNING, or IDLE → RUNNING, lets a thread in, by a compare-and-swap: one wins.
 *                  READY comes about by exactly one transition at a time, and the thread that makes it schedules the
 *                  actor exactly once, so an actor is in at most one queue, at most once.
 * No lost wake-up. notify always leaves NOTIFIED set. From IDLE it schedules; on READY a run is still to begin; on
 *                  RUNNING the end of the run finds the bit and schedules. Nothing but the begin of a run clears it.
 * Visibility.      [N] notify's read-modify-write is a release, [B] begin's an acquire. notify writes even when the bit
 *                  is set already: a mere look would leave the notifier's earlier writes unpublished to the run that is
 *                  to come. [N] is an acquire too: a thread that finds IDLE and schedules writes queue_next and looks
 *                  at what the last run left, after the end [E] of that run. [E] is a read-modify-write as well, never
 *                  a store, so that it stays in the release sequence of every notify before it; and it is a release, so
 *                  that a run sees all of the one before it although they were on different threads.
 * Life.            The reference taken on IDLE → READY is held until the run ends IDLE, through any number of
 *                  RUNNING → READY turns. It is taken before the transition: once the state is READY, the thread of a
 *                  woken actor may run it, and give the reference up, before we come to the next line. */

enum { IDLE = 0, NOTIFIED = 1, RUNNING = 2, READY = NOTIFIED, RUNNING_NOTIFIED = RUNNING | NOTIFIED };

void vsi_actor_init(vsi_actor *actor, const vsi_actor_class *class, vsi_pool *pool) {
  actor->job.queue_next = NULL;
  actor->class = class;
  actor->pool = pool;
  atomic_init(&actor->state, IDLE);
}

void vsi_actor_init_held(vsi_actor *actor, const vsi_actor_class *class, vsi_pool *pool) {
  vsi_actor_init(actor, class, pool);
  atomic_init(&actor->state, RUNNING);
}

void vsi_actor_release(vsi_actor *actor) {
  uint32_t state = atomic_fetch_and_explicit(&actor->state, ~(uint32_t)RUNNING, memory_order_release); /* [E] */
  VSI_ASSERT(state & RUNNING);
  if (state == RUNNING_NOTIFIED)
    vsi_actor_schedule(actor);
  else
    actor->class->unref(actor);
}

void vsi_actor_notify(vsi_actor *actor) {
  const vsi_actor_class *class = actor->class;
  bool held = false;
  uint32_t state = atomic_load_explicit(&actor->state, memory_order_relaxed);
  do {
    if (state == IDLE && !held) {
      class->ref(actor);
      held = true;
    }
  } while (!atomic_compare_exchange_weak_explicit(&actor->state, &state, state | NOTIFIED,
                                                  memory_order_acq_rel, /* [N] */
                                                  memory_order_relaxed));
  if (state != IDLE) {
    if (held) class->unref(actor); /* another thread was faster; not the last one: the caller holds one */
    return;
  }
  vsi_actor_schedule(actor);
}

bool vsi_actor_try_enter(vsi_actor *actor) {
  const vsi_actor_class *class = actor->class;
  uint32_t idle = IDLE;
  /* relaxed: a look, so that a thread that finds it busy takes no reference in vain */
  if (class->wake || !actor->pool->workers_count || atomic_load_explicit(&actor->state, memory_order_relaxed) != IDLE)
    return false;
  class->ref(actor);
  if (atomic_compare_exchange_strong_explicit(&actor->state, &idle, RUNNING, memory_order_acq_rel, /* [N], [B] */
                                              memory_order_relaxed))
    return true;
  class->unref(actor); /* not the last one: the caller holds one */
  return false;
}

bool vsi_actor_enter(vsi_actor *actor) {
  if (vsi_actor_try_enter(actor)) return true;
  vsi_actor_notify(actor);
  return false;
}

bool vsi_actor_run_job(vsi_job *job) {
  vsi_actor *actor = (vsi_actor *)job;
  const vsi_actor_class *class = actor->class;
  uint32_t state = READY;
  if (!atomic_compare_exchange_strong_explicit(&actor->state, &state, RUNNING, memory_order_acquire, /* [B] */
                                               memory_order_relaxed))
    return false;
  class->run(actor);
  state = atomic_fetch_and_explicit(&actor->state, ~(uint32_t)RUNNING, memory_order_release); /* [E] */
  VSI_ASSERT(state & RUNNING); /* no other thread ended this run */
  if (state == RUNNING_NOTIFIED) {
    if (class->wake)
      class->wake(actor);
    else
      vsi_pool_resubmit(actor->pool, &actor->job);
    return true;
  }
  class->unref(actor);
  return false;
}
