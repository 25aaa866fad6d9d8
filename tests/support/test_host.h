/* SPDX-License-Identifier: MIT */
/* A host for tests: counts and fails allocations, turns its clock by hand, repeats its randomness. Thread-safe. */
#ifndef TESTS_SUPPORT_TEST_HOST_H
#define TESTS_SUPPORT_TEST_HOST_H

#include <stdatomic.h>

#include "vestry/host.h"

typedef struct test_host {
  vestry_host host;                  /* give &th.host to the code under test */
  _Atomic(uint64_t) now_ns;          /* the clock; starts at 1 s */
  _Atomic(long) live;                /* allocations not yet freed: 0 at the end of every test */
  _Atomic(size_t) bytes, most_bytes; /* that these take; and at the most so far */
  _Atomic(long) allocations;         /* so far, failed ones included */
  _Atomic(long) fail_at;             /* the allocation with this number (from 0) fails; -1: none */
  _Atomic(bool) fail_after;          /* all after it fail too */
  _Atomic(bool) fail_random;         /* random() answers VESTRY_IO */
  _Atomic(uint64_t) seed;            /* state of the generator */
  _Atomic(long) log_lines;           /* lines logged at WARN or ERROR */
  char last_log[1024];               /* guarded by nothing: read it when threads are quiet */
  void (*on_free)(void *);           /* called before memory is freed; NULL: not. Set it while threads are quiet */
  void *on_free_ctx;
} test_host;

/* Static storage is fine; init again to reset. */
void test_host_init(test_host *th);
void test_host_advance_ms(test_host *th, uint64_t ms);
/* cmocka assertion that nothing is live. */
void test_host_assert_clean(test_host *th);

/* Of the allocations from here on the one with this number, from 0, fails; below 0: none. */
void test_host_fail_in(test_host *th, long number);
/* None fails any more. Returns whether the one that was to fail has been asked for: a loop over all numbers ends with
 * the first for which it has not. */
bool test_host_has_failed(test_host *th);
void test_host_fail_no_more(test_host *th);

/* Style rule 23: run `body` with allocation N failing for N = 0, 1, 2 … until a run in which none failed. `body`
 * returns what the code under test returned: it must be VESTRY_NO_MEMORY exactly when an allocation failed and OK
 * otherwise (or OK too, when tolerate is set: the code may do without), and nothing may be live after each run. */
void test_host_fail_each(vestry_err (*body)(test_host *th, void *ctx), void *ctx, bool tolerate);

#endif
