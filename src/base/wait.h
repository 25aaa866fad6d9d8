/* SPDX-License-Identifier: MIT */
/* Waiting for a condition with a time limit, by the monotonic clock, which cannot be set. The host's clock, which
 * determines all other times, may be another one. The header also contains a queue of threads that wait for a resource.
 * Header only, like base/memory.h. */
#ifndef VSI_BASE_WAIT_H
#define VSI_BASE_WAIT_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#include "base/mutex.h"

static inline uint64_t vsi_monotonic_ns(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now); /* cannot fail */
  return (uint64_t)now.tv_sec * UINT64_C(1000000000) + (uint64_t)now.tv_nsec;
}

/* Return the time after this duration; at most a year from now. */
static inline uint64_t vsi_monotonic_in_ns(uint64_t ns) {
  const uint64_t year_ns = UINT64_C(365) * 24 * 60 * 60 * 1000000000;
  return vsi_monotonic_ns() + (ns < year_ns ? ns : year_ns);
}
static inline uint64_t vsi_monotonic_in_ms(uint64_t ms) {
  return vsi_monotonic_in_ns(ms < UINT64_MAX / 1000000 ? ms * 1000000 : UINT64_MAX);
}

/* Wait until the condition is signalled or the time has come; spurious wake-ups are possible. false: the time has
 * come. */
static inline bool vsi_wait_until(pthread_cond_t *condition, vsi_mutex *lock, uint64_t until_ns) {
  VSI_LOCK_WAIT(lock);
#ifdef __GLIBC__
  const struct timespec until = {(time_t)(until_ns / 1000000000), (long)(until_ns % 1000000000)};
  return pthread_cond_clockwait(condition, &lock->mutex, CLOCK_MONOTONIC, &until) == 0;
#else /* musl waits by the clock that can be set: if it is set back meanwhile, the wait is longer */
  struct timespec until;
  clock_gettime(CLOCK_REALTIME, &until);
  const uint64_t now_ns = vsi_monotonic_ns();
  const uint64_t sum_ns = (uint64_t)until.tv_nsec + (until_ns > now_ns ? until_ns - now_ns : 0);
  until.tv_sec += (time_t)(sum_ns / 1000000000);
  until.tv_nsec = (long)(sum_ns % 1000000000);
  return pthread_cond_timedwait(condition, &lock->mutex, &until) == 0 || vsi_monotonic_ns() < until_ns;
#endif
}

/* ------------------------------------------------------------------------------------------- queues of threads ---- */

/* A queue of threads that wait for a resource, in the order of their arrival. Each thread waits for a separate
 * condition, because glibc before 2.41 can lose a signal if several threads wait for one condition (its bug 25847). A
 * release wakes the first thread. A thread that leaves the queue with its share wakes the next if there is more. Used
 * under a lock of the caller. */

/* A waiting thread; on its stack. */
typedef struct vsi_waiter {
  pthread_cond_t condition;
  struct vsi_waiter *next;
} vsi_waiter;

/* Zeroes are an empty queue. */
typedef struct vsi_thread_line {
  vsi_waiter *first;
} vsi_thread_line;

static inline void vsi_line_wake_locked(const vsi_thread_line *line) {
  if (line->first) pthread_cond_signal(&line->first->condition);
}

/* Wait until this thread is the first of the queue and is_there returns true.
 * look_ns   time at which is_there may become true without a release; guarded by the lock. NULL: never
 * is_there  called under the lock
 * Returns   false: the time is over */
static inline bool vsi_line_wait_locked(vsi_thread_line *line, vsi_mutex *lock, uint64_t until_ns,
                                        const uint64_t *look_ns, bool (*is_there)(const void *ctx), const void *ctx) {
  vsi_waiter self = {.next = NULL}, **at = &line->first;
  pthread_cond_init(&self.condition, NULL);
  while (*at) at = &(*at)->next;
  *at = &self;
  for (bool goes_on = true; goes_on;) {
    const uint64_t now_ns = look_ns ? vsi_monotonic_ns() : 0; /* before is_there compares the time */
    if (line->first == &self && is_there(ctx)) break;
    const bool looks = look_ns && *look_ns > now_ns && *look_ns < until_ns;
    goes_on = vsi_wait_until(&self.condition, lock, looks ? *look_ns : until_ns) || looks;
  }
  for (at = &line->first; *at != &self;) at = &(*at)->next;
  bool was_first = at == &line->first;
  *at = self.next;
  pthread_cond_destroy(&self.condition);
  return was_first && is_there(ctx);
}

#endif
