/* SPDX-License-Identifier: MIT */
/* The streams that show what is seen: they end before what they look by does. */
#ifndef VSI_OBSERVE_SHOWINGS_H
#define VSI_OBSERVE_SHOWINGS_H

#include <pthread.h>
#include <sys/queue.h>

#include "base/mutex.h"
#include "vestry/connection.h"
#include "vestry/runtime.h"

/* So many at a time. */
enum { VSI_SHOWINGS_MAX = 64 };

/* One stream, from its request on. */
typedef struct vsi_showing {
  vestry_connection *connection; /* guarded by the lock of showings; a reference; NULL: it has not begun */
  LIST_ENTRY(vsi_showing) in_list;
} vsi_showing;

typedef struct vsi_showings {
  vsi_mutex lock; /* nothing is called while it is held */
  pthread_cond_t left;
  LIST_HEAD(, vsi_showing) list; /* guarded by lock, as are the next */
  size_t count;
  bool is_over; /* none is let in */
} vsi_showings;

void vsi_showings_init(vsi_showings *showings);
/* End all, and wait until none is left. A stepped runtime is stepped. */
void vsi_showings_finish(vsi_showings *showings, vestry_runtime *runtime);

/* A showing that is to leave. OK | CLOSED | LIMIT. Any thread. */
vestry_err vsi_showings_enter(vsi_showings *showings, vsi_showing *showing);
/* Its stream has begun; it has no tail from now on (connection/tail.h). Once, on any thread, before it leaves. */
void vsi_showings_begin(vsi_showings *showings, vsi_showing *showing, vestry_connection *connection);
/* Nothing of the showing is used any more. */
void vsi_showings_leave(vsi_showings *showings, vsi_showing *showing);

#endif
