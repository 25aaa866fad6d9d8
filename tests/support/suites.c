// SPDX-License-Identifier: MIT
#include "support/suites.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support/test.h"

static int run(const suite *one, int argc, char **argv) {
  return one->run ? one->run() : one->run_with(argc, argv);
}

// Run a suite in a child process, so that no suite sees memory that another one left behind.
static int run_apart(const suite *one) {
  fprintf(stderr, "%s\n", one->name);
  fflush(NULL);
  pid_t child = fork();
  if (child == 0) {
    char name[64];
    snprintf(name, sizeof name, "%s", one->name);
    char *arguments[] = {name, NULL};
    exit(run(one, 1, arguments));
  }
  int status = 1;
  if (child > 0) waitpid(child, &status, 0);
  if (status) fprintf(stderr, "%s FAILED\n", one->name);
  return status != 0;
}

int suites_run(const suite *suites, size_t count, int argc, char **argv) {
  int failed = 0;
  if (getenv("VESTRY_CASES")) cmocka_set_test_filter(getenv("VESTRY_CASES"));
  if (getenv("VESTRY_CASES_NOT")) cmocka_set_skip_filter(getenv("VESTRY_CASES_NOT"));
  for (size_t i = 0; i < count; i++) {
    if (argc == 1) failed |= run_apart(&suites[i]);
    if (argc > 1 && strcmp(argv[1], suites[i].name) == 0) return run(&suites[i], argc - 1, argv + 1);
  }
  if (argc == 1) return failed;
  fprintf(stderr, "usage: %s [SUITE [ARGUMENT…]], SUITE being one of:\n", argv[0]);
  for (size_t i = 0; i < count; i++) fprintf(stderr, "  %s\n", suites[i].name);
  return 2;
}

void test_cases_add(test_cases *cases, test_case *one) {
  *(cases->last ? &cases->last->next : &cases->first) = one;
  cases->last = one;
  cases->count++;
}

int test_cases_run(const test_cases *cases, const char *name, test_fixture all, test_fixture each) {
  if (!cases->count) {
    fprintf(stderr, "%s has no case\n", name);
    return 1;
  }
  struct CMUnitTest *tests = malloc(cases->count * sizeof *tests);
  size_t count = 0;
  for (const test_case *one = cases->first; one; one = one->next) {
    tests[count] = one->test;
    tests[count].setup_func = each.setup;
    tests[count++].teardown_func = each.teardown;
  }
  const int failed = _cmocka_run_group_tests(name, tests, count, all.setup, all.teardown);
  free(tests);
  return failed;
}
