/* SPDX-License-Identifier: MIT */
/* The pool: threads that run jobs; for a stepped runtime, only the queue of jobs. */
#ifndef VSI_RUNTIME_POOL_H
#define VSI_RUNTIME_POOL_H

#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>
#include <sys/queue.h>

#include "base/histogram.h"
#include "base/mutex.h"
#include "base/processor.h"
#include "runtime/bell.h"
#include "runtime/wake.h"

/* The process in which a runtime was created. A forked child has a copy of the memory, but none of the threads. So a
 * call that waits there waits for ever, also for a lock that another thread held at the time of the fork. Therefore,
 * functions that would wait check this first.
 *
 * It is a page that the kernel zeroes in a child, so that the check is one load; getpid would be a system call. */
typedef _Atomic(bool) vsi_home;

static inline bool vsi_is_at_home(vsi_home *home) {
  return __builtin_expect(atomic_load_explicit(home, memory_order_relaxed), 1); /* set once, before any check */
}

/* A job of a pool, embedded in the object that it belongs to. It is in at most one queue, at most once. */
typedef struct vsi_job {
  STAILQ_ENTRY(vsi_job) in; /* guarded by the lock of the queue that contains it */
} vsi_job;

typedef STAILQ_HEAD(vsi_jobs, vsi_job) vsi_jobs;

/* Begin to fetch a job and the object that it belongs to, which in most cases is a stream. NULL: nothing. */
static inline void vsi_job_fetch(const vsi_job *job) {
  vsi_prefetch_lines_to_write(job, 0, 3);
}

/* A queue of jobs, first in, first out, whose length is read without its lock. The messages of an actor are such jobs.
 *
 * Concurrency Kit's queues do not fit: a ring is bounded, but a push must not fail; a fifo needs an entry for each job,
 * which other threads may read when the job is done, so that it could never be freed. */
typedef struct vsi_job_queue {
  vsi_mutex lock;         /* innermost */
  vsi_jobs jobs;          /* guarded by lock */
  _Atomic(size_t) length; /* written under lock, relaxed: a thread that misses a job is woken, or runs again, for it */
} vsi_job_queue;

static inline void vsi_job_queue_init(vsi_job_queue *queue) {
  vsi_mutex_init(&queue->lock, VSI_LOCK_JOB_QUEUE); /* cannot fail: Linux mutexes own no resources */
  STAILQ_INIT(&queue->jobs);
  atomic_init(&queue->length, 0);
}

static inline size_t vsi_job_queue_length(const vsi_job_queue *queue) {
  return atomic_load_explicit(&queue->length, memory_order_relaxed);
}

/* Append all jobs of a list. */
static inline void vsi_job_queue_put_locked(vsi_job_queue *queue, vsi_jobs *jobs, size_t count) {
  STAILQ_CONCAT(&queue->jobs, jobs);
  atomic_store_explicit(&queue->length, vsi_job_queue_length(queue) + count, memory_order_relaxed);
}

static inline void vsi_job_queue_push_one(vsi_job_queue *queue, vsi_job *job) {
  vsi_jobs jobs;
  STAILQ_INIT(&jobs);
  STAILQ_INSERT_TAIL(&jobs, job, in);
  vsi_mutex_lock(&queue->lock);
  vsi_job_queue_put_locked(queue, &jobs, 1);
  vsi_mutex_unlock(&queue->lock);
}

/* NULL: empty. */
static inline vsi_job *vsi_job_queue_take_locked(vsi_job_queue *queue) {
  vsi_job *job = STAILQ_FIRST(&queue->jobs);
  if (!job) return NULL;
  STAILQ_REMOVE_HEAD(&queue->jobs, in);
  vsi_job_fetch(STAILQ_FIRST(&queue->jobs)); /* the next take, under the lock, needs it, and then its run */
  atomic_store_explicit(&queue->length, vsi_job_queue_length(queue) - 1, memory_order_relaxed);
  return job;
}

static inline vsi_job *vsi_job_queue_pop(vsi_job_queue *queue) {
  if (!vsi_job_queue_length(queue)) return NULL;
  vsi_mutex_lock(&queue->lock);
  vsi_job *job = vsi_job_queue_take_locked(queue);
  vsi_mutex_unlock(&queue->lock);
  return job;
}

/* Work that a thread has collected, and finishes when it has nothing else to do: a batch of sends (sends.c). The pool
 * calls it by pointers, so that programs that use only stores are not linked with io_uring. */
typedef struct vsi_deferred {
  /* runs_count: that many short runs come next, and the work is finished before them only if it has waited for long;
   * 0: finish it in any case. Returns false if there was nothing to do. */
  bool (*flush)(struct vsi_deferred *deferred, uint32_t runs_count);
  void (*destroy)(struct vsi_deferred *deferred);
} vsi_deferred;

typedef struct vsi_pool_worker {
  struct vsi_pool *pool;
  pthread_t thread;
  bool is_answering;      /* a bell, and has submitted no job meanwhile; used by the worker only */
  vsi_deferred *deferred; /* NULL: none yet; used by the worker only */
  vsi_bell own;           /* WATCHED: the worker sleeps; never rung */
  /* Guarded by the lock of the queue: */
  bool is_parked; /* it is in the list of parked workers */
  SLIST_ENTRY(vsi_pool_worker) in_parked;
  vsi_bell *sleeps_on; /* while parked: `own`, or the bell of the pool */
} vsi_pool_worker;

