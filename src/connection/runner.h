/* SPDX-License-Identifier: MIT */
/* The runner: the only thread that is inside a connection at a given time. */
#ifndef VSI_CONNECTION_RUNNER_H
#define VSI_CONNECTION_RUNNER_H

#include "connection/connection.h"

/* Actor classes for transports that run on the pool, and for those on a dedicated thread. */
extern const vsi_actor_class vsi_connection_pooled, vsi_connection_dedicated;
/* The timer's callback. */
void vsi_connection_timer_fired(vsi_timer *timer);
/* Write waiting events, on a thread that has entered the actor. */
void vsi_connection_visit(vestry_connection *connection);

/* Drop a connection that was created but must not be opened; called instead of start. The connection counts as opened
 * and closed. Its hooks run on this thread, and its transport is ended without being opened. */
void vsi_connection_abandon(vestry_connection *connection, vestry_cause cause);

#endif
