/* SPDX-License-Identifier: MIT */
/* essay: work stealing and parking */
#include "runtime/pool.h"

#include <stdio.h>

#include "base/assert.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/thread.h"

/* A pool of worker threads that run jobs, with work stealing.
 *
 * Each worker has a queue; jobs that other threads submit go into the queue `outside`. A worker takes a job from its
 * own queue, then from `outside`, then from the other workers, one job at a time. Queues are first in, first out, and a
 * job that is submitted while it runs goes to the end, so it cannot delay others in its queue for ever. Every
 * FAIR_TURNS turns, a worker checks `outside` and one other queue first, so that it cannot delay those either.
 *
 * Parking. A worker that finds nothing sleeps. This invariant ensures that no job is forgotten:
 *
 *      while a worker is parked:  queued jobs  <=  wake-ups granted and not yet used  +  workers looking for work
 *
 * where a worker is looking from its wake-up, or the end of a run, until it has taken a job or parked. Each step keeps
 * the invariant:
 *   submit    queued + n. It then grants n wake-ups, or fewer if no worker is parked any more.
 *   resubmit  queued + 1, and a run has ended: looking + 1. No wake-up is needed, so a single busy job does not wake
 *             the idle workers of the pool.
 *   take      queued - 1, looking - 1. One at a time: a thief that moved several jobs would hide them on the way.
 *   wake      a granted wake-up becomes a worker looking.
 *   park      looking - 1, allowed only if nothing is queued. This step races with submit: the worker first counts
 *             itself as parked [P1] and then reads every queue's length [P2]; the submitter first writes the length
 *             [S1] and then reads the count [S2]. All four are seq_cst. So in their single order either P1 comes
 *             before S2, and the submitter grants a wake-up, or S1 comes before P2, and the worker does not sleep.
 *
 * A parked worker sleeps on a futex: on its own, or on the one of the bell (bell.h) if no other worker sleeps there. A
 * wake-up is granted to a specific worker: the granting thread takes it out of the list, under park_lock, and ends the
 * state WATCHED of its futex. So the wake-up is not lost if that worker does not sleep yet. It goes to the worker that
 * parked last, whose caches are the warmest. A worker that sleeps on its own futex does not take park_lock again when
 * it wakes up; glibc's conditions would take the lock as if it were contended, so that its release is a system call.
 *
 * A bell that was rung is one more queued job, which its answer takes. Its state is written by a ring, like the length
 * of a queue [S1], and read before a worker sleeps [P2]. Two transitions end its state WATCHED, and only one of them
 * takes place: a granted wake-up, or a ring, which wakes the watcher for itself without park_lock. A watcher that the
 * ring has woken stays in the list until it takes the lock; a thread that finds it there meanwhile removes it, and
 * grants the wake-up to another worker. Only the watcher itself ends its role, when it is awake. If another worker
 * watched earlier, the state would be WATCHED again, and the former watcher would sleep on.
 *
 * Stopping. A worker leaves if the pool is stopping and it finds all queues empty after it counted itself as parked.
 * Jobs that another worker submits later, from inside its last run, stay in that worker's queue and are run by it. Jobs
 * that other threads submit later are in `outside` and are run by the thread that stops or destroys the runtime. */

enum { FAIR_TURNS = 16 };

/* The worker of this thread; NULL: this thread is no worker. Without it, each submit would have to search for the
 * calling thread. */
static _Thread_local vsi_pool_worker *this_worker;

/* Return the worker of the pool that this thread is; NULL: it is none. */
static vsi_pool_worker *worker_here(const vsi_pool *pool) {
  return this_worker && this_worker->pool == pool ? this_worker : NULL;
}

static bool anything_queued(vsi_pool *pool) {
  vsi_bell *bell = atomic_load_explicit(&pool->bell, memory_order_relaxed); /* written under park_lock */
  if (bell && atomic_load_explicit(&bell->state, memory_order_seq_cst) == VSI_BELL_RUNG) return true; /* [P2] */
  if (atomic_load_explicit(&pool->outside.length, memory_order_seq_cst)) return true;                 /* [P2] */
  for (uint32_t i = 0; i < pool->workers_count; i++)
    if (atomic_load_explicit(&pool->workers[i].queue.length, memory_order_seq_cst)) return true; /* [P2] */
  return false;
}

