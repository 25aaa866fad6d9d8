/* SPDX-License-Identifier: MIT */
/* essay: no lost wake-up, at most one thread in an actor, also a thread that enters without a run */
#include "runtime/actor.h"
#include "base/assert.h"
#include "base/memory.h"

/* The scheduling of actors: one thread at a time is inside an actor, and each notify is followed by a run.
 *
 * The scheduling state has two bits:
 *
 *      NOTIFIED  there is a reason to run that no run has seen yet
 *      RUNNING   a thread is inside
 *
 *                  notify                    begin
 *      IDLE ------------------> READY ------------------> RUNNING
 *       ^   (takes a reference,  ^                         |    |
 *       |    then schedules)     | end (schedules)         |    | notify
 *       |                        |                         |    v
 *       |                        +--------- RUNNING_NOTIFIED <--+
 *       +--------------------------------------------------+
 *                  end (drops the reference)
 *
 * An actor that is created held begins as RUNNING, with its creating thread inside; release is the end of that run. A
 * thread that enters makes the same transition from IDLE to RUNNING without a run. Notifies that arrive meanwhile get a
 * run afterwards. A run that has queued a send (sends.c) returns while the actor stays RUNNING; vsi_actor_sent, on the
 * same thread, is the end of that run. A thread that notifies many actors may queue those that become READY later, with
 * one lock for all (vsi_notices): no other thread queues them meanwhile.
 *
 * - Exclusion: only READY → RUNNING and IDLE → RUNNING admit a thread, by a compare-and-swap, which one thread wins.
 *   Exactly one transition at a time leads to READY, and its thread schedules the actor exactly once. So an actor is in
 *   at most one queue, at most once.
 * - No lost wake-up: notify always leaves NOTIFIED set. From IDLE it schedules. On READY, a run is still to begin. On
 *   RUNNING, the end of the run finds the bit and schedules. Only the begin of a run clears the bit.
 * - Visibility: the read-modify-write of notify [N] is a release, that of begin [B] an acquire. notify writes even if
 *   the bit is set already, because a load alone would not publish the notifier's earlier writes to the coming run. [N]
 *   is also an acquire: a thread that finds IDLE and schedules puts the job into a queue, and reads what the last run
 *   left, after the end [E] of that run. [E] is a read-modify-write as well, never a store, so that it stays in the
 *   release sequence of every notify before it. And [E] is a release, so that a run sees everything of the run before
 *   it, although they were on different threads.
 * - Lifetime: the reference taken on IDLE → READY is held until a run ends in IDLE, through any number of RUNNING →
 *   READY transitions. It is taken before the transition. Once the state is READY, another thread may run the actor and
 *   drop the reference before the notifying thread reaches its next line. */

enum { IDLE = 0, NOTIFIED = 1, RUNNING = 2, READY = NOTIFIED, RUNNING_NOTIFIED = RUNNING | NOTIFIED };

void vsi_actor_init(vsi_actor *actor, const vsi_actor_class *class, vsi_pool *pool) {
  actor->class = class;
  actor->pool = pool;
  atomic_init(&actor->state, IDLE);
  actor->is_sending = false;
}

void vsi_actor_init_held(vsi_actor *actor, const vsi_actor_class *class, vsi_pool *pool) {
  vsi_actor_init(actor, class, pool);
  atomic_init(&actor->state, RUNNING);
}

/* Schedule an actor that has become READY. */
static void schedule(vsi_actor *actor, vsi_notices *notices) {
  if (actor->class->wake) {
    actor->class->wake(actor);
    return;
  }
  if (notices->count && notices->pool != actor->pool) vsi_notices_send(notices);
  STAILQ_INSERT_TAIL(&notices->jobs, &actor->job, in);
  notices->pool = actor->pool;
  notices->count++;
}

void vsi_notices_send(vsi_notices *notices) {
  if (notices->count) vsi_pool_submit(notices->pool, &notices->jobs, notices->count);
  vsi_notices_init(notices);
}

/* Schedule one actor. */
static void schedule_one(vsi_actor *actor) {
  vsi_notices notices;
  vsi_notices_init(&notices);
  schedule(actor, &notices);
  vsi_notices_send(&notices);
}

