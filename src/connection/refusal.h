/* SPDX-License-Identifier: MIT */
/* A send that comes to nothing, and callbacks whose context lives until the connection has ended. */
#ifndef VSI_CONNECTION_REFUSAL_H
#define VSI_CONNECTION_REFUSAL_H

#include "connection/connection.h"

/* A send came to nothing: tell the hooks, if the error is theirs to know, and do what they say. Returns the error. Any
 * thread, no lock held. */
vestry_err vsi_connection_refused(vestry_connection *connection, vestry_err error);
/* Stay inside, for a callback whose context lives until the connection has ended: it does not end before the leave.
 * false: it is about to end, or has, and no thread enters any more. Any thread that holds a reference; neither
 * waits. */
VESTRY_API bool vsi_connection_enter(vestry_connection *connection);
VESTRY_API void vsi_connection_leave(vestry_connection *connection);
/* No sender enters from here on, and no on_error hook is called. Returns whether none is inside; if one is, it notifies
 * the actor when it leaves. Idempotent; runner, or abandon. */
bool vsi_connection_hush(vestry_connection *connection);

#endif
