/* The pool: the threads that run ready actors, or in a stepped runtime just the queue of them. */
#ifndef VSI_RUNTIME_POOL_H
#define VSI_RUNTIME_POOL_H

#include <pthread.h>
#include <stdatomic.h>

#include "runtime/actor.h"

/* First in, first out, linked through vsi_actor.queue_next. */
typedef struct vsi_pool_queue {
  pthread_mutex_t lock;   /* innermost */
  vsi_actor *first;       /* guarded by lock */
  vsi_actor *last;        /* guarded by lock; meaningless while empty */
  _Atomic(size_t) length; /* written under lock, read without it */
} vsi_pool_queue;

typedef struct vsi_pool_worker {
  struct vsi_pool *pool;
  pthread_t thread;
  uint32_t index;
  uint32_t turn; /* the worker's own */
  vsi_pool_queue queue;
  char padding[64]; /* keeps two workers' queues off one cache line */
} vsi_pool_worker;

typedef struct vsi_pool {
  const vestry_host *host;
  vsi_pool_worker *workers; /* NULL: stepped */
  uint32_t workers_count;
  vsi_pool_queue outside; /* what threads that are no workers submit */

  pthread_mutex_t park_lock; /* innermost */
  pthread_cond_t unparked;
  _Atomic(uint32_t) parked; /* workers that sleep and that nobody has woken yet; written under park_lock */
  uint32_t permits;         /* guarded by park_lock: wake-ups granted and not yet used */
  bool stopping;            /* guarded by park_lock */
} vsi_pool;

/* Start `workers_count` threads; 0: stepped. OK | NO_MEMORY | IO; on failure nothing is left. */
vestry_err vsi_pool_init(vsi_pool *pool, const vestry_host *host, uint32_t workers_count);
/* Run dry and join the threads. Once; afterwards submitted actors wait for vsi_pool_drain. */
void vsi_pool_stop(vsi_pool *pool);
/* Stopped first. Frees; does not run anything. */
void vsi_pool_finish(vsi_pool *pool);

/* Stepped or stopped pools: run one ready actor once, or all until none is ready. False: none was. */
bool vsi_pool_run_one(vsi_pool *pool);
bool vsi_pool_drain(vsi_pool *pool);

/* As vsi_pool_submit, for the thread that has just run the actor and will look for the next one at once: it need not
 * wake anybody. */
void vsi_pool_resubmit(vestry_runtime *runtime, vsi_actor *actor);

#endif
