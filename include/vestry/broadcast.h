/** Broadcasting by key: streams as a group, which one event goes to, compressed once.
 *
 *      static vestry_err live(const vestry_request *req, vestry_reply *reply, void *app) {
 *        vestry_reply_keep(reply, VESTRY_PUT_MANY, 0);
 *        return vestry_reply_join(reply, req->scope, VESTRY_KEY("board", id));   // until the stream ends
 *      }
 *      vestry_broadcast(v, scope, VESTRY_KEY("board", id), event, NULL);   // from anywhere
 *
 *  What vestry_dispatch is to streams one by one, this is to a channel (vestry/channel.h). Its name is a scope and a
 *  key, as theirs is. A channel is there while it has members: it is made when the first stream joins, and ends when
 *  the last has left and no call is at work in it. The application neither creates nor destroys it.
 *  Joining is not storing: dispatches do not reach a stream by what it has joined, nor broadcasts by what it is kept
 *  under.
 *
 *  What it costs: a channel 1.3 kB and its name, and for each encoding that its members have an encoder, of which all
 *  channels share max_channel_encoders_count; a member 104 bytes. To find a channel costs the same however many there
 *  are. */
#ifndef VESTRY_BROADCAST_H
#define VESTRY_BROADCAST_H

#include "vestry/channel.h"
#include "vestry/instance.h"

#ifdef __cplusplus
extern "C" {
#endif

/** Have the stream that this reply opens join a channel, until it ends. Nothing happens if it opens none, or if it is
 *  given up for a stored one. For several channels, call it several times; a second time for one is no harm.
 *
 *  The stream joins after the handler, before the reply's effects are performed. What is published until then it does
 *  not get. What is published from then on is in its queue, in order with the effects, and is written when the stream
 *  opens. So let an effect read the state that a page starts with: nothing is missed in between. What the handler
 *  itself has read may be older than what the page is sent first.
 *  scope    whose channel it is; req->scope: of the request's own
 *  key      copied
 *  Returns  OK | INVALID, TOO_LARGE (scope, key) | LIMIT (max_per_stream_count of vestry_bounds;
 *           or vestry_bounds.max_channels_count, but never for a channel that is there) | NO_MEMORY (may be
 *           left to vestry)
 *  Threads  the handler's */
VESTRY_API vestry_err vestry_reply_join(vestry_reply *reply, vestry_scope scope, const vestry_key *key);

/** Have a connection join a channel: it gets what is published from here on, until it leaves or ends.
 *  scope, key  copied
 *  Returns  OK | EXISTS (it is in it) | CLOSED (the connection has ended) | INVALID (scope, key; one of another
 *           instance) | TOO_LARGE (scope, key) | LIMIT (max_channels_count) | NO_MEMORY
 *  Threads  any, hooks of connections included; takes locks briefly */
VESTRY_API vestry_err vestry_join(vestry *v, vestry_scope scope, const vestry_key *key, vestry_connection *connection);

/** Take a connection out: as vestry_channel_leave.
 *  Returns  OK | NOT_FOUND (it is not in it) | INVALID, TOO_LARGE (scope, key) | NO_MEMORY (for a long key; it is still
 *           in)
 *  Threads  as vestry_join */
VESTRY_API vestry_err vestry_leave(vestry *v, vestry_scope scope, const vestry_key *key, vestry_connection *connection);

/** Publish an event to all members that a channel has now: vestry_channel_publish, by key. Without members nothing is
 *  made or encoded: that costs as much as a look-up.
 *  event            borrowed
 *  ret_sent_count   members that have accepted it; may be NULL; set in every case
 *  Returns  as vestry_channel_publish, but NOT_FOUND where there is no member and nothing is kept (vestry/history.h);
 *           and INVALID, TOO_LARGE (scope, key) | NO_MEMORY (also: for a long key) | CLOSED (the instance)
 *  Threads  as vestry_channel_publish */
VESTRY_API vestry_err vestry_broadcast(vestry *v, vestry_scope scope, const vestry_key *key, vestry_event *event,
                                       size_t *ret_sent_count);

/** The same with an event that is made for it, if the channel has members: vestry_connection_patch_elements and its
 *  like, by key. Returns as vestry_broadcast, or what making the event says. */
VESTRY_API vestry_err vestry_broadcast_patch_elements(vestry *v, vestry_scope scope, const vestry_key *key,
                                                      const char *html, size_t len,
                                                      const vestry_elements_options *options);
VESTRY_API vestry_err vestry_broadcast_patch_signals(vestry *v, vestry_scope scope, const vestry_key *key,
                                                     const vestry_value *signals,
                                                     const vestry_signals_options *options);

/** Counters of the channel that is there now, since it was made.
 *  Returns  OK | NOT_FOUND | INVALID, TOO_LARGE (scope, key) | NO_MEMORY. Threads as vestry_channel_stats_get */
VESTRY_API vestry_err vestry_broadcast_stats_get(vestry *v, vestry_scope scope, const vestry_key *key,
                                                 vestry_channel_stats *ret_stats);

/** All channels by key, since the instance was made. made_count = live_count + ended_count. */
typedef struct vestry_channels_stats {
  size_t size; /**< sizeof(vestry_channels_stats), or 0 */
  uint64_t made_count, live_count, ended_count;
  uint64_t refused_count; /**< that were not made, for max_channels_count */
} vestry_channels_stats;

/** Counters, a snapshot. Threads any; takes a lock briefly. */
VESTRY_API void vestry_channels_stats_get(vestry *v, vestry_channels_stats *ret_stats);

#ifdef __cplusplus
}
#endif
#endif
