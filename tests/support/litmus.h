/* SPDX-License-Identifier: MIT */
/* Two threads that only counters synchronize, so that the code between two counts can interleave in each way that a
 * processor allows. */
#ifndef TESTS_SUPPORT_LITMUS_H
#define TESTS_SUPPORT_LITMUS_H

#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <time.h>

enum { LITMUS_OVER = -1, LITMUS_S = 10, LITMUS_LEAST = 1000 };

/* Wait until the count has this value; false: the test is over. */
static inline bool litmus_wait(_Atomic(int) *count, int wanted) {
  for (int spins = 0, now; (now = atomic_load_explicit(count, memory_order_acquire)) != wanted; spins++) {
    if (now == LITMUS_OVER) return false;
    if (spins > 10000) sched_yield();
  }
  return true;
}

/* Whether to run another round. On a machine with a processor for each thread, all rounds take a second or two. On a
 * busy one they would take minutes and find no more. */
static inline bool litmus_goes_on(int round, int rounds, const struct timespec *since) {
  struct timespec now;
  if (round > rounds) return false;
  if (round < LITMUS_LEAST || round % 64) return true;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec - since->tv_sec < LITMUS_S;
}

/* Takes a few nanoseconds per turn. */
static inline void litmus_dally(int turns) {
  for (volatile int i = turns; i > 0; i--) continue;
}

#endif
