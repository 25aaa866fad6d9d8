/* SPDX-License-Identifier: MIT */
/* What cmocka wants included before it, and cmocka. */
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

/* Which sanitizer this is built with. */
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

/* Skip the rest of a case. tests/ctest.sh shows the reason, a string literal, in the list of what was not run. */
#define TEST_SKIP(reason) (print_message("skipped: %s\n", reason), skip())

/* Rounds of a test that computes with one thread: all of them plain, where they find what is wrong; some for what the
 * address sanitizer sees besides; a few for the thread sanitizer, which sees one thread. */
#define TEST_ROUNDS(n) (TEST_UNDER_TSAN ? (n) / 20 : TEST_UNDER_ASAN ? (n) / 3 : (n))

/* A stack for a thread: of so many bytes, or of the fewest that threads of this processor can have. */
static inline size_t test_stack_bytes(size_t wanted) {
  const size_t fewest = (size_t)sysconf(_SC_THREAD_STACK_MIN);
  return wanted > fewest ? wanted : fewest;
}

#endif
