/* SPDX-License-Identifier: MIT */
/* A lock on a binary semaphore: one thread at a time is inside, and other threads wait. Unlike the holder of a mutex,
 * the thread inside may call foreign functions (a profile's functions, a transport's wake), as long as these do not
 * enter the same semaphore again.
 *
 * It is a semaphore instead of a condition, because many threads may wait for it, and glibc before 2.41 can lose a
 * signal if several threads wait for one condition (its bug 25847). */
#ifndef VSI_BASE_SEMAPHORE_H
#define VSI_BASE_SEMAPHORE_H

#include <semaphore.h>
#include <stdbool.h>

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
