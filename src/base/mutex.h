/* SPDX-License-Identifier: MIT */
/* Locks for which threads sleep: a mutex, a lock for many readers or one writer, and a binary semaphore. The first two
 * have a place in the order of locks (base/lock_order.h). Header only, like base/memory.h. */
#ifndef VSI_BASE_MUTEX_H
#define VSI_BASE_MUTEX_H

#include <pthread.h>
#include <semaphore.h>
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
_Static_assert(sizeof(vsi_mutex) == sizeof(pthread_mutex_t), "without VSI_LOCK_RANKS a vsi_mutex has no rank");
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

/* A lock for many readers or one writer, with a place in the order of locks. Continuous readers do not starve writers,
 * because a waiting writer blocks new readers (except with musl, which has no such lock). Therefore, a thread must not
 * take the lock for reading while it holds it for reading. */
typedef pthread_rwlock_t vsi_rw_lock;

static inline void vsi_rw_lock_init(vsi_rw_lock *lock) {
  pthread_rwlockattr_t attributes;
  pthread_rwlockattr_init(&attributes);
#ifdef __GLIBC__
  pthread_rwlockattr_setkind_np(&attributes, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
#endif
  pthread_rwlock_init(lock, &attributes);
  pthread_rwlockattr_destroy(&attributes);
}

static inline void vsi_rw_lock_finish(vsi_rw_lock *lock) {
  pthread_rwlock_destroy(lock);
}

/* rank: as for a vsi_spin_lock */
#define vsi_rw_lock_read(lock, rank)  (VSI_LOCK_TAKE(lock, rank), (void)pthread_rwlock_rdlock(lock))
#define vsi_rw_lock_write(lock, rank) (VSI_LOCK_TAKE(lock, rank), (void)pthread_rwlock_wrlock(lock))

static inline void vsi_rw_lock_give(vsi_rw_lock *lock) {
  VSI_LOCK_GIVE(lock);
  pthread_rwlock_unlock(lock);
}

/* A lock on a binary semaphore: one thread at a time is inside, and other threads wait. Unlike the holder of a mutex,
 * the thread inside may call foreign functions (a profile's functions, a transport's wake), as long as these do not
 * enter the same semaphore again.
 *
 * It is a semaphore instead of a condition, because many threads may wait for it, and glibc before 2.41 can lose a
 * signal if several threads wait for one condition (its bug 25847). */
typedef struct vsi_semaphore {
  sem_t free; /* 1: free; 0: a thread is inside */
} vsi_semaphore;

static inline void vsi_semaphore_init(vsi_semaphore *semaphore) {
  sem_init(&semaphore->free, 0, 1); /* cannot fail: the value is small */
}

static inline void vsi_semaphore_finish(vsi_semaphore *semaphore) {
  sem_destroy(&semaphore->free);
}

static inline void vsi_semaphore_enter(vsi_semaphore *semaphore) {
  while (sem_wait(&semaphore->free)) continue; /* interrupted by a signal handler */
}

/* Enter without waiting. Returns whether this thread is inside. */
static inline bool vsi_semaphore_try(vsi_semaphore *semaphore) {
  return sem_trywait(&semaphore->free) == 0;
}

static inline void vsi_semaphore_leave(vsi_semaphore *semaphore) {
  sem_post(&semaphore->free);
}

#endif
