/* SPDX-License-Identifier: MIT */
/* Threads that wait for the application's writers of files, so that libmicrohttpd's threads need not. */
#ifndef VSI_MICROHTTPD_WRITERS_H
#define VSI_MICROHTTPD_WRITERS_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/queue.h>

#include "base/mutex.h"

enum { VSI_MICROHTTPD_MAX_WRITERS = 8 };

/* What a thread is to do. A part of what it is about, so that there always is memory for it. */
typedef struct vsi_microhttpd_errand {
  STAILQ_ENTRY(vsi_microhttpd_errand) in;
  void (*run)(struct vsi_microhttpd_errand *errand); /* may free it */
} vsi_microhttpd_errand;

typedef struct vsi_microhttpd_writers {
  vsi_mutex lock;                               /* innermost */
  pthread_cond_t more;                          /* there is an errand, or they are over */
  STAILQ_HEAD(, vsi_microhttpd_errand) errands; /* guarded by lock, like all below */
  _Atomic(unsigned) errands_count;              /* written under lock */
  unsigned idle_count, threads_count;
  bool is_over;
  pthread_t threads[VSI_MICROHTTPD_MAX_WRITERS];
} vsi_microhttpd_writers;

/* No thread is started until there is an errand. */
void vsi_microhttpd_writers_init(vsi_microhttpd_writers *writers);
/* All errands are done first. None is given any more. */
void vsi_microhttpd_writers_finish(vsi_microhttpd_writers *writers);

/* Have an errand done, after those that were given before it. false: there is no thread for it, and none can be
 * started. Threads any. */
bool vsi_microhttpd_writers_give(vsi_microhttpd_writers *writers, vsi_microhttpd_errand *errand);

/* Whether an errand waits for a thread: one that goes on for long makes room. A mere look. Threads any. */
bool vsi_microhttpd_writers_are_wanted(const vsi_microhttpd_writers *writers);

#endif
