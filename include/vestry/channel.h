/* SPDX-License-Identifier: MIT */
/** Channels: one event to many connections, compressed once.
 *
 *  A channel is a set of member connections under a scope and a key (vestry/key.h); a member leaves when its connection
 *  ends. All members get the published events in the same order, and each member's queue keeps the order with events
 *  sent to it alone. A channel exists while it has members: the first join makes it, and it ends when the last member
 *  has left and no call is using it. The application neither creates nor destroys it. A dispatch (vestry/registry.h)
 *  finds streams by their keys in the store, a broadcast by their channels.
 *
 *      static vestry_err live(const vestry_request *req, vestry_reply *reply, void *app) { // needs vestry/request.h
 *        vestry_reply_keep(reply, VESTRY_KEEP_MANY, 0); // the stream stays open; no key: the policy has no effect
 *        return vestry_reply_join(reply, req->scope, VESTRY_KEY("board", 7)); // until the stream ends
 *      }
 *      static vestry_err publish(vestry *v, vestry_scope scope, vestry_event *event) { // on any thread
 *        return vestry_broadcast(v, scope, VESTRY_KEY("board", 7), event, NULL);
 *      } */
#ifndef VESTRY_CHANNEL_H
#define VESTRY_CHANNEL_H

#include "vestry/instance.h"

#ifdef __cplusplus
extern "C" {
#endif

/** Join the stream that this reply opens to a channel until the stream ends. Without effect if the reply opens no
 *  stream, or gives the stream up for a stored one. Call it once for each channel; a second call for the same one is
 *  harmless.
 *
 *  The stream joins after the handler and before the reply's effects. It gets no event published before that. An event
 *  published later is queued in order with the effects, and is written when the stream opens. Therefore, read the
 *  initial state of a page in an effect, so that no change is missed. State read in the handler may have changed before
 *  the stream joins.
 *  scope    scope of the channel; req->scope: that of the request
 *  key      copied
 *  Returns  OK | INVALID, TOO_LARGE (scope, key) | LIMIT (the stream has reached vestry_bounds.max_per_stream_count; or
 *           the channel would be new, and exceed vestry_bounds.max_channels_count) | NO_MEMORY (the handler may ignore
 *           it: vestry answers with the error)
 *  Threads  the handler's */
VESTRY_API vestry_err vestry_reply_join(vestry_reply *reply, vestry_scope scope, const vestry_key *key);

/** Join a connection to a channel: it gets all events published from now on, until it leaves or ends.
 *  scope, key  copied
 *  Returns  OK | EXISTS (the connection is a member) | CLOSED (the connection has ended) | INVALID (scope, key; a
 *           connection of another instance) | TOO_LARGE (scope, key) | LIMIT (max_channels_count) | NO_MEMORY
 *  Threads  any, hooks of connections included; takes locks briefly */
VESTRY_API vestry_err vestry_join(vestry *v, vestry_scope scope, const vestry_key *key, vestry_connection *connection);

/** Remove a connection from a channel. When this returns, no more events are put into its queue; queued ones are still
 *  written.
 *  Returns  OK | NOT_FOUND (the connection is not a member) | INVALID, TOO_LARGE (scope, key) | NO_MEMORY (for a long
 *           key; it remains a member)
 *  Threads  as vestry_join */
VESTRY_API vestry_err vestry_leave(vestry *v, vestry_scope scope, const vestry_key *key, vestry_connection *connection);

/** Publish an event to all current members of a channel. A connection that joins or leaves meanwhile may get it.
 *  If the channel has no members, the only cost is one lookup. In a cluster, members on other nodes get it, too
 *  (vestry/cluster/cluster.h).
 *  event            borrowed
 *  ret_sent_count   members on this node that have accepted it; may be NULL; always set
 *  Returns  OK: all members accepted it, except those that are closed, or were closed by their policy because they were
 *           full | NOT_FOUND: no member, and no history that keeps the event (vestry/app/history.h) | FULL, TOO_LARGE,
 *           NO_MEMORY: at least one member that stays open could not accept it, the others have it | BUSY: none has it
 *           (see below) | CLOSED (the instance): none has it | INVALID, TOO_LARGE (scope or key), NO_MEMORY (for a long
 *           key): the channel was not looked up, and none has it
 *  Threads  any; waits for earlier publishes to the same channel, never for a client or for other channels; no lock is
 *           held while runners are woken. Runs the members' on_error hooks, the transports' wakes and the profiles'
 *           functions on this thread. While such a function runs, this thread must not wait for another publish.
 *           Therefore, a broadcast in such a function returns BUSY if any thread is publishing to the same channel; a
 *           broadcast to the channel whose publish called the function always does */
VESTRY_API vestry_err vestry_broadcast(vestry *v, vestry_scope scope, const vestry_key *key, vestry_event *event,
                                       size_t *ret_sent_count);

/** Make the event of a built-in effect if the channel has members, and publish it.
 *      vestry_broadcast_effect(v, scope, VESTRY_KEY("board", 7), VESTRY_LIST("patch-signals", VESTRY_OBJECT("n", 4)));
 *  Returns  as vestry_broadcast, or the error of vestry_event_effect; threads: as vestry_broadcast */
VESTRY_API vestry_err vestry_broadcast_effect(vestry *v, vestry_scope scope, const vestry_key *key,
                                              const vestry_value *effect);

#ifdef __cplusplus
}
#endif
#endif
