/* SPDX-License-Identifier: MIT */
/** Channels: one event to many connections, compressed once.
 *
 *      static vestry_err live(const vestry_request *req, vestry_reply *reply, void *app) {
 *        vestry_reply_keep(reply, VESTRY_KEEP_MANY, 0);
 *        return vestry_reply_join(reply, req->scope, VESTRY_KEY("board", id));   // until the stream ends
 *      }
 *      vestry_broadcast(v, scope, VESTRY_KEY("board", id), event, NULL);   // from anywhere
 *
 *  A channel has members, which join and leave; one whose connection ends has left. An event that is published goes to
 *  every member, in the same order to all of them, and in order with what is sent to a member by itself.
 *
 *  vestry_dispatch reaches streams one by one, vestry_broadcast a channel of them; both by a scope and a key. A channel
 *  is there while it has members: it is made when the first stream joins, and ends when the last has left and no call
 *  is at work in it. The application neither creates nor destroys it. Joining is not storing: a dispatch does not reach
 *  a stream by the channels that it has joined, and a broadcast does not reach a stream by the keys that it is kept
 *  under.
 *
 *  What it costs. Members are of any encoding (vestry/profile.h). For each shared one that members have, the channel
 *  keeps one encoder, whose output refers back to what it published before: an "epoch". A member that has taken every
 *  event of the epoch, and nothing else since it began, is aligned and takes these bytes. A member that is not aligned
 *  (it joined later, was sent something of its own, or missed an event because its queue was full) takes the same event
 *  encoded alone, which is made once for all of those. The runner of each member decides that when it writes. So a
 *  publish costs one encoder and, if a member is not aligned, one more, whatever the number of members; then a queue
 *  operation each.
 *
 *  A new epoch aligns all members; its first event is as long as one that is encoded alone. One begins when
 *  - the last one has put as many events alone as the channel has members of that encoding: by then being unaligned has
 *    cost about as much as aligning all of them will;
 *  - the last one has seen max_epoch_bytes (vestry_bounds);
 *  - its encoder failed, or was given up because no member of that encoding was left.
 *  An example: a channel has 100 members that take brotli, all aligned. Member 7 is sent a toast of its own. The next
 *  event is encoded twice: 99 members take the bytes that refer back, member 7 takes the event alone. So it goes on for
 *  100 events; then an epoch begins, whose first event is written alone for all, and member 7 is aligned again.
 *  Heartbeats do not unalign (brotli, gzip). A member of two channels is unaligned by each for the other. Channels of
 *  an instance have max_channel_encoders_count encoders between them (vestry_bounds); one that gets none encodes every
 *  event alone. A channel itself takes 1.3 kB and its name, a member 104 bytes. To find a channel costs the same
 *  however many there are. */
#ifndef VESTRY_CHANNEL_H
#define VESTRY_CHANNEL_H

#include "vestry/instance.h"

#ifdef __cplusplus
extern "C" {
#endif

/** Counters of a channel, since it was made. */
typedef struct vestry_channel_stats {
  size_t size;              /**< sizeof(vestry_channel_stats), or 0 */
  size_t members_count;     /**< now */
  uint64_t published_count; /**< calls of publish */
  uint64_t accepted_count;  /**< events that members' queues have taken */
  uint64_t refused_count;   /**< events that members could not take: full, too large, out of memory */
  uint64_t epochs_count;    /**< begun, of all encodings */
  uint64_t alone_count;     /**< events written to a shared stream that was not aligned, of those that had an epoch */
} vestry_channel_stats;

/** Let the stream that this reply opens join a channel until the stream ends. Nothing happens if the reply opens no
 *  stream, or if the stream is given up for a stored one. Call this once for each channel; a second call for the same
 *  one does no harm.
 *
 *  The stream joins after the handler, before the reply's effects are performed. The stream gets no event that was
 *  published before that. An event that is published from then on is in its queue, in order with the effects, and is
 *  written when the stream opens. So let an effect read the state that a page starts with: then no change is missed in
 *  between. State that the handler has read may have changed before the stream joins.
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

/** Take a connection out: no event is put into its queue any more when this returns. What is in it is still written.
 *  Returns  OK | NOT_FOUND (it is not in it) | INVALID, TOO_LARGE (scope, key) | NO_MEMORY (for a long key; it is still
 *           in)
 *  Threads  as vestry_join */
VESTRY_API vestry_err vestry_leave(vestry *v, vestry_scope scope, const vestry_key *key, vestry_connection *connection);

/** Publish an event to all members that a channel has now; one that joins or leaves meanwhile may get it. Without
 *  members nothing is made or encoded: that costs as much as a look-up.
 *  event            borrowed
 *  ret_sent_count   members that have accepted it; may be NULL; set in every case
 *  Returns  OK: all have it but those that are closed, or were closed by their policy because they were full |
 *           NOT_FOUND: there is no member, and nothing is kept (vestry/app/history.h) | FULL, TOO_LARGE, NO_MEMORY: at
 *           least one that stays open could not take it, the others have it | BUSY: none has it (see below) | INVALID,
 *           TOO_LARGE (scope, key) | NO_MEMORY (also: for a long key) | CLOSED (the instance)
 *  Threads  any; waits for other publishes to the same channel that came before, never for a client or for other
 *           channels; no lock is held while runners are woken. Members' on_error hooks are called on this thread, and
 *           transports' wakes and profiles' members: they are inside this publish, and must wait for none. So they
 *           cannot publish to a channel in use, this one included: BUSY */
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

/** Counters of the channel that is there now, a snapshot.
 *  Returns  OK | NOT_FOUND | INVALID, TOO_LARGE (scope, key) | NO_MEMORY
 *  Threads  any; waits for publishes, as vestry_broadcast does; where that would be BUSY, alone_count is without those
 *           of the epochs that have not ended */
VESTRY_API vestry_err vestry_broadcast_stats_get(vestry *v, vestry_scope scope, const vestry_key *key,
                                                 vestry_channel_stats *ret_stats);

/** All channels, since the instance was made. made_count = live_count + ended_count. */
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
