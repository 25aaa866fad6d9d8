/* SPDX-License-Identifier: MIT */
#include "runtime/latch.h"

void latch_init(latch *l) {
  pthread_mutex_init(&l->lock, NULL);
  pthread_cond_init(&l->grown, NULL);
  l->count = 0;
}

void latch_finish(latch *l) {
  pthread_cond_destroy(&l->grown);
  pthread_mutex_destroy(&l->lock);
}

void latch_add(latch *l) {
  pthread_mutex_lock(&l->lock);
  l->count++;
  pthread_cond_broadcast(&l->grown);
  pthread_mutex_unlock(&l->lock);
}

void latch_wait(latch *l, unsigned long count) {
  pthread_mutex_lock(&l->lock);
  while (l->count < count) pthread_cond_wait(&l->grown, &l->lock);
  pthread_mutex_unlock(&l->lock);
}
