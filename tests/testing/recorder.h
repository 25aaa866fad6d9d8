/* SPDX-License-Identifier: MIT */
/* Records the connections of a test through their hooks, and waits for them. */
#ifndef TESTS_TESTING_WITNESS_H
#define TESTS_TESTING_WITNESS_H

#include <pthread.h>

#include "vestry/connection.h"

enum { WITNESS_MAX = 4096 };

typedef struct witness {
  pthread_mutex_t lock;
  pthread_cond_t changed;
  /* guarded by lock */
  unsigned opened, closed;
  vestry_connection *connections[WITNESS_MAX]; /* in order of opening; references */
  vestry_connection *ended[WITNESS_MAX];       /* in order of ending; references */
  vestry_cause causes[WITNESS_MAX];
} witness;

void witness_init(witness *w);
/* Drop the references. */
void witness_finish(witness *w);
vestry_connection_hooks witness_hooks(witness *w);

/* Wait until this many have opened or ended; false: timeout. */
bool witness_wait_opened(witness *w, unsigned count);
bool witness_wait_closed(witness *w, unsigned count);
/* Return the connection that opened as number `index`, from 0; NULL: not yet. Borrowed. */
vestry_connection *witness_connection(witness *w, unsigned index);
/* Return the cause of this connection's end; NONE: it is open. */
vestry_cause witness_cause(witness *w, const vestry_connection *connection);
unsigned witness_closed(witness *w);

#endif
