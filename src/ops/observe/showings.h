/* SPDX-License-Identifier: MIT */
/* Streams of consoles and tails. They must end before the observer is freed. */
#ifndef VSI_OBSERVE_SHOWINGS_H
#define VSI_OBSERVE_SHOWINGS_H

#include <pthread.h>
#include <sys/queue.h>

#include "base/mutex.h"
#include "vestry/connection.h"
#include "vestry/runtime.h"

/* Maximum number at a time. */
enum { VSI_SHOWINGS_MAX = 64 };

/* One stream, from its request on. */
typedef struct vsi_showing {
  vestry_connection *connection; /* guarded by the lock of showings; a reference; NULL: not begun */
  LIST_ENTRY(vsi_showing) in_list;
} vsi_showing;

typedef struct vsi_showings {
  vsi_mutex lock; /* no function is called under it */
  pthread_cond_t left;
  LIST_HEAD(, vsi_showing) list; /* guarded by lock, as the members below */
  size_t count;
  bool is_over; /* no more are admitted */
} vsi_showings;

void vsi_showings_init(vsi_showings *showings);
/* End all, and wait until none is left. A stepped runtime is stepped. */
void vsi_showings_finish(vsi_showings *showings, vestry_runtime *runtime);

/* Admit a showing, which must leave later. OK | CLOSED | LIMIT. Any thread. */
vestry_err vsi_showings_enter(vsi_showings *showings, vsi_showing *showing);
/* Set the stream of a showing when it begins, and exclude it from tails (connection/tail.h). Once, on any thread,
 * before it leaves. */
void vsi_showings_begin(vsi_showings *showings, vsi_showing *showing, vestry_connection *connection);
/* Remove a showing. It is not accessed afterwards. */
void vsi_showings_leave(vsi_showings *showings, vsi_showing *showing);

#endif