/* The most jobs that a worker takes at once. */
enum { VSI_JOBS_AT_ONCE = 16 };

typedef struct vsi_pool {
  const vestry_host *host;
  vsi_home *home; /* the runtime frees it after the pool */
  void (*run)(vsi_job *const *jobs, size_t count);
  bool (*is_short)(const vsi_job *job);
  vsi_pool_worker *workers; /* NULL: stepped */
  uint32_t workers_count;
  uint32_t short_most; /* number of workers that run short jobs at once: one for each processor */
  char apart[64];      /* all threads write the queue: no other data may share its cache lines */
  vsi_job_queue queue;
  /* Guarded by the lock of the queue: the workers that sleep and were not woken yet, except perhaps by the bell. */
  SLIST_HEAD(, vsi_pool_worker) parked_workers;
  uint32_t parked_count;
  uint32_t long_count; /* workers that run a job that is not short, or answer the bell */
  bool is_watched;     /* a worker has begun to sleep on the bell, and is not awake again */
  bool stopping;
  vsi_bell *bell; /* NULL: none */
  vsi_wake *wake; /* of a stepped pool in an event loop; NULL: none */
  char behind[64];
  vsi_deferred *deferred; /* of a stepped pool, for the thread that steps; NULL: none yet */
  _Atomic(bool) batches;  /* whether streams may batch their sends; relaxed, becomes false once */
  _Atomic(uint64_t) batches_count, batched_count; /* batches, and sends in them; relaxed */
  _Atomic(uint64_t) rings_lost_count;             /* failures that concern one thread for a while (sends.c); relaxed */
  /* The time that jobs wait to be run, measured for one marked job at a time. */
  _Atomic(uint32_t) observers_count; /* relaxed: soon after it is not 0, some jobs are marked */
  _Atomic(vsi_job *) marked;         /* NULL: none. The submitting thread marks a job before it queues it */
  uint64_t marked_ns;                /* of the marked job: written by the submitting thread, read by the thread that
                                        runs it */
  vsi_histogram lag;                 /* a histogram of short times */
} vsi_pool;

/* Start `workers_count` threads; 0: stepped. home: borrowed. run: runs jobs, in their order, which are in no queue then
 * and may be submitted again meanwhile; several at once only if all are short. is_short: of a job in the queue; called
 * under the lock. OK | NO_MEMORY | IO; on failure nothing is left. */
vestry_err vsi_pool_init(vsi_pool *pool, const vestry_host *host, vsi_home *home, uint32_t workers_count,
                         void (*run)(vsi_job *const *jobs, size_t count), bool (*is_short)(const vsi_job *job));
/* Run all jobs, and join the threads. Once; jobs submitted afterwards wait for vsi_pool_drain. */
void vsi_pool_stop(vsi_pool *pool);
/* Free a pool that was stopped; does not run jobs. */
void vsi_pool_finish(vsi_pool *pool);

/* Run all jobs until none is left, on a stepped or stopped pool. Returns false if there was none. */
bool vsi_pool_drain(vsi_pool *pool);

/* Make each submit to a stepped pool signal this wake from now on; the wake is readable now. Setting the same one again
 * has no effect. */
void vsi_pool_wake_by(vsi_pool *pool, vsi_wake *wake);
/* Run one job of a stepped pool, or clear its wake if there was none. */
bool vsi_pool_run_or_clear(vsi_pool *pool);

/* Queue jobs, and empty the list. Any thread. */
void vsi_pool_submit(vsi_pool *pool, vsi_jobs *jobs, size_t count);
/* Queue a job that this thread has just run, again. This thread looks for its next job at once, so no worker has to be
 * woken. */
void vsi_pool_resubmit(vsi_pool *pool, vsi_job *job);

/* Give a pool with threads its bell, before the first ring. The bell must outlive the workers. Once. */
VESTRY_API void vsi_pool_set_bell(vsi_pool *pool, vsi_bell *bell);
/* Wake a worker for a ring that has found the bell quiet. */
VESTRY_API void vsi_pool_rung(vsi_pool *pool);

/* Begin or end observing the pool. While it is observed, some jobs are timed. Any thread. */
VESTRY_API void vsi_pool_observe(vsi_pool *pool, bool observes);

/* Let the streams of the pool batch their sends (sends.h). Before the first job. is_wanted: if this build cannot, log
 * it. */
void vsi_pool_batch(vsi_pool *pool, bool is_wanted);
/* Return where the batch of this thread is stored: NULL at first; the pool destroys it. NULL: this thread runs no jobs
 * of the pool. */
vsi_deferred **vsi_pool_deferred(vsi_pool *pool);
/* Flush the batch of this thread, as vsi_deferred.flush. */
bool vsi_pool_flush(vsi_pool *pool, uint32_t runs_count);

/* Return whether this thread is one of the pool's workers. */
bool vsi_pool_is_mine(const vsi_pool *pool);

#endif
