/* SPDX-License-Identifier: MIT */
#include "base/refs.h"

#include <pthread.h>
#include <stddef.h>

#include "support/test.h"

enum { THREADS = 8, STEPS = 10000 };

/* Each holder writes its own member, and the last one reads all: ThreadSanitizer checks that the drops order this. */
static struct {
  vsi_refs refs;
  size_t written[THREADS];
  size_t ends, sum;
} shared;

static void *hold(void *ctx) {
  size_t *own = ctx;
  for (size_t i = 0; i < STEPS; i++) {
    VSI_REFS_TAKE(&shared.refs);
    ++*own;
    if (VSI_REFS_DROP(&shared.refs)) shared.ends++; /* never: the first reference is still held */
  }
  if (!VSI_REFS_DROP(&shared.refs)) return NULL;
  shared.ends++;
  for (size_t i = 0; i < THREADS; i++) shared.sum += shared.written[i];
  return NULL;
}

TEST_CASE(last_drop_sees_all_writes) {
  pthread_t threads[THREADS];
  VSI_REFS_INIT(&shared.refs, THREADS);
  for (size_t i = 0; i < THREADS; i++) assert_int_equal(pthread_create(&threads[i], NULL, hold, &shared.written[i]), 0);
  for (size_t i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
  assert_int_equal(shared.ends, 1);
  assert_int_equal(shared.sum, THREADS * STEPS);
}

TEST_CASE(references_work_in_any_width) {
  _Atomic(uint8_t) small;
  VSI_REFS_INIT(&small, 2);
  assert_false(VSI_REFS_DROP(&small));
  VSI_REFS_TAKE(&small);
  assert_false(VSI_REFS_DROP(&small));
  assert_true(VSI_REFS_DROP(&small));
}
