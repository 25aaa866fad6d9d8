/* SPDX-License-Identifier: MIT */
#include "support/test_host.h"

#include <malloc.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "support/test.h"

static void count_bytes(test_host *th, size_t before, size_t after) {
  size_t bytes = atomic_fetch_add(&th->bytes, after - before) + (after - before);
  size_t most = atomic_load(&th->max_bytes);
  while (most < bytes && !atomic_compare_exchange_weak(&th->max_bytes, &most, bytes)) continue;
}

static void *test_reallocate(void *ctx, void *memory, size_t size_bytes) {
  test_host *th = ctx;
  const size_t before = malloc_usable_size(memory);
  if (size_bytes == 0) {
    count_bytes(th, before, 0);
    if (memory && th->on_free) th->on_free(th->on_free_ctx);
    if (memory) atomic_fetch_sub(&th->live, 1);
    free(memory);
    return NULL;
  }
  long number = atomic_fetch_add(&th->allocations, 1);
  long fail_at = atomic_load(&th->fail_at);
  if (fail_at >= 0 && (number == fail_at || (number > fail_at && atomic_load(&th->fail_after)))) return NULL;
  if (!memory) atomic_fetch_add(&th->live, 1);
  void *after = realloc(memory, size_bytes);
  if (after) count_bytes(th, before, malloc_usable_size(after));
  return after;
}

static uint64_t test_now_ns(void *ctx) {
  return atomic_load(&((test_host *)ctx)->now_ns);
}

/* splitmix64: any seed works, and each call advances it. */
static vestry_err test_random(void *ctx, void *buffer, size_t len) {
  test_host *th = ctx;
  if (atomic_load(&th->fail_random)) return VESTRY_IO;
  for (unsigned char *at = buffer; len; at++, len--) {
    uint64_t z = atomic_fetch_add(&th->seed, UINT64_C(0x9E3779B97F4A7C15));
    z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
    *at = (unsigned char)(z ^ (z >> 31));
  }
  return VESTRY_OK;
}

static void test_log(void *ctx, vestry_log_level level, const char *line) {
  static pthread_mutex_t one_at_a_time = PTHREAD_MUTEX_INITIALIZER;
  test_host *th = ctx;
  if (level <= VESTRY_LOG_WARN) atomic_fetch_add(&th->log_lines, 1);
  pthread_mutex_lock(&one_at_a_time);
  strncpy(th->last_log, line, sizeof th->last_log - 1);
  pthread_mutex_unlock(&one_at_a_time);
}

void test_host_init(test_host *th) {
  memset(th, 0, sizeof *th);
  th->host = (vestry_host){
      .ctx = th, .reallocate = test_reallocate, .now_ns = test_now_ns, .random = test_random, .log = test_log};
  atomic_store(&th->now_ns, UINT64_C(1000000000));
  atomic_store(&th->fail_at, -1);
  atomic_store(&th->seed, 42);
}

void test_host_advance_ms(test_host *th, uint64_t ms) {
  atomic_fetch_add(&th->now_ns, ms * UINT64_C(1000000));
}

void test_host_assert_clean(test_host *th) {
  assert_int_equal(atomic_load(&th->live), 0);
}

void test_host_fail_in(test_host *th, long number) {
  atomic_store(&th->fail_at, number < 0 ? -1 : atomic_load(&th->allocations) + number);
}

bool test_host_has_failed(test_host *th) {
  long at = atomic_exchange(&th->fail_at, -1);
  return at >= 0 && atomic_load(&th->allocations) > at;
}

void test_host_fail_no_more(test_host *th) {
  atomic_store(&th->fail_at, -1);
}

void test_host_fail_each(vestry_err (*body)(test_host *th, void *ctx), void *ctx, bool tolerate) {
  test_host_fail_every(1, body, ctx, tolerate);
}

void test_host_fail_every(unsigned step, vestry_err (*body)(test_host *th, void *ctx), void *ctx, bool tolerate) {
  for (long number = 0;; number += step) {
    test_host th;
    test_host_init(&th);
    test_host_fail_in(&th, number);
    vestry_err error = body(&th, ctx);
    test_host_assert_clean(&th);
    if (!test_host_has_failed(&th)) {
      assert_int_equal(error, VESTRY_OK);
      return;
    }
    if (!(tolerate && error == VESTRY_OK)) assert_int_equal(error, VESTRY_NO_MEMORY);
  }
}
