/* A turnstile: one thread at a time is inside, the others wait in front of it. Unlike under a mutex, a thread that is
 * inside holds no lock, so it may call what belongs to others (a profile's members, a transport's wake), as long as
 * that does not come back to the same turnstile. */
#ifndef VSI_STREAM_TURNSTILE_H
#define VSI_STREAM_TURNSTILE_H

#include <pthread.h>
#include <stdbool.h>

typedef struct vsi_turnstile {
  pthread_mutex_t lock; /* innermost */
  pthread_cond_t free;
  bool taken; /* guarded by lock */
} vsi_turnstile;

static inline void vsi_turnstile_init(vsi_turnstile *turnstile) {
  pthread_mutex_init(&turnstile->lock, NULL);
  pthread_cond_init(&turnstile->free, NULL);
  turnstile->taken = false;
}

static inline void vsi_turnstile_finish(vsi_turnstile *turnstile) {
  pthread_cond_destroy(&turnstile->free);
  pthread_mutex_destroy(&turnstile->lock);
}

static inline void vsi_turnstile_enter(vsi_turnstile *turnstile) {
  pthread_mutex_lock(&turnstile->lock);
  while (turnstile->taken) pthread_cond_wait(&turnstile->free, &turnstile->lock);
  turnstile->taken = true;
  pthread_mutex_unlock(&turnstile->lock);
}

static inline void vsi_turnstile_leave(vsi_turnstile *turnstile) {
  pthread_mutex_lock(&turnstile->lock);
  turnstile->taken = false;
  pthread_cond_signal(&turnstile->free);
  pthread_mutex_unlock(&turnstile->lock);
}

#endif
