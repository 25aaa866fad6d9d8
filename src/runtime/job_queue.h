/* SPDX-License-Identifier: MIT */
/* A queue of jobs, first in, first out, whose length is read without its lock.
 *
 * Compared with Concurrency Kit (bench-containers, two processors, nanoseconds for each job): with one thread, this
 * queue needs 67, ck_ring 32 and ck_fifo 58; with four threads that push and four that pop, this queue needs 90,
 * ck_ring 237 and ck_fifo 88. A ring is bounded, but a push must not fail. A fifo needs an entry for each job, which
 * other threads may read when the job is done, so that it could never be freed. */
#ifndef VSI_RUNTIME_JOB_QUEUE_H
#define VSI_RUNTIME_JOB_QUEUE_H

#include <stdatomic.h>
#include <stddef.h>

#include "base/mutex.h"

/* A job of a pool, embedded in the object that it belongs to. It is in at most one queue, at most once. */
typedef struct vsi_job {
  struct vsi_job *queue_next; /* owned by the queue that contains it */
} vsi_job;

typedef struct vsi_job_queue {
  vsi_mutex lock;         /* innermost */
  vsi_job *first;         /* guarded by lock */
  vsi_job *last;          /* guarded by lock; undefined while empty */
  _Atomic(size_t) length; /* written under lock, read without it */
} vsi_job_queue;

static inline void vsi_job_queue_init(vsi_job_queue *queue) {
  vsi_mutex_init(&queue->lock, VSI_LOCK_JOB_QUEUE); /* cannot fail: Linux mutexes own no resources */
  queue->first = queue->last = NULL;
  atomic_init(&queue->length, 0);
}

static inline void vsi_job_queue_finish(vsi_job_queue *queue) {
  vsi_mutex_finish(&queue->lock);
}

static inline void vsi_job_queue_push(vsi_job_queue *queue, vsi_job *job) {
  job->queue_next = NULL;
  vsi_mutex_lock(&queue->lock);
  if (queue->first)
    queue->last->queue_next = job;
  else
    queue->first = job;
  queue->last = job;
  size_t length = atomic_load_explicit(&queue->length, memory_order_relaxed); /* the lock is held */
  atomic_store_explicit(&queue->length, length + 1, memory_order_seq_cst);    /* [S1] of pool.c */
  vsi_mutex_unlock(&queue->lock);
}

static inline vsi_job *vsi_job_queue_pop(vsi_job_queue *queue) {
  /* relaxed: [P2] of pool.c corrects a miss before a worker sleeps */
  if (atomic_load_explicit(&queue->length, memory_order_relaxed) == 0) return NULL;
  vsi_mutex_lock(&queue->lock);
  vsi_job *job = queue->first;
  if (job) {
    queue->first = job->queue_next;
    size_t length = atomic_load_explicit(&queue->length, memory_order_relaxed); /* the lock is held */
    atomic_store_explicit(&queue->length, length - 1, memory_order_relaxed);    /* too high for a moment does no harm */
  }
  vsi_mutex_unlock(&queue->lock);
  return job;
}

#endif