/* Move the state of the bell. Returns false if it is another one. */
static bool move_bell(vsi_bell *bell, uint32_t from, uint32_t to) {
  return atomic_compare_exchange_strong_explicit(&bell->state, &from, to, memory_order_seq_cst, memory_order_relaxed);
}

/* Take a worker out of the list. Returns false if the bell has woken it, for the ring. */
static bool unpark_this_locked(vsi_pool_worker *worker) {
  vsi_pool *pool = worker->pool;
  SLIST_REMOVE(&pool->parked_workers, worker, vsi_pool_worker, in_parked);
  worker->is_parked = false;
  atomic_fetch_sub_explicit(&pool->parked, 1, memory_order_relaxed);
  uint32_t watched = VSI_BELL_WATCHED;
  return atomic_compare_exchange_strong_explicit(&worker->sleeps_on->state, &watched, VSI_BELL_QUIET,
                                                 memory_order_seq_cst, memory_order_relaxed);
}

/* Wake the worker that parked last, if one is parked. */
static void wake_one(vsi_pool *pool) {
  vsi_bell *bell = NULL;
  vsi_mutex_lock(&pool->park_lock);
  for (vsi_pool_worker *worker; !bell && (worker = SLIST_FIRST(&pool->parked_workers)) != NULL;)
    if (unpark_this_locked(worker)) bell = worker->sleeps_on;
  vsi_wake *wake = pool->wake;
  vsi_mutex_unlock(&pool->park_lock);
  if (wake) vsi_wake_signal(wake);
  if (bell) vsi_bell_wake(bell);
}

/* Sleep until woken. Returns false if the worker must leave. */
static bool park(vsi_pool_worker *worker) {
  vsi_pool *pool = worker->pool;
  vsi_mutex_lock(&pool->park_lock);
  SLIST_INSERT_HEAD(&pool->parked_workers, worker, in_parked);
  worker->is_parked = true;
  atomic_fetch_add_explicit(&pool->parked, 1, memory_order_seq_cst); /* [P1] */
  vsi_bell *bell = pool->is_watched ? NULL : atomic_load_explicit(&pool->bell, memory_order_relaxed);
  const bool watches = bell && move_bell(bell, VSI_BELL_QUIET, VSI_BELL_WATCHED);
  pool->is_watched |= watches;
  if (!watches) {
    bell = &worker->own;
    (void)move_bell(bell, VSI_BELL_QUIET, VSI_BELL_WATCHED);
  }
  worker->sleeps_on = bell;
  const bool has_work = anything_queued(pool), sleeps = !has_work && !pool->stopping;
  const bool was_rung = !sleeps && !unpark_this_locked(worker);
  if (watches && !sleeps) pool->is_watched = false;
  vsi_mutex_unlock(&pool->park_lock);
  if (was_rung) wake_one(pool); /* the ring relies on this worker, and so does the other work that it has found */
  if (!sleeps) return has_work || was_rung;
  /* acquire pairs with the transition that ends the state */
  while (atomic_load_explicit(&bell->state, memory_order_acquire) == VSI_BELL_WATCHED) vsi_bell_sleep(bell);
  if (!watches) return true;
  vsi_mutex_lock(&pool->park_lock);
  if (worker->is_parked) (void)unpark_this_locked(worker); /* the ring has woken it */
  pool->is_watched = false;
  vsi_mutex_unlock(&pool->park_lock);
  return true;
}

static void answer(vsi_pool_worker *worker, vsi_bell *bell) {
  if (!move_bell(bell, VSI_BELL_RUNG, VSI_BELL_QUIET)) return; /* another worker was faster */
  worker->is_answering = true;
  bell->answer(bell);
  worker->is_answering = false;
}

static vsi_job *take(vsi_pool_worker *worker) {
  vsi_pool *pool = worker->pool;
  vsi_job *job = NULL;
  vsi_bell *bell = atomic_load_explicit(&pool->bell, memory_order_acquire);
  /* relaxed: [P2] corrects a miss before a worker sleeps */
  if (bell && atomic_load_explicit(&bell->state, memory_order_relaxed) == VSI_BELL_RUNG) answer(worker, bell);
  uint32_t turn = worker->turn++;
  if (turn % FAIR_TURNS == 0) {
    job = vsi_job_queue_pop(&pool->outside);
    if (!job) job = vsi_job_queue_pop(&pool->workers[turn / FAIR_TURNS % pool->workers_count].queue);
    if (job) return job;
  }
  job = vsi_job_queue_pop(&worker->queue);
  if (!job) job = vsi_job_queue_pop(&pool->outside);
  for (uint32_t i = 1; i < pool->workers_count && !job; i++)
    job = vsi_job_queue_pop(&pool->workers[(worker->index + i) % pool->workers_count].queue);
  return job;
}

