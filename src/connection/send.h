/* SPDX-License-Identifier: MIT */
/* Sending to a connection: the queue is filled, and the runner roused. */
#ifndef VSI_CONNECTION_SEND_H
#define VSI_CONNECTION_SEND_H

#include "connection/connection.h"

/* The way to send, in two steps, so that a sender that holds a lock takes the second one without it.
 * First: put a chain of deliveries into the queue, all or none, with nothing in between; they are counted, but the
 * runner is not told. A chain is linked by vsi_delivery_link and ends with NULL. Any thread, lock-free, calls nothing.
 * OK: the queue has taken them | CLOSED | FULL (counted) | TOO_LARGE: they are still the caller's. In each case
 * vsi_connection_posted must follow */
vestry_err vsi_connection_post(vestry_connection *connection, vsi_delivery *first);
/* The same with events, one or more, of each of which a reference is taken. changed_ns: when the change came that they
 * answer (connection/tally.h); 0: none. Also: NO_MEMORY */
VESTRY_API vestry_err vsi_connection_put(vestry_connection *connection, vestry_event *const *events, size_t count,
                                         uint64_t changed_ns);
/* Second: rouse the runner, or tell of what was refused and do what the policy says. No lock held. */
VESTRY_API void vsi_connection_posted(vestry_connection *connection, vestry_err error);
/* vestry_connection_send_all by a thread that may write, as it is as well one as any of the runner's: where no thread
 * is inside and the transport does not block, what was sent is encoded and written when this returns, if there is room.
 * changed_ns: as above. No lock held; the hooks of an end
 * run on the runner's threads as ever. */
VESTRY_API vestry_err vsi_connection_send_here(vestry_connection *connection, vestry_event *const *events, size_t count,
                                               uint64_t changed_ns);

/* Have it come back in so many milliseconds: write what was accepted, then that hint, then abort it for DRAIN. The hint
 * is left out when there is no memory or no room for it. Returns whether this call decided the cause. Any thread. */
bool vsi_connection_send_off(vestry_connection *connection, uint32_t retry_ms);

#endif
