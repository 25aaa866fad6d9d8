/* SPDX-License-Identifier: MIT */
/* A lock on a binary semaphore: one thread at a time is inside, and other threads wait. Unlike the holder of a mutex,
 * the thread inside may call foreign functions (a profile's functions, a transport's wake), as long as these do not
 * enter the same semaphore again.
 *
 * It is a semaphore instead of a condition, because many threads may wait for it, and glibc before 2.41 can lose a
 * signal if several threads wait for one condition (its bug 25847). */
#ifndef VSI_BASE_TURNSTILE_H
#define VSI_BASE_TURNSTILE_H

#include <semaphore.h>
#include <stdbool.h>

typedef struct vsi_turnstile {
  sem_t free; /* 1: free; 0: a thread is inside */
} vsi_turnstile;

static inline void vsi_turnstile_init(vsi_turnstile *turnstile) {
  sem_init(&turnstile->free, 0, 1); /* cannot fail: the value is small */
}

static inline void vsi_turnstile_finish(vsi_turnstile *turnstile) {
  sem_destroy(&turnstile->free);
}

static inline void vsi_turnstile_enter(vsi_turnstile *turnstile) {
  while (sem_wait(&turnstile->free)) continue; /* interrupted by a signal handler */
}

/* Enter without waiting. Returns whether this thread is inside. */
static inline bool vsi_turnstile_try(vsi_turnstile *turnstile) {
  return sem_trywait(&turnstile->free) == 0;
}

static inline void vsi_turnstile_leave(vsi_turnstile *turnstile) {
  sem_post(&turnstile->free);
}

#endif
