/* SPDX-License-Identifier: MIT */
/* A mutex with a place in the order of locks. Header only, like base/thread.h. */
#ifndef VSI_BASE_MUTEX_H
#define VSI_BASE_MUTEX_H

#include <pthread.h>
#include <stdbool.h>

#include "base/lock_order.h"

typedef struct vsi_mutex {
  pthread_mutex_t mutex;
#ifdef VSI_LOCK_RANKS
  vsi_lock_rank rank;
#endif
} vsi_mutex;

#ifdef VSI_LOCK_RANKS
#define VSI_MUTEX_INITIALIZER(rank)                                                                                    \
  { PTHREAD_MUTEX_INITIALIZER, rank }
#define VSI_MUTEX_SET_RANK(of, is) ((of)->rank = (is))
#else
#define VSI_MUTEX_INITIALIZER(rank)                                                                                    \
  { PTHREAD_MUTEX_INITIALIZER }
#define VSI_MUTEX_SET_RANK(of, is) ((void)(is))
_Static_assert(sizeof(vsi_mutex) == sizeof(pthread_mutex_t), "in use a rank costs nothing");
#endif

static inline void vsi_mutex_init(vsi_mutex *mutex, vsi_lock_rank rank) {
  VSI_MUTEX_SET_RANK(mutex, rank);
  pthread_mutex_init(&mutex->mutex, NULL); /* cannot fail: Linux mutexes own no resources */
}

static inline void vsi_mutex_finish(vsi_mutex *mutex) {
  pthread_mutex_destroy(&mutex->mutex);
}

#define vsi_mutex_lock(of) (VSI_LOCK_TAKE(of, (of)->rank), (void)pthread_mutex_lock(&(of)->mutex))

/* Take the mutex without waiting. Returns whether it was taken. */
static inline bool vsi_mutex_try(vsi_mutex *mutex) {
  bool is_taken = pthread_mutex_trylock(&mutex->mutex) == 0;
  if (is_taken) VSI_LOCK_TOOK(mutex, mutex->rank);
  return is_taken;
}

static inline void vsi_mutex_unlock(vsi_mutex *mutex) {
  VSI_LOCK_GIVE(mutex);
  pthread_mutex_unlock(&mutex->mutex);
}

/* Wait until the condition is signalled; spurious wake-ups are possible. */
static inline void vsi_mutex_wait(vsi_mutex *mutex, pthread_cond_t *condition) {
  VSI_LOCK_WAIT(mutex);
  pthread_cond_wait(condition, &mutex->mutex);
}

#endif
