/* SPDX-License-Identifier: MIT */
#include "base/spin_lock.h"

#include <pthread.h>

#include "support/test.h"

enum { THREADS = 200, STEPS = 2000 };

static struct {
  vsi_spin_lock lock;
  size_t inside, count; /* guarded by lock */
} guarded;

static void *count_up(void *ctx) {
  size_t *wrong = ctx;
  for (size_t i = 0; i < STEPS; i++) {
    vsi_spin_lock_take(&guarded.lock, VSI_LOCK_SHARD);
    *wrong += guarded.inside++ != 0;
    guarded.count++;
    if (i % 500 == 0) sched_yield(); /* the holder is descheduled */
    guarded.inside--;
    vsi_spin_lock_give(&guarded.lock);
  }
  return NULL;
}

/* Far more threads than processors make progress, one at a time. */
TEST_CASE(spin_lock_excludes_many_threads) {
  pthread_t threads[THREADS];
  size_t wrong[THREADS] = {0};
  for (size_t i = 0; i < THREADS; i++) assert_int_equal(pthread_create(&threads[i], NULL, count_up, &wrong[i]), 0);
  for (size_t i = 0; i < THREADS; i++) {
    pthread_join(threads[i], NULL);
    assert_int_equal(wrong[i], 0);
  }
  assert_int_equal(guarded.count, THREADS * STEPS);
}
