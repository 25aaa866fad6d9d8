/* SPDX-License-Identifier: MIT */
/* A receiver that records all messages and states in order. It checks that calls do not overlap, and that none comes
 * after the stop. */
#ifndef TESTS_CLUSTER_RECEIVER_H
#define TESTS_CLUSTER_RECEIVER_H

#include <pthread.h>
#include <stdatomic.h>

#include "vestry/cluster/broker.h"

typedef struct received {
  bool is_state;
  vestry_broker_state state;
  char subject[VESTRY_SUBJECT_MAX_BYTES + 1];
  void *data; /* terminated */
  size_t len;
} received;

typedef struct receiver {
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
  received *all;
  size_t count, capacity;
  /* Called after each record, without the lock; NULL: none. */
  void (*then)(struct receiver *self, const received *what);
  void *ctx;
} receiver;

void receiver_init(receiver *e, vestry_broker broker);
void receiver_subscribe(receiver *e, const char *subject); /* before the start */
vestry_err receiver_try_start(receiver *e);
void receiver_start(receiver *e);  /* start it, and fail the test on an error */
void receiver_finish(receiver *e); /* stop, destroy and free it, and fail the test if there were faults */

size_t receiver_messages(receiver *e, const char *subject); /* the number of messages; NULL: of all subjects */
size_t receiver_states(receiver *e, vestry_broker_state state);
received receiver_nth(receiver *e, const char *subject, size_t n); /* borrowed */
void receiver_clear(receiver *e);

/* Publish and flush with at_once set. */
vestry_err receiver_publish(receiver *e, const char *subject, const char *text);
vestry_err receiver_publish_bytes(receiver *e, const char *subject, const void *data, size_t len);

/* Wait for the next record, for a moment at most. */
void receiver_wait(receiver *e);

#endif
