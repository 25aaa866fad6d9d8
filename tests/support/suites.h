// The main function of a module's test program: `test_store lru` runs tests/store/lru_test.c.
// SPDX-License-Identifier: MIT
#ifndef TESTS_SUPPORT_SUITES_H
#define TESTS_SUPPORT_SUITES_H

#include <stddef.h>

/** One suite: the main function of its file, which takes arguments or takes none. */
typedef struct {
  const char *name;
  int (*run)(void);
  int (*run_with)(int argc, char **argv);
} suite;

/**
 * Run the suite that argv[1] names; the arguments behind it are the suite's own, and its argv[0] is its name. Without
 * arguments: run all of them, each in a process of its own. Returns the exit status: 0, or not if a suite failed, or 2
 * with a list of the suites if no suite has this name.
 */
int suites_run(const suite *suites, size_t count, int argc, char **argv);

#endif
