/* SPDX-License-Identifier: MIT */
/* Records the connections of a test through their hooks, and waits for them. */
#ifndef TESTS_TESTING_RECORDER_H
#define TESTS_TESTING_RECORDER_H

#include <pthread.h>

#include "vestry/connection.h"

enum { RECORDER_MAX = 4096 };

typedef struct recorder {
  pthread_mutex_t lock;
  pthread_cond_t changed;
  /* guarded by lock */
  unsigned opened, closed;
  vestry_connection *connections[RECORDER_MAX]; /* in order of opening; references */
  vestry_connection *ended[RECORDER_MAX];       /* in order of ending; references */
  vestry_cause causes[RECORDER_MAX];
} recorder;

void recorder_init(recorder *w);
/* Drop the references. */
void recorder_finish(recorder *w);
vestry_connection_hooks recorder_hooks(recorder *w);

/* Wait until this many have opened or ended; false: timeout. */
bool recorder_wait_opened(recorder *w, unsigned count);
bool recorder_wait_closed(recorder *w, unsigned count);
/* Return the connection that opened as number `index`, from 0; NULL: not yet. Borrowed. */
vestry_connection *recorder_connection(recorder *w, unsigned index);
/* Return the cause of this connection's end; NONE: it is open. */
vestry_cause recorder_cause(recorder *w, const vestry_connection *connection);
unsigned recorder_closed(recorder *w);

#endif
