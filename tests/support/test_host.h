/* SPDX-License-Identifier: MIT */
/* A host for tests: counts allocations and lets them fail, has a clock that the test advances, and reproducible
 * randomness. Thread-safe. */
#ifndef TESTS_SUPPORT_TEST_HOST_H
#define TESTS_SUPPORT_TEST_HOST_H

#include <stdatomic.h>

#include "vestry/host.h"

typedef struct test_host {
  vestry_host host;                 /* give &th.host to the code under test */
  _Atomic(uint64_t) now_ns;         /* the clock; starts at 1 s */
  _Atomic(long) live;               /* allocations not freed yet: 0 at the end of each test */
  _Atomic(size_t) bytes, max_bytes; /* their size, and its maximum so far */
  _Atomic(long) allocations;        /* so far, including failed ones */
  _Atomic(long) fail_at;            /* the allocation with this number (from 0) fails; -1: none */
  _Atomic(bool) fail_after;         /* all later ones fail, too */
  _Atomic(bool) fail_random;        /* random() returns VESTRY_IO */
  _Atomic(uint64_t) seed;           /* state of the generator */
  _Atomic(long) log_lines;          /* lines logged at WARN or ERROR */
  char last_log[1024];              /* not synchronized: read it when no other thread runs */
  void (*on_free)(void *);          /* called before memory is freed; NULL: none. Set it when no other thread runs */
  void *on_free_ctx;
} test_host;

/* Static storage is fine; init again to reset. */
void test_host_init(test_host *th);
void test_host_advance_ms(test_host *th, uint64_t ms);
/* Assert with cmocka that no allocation is live. */
void test_host_assert_clean(test_host *th);

/* Let the allocation with this number fail, counted from 0 from here on; below 0: none. */
void test_host_fail_in(test_host *th, long number);
/* Stop failures. Returns whether the selected allocation was reached: a loop over all numbers ends with the first that
 * was not. */
bool test_host_has_failed(test_host *th);
void test_host_fail_no_more(test_host *th);

/* Style rule 23: run `body` with allocation N failing for N = 0, 1, 2 … until a run in which none failed. `body`
 * returns the result of the code under test: it must be VESTRY_NO_MEMORY exactly if an allocation failed, and otherwise
 * OK (or also OK if tolerate is set, because the code may do without the memory). After each run, no allocation may be
 * live. */
void test_host_fail_each(vestry_err (*body)(test_host *th, void *ctx), void *ctx, bool tolerate);
/* The same for each step-th allocation only. */
void test_host_fail_every(unsigned step, vestry_err (*body)(test_host *th, void *ctx), void *ctx, bool tolerate);

/* A case with a host, of which no memory may be left. */
#define HOST_CASE(name) TEST_CASE_WITH(name, test_host, th, test_host_init(th), test_host_assert_clean(th))

#endif
