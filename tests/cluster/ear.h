/* SPDX-License-Identifier: MIT */
/* What a node hears: all messages and states in order. It sees to it that no two calls overlap, and that none comes
 * after the stop. */
#ifndef TESTS_CLUSTER_EAR_H
#define TESTS_CLUSTER_EAR_H

#include <pthread.h>
#include <stdatomic.h>

#include "vestry/cluster/broker.h"

typedef struct heard {
  bool is_state;
  vestry_broker_state state;
  char subject[VESTRY_SUBJECT_MAX_BYTES + 1];
  void *data; /* terminated */
  size_t len;
} heard;

typedef struct ear {
  vestry_broker broker;
  vestry_broker_events events;                    /* for start */
  char (*subjects)[VESTRY_SUBJECT_MAX_BYTES + 1]; /* likewise */
  size_t subjects_count;
  _Atomic(unsigned) published_count;
  _Atomic(int) inside;
  _Atomic(bool) over; /* it has stopped: nothing may come */
  _Atomic(int) faults;
  pthread_mutex_t lock;
  pthread_cond_t changed;
  /* guarded by lock */
  heard *all;
  size_t count, capacity;
  /* Called behind each, without the lock; NULL: nothing. */
  void (*then)(struct ear *self, const heard *what);
  void *ctx;
} ear;

void ear_init(ear *e, vestry_broker broker);
void ear_hears(ear *e, const char *subject); /* before the start */
vestry_err ear_try_start(ear *e);
void ear_start(ear *e);  /* OK, or the test fails */
void ear_finish(ear *e); /* stop, destroy, free, and fail if there were faults */

size_t ear_messages(ear *e, const char *subject); /* how many; NULL: of all subjects */
size_t ear_states(ear *e, vestry_broker_state state);
heard ear_nth(ear *e, const char *subject, size_t n); /* borrowed */
void ear_forget(ear *e);

/* Publish and flush, at once and not by turns. */
vestry_err ear_publish(ear *e, const char *subject, const char *text);
vestry_err ear_publish_bytes(ear *e, const char *subject, const void *data, size_t len);

/* Until something is heard, or for a moment. */
void ear_wait(ear *e);

#endif
