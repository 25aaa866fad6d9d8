/* SPDX-License-Identifier: MIT */
/* Schedule points like those of the stores, and for waiting for a condition, which may wake spuriously, or a
 * semaphore. */
#ifndef TESTS_CHANNEL_YIELDS_H
#define TESTS_CHANNEL_YIELDS_H

#include <semaphore.h>

#include "../../store/schedule/yields.h"

static inline int yields_cond_wait(pthread_cond_t *condition, pthread_mutex_t *mutex) {
  pthread_mutex_unlock(mutex);
  schedule_wait();
  return yields_mutex_lock(mutex);
}
#define pthread_cond_wait(condition, mutex) yields_cond_wait(condition, mutex)

static inline int yields_sem_wait(sem_t *semaphore) {
  schedule_point();
  while (sem_trywait(semaphore)) schedule_wait();
  return 0;
}
#define sem_wait(semaphore)    yields_sem_wait(semaphore)
#define sem_trywait(semaphore) (schedule_point(), sem_trywait(semaphore))
#define sem_post(semaphore)    (schedule_point(), sem_post(semaphore))

#endif
