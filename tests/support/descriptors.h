/* SPDX-License-Identifier: MIT */
/* The lowest free descriptor, ignoring descriptors that other threads open for a moment. A thread's first allocation
 * does this, because glibc reads /sys/devices/system/cpu/online for the number of its arenas. A single check may
 * therefore see a descriptor as used or free that is not so for long. The lowest result of many checks counts, and a
 * leak test requires that it is no higher than before. */
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
    if (i % 50 == 0) sched_yield(); /* on a busy machine, a yield lasts long */
  }
  return lowest;
}

#endif
