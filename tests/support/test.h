/* SPDX-License-Identifier: MIT */
/* The headers that cmocka needs before it, cmocka, and the cases of a file:
 *
 *     TEST_CASE(removed_entry_is_not_found) {
 *       …
 *     }
 *
 * The build gives a file without a main function one that runs its cases, in the order of their definitions. */
#ifndef TESTS_SUPPORT_TEST_H
#define TESTS_SUPPORT_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

/* The sanitizer of this build. */
#if defined(__SANITIZE_THREAD__)
#define TEST_UNDER_TSAN 1
#elif defined(__SANITIZE_ADDRESS__)
#define TEST_UNDER_ASAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define TEST_UNDER_TSAN 1
#elif __has_feature(address_sanitizer)
#define TEST_UNDER_ASAN 1
#endif
#endif
#ifndef TEST_UNDER_TSAN
#define TEST_UNDER_TSAN 0
#endif
#ifndef TEST_UNDER_ASAN
#define TEST_UNDER_ASAN 0
#endif

typedef struct test_case {
  struct CMUnitTest test;
  struct test_case *next;
} test_case;

typedef struct test_cases {
  test_case *first, *last;
  size_t count;
} test_cases;

/* The cases of this file. */
static test_cases cases_of_file;

/* Functions before and after: of all cases of a file, or of each one. Both may be NULL. */
typedef struct test_fixture {
  CMFixtureFunction setup, teardown;
} test_fixture;

/* Append a case to those of a file. */
void test_cases_add(test_cases *cases, test_case *one);
/* Run cases, and return the number of those that failed. name: printed above the results. */
int test_cases_run(const test_cases *cases, const char *name, test_fixture all, test_fixture each);

/* Define a case of this file. Its function has cmocka's parameter: void **state. */
#define TEST_CASE(name)                                                                                                \
  static void name(void **state);                                                                                      \
  __attribute__((constructor)) static void name##_is_added(void) {                                                     \
    static test_case one = {.test = cmocka_unit_test(name)};                                                           \
    test_cases_add(&cases_of_file, &one);                                                                              \
  }                                                                                                                    \
  static void name(void **state)

/* Define a case that runs once for each of these states, which are strings: the types of a store, for example. */
#define TEST_CASE_EACH(name, ...)                                                                                      \
  static void name(void **state);                                                                                      \
  __attribute__((constructor)) static void name##_are_added(void) {                                                    \
    static const char *const states[] = {__VA_ARGS__};                                                                 \
    static test_case each[sizeof states / sizeof *states];                                                             \
    for (size_t i = 0; i < sizeof states / sizeof *states; i++) {                                                      \
      each[i].test = (struct CMUnitTest)cmocka_unit_test_prestate(name, (void *)states[i]);                            \
      test_cases_add(&cases_of_file, &each[i]);                                                                        \
    }                                                                                                                  \
  }                                                                                                                    \
  static void name(void **state)

/* Define a case with a fixture: a variable of this type, to which the case has a pointer. `open` runs before the case,
 * and `close` after it. A header, or a file, names the fixture of its cases:
 *
 *     #define SHOP_CASE(name) TEST_CASE_WITH(name, shop, s, shop_open(s, NULL), shop_close(s))
 *     SHOP_CASE(closed_shop_is_empty) {
 *       … s->shelves …
 *     } */
#define TEST_CASE_WITH(name, type, variable, open, close)                                                              \
  static void name##_within(type *variable);                                                                           \
  TEST_CASE(name) {                                                                                                    \
    type fixture, *variable = &fixture;                                                                                \
    open;                                                                                                              \
    name##_within(variable);                                                                                           \
    close;                                                                                                             \
  }                                                                                                                    \
  static void name##_within(type *variable)

/* Run the cases of this file: once each function `setup` and `teardown`. */
static inline int cases_run(const char *name, CMFixtureFunction setup, CMFixtureFunction teardown) {
  return test_cases_run(&cases_of_file, name, (test_fixture){setup, teardown}, (test_fixture){0});
}

/* The same, with both functions for each case. */
static inline int cases_run_each(const char *name, CMFixtureFunction setup, CMFixtureFunction teardown) {
  return test_cases_run(&cases_of_file, name, (test_fixture){0}, (test_fixture){setup, teardown});
}

#ifdef TEST_NEEDS_MAIN
int main(void) {
  return cases_run(TEST_NEEDS_MAIN, NULL, NULL);
}
#endif

/* Skip the rest of a case. tests/ctest.sh shows the reason, a string literal, in its list of skipped cases. */
#define TEST_SKIP(reason) (print_message("skipped: %s\n", reason), skip())

/* Rounds of a single-threaded computation. A plain build runs all, because it finds the errors. The address sanitizer
 * runs some, and the thread sanitizer, which sees only one thread, a few. */
#define TEST_ROUNDS(n) (TEST_UNDER_TSAN ? (n) / 20 : TEST_UNDER_ASAN ? (n) / 3 : (n))

/* The stack size for a thread: the wanted number of bytes, or the minimum of this processor. */
static inline size_t test_stack_bytes(size_t wanted) {
  const size_t fewest = (size_t)sysconf(_SC_THREAD_STACK_MIN);
  return wanted > fewest ? wanted : fewest;
}

#endif
