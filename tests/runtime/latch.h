/* SPDX-License-Identifier: MIT */
/* Waiting for other threads without sleeping: a number that grows, and those who wait for it to reach theirs. */
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
