/* SPDX-License-Identifier: MIT */
/* Whether another thread of this process sleeps, for tests that must first have it wait for a lock or a condition. */
#ifndef TESTS_SUPPORT_ASLEEP_H
#define TESTS_SUPPORT_ASLEEP_H

#include <stdio.h>
#include <sys/types.h>

#include "support/test.h"

/* thread: what gettid() returned there; 0: it has not run yet */
static inline bool is_asleep(pid_t thread) {
  char path[64], state = ' ';
  snprintf(path, sizeof path, "/proc/self/task/%d/stat", (int)thread);
  FILE *file = thread ? fopen(path, "r") : NULL;
  if (file && fscanf(file, "%*d (%*[^)]) %c", &state) != 1) state = ' ';
  if (file) fclose(file);
  return state == 'S';
}

#endif
