/* SPDX-License-Identifier: MIT */
/* Failed sends, and callbacks whose context lives until the connection has ended. */
#ifndef VSI_CONNECTION_REFUSAL_H
#define VSI_CONNECTION_REFUSAL_H

#include "base/log.h"
#include "connection/connection.h"

/* Handle a failed send: call the hooks if they receive this error, and apply their verdict. Returns the error. Any
 * thread, no lock held. */
vestry_err vsi_connection_refused(vestry_connection *connection, vestry_err error);

/* Enter the connection, for a callback whose context lives until the connection has ended. The connection does not end
 * before vsi_connection_leave. Returns false if the connection is about to end or has ended: then no thread enters any
 * more. Any thread that holds a reference; neither function waits. */
VESTRY_API bool vsi_connection_enter(vestry_connection *connection);
VESTRY_API void vsi_connection_leave(vestry_connection *connection);
/* Prevent senders from entering, so that no on_error hook is called any more. Returns whether no thread is inside; if
 * one is, it notifies the actor when it leaves. Idempotent; runner, or abandon. */
bool vsi_connection_bar_senders(vestry_connection *connection);

#endif
