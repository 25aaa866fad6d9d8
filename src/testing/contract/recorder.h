/* SPDX-License-Identifier: MIT */
/* Records the connections of a case through their hooks, and waits for them. */
#ifndef VSI_TESTING_CONTRACT_RECORDER_H
#define VSI_TESTING_CONTRACT_RECORDER_H

#include <pthread.h>

#include "base/mutex.h"
#include "vestry/connection.h"

enum { VSI_RECORDER_MAX = 4096 };

typedef struct vsi_recorder {
  vsi_mutex lock; /* the suites keep what their handlers received under it, too */
  pthread_cond_t changed;
  /* guarded by lock */
  unsigned opened, closed;
  vestry_connection *connections[VSI_RECORDER_MAX]; /* in order of opening; references */
  vestry_connection *ended[VSI_RECORDER_MAX];       /* in order of ending; references */
  vestry_cause causes[VSI_RECORDER_MAX];
} vsi_recorder;

void vsi_recorder_init(vsi_recorder *w);
/* Drop the references; the counts stay. */
void vsi_recorder_drop(vsi_recorder *w);
/* Drop the references that are left. */
void vsi_recorder_finish(vsi_recorder *w);
vestry_connection_hooks vsi_recorder_hooks(vsi_recorder *w);

/* Wait until this number of connections has opened or ended; false: the patience is over. */
bool vsi_recorder_wait_opened(vsi_recorder *w, unsigned count);
bool vsi_recorder_wait_closed(vsi_recorder *w, unsigned count);
/* Return the number of connections that have opened, or ended. */
unsigned vsi_recorder_opened(vsi_recorder *w);
unsigned vsi_recorder_closed(vsi_recorder *w);
/* Return the connection that opened as number `index`, from 0; NULL: not yet. Borrowed. */
vestry_connection *vsi_recorder_connection(vsi_recorder *w, unsigned index);
/* Return the cause of this connection's end; NONE: it is open. */
vestry_cause vsi_recorder_cause(vsi_recorder *w, const vestry_connection *connection);

#endif
