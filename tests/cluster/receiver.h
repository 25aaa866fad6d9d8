/* SPDX-License-Identifier: MIT */
/* A receiver that records all messages and states in order. It checks that calls do not overlap, and that none comes
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
  char (*subjects)[VESTRY_SUBJECT_MAX_BYTES + 1]; /* for start */
  size_t subjects_count;
  _Atomic(unsigned) published_count;
  _Atomic(int) inside;
  _Atomic(bool) over; /* it has stopped: no call may come */
  _Atomic(int) faults;
  pthread_mutex_t lock;
  pthread_cond_t changed;
  /* guarded by lock */
  heard *all;
  size_t count, capacity;
  /* Called after each record, without the lock; NULL: none. */
  void (*then)(struct ear *self, const heard *what);
  void *ctx;
} ear;

void ear_init(ear *e, vestry_broker broker);
void ear_hears(ear *e, const char *subject); /* before the start */
vestry_err ear_try_start(ear *e);
void ear_start(ear *e);  /* start it, and fail the test on an error */
void ear_finish(ear *e); /* stop, destroy and free it, and fail the test if there were faults */

size_t ear_messages(ear *e, const char *subject); /* the number of messages; NULL: of all subjects */
size_t ear_states(ear *e, vestry_broker_state state);
heard ear_nth(ear *e, const char *subject, size_t n); /* borrowed */
void ear_forget(ear *e);

/* Publish and flush with at_once set. */
vestry_err ear_publish(ear *e, const char *subject, const char *text);
vestry_err ear_publish_bytes(ear *e, const char *subject, const void *data, size_t len);

/* Wait for the next record, for a moment at most. */
void ear_wait(ear *e);

#endif
