/* SPDX-License-Identifier: MIT */
/* Sending to a connection: put events into the queue, and wake the runner. */
#ifndef VSI_CONNECTION_SEND_H
#define VSI_CONNECTION_SEND_H

#include "connection/runner.h"

/* The sends of one event to many connections of a group take room in the budget, and notify the runners, for up to this
 * many at once, because all threads write these counters and queues. */
enum { VSI_BURST_MOST = 64 };
typedef struct vsi_burst {
  uint64_t room; /* taken from the budget, and not used yet */
  vsi_notices notices;
} vsi_burst;
/* Begin at most `count` sends of an event. */
void vsi_burst_begin(vsi_burst *burst, const vsi_environment *environment, const vestry_event *event, size_t count);
/* Release the room that is left over, after the notices were sent. No lock held. */
void vsi_burst_end(vsi_burst *burst, const vsi_environment *environment);

/* Put deliveries into the queue, all or none, with nothing in between. This is the first of two steps, so that a sender
 * that holds a lock can take the second one without it. The deliveries are counted, but the runner is not woken. An
 * event that names a state supersedes a waiting one (queue.c).
 * list     at least one; several: each is_of_batch
 * burst    of which this send is one; NULL: none
 * Returns  OK: the queue has taken them, and the list is empty | CLOSED | FULL (counted) | TOO_LARGE: they still belong
 *          to the caller. In each case vsi_connection_posted must follow
 * Threads  any; does not block; calls no callback */
vestry_err vsi_connection_post(vestry_connection *connection, vsi_deliveries *list, vsi_burst *burst);
/* Do the same with one delivery. */
static inline vestry_err vsi_connection_post_one(vestry_connection *connection, vsi_delivery *delivery,
                                                 vsi_burst *burst) {
  vsi_deliveries list = TAILQ_HEAD_INITIALIZER(list);
  TAILQ_INSERT_TAIL(&list, delivery, in);
  return vsi_connection_post(connection, &list, burst);
}
/* Do the first step with one or more events, and take a reference to each. changed_ns: time of the change that the
 * events result from (connection/tally.h); 0: none. Also returns NO_MEMORY */
VESTRY_API vestry_err vsi_connection_put(vestry_connection *connection, vestry_event *const *events, size_t count,
                                         uint64_t changed_ns);
/* Do the second step: wake the runner, or report the refusal to the hooks and apply the policy. No lock held. */
VESTRY_API void vsi_connection_posted(vestry_connection *connection, vestry_err error);
/* Call vsi_connection_posted_here for several connections, and drop the references to them. here: the pool of the
 * calling worker. */
VESTRY_API void vsi_connections_posted_here(vestry_connection *const *connections, size_t count, vsi_pool *here);
/* Send one event as vestry_connection_send, with vsi_connection_posted_here as the second step; an encoded stream is
 * left to the runner's threads. */
vestry_err vsi_connection_send_here(vestry_connection *connection, vestry_event *event);
/* Send one event to several connections of a group, at most VSI_BURST_MOST, as vestry_connection_send does.
 * ret_errors: the result of each. */
void vsi_connection_send_each(vestry_connection *const *connections, size_t count, vestry_event *event,
                              vestry_err *ret_errors);

/* Send a stream away with a reconnect delay: write the accepted events and the delay, then abort the stream with cause
 * DRAIN. The delay is omitted if there is no memory or no room for it. Returns whether this call set the cause. Any
 * thread. */
bool vsi_connection_send_off(vestry_connection *connection, uint32_t retry_ms);

/* Send a new event and drop the reference to it. An error in making it counts as an error in sending. made: the result
 * of the function that made the event. event: a reference, taken in any case; ignored if made is an error.
 * Returns made, if it is an error | as vestry_connection_send_all. Any thread. */
VESTRY_API vestry_err vsi_connection_send_made(vestry_connection *connection, vestry_err made, vestry_event *event);

#endif
