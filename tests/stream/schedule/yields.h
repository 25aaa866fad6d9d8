/* As for the stores, and waiting for a condition, which may end without one. */
#ifndef TESTS_STREAM_SCHEDULE_YIELDS_H
#define TESTS_STREAM_SCHEDULE_YIELDS_H

#include "../../store/schedule/yields.h"

static inline int yields_cond_wait(pthread_cond_t *condition, pthread_mutex_t *mutex) {
  (void)condition;
  pthread_mutex_unlock(mutex);
  schedule_wait();
  return yields_mutex_lock(mutex);
}
#define pthread_cond_wait(condition, mutex) yields_cond_wait(condition, mutex)

#endif
