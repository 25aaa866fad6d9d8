/* SPDX-License-Identifier: MIT */
/* The lowest descriptor that is free while no thread opens and closes one for a moment. A thread's first allocation
 * does: glibc reads /sys/devices/system/cpu/online for the number of its arenas. So a test that looks once may see a
 * descriptor as taken, or as free, that is neither for long: the lowest of many looks counts, and a test for leaks
 * asks that it is no higher than before. */
#ifndef TESTS_SUPPORT_DESCRIPTORS_H
#define TESTS_SUPPORT_DESCRIPTORS_H

#include <sched.h>
#include <unistd.h>

#include "support/test.h"

enum { DESCRIPTORS_LOOKS = 1000 };

static inline int descriptors_lowest_free(void) {
  int lowest = -1;
  for (int i = 0; i < DESCRIPTORS_LOOKS; i++) {
    int free_one = dup(0);
    assert_true(free_one >= 0);
    close(free_one);
    if (lowest < 0 || free_one < lowest) lowest = free_one;
    sched_yield();
  }
  return lowest;
}

#endif
