/* SPDX-License-Identifier: MIT */
/* essay: the queue of jobs and the workers that sleep */
#include "runtime/pool.h"

#include <stdio.h>

#include "base/assert.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/thread.h"

/* A pool of worker threads that run the jobs of one queue, first in, first out. So no job is overtaken, and none waits
 * for ever: a job that is submitted while it runs goes to the end.
 *
 * A worker takes one job at a time, or several if all are short (the streams of a broadcast), because to take a job
 * costs as much as a third of a short run. It takes at most its share of the queue, so that the others get some.
 *
 * No job is forgotten: while jobs are in the queue, a worker is awake that looks into it before it sleeps, or a stepped
 * pool is stepped. Both sides hold the lock of the queue. A worker puts itself into the list of parked workers only if
 * the queue is empty. A submit wakes a worker for each job. Short jobs wake no further worker if one for each processor
 * is awake and in no long run, because these workers look into the queue within a few short runs: the functions that a
 * stream's run calls must not block (vestry/connection.h). A worker that takes jobs and leaves some wakes another one
 * by the same rule. Thereby the long jobs behind short ones get their workers, too. A job that a worker submits again
 * at the end of its run needs no further worker, so that a single busy job does not wake the idle ones.
 *
 * A parked worker sleeps on a futex: on its own, or on the one of the bell (bell.h) if no other worker sleeps there. A
 * wake-up is granted to a specific worker: the granting thread takes it out of the list, under the lock, and ends the
 * state WATCHED of its futex. So the wake-up is not lost if that worker does not sleep yet. It goes to the worker that
 * parked last, whose caches are the warmest.
 *
 * A ring of the bell is one more job. A worker looks at the bell under the lock, before it takes a job or parks. Two
 * transitions end the state WATCHED of the bell, and only one of them takes place: a granted wake-up, or a ring, which
 * wakes the watcher for itself without the lock. A watcher that the ring has woken stays in the list until it takes the
 * lock; a thread that finds it there meanwhile removes it, and grants the wake-up to another worker. A ring that finds
 * no watcher takes the lock and wakes a parked worker (vsi_pool_rung). Only the watcher itself ends its role, when it
 * is awake. If another worker watched earlier, the state would be WATCHED again, and the former watcher would sleep on.
 *
 * Stopping. A worker leaves if the pool is stopping and the queue is empty. Jobs that a worker submits later, from its
 * last run, are run by it, and jobs of other threads by the thread that stops or destroys the runtime. */

/* The worker of this thread; NULL: this thread is no worker. Without it, each submit would have to search for the
 * calling thread. */
static _Thread_local vsi_pool_worker *this_worker;

/* Return the worker of the pool that this thread is; NULL: it is none. */
static vsi_pool_worker *worker_here(const vsi_pool *pool) {
  return this_worker && this_worker->pool == pool ? this_worker : NULL;
}

/* Move the state of a bell. Returns false if it is another one. acq_rel pairs with the ring, and with the worker that
 * sleeps on it. */
static bool move_bell(vsi_bell *bell, uint32_t from, uint32_t to) {
  return atomic_compare_exchange_strong_explicit(&bell->state, &from, to, memory_order_acq_rel, memory_order_relaxed);
}

/* Take a worker out of the list. Returns the bell that wakes it; NULL: the bell was rung, and has woken it. */
static vsi_bell *unpark_locked(vsi_pool_worker *worker) {
  SLIST_REMOVE(&worker->pool->parked_workers, worker, vsi_pool_worker, in_parked);
  worker->is_parked = false;
  worker->pool->parked_count--;
  return move_bell(worker->sleeps_on, VSI_BELL_WATCHED, VSI_BELL_QUIET) ? worker->sleeps_on : NULL;
}

/* Wake workers for `count` jobs or a ring, those that parked last first. If the queue begins with a short job, one
 * worker for each processor is enough, and those that are awake and in no long run count. Unlocks the queue. */
