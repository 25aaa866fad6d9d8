/* SPDX-License-Identifier: MIT */
/* A turnstile: one thread at a time is inside, the others wait in front of it. Unlike under a mutex, a thread that is
 * inside holds no lock, so it may call what belongs to others (a profile's members, a transport's wake), as long as
 * that does not come back to the same turnstile.
 *
 * It is a semaphore, and not a condition: many may wait for one, and there glibc before 2.41 can lose a signal (its bug
 * 25847). */
#ifndef VSI_BASE_TURNSTILE_H
#define VSI_BASE_TURNSTILE_H

#include <semaphore.h>
#include <stdbool.h>

typedef struct vsi_turnstile {
  sem_t free; /* 1, or 0: a thread is inside */
} vsi_turnstile;

static inline void vsi_turnstile_init(vsi_turnstile *turnstile) {
  sem_init(&turnstile->free, 0, 1); /* cannot fail: the value is small */
}

static inline void vsi_turnstile_finish(vsi_turnstile *turnstile) {
  sem_destroy(&turnstile->free);
}

static inline void vsi_turnstile_enter(vsi_turnstile *turnstile) {
  while (sem_wait(&turnstile->free)) continue; /* a signal's handler has run */
}

/* Without waiting. Whether it is inside. */
static inline bool vsi_turnstile_try(vsi_turnstile *turnstile) {
  return sem_trywait(&turnstile->free) == 0;
}

static inline void vsi_turnstile_leave(vsi_turnstile *turnstile) {
  sem_post(&turnstile->free);
}

#endif
