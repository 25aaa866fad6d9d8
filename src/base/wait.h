/* SPDX-License-Identifier: MIT */
/* Waiting for a condition with a time limit, by the monotonic clock, which cannot be set. The host's clock, which
 * determines all other times, may be another one.
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

#endif
