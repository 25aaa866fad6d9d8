/* Two threads that are in step by counts, and by nothing else, so that what lies between two counts can meet in every
 * way a processor allows. */
#ifndef TESTS_SUPPORT_LITMUS_H
#define TESTS_SUPPORT_LITMUS_H

#include <sched.h>
#include <stdatomic.h>

static inline void litmus_wait(_Atomic(int) *count, int wanted) {
  for (int spins = 0; atomic_load_explicit(count, memory_order_acquire) != wanted; spins++)
    if (spins > 10000) sched_yield();
}

/* A few nanoseconds a turn. */
static inline void litmus_dally(int turns) {
  for (volatile int i = turns; i > 0; i--) continue;
}

#endif