static void wake_and_unlock(vsi_pool *pool, size_t count) {
  enum { WOKEN_MOST = 8 };
  vsi_bell *woken[WOKEN_MOST];
  const vsi_job *first = pool->parked_count ? STAILQ_FIRST(&pool->queue.jobs) : NULL;
  if (first && pool->is_short(first) && !pool->stopping) {
    const uint32_t awake_count = pool->workers_count - pool->parked_count - pool->long_count;
    const uint32_t more_count = awake_count < pool->short_most ? pool->short_most - awake_count : 0;
    if (count > more_count) count = more_count;
  }
  for (;; vsi_mutex_lock(&pool->queue.lock)) {
    size_t woken_count = 0;
    vsi_pool_worker *worker;
    while (woken_count < count && woken_count < WOKEN_MOST && (worker = SLIST_FIRST(&pool->parked_workers)) != NULL)
      if ((woken[woken_count] = unpark_locked(worker)) != NULL) woken_count++;
    vsi_mutex_unlock(&pool->queue.lock);
    for (size_t i = 0; i < woken_count; i++) vsi_bell_wake(woken[i]);
    count -= woken_count;
    if (!count || woken_count < WOKEN_MOST) return;
  }
}

/* Sleep until woken. The lock of the queue is held, and not held meanwhile. */
static void park_locked(vsi_pool_worker *worker) {
  vsi_pool *pool = worker->pool;
  const bool watches = pool->bell && !pool->is_watched;
  vsi_bell *bell = watches ? pool->bell : &worker->own;
  if (!move_bell(bell, VSI_BELL_QUIET, VSI_BELL_WATCHED)) return; /* rung meanwhile */
  worker->sleeps_on = bell;
  worker->is_parked = true;
  pool->is_watched |= watches;
  pool->parked_count++;
  SLIST_INSERT_HEAD(&pool->parked_workers, worker, in_parked);
  vsi_mutex_unlock(&pool->queue.lock);
  /* acquire pairs with the transition that ends the state */
  while (atomic_load_explicit(&bell->state, memory_order_acquire) == VSI_BELL_WATCHED) vsi_bell_sleep(bell);
  vsi_mutex_lock(&pool->queue.lock);
  if (worker->is_parked) (void)unpark_locked(worker); /* the ring has woken it */
  if (watches) pool->is_watched = false;
}

/* Answer the bell, if it was rung. The lock of the queue is held, and not held during the answer. */
static bool answer_locked(vsi_pool_worker *worker) {
  vsi_bell *bell = worker->pool->bell;
  if (!bell || !move_bell(bell, VSI_BELL_RUNG, VSI_BELL_QUIET)) return false;
  worker->pool->long_count++;
  vsi_mutex_unlock(&worker->pool->queue.lock);
  worker->is_answering = true;
  bell->answer(bell);
  worker->is_answering = false;
  vsi_mutex_lock(&worker->pool->queue.lock);
  worker->pool->long_count--;
  return true;
}

