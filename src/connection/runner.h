/* SPDX-License-Identifier: MIT */
/* The runner: the only thread that is inside a connection at a given time. */
#ifndef VSI_CONNECTION_RUNNER_H
#define VSI_CONNECTION_RUNNER_H

#include "connection/connection.h"

/* Actor classes for transports that run on the pool, and for those on a dedicated thread. */
extern const vsi_actor_class vsi_connection_pooled, vsi_connection_dedicated;
/* The timer's callback. */
void vsi_connection_timer_fired(vsi_timer *timer, vsi_notices *notices);
/* Do the second step of a send (send.h) after OK, on a thread that may write in the runner's place. If no thread is
 * inside the connection and the transport does not block, the events are encoded and written when this returns, as far
 * as there is room.
 * here: the pool of this thread, in whose batch a small write may be queued (runtime/sends.h); the caller flushes it
 * soon, by vsi_pool_flush. NULL: write directly. No lock held; the hooks of an end still run on the runner's
 * threads. */
VESTRY_API void vsi_connection_posted_here(vestry_connection *connection, vsi_pool *here);
/* Return whether vsi_connection_posted_here may queue the write of this number of bytes, without encoding them: the
 * transport and the runtime of the connection batch. */
VESTRY_API bool vsi_connection_may_batch(const vestry_connection *connection, size_t bytes);

/* Set the function that is called on the runner for each settled event of a stream whose member `tailed` is NOW. It
 * must not block. All instances have the same function. Any thread. */
typedef void (*vsi_report_fn)(vestry_connection *connection, vestry_event *event, bool was_written);
VESTRY_API void vsi_connection_report_to(vsi_report_fn fn);

/* Drop a connection that was created but must not be opened; called instead of start. The connection counts as opened
 * and closed. Its hooks run on this thread, and its transport is ended without being opened. */
void vsi_connection_abandon(vestry_connection *connection, vestry_cause cause);

#endif
