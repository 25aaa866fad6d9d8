// The main function of a module's test program: `test_store lru` runs tests/store/lru_test.c.
// SPDX-License-Identifier: MIT
#ifndef TESTS_SUPPORT_SUITES_H
#define TESTS_SUPPORT_SUITES_H

#include <stddef.h>

/** One suite: the main function of its file, with or without arguments. */
typedef struct {
  const char *name;
  int (*run)(void);
  int (*run_with)(int argc, char **argv);
} suite;

/**
 * Run the suite that argv[1] names, with the remaining arguments; its argv[0] is its name. Without arguments, run all
 * suites, each in a separate process. Returns the exit status: 0; nonzero if a suite failed; 2 with a list of suites
 * if no suite has this name.
 */
int suites_run(const suite *suites, size_t count, int argc, char **argv);

#endif
