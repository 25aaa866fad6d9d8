/* SPDX-License-Identifier: MIT */
/* Wait for other threads without sleeping: threads wait until a number that only grows has reached a value. */
#ifndef TESTS_RUNTIME_LATCH_H
#define TESTS_RUNTIME_LATCH_H

#include <pthread.h>

typedef struct latch {
  pthread_mutex_t lock;
  pthread_cond_t grown;
  unsigned long count; /* guarded by lock */
} latch;

void latch_init(latch *l);
void latch_finish(latch *l);
void latch_add(latch *l);
void latch_wait(latch *l, unsigned long count);

#endif