/* End a run. is_job: of the pool's job, on the thread that looks for its next job now. Returns whether the actor was
 * notified meanwhile, and is READY again. */
static bool end_run(vsi_actor *actor, bool is_job) {
  uint32_t state = atomic_fetch_and_explicit(&actor->state, ~(uint32_t)RUNNING, memory_order_release); /* [E] */
  VSI_ASSERT(state & RUNNING); /* no other thread ended this run */
  if (state != RUNNING_NOTIFIED)
    actor->class->unref(actor);
  else if (is_job && !actor->class->wake)
    vsi_pool_resubmit(actor->pool, &actor->job);
  else
    schedule_one(actor);
  return state == RUNNING_NOTIFIED;
}

void vsi_actor_release(vsi_actor *actor) {
  (void)end_run(actor, false);
}

void vsi_notices_add(vsi_notices *notices, vsi_actor *actor) {
  const vsi_actor_class *class = actor->class;
  uint32_t state = atomic_load_explicit(&actor->state, memory_order_relaxed);
  bool held = false;
  do {
    if (state == IDLE && !held) {
      class->ref(actor);
      held = true;
    }
  } while (!atomic_compare_exchange_weak_explicit(&actor->state, &state, state | NOTIFIED,
                                                  memory_order_acq_rel, /* [N] */
                                                  memory_order_relaxed));
  if (state == IDLE)
    schedule(actor, notices);
  else if (held)
    class->unref(actor);
}

void vsi_actor_notify(vsi_actor *actor) {
  vsi_notices notices;
  vsi_notices_init(&notices);
  vsi_notices_add(&notices, actor);
  vsi_notices_send(&notices);
}

bool vsi_actor_try_enter(vsi_actor *actor) {
  const vsi_actor_class *class = actor->class;
  uint32_t idle = IDLE;
  /* relaxed: a check, so that no reference is taken if the actor is busy */
  if (class->wake || !actor->pool->workers_count || atomic_load_explicit(&actor->state, memory_order_relaxed) != IDLE)
    return false;
  class->ref(actor);
  if (atomic_compare_exchange_strong_explicit(&actor->state, &idle, RUNNING, memory_order_acq_rel, /* [N], [B] */
                                              memory_order_relaxed))
    return true;
  class->unref(actor); /* not the last reference, because the caller holds one */
  return false;
}

/* Run a READY actor. is_job: as for end_run. */
static bool run_ready(vsi_actor *actor, bool is_job) {
  uint32_t state = READY;
  if (!atomic_compare_exchange_strong_explicit(&actor->state, &state, RUNNING, memory_order_acquire, /* [B] */
                                               memory_order_relaxed))
    return false;
  actor->class->run(actor);
  return !actor->is_sending && end_run(actor, is_job);
}

bool vsi_actor_run(vsi_actor *actor) {
  return run_ready(actor, false);
}

bool vsi_actor_job_is_short(const vsi_job *job) {
  return ((const vsi_actor *)job)->class->sent;
}

/* The lines of the next runs are fetched meanwhile, because a short run mostly waits for them. */
void vsi_actor_run_jobs(vsi_job *const *jobs, size_t count) {
  enum { FETCHED_AHEAD = 3 };
  (void)vsi_pool_flush(((vsi_actor *)jobs[0])->pool, vsi_actor_job_is_short(jobs[0]) ? (uint32_t)count : 0);
  for (size_t i = 1; i < count && i < FETCHED_AHEAD; i++) vsi_job_fetch(jobs[i]);
  for (size_t i = 0; i < count; i++) {
    if (i + FETCHED_AHEAD < count) vsi_job_fetch(jobs[i + FETCHED_AHEAD]);
    (void)run_ready((vsi_actor *)jobs[i], i + 1 == count);
  }
}

void vsi_actor_sent(const vsi_send *all, size_t count) {
  const vsi_actor_class *class = all->actor->class;
  for (size_t i = 0; i < count; i++) {
    VSI_ASSERT(all[i].actor->is_sending && all[i].actor->class == class);
    all[i].actor->is_sending = false;
  }
  class->sent(all, count);
  for (size_t i = 0; i < count; i++) (void)end_run(all[i].actor, false);
}