/* Take a job, or several short ones. Returns their number. */
static size_t take_locked(vsi_pool *pool, vsi_job *taken[VSI_JOBS_AT_ONCE]) {
  const size_t share = 1 + vsi_job_queue_length(&pool->queue) / (2 * (size_t)pool->short_most);
  size_t count = 0;
  do taken[count++] = vsi_job_queue_take_locked(&pool->queue);
  while (count < share && count < VSI_JOBS_AT_ONCE && !STAILQ_EMPTY(&pool->queue.jobs) && pool->is_short(taken[0]) &&
         pool->is_short(STAILQ_FIRST(&pool->queue.jobs)));
  return count;
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

/* Take jobs and run them. The lock of the queue is held, and not held meanwhile. Returns whether there were any. */
static bool run_some_locked(vsi_pool *pool) {
  vsi_job *taken[VSI_JOBS_AT_ONCE];
  if (STAILQ_EMPTY(&pool->queue.jobs)) return false;
  const bool is_long = !pool->is_short(STAILQ_FIRST(&pool->queue.jobs));
  const size_t count = take_locked(pool, taken);
  pool->long_count += is_long;
  wake_and_unlock(pool, !STAILQ_EMPTY(&pool->queue.jobs));
  for (size_t i = 0; i < count; i++) note_lag(pool, taken[i]);
  pool->run(taken, count);
  vsi_mutex_lock(&pool->queue.lock);
  pool->long_count -= is_long;
  return true;
}

static void *work(void *argument) {
  vsi_pool_worker *worker = argument;
  vsi_pool *pool = worker->pool;
  bool may_have_sends = false;
  this_worker = worker;
  vsi_mutex_lock(&pool->queue.lock);
  for (;;) {
    if (answer_locked(worker) || run_some_locked(pool)) {
      may_have_sends = worker->deferred;
    } else if (may_have_sends) {
      vsi_mutex_unlock(&pool->queue.lock);
      (void)vsi_pool_flush(pool, 0);
      may_have_sends = false;
      vsi_mutex_lock(&pool->queue.lock);
    } else if (pool->stopping) {
      break;
    } else {
      park_locked(worker);
    }
  }
  vsi_mutex_unlock(&pool->queue.lock);
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
  size_t wakes_count = count;
  if (worker && worker->is_answering) { /* as for a resubmit */
    worker->is_answering = false;
    wakes_count--;
  }
  vsi_mutex_lock(&pool->queue.lock);
  vsi_job_queue_put_locked(&pool->queue, jobs, count);
  vsi_wake *wake = pool->wake;
  wake_and_unlock(pool, wakes_count);
  if (wake) vsi_wake_signal(wake);
}

void vsi_pool_resubmit(vsi_pool *pool, vsi_job *job) {
  vsi_job_queue_push_one(&pool->queue, job);
}

void vsi_pool_rung(vsi_pool *pool) {
  vsi_mutex_lock(&pool->queue.lock);
  wake_and_unlock(pool, 1);
}

void vsi_pool_set_bell(vsi_pool *pool, vsi_bell *bell) {
  vsi_mutex_lock(&pool->queue.lock);
  pool->bell = bell;
  wake_and_unlock(pool, 1); /* it parks again, on the bell */
}

/* Run one job. Returns false if there was none. */
static bool run_first(vsi_pool *pool) {
  vsi_mutex_lock(&pool->queue.lock);
  vsi_job *job = vsi_job_queue_take_locked(&pool->queue);
  vsi_mutex_unlock(&pool->queue.lock);
  if (!job) return vsi_pool_flush(pool, 0);
  note_lag(pool, job);
  pool->run(&job, 1);
  return true;
}

void vsi_pool_wake_by(vsi_pool *pool, vsi_wake *wake) {
  vsi_mutex_lock(&pool->queue.lock);
  pool->wake = wake;
  vsi_mutex_unlock(&pool->queue.lock);
}

bool vsi_pool_run_or_clear(vsi_pool *pool) {
  if (run_first(pool)) return true;
  if (!pool->wake) return false; /* set by the thread that steps the runtime, or before it began to step */
  vsi_wake_clear(pool->wake);
  return run_first(pool); /* [C3] of wake.c */
}

bool vsi_pool_drain(vsi_pool *pool) {
  bool any = false;
  while (run_first(pool)) any = true;
  return any;
}

/* Make the first `count` workers leave when there are no jobs left, and join them. */
static void join_workers(vsi_pool *pool, uint32_t count) {
  vsi_mutex_lock(&pool->queue.lock);
  pool->stopping = true; /* no worker parks any more */
  wake_and_unlock(pool, count);
  for (uint32_t i = 0; i < count; i++) pthread_join(pool->workers[i].thread, NULL);
}

vestry_err vsi_pool_init(vsi_pool *pool, const vestry_host *host, vsi_home *home, uint32_t workers_count,
                         void (*run)(vsi_job *const *jobs, size_t count), bool (*is_short)(const vsi_job *job)) {
  vsi_pool_worker *workers = NULL;
  if (workers_count && !(workers = vsi_calloc(host, workers_count, sizeof *workers))) return VESTRY_NO_MEMORY;
  *pool = (vsi_pool){
      .host = host, .home = home, .run = run, .is_short = is_short, .workers = workers, .workers_count = workers_count};
  pool->short_most = vsi_processors(1, workers_count);
  vsi_job_queue_init(&pool->queue);
  for (uint32_t i = 0; i < workers_count; i++) {
    char name[16];
    workers[i].pool = pool;
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
  vsi_mutex_finish(&pool->queue.lock);
  vsi_free(pool->host, pool->workers);
}