/* ------------------------------------------------------------------------------------------------- lag ---------- */

void vsi_pool_observe(vsi_pool *pool, bool observes) {
  atomic_fetch_add_explicit(&pool->observers_count, observes ? 1 : UINT32_MAX, memory_order_relaxed);
}

/* Sample the delay of a job that is about to be queued: mark it, and store the time. Of the jobs that one thread
 * submits, the first and then every 64th is a sample, unless another job is marked at that time. */
static void mark(vsi_pool *pool, vsi_job *job) {
  static _Thread_local unsigned submits;
  vsi_job *none = NULL;
  /* acquire pairs with the release store in note_lag: the time of the job that was marked before has been read, so
   * marked_ns may be overwritten */
  if (submits++ % 64 == 0 &&
      atomic_compare_exchange_strong_explicit(&pool->marked, &none, job, memory_order_acquire, memory_order_relaxed))
    pool->marked_ns = vsi_now_ns(pool->host);
}

/* Record the delay of a job that is about to run, if it is marked. The job was marked before it was queued, so the
 * thread that takes it out of the queue sees the mark and the time. */
static void note_lag(vsi_pool *pool, const vsi_job *job) {
  if (__builtin_expect(atomic_load_explicit(&pool->marked, memory_order_relaxed) != job, 1)) return;
  vsi_histogram_add(&pool->lag, &vsi_moments, vsi_now_ns(pool->host) - pool->marked_ns);
  atomic_store_explicit(&pool->marked, NULL, memory_order_release);
}

/* ------------------------------------------------------------------------------------ running and submitting ------ */

static void *work(void *argument) {
  vsi_pool_worker *worker = argument;
  this_worker = worker;
  do {
    vsi_job *job;
    while ((job = take(worker)) != NULL || vsi_pool_flush(worker->pool, 0)) {
      if (!job) continue;
      note_lag(worker->pool, job);
      worker->pool->run(job);
    }
  } while (park(worker));
  if (worker->deferred) worker->deferred->destroy(worker->deferred);
  this_worker = NULL;
  return NULL;
}

bool vsi_pool_is_mine(const vsi_pool *pool) {
  return worker_here(pool);
}

vsi_deferred **vsi_pool_deferred(vsi_pool *pool) {
  if (!pool->workers_count) return &pool->deferred;
  return this_worker && this_worker->pool == pool ? &this_worker->deferred : NULL;
}

bool vsi_pool_flush(vsi_pool *pool, uint32_t runs_count) {
  vsi_deferred **at = vsi_pool_deferred(pool);
  return at && *at && (*at)->flush(*at, runs_count);
}

void vsi_pool_batch(vsi_pool *pool, bool is_wanted) {
#ifdef VSI_WITHOUT_URING /* no stream batches, and vestry_runtime_batching is 0 */
  if (is_wanted)
    vsi_log(
        pool->host, VESTRY_LOG_WARN,
        "runtime: sends are not batched (vestry_runtime_options.io): vestry was built without liburing (VESTRY_URING)");
#else
  (void)is_wanted;
  atomic_store_explicit(&pool->batches, true, memory_order_relaxed); /* relaxed: a worker that misses it writes */
#endif
}

void vsi_pool_submit(vsi_pool *pool, vsi_jobs *jobs, size_t count) {
  /* A forked process (vsi_home) has no workers, and another thread of the parent may have held the queue's lock at the
   * fork. */
  if (!vsi_is_at_home(pool->home)) return;
  if (__builtin_expect(atomic_load_explicit(&pool->observers_count, memory_order_relaxed) != 0, 0))
    mark(pool, STAILQ_FIRST(jobs));
  vsi_pool_worker *worker = worker_here(pool);
  vsi_job_queue_push(worker ? &worker->queue : &pool->outside, jobs, count);
  if (worker && worker->is_answering) { /* as for a resubmit */
    worker->is_answering = false;
    count--;
  }
  for (; count && atomic_load_explicit(&pool->parked, memory_order_seq_cst) > 0; count--) wake_one(pool); /* [S2] */
}

