/* SPDX-License-Identifier: MIT */
/* The writer pool: threads that run the application's blocking writers of files, so that the threads of libmicrohttpd
 * do not block. */
#ifndef VSI_MICROHTTPD_WRITER_POOL_H
#define VSI_MICROHTTPD_WRITER_POOL_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/queue.h>

#include "base/mutex.h"

enum { VSI_MICROHTTPD_MAX_WRITERS = 8 };

/* A task for a thread. Part of the object that it works on, so that it needs no allocation. */
typedef struct vsi_microhttpd_errand {
  STAILQ_ENTRY(vsi_microhttpd_errand) in;
  void (*run)(struct vsi_microhttpd_errand *errand); /* may free it */
} vsi_microhttpd_errand;

typedef struct vsi_microhttpd_writer_pool {
  vsi_mutex lock;                               /* innermost */
  pthread_cond_t more;                          /* signalled when there is an errand, or the pool ends */
  STAILQ_HEAD(, vsi_microhttpd_errand) errands; /* guarded by lock, as are all members below */
  _Atomic(unsigned) errands_count;              /* written under lock */
  unsigned idle_count, threads_count;
  bool is_over;
  pthread_t threads[VSI_MICROHTTPD_MAX_WRITERS];
} vsi_microhttpd_writer_pool;

/* Starts no thread until there is an errand. */
void vsi_microhttpd_writer_pool_init(vsi_microhttpd_writer_pool *pool);
/* Run all remaining errands and end the threads. No more errands may be given. */
void vsi_microhttpd_writer_pool_finish(vsi_microhttpd_writer_pool *pool);

/* Queue an errand. false: there is no thread for it, and none can be started. Threads any. */
bool vsi_microhttpd_writer_pool_give(vsi_microhttpd_writer_pool *pool, vsi_microhttpd_errand *errand);

/* Return whether an errand waits for a thread, so that a long-running errand can make room. Relaxed. Threads any. */
bool vsi_microhttpd_writer_pool_is_wanted(const vsi_microhttpd_writer_pool *pool);

#endif
