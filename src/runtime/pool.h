/* SPDX-License-Identifier: MIT */
/* The pool: threads that run jobs, or for a stepped runtime just the queue of jobs. */
#ifndef VSI_RUNTIME_POOL_H
#define VSI_RUNTIME_POOL_H

#include <pthread.h>
#include <stdatomic.h>

#include "base/histogram.h"
#include "base/mutex.h"
#include "runtime/home.h"
#include "runtime/job_queue.h"
#include "runtime/wake.h"

typedef struct vsi_pool_worker {
  struct vsi_pool *pool;
  pthread_t thread;
  uint32_t index;
  uint32_t turn; /* the worker's own */
  vsi_job_queue queue;
  pthread_cond_t woken;                /* this worker alone waits for it */
  bool is_woken;                       /* guarded by park_lock: a wake-up granted and not yet used */
  struct vsi_pool_worker *parked_next; /* guarded by park_lock */
  char padding[64];                    /* keeps two workers' queues off one cache line */
} vsi_pool_worker;

typedef struct vsi_pool {
  const vestry_host *host;
  vsi_home *home; /* NULL: it is not asked */
  bool (*run)(vsi_job *job);
  vsi_pool_worker *workers; /* NULL: stepped */
  uint32_t workers_count;
  vsi_job_queue outside; /* what threads that are no workers submit */

  vsi_mutex park_lock;           /* innermost */
  vsi_pool_worker *first_parked; /* guarded by park_lock: those that sleep and were not woken yet */
  _Atomic(uint32_t) parked;      /* how many these are; written under park_lock */
  bool stopping;                 /* guarded by park_lock */
  /* How long a job waits to be run, of one at a time that is marked. */
  _Atomic(uint32_t) observers_count; /* relaxed: soon after it is not 0, jobs are marked now and then */
  _Atomic(vsi_job *) marked;         /* NULL: none. Its thread marks it before it is queued */
  uint64_t marked_ns;                /* of the marked job: written by its thread, read by the one that runs it */
  vsi_histogram lag;                 /* of moments */
  vsi_wake *wake; /* of a stepped pool that a loop steps, which counts as parked; guarded by park_lock; NULL: none */
} vsi_pool;

/* Start `workers_count` threads; 0: stepped. run: runs one job, which is in no queue then and may be submitted again
 * meanwhile; what it returns is for others. OK | NO_MEMORY | IO; on failure nothing is left. */
vestry_err vsi_pool_init(vsi_pool *pool, const vestry_host *host, uint32_t workers_count, bool (*run)(vsi_job *job));
/* Run dry and join the threads. Once; afterwards submitted jobs wait for vsi_pool_drain. */
void vsi_pool_stop(vsi_pool *pool);
/* Stopped first. Frees; does not run anything. */
void vsi_pool_finish(vsi_pool *pool);

/* Stepped or stopped pools: run one job, or all until none is left. False: there was none. */
bool vsi_pool_run_one(vsi_pool *pool);
bool vsi_pool_drain(vsi_pool *pool);

/* A stepped pool: each submit tells this from here on, which is readable now. The same one again changes nothing. */
void vsi_pool_wake_by(vsi_pool *pool, vsi_wake *wake);
/* A stepped pool: run one job, or say in its wake that there was none. */
bool vsi_pool_run_or_clear(vsi_pool *pool);

/* Queue a job. Any thread. */
void vsi_pool_submit(vsi_pool *pool, vsi_job *job);
/* The same for the thread that has just run the job. It looks for the next one at once, so none is woken. */
void vsi_pool_resubmit(vsi_pool *pool, vsi_job *job);

/* Something observes the pool, or has ceased to: while it does, jobs are timed now and then. Any thread. */
VESTRY_API void vsi_pool_observe(vsi_pool *pool, bool observes);

/* This thread is one of its workers. */
bool vsi_pool_is_mine(const vsi_pool *pool);

#endif