void vsi_pool_resubmit(vsi_pool *pool, vsi_job *job) {
  vsi_pool_worker *worker = worker_here(pool);
  vsi_job_queue_push_one(worker ? &worker->queue : &pool->outside, job);
}

void vsi_pool_rung(vsi_pool *pool) {
  if (atomic_load_explicit(&pool->parked, memory_order_seq_cst) > 0) wake_one(pool); /* [S2] */
}

void vsi_pool_set_bell(vsi_pool *pool, vsi_bell *bell) {
  vsi_mutex_lock(&pool->park_lock);
  atomic_store_explicit(&pool->bell, bell, memory_order_release); /* pairs with `take` */
  vsi_mutex_unlock(&pool->park_lock);
  wake_one(pool); /* it parks again, on the bell */
}

/* Run one job. Returns false if there was none. */
static bool run_first(vsi_pool *pool) {
  vsi_job *job = vsi_job_queue_pop(&pool->outside);
  if (!job) return vsi_pool_flush(pool, 0);
  note_lag(pool, job);
  pool->run(job);
  return true;
}

void vsi_pool_wake_by(vsi_pool *pool, vsi_wake *wake) {
  vsi_mutex_lock(&pool->park_lock);
  if (!pool->wake) { /* once set, it is read without the lock */
    /* The event loop that steps the pool counts as one parked worker, so each submit calls wake_one, which signals
     * it. */
    pool->wake = wake;
    atomic_store_explicit(&pool->parked, 1, memory_order_seq_cst);
  }
  vsi_mutex_unlock(&pool->park_lock);
}

bool vsi_pool_run_or_clear(vsi_pool *pool) {
  if (run_first(pool)) return true;
  if (!pool->wake) return false; /* set by the thread that steps the runtime, or before it began to step */
  vsi_wake_clear(pool->wake);
  /* [C3] of wake.c: seq_cst, like [S1] */
  return atomic_load_explicit(&pool->outside.length, memory_order_seq_cst) && run_first(pool);
}

bool vsi_pool_drain(vsi_pool *pool) {
  bool any = false;
  while (run_first(pool)) any = true;
  return any;
}

/* Make the first `count` workers leave when there are no jobs left, and join them. */
static void join_workers(vsi_pool *pool, uint32_t count) {
  vsi_mutex_lock(&pool->park_lock);
  pool->stopping = true;
  vsi_mutex_unlock(&pool->park_lock);
  for (uint32_t i = 0; i < count; i++) wake_one(pool); /* no worker parks any more */
  for (uint32_t i = 0; i < count; i++) pthread_join(pool->workers[i].thread, NULL);
}

vestry_err vsi_pool_init(vsi_pool *pool, const vestry_host *host, vsi_home *home, uint32_t workers_count,
                         bool (*run)(vsi_job *job)) {
  vsi_pool_worker *workers = NULL;
  if (workers_count && !(workers = vsi_calloc(host, workers_count, sizeof *workers))) return VESTRY_NO_MEMORY;
  *pool = (vsi_pool){.host = host, .home = home, .run = run, .workers = workers, .workers_count = workers_count};
  vsi_job_queue_init(&pool->outside);
  vsi_mutex_init(&pool->park_lock, VSI_LOCK_PARK);
  /* All queues before the first thread, because workers read each other's. */
  for (uint32_t i = 0; i < workers_count; i++) {
    workers[i].pool = pool;
    workers[i].index = i;
    vsi_job_queue_init(&workers[i].queue);
  }
  for (uint32_t i = 0; i < workers_count; i++) {
    char name[16];
    snprintf(name, sizeof name, "vestry-%u", (unsigned)(i & 0xFFFF));
    if (vsi_thread_start(host, &workers[i].thread, name, work, &workers[i]) != VESTRY_OK) {
      join_workers(pool, i);
      vsi_pool_finish(pool);
      return VESTRY_IO;
    }
  }
  return VESTRY_OK;
}

void vsi_pool_stop(vsi_pool *pool) {
  if (pool->workers) join_workers(pool, pool->workers_count);
}

void vsi_pool_finish(vsi_pool *pool) {
  if (pool->deferred) pool->deferred->destroy(pool->deferred);
  for (uint32_t i = 0; i < pool->workers_count; i++) vsi_mutex_finish(&pool->workers[i].queue.lock);
  vsi_mutex_finish(&pool->outside.lock);
  vsi_mutex_finish(&pool->park_lock);
  vsi_free(pool->host, pool->workers);
}
