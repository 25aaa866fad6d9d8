/* SPDX-License-Identifier: MIT */
/* The headers that cmocka needs before it, and cmocka. */
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
