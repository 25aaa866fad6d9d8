/* SPDX-License-Identifier: MIT */
/* The runner: the one thread at a time that is inside a connection. */
#ifndef VSI_CONNECTION_RUNNER_H
#define VSI_CONNECTION_RUNNER_H

#include "connection/connection.h"

/* The actor's class for pool and for parked transports. */
extern const vsi_actor_class vsi_connection_pooled, vsi_connection_parked;
/* The timer's callback. */
void vsi_connection_timer_fired(vsi_timer *timer);
/* Write what waits, for a thread that has entered the actor. */
void vsi_connection_visit(vestry_connection *connection);

/* Instead of start: forget a connection that was created but shall not open. It counts as opened and closed, its hooks
 * run on this thread, its transport is ended unopened. */
void vsi_connection_abandon(vestry_connection *connection, vestry_cause cause);

#endif
