/* SPDX-License-Identifier: MIT */
/** Histories: store the recent events of a channel, so that a stream that reconnects receives those it has missed.
 *
 *      vestry_history_begin(v, scope, VESTRY_KEY("log", id), NULL);      // EXISTS: it has a history
 *
 *      static vestry_err live(const vestry_request *req, vestry_reply *reply, void *app) {
 *        vestry_reply_keep(reply, VESTRY_KEEP_MANY, 0);
 *        return vestry_reply_resume(reply, req->scope, VESTRY_KEY("log", id), show, app);   // not vestry_reply_join
 *      }
 *      static vestry_err show(vestry_connection *connection, const vestry_resumed *resumed, void *app) {
 *        if (resumed->answer != VESTRY_RESUME_FRESH && resumed->answer != VESTRY_RESUME_GAP) return VESTRY_OK;
 *        return vestry_connection_patch_elements(connection, ...);   // the complete current state
 *      }
 *
 *  Use a history for events that append: logs, chats, tokens of a language model. docs/guide/channels.md has the
 *  rules. */
#ifndef VESTRY_HISTORY_H
#define VESTRY_HISTORY_H

#include "vestry/channel.h"

#ifdef __cplusplus
extern "C" {
#endif

/** Guarantees of a history:
 *  - Each broadcast event is followed by its id, `epoch.seq`: the history's 64 random bits in hexadecimal, and a number
 *    that counts from 1. A client that reconnects sends the last id that it has seen (Last-Event-ID). The missed events
 *    are sent once and in order, before all later ones, with no other event of the channel in between. If the history
 *    cannot do that, the stream has a gap: the application sends the current state, with status 200.
 *  - No id is missing or repeated. If a stream breaks between an event and its id, the client gets this event twice,
 *    because with the id first it could lose the event. If an element must not be inserted twice, give it an id.
 *  - Each stream that has not seen a lost event has a gap. Events are lost for lack of memory, by the limits below, in
 *    the cluster (on_gap in vestry/cluster/cluster.h), or because they precede the history. An open stream that cannot
 *    take an event is closed with cause FULL or ERROR, under every vestry_full_policy, and resumes when its client
 *    reconnects. Events of a history are never conflated.
 *  - A stream has only one last id. Do not combine two histories, or a history and a page, in one stream: at each
 *    reconnect one of the two would have a gap.
 *  - In a cluster each node has a separate history of all broadcasts to the channel. Begin it on every node, after
 *    vestry_cluster_create; it receives the broadcasts even if the channel has no member on that node. A stream that
 *    reconnects to another node has a gap, because nodes may receive concurrent broadcasts in different orders. Sticky
 *    routing by the key avoids such gaps. */

/** Overhead of a stored event in bytes, in addition to the event and its id. */
#define VESTRY_HISTORY_EVENT_COST ((size_t)48)

/** Limits of a history. Zero selects the default, which is given in [brackets]. Beyond a limit the oldest events are
 *  dropped. */
typedef struct vestry_history_options {
  uint32_t max_count;  /**< maximum number of events [1,000] */
  size_t max_bytes;    /**< maximum size of events with their ids, and VESTRY_HISTORY_EVENT_COST for each [1 MiB]. A
                            larger event is sent but not stored, and leaves a gap. vestry_histories_create limits all
                            histories together */
  uint64_t max_age_ms; /**< maximum age of events [600,000]. A history that has had neither an event nor a member for
                            this time ends by itself, at the latest after twice this time. VESTRY_NEVER_MS: events do
                            not expire, and the history does not end by itself */
} vestry_history_options;

/** Set the maximum size of all histories of an instance; without this call it is 64 MiB. Beyond it, a new event evicts
 *  the oldest events of another history that is more than twice as large, or, if there is none, of the event's own
 *  history. Call it once, before the first history.
 *  max_bytes  0: 64 MiB; SIZE_MAX: no maximum
 *  Returns  OK | EXISTS (there was a history, or a maximum; logged) | NO_MEMORY
 *  Threads  any; does not block */
VESTRY_API vestry_err vestry_histories_create(vestry *v, size_t max_bytes);

/** Counters of all histories of an instance. begun_count = live_count + ended_count. */
typedef struct vestry_histories_stats {
  uint64_t begun_count, live_count, ended_count;
  uint64_t bytes, peak_bytes; /**< current and highest size; never above the maximum */
} vestry_histories_stats;

/** Get a snapshot of the counters. Threads any. */
VESTRY_API void vestry_histories_stats_get(vestry *v, vestry_histories_stats *ret_stats);

/** Begin a history of a channel: from now on the channel's events have ids and are stored. The channel exists at least
 *  as long as the history, and counts towards vestry_bounds.max_channels_count. The history ends by vestry_history_end,
 *  after max_age_ms (vestry_history_options), or with the instance. Costs: each broadcast copies its event twice, and
 *  missed events are encoded separately for each stream.
 *  scope, key  copied
 *  options     NULL: the defaults; copied
 *  Returns  OK | EXISTS (the channel has a history, which is not changed and does not end by itself for another
 *           max_age_ms) | INVALID, TOO_LARGE (scope, key, options) | LIMIT (max_channels_count) | NO_MEMORY | IO (no
 *           randomness) | CLOSED (the instance) | BUSY (called in a hook during a publish to this channel)
 *  Threads  any; waits for publishes to the channel, as vestry_broadcast does */
VESTRY_API vestry_err vestry_history_begin(vestry *v, vestry_scope scope, const vestry_key *key,
                                           const vestry_history_options *options);
/** End a history. The channel's members stay, and receive events without ids. A stream that reconnects later has a gap.
 *  Returns  OK | NOT_FOUND | INVALID, TOO_LARGE (scope, key) | NO_MEMORY (for a long key; the history continues) | BUSY
 *  Threads  as vestry_history_begin */
VESTRY_API vestry_err vestry_history_end(vestry *v, vestry_scope scope, const vestry_key *key);

/** How a stream resumes. */
typedef enum vestry_resume_answer {
  VESTRY_RESUME_FRESH,    /**< the client sent no id: it has seen no event. Send the current state */
  VESTRY_RESUME_CURRENT,  /**< the client has all events. Send nothing */
  VESTRY_RESUME_REPLAYED, /**< the missed events were put into the stream's queue. Send nothing */
  VESTRY_RESUME_GAP       /**< the id is unknown (of an earlier history, of another node, of another source, or forged),
                               or the missed events were dropped or do not fit into the stream's queue. Send the current
                               state */
} vestry_resume_answer;

/** The result of resuming. */
typedef struct vestry_resumed {
  vestry_resume_answer answer;
  uint64_t replayed_count; /**< number of missed events; 0 unless REPLAYED */
} vestry_resumed;

/** Called when a stream has joined. For FRESH and GAP, send the complete current state to the stream. Broadcasts from
 *  now on are put into the stream, before or after the events that this function sends. Until this function has
 *  returned, they have no ids in this stream; then the stream gets the id of the last one. If the stream breaks before
 *  that, its next answer is FRESH or GAP again.
 *
 *  If the application has a state besides the events, change the state first, and then broadcast. A stream with a gap
 *  can then receive a change twice: in the state, and as an event that is broadcast afterwards. Either make such events
 *  idempotent, for example morphs of elements with ids; or hold one lock both around change and broadcast, and around
 *  reading and sending the state in on_resume.
 *
 *  Called once, on the thread that resumes the stream, before the reply's effects, no lock held. Not called if no
 *  stream is opened.
 *  resumed  valid during the call
 *  Returns  OK | any error: the stream is closed with cause ERROR, and its client reconnects */
typedef vestry_err (*vestry_resume_fn)(vestry_connection *connection, const vestry_resumed *resumed, void *ctx);

/** Join the stream that this reply opens to a channel, until the stream ends, and resume after the request's
 *  Last-Event-ID. Use it instead of vestry_reply_join; the same rules apply. Check first whether the user may read all
 *  stored events, including earlier ones, because a client can send any id. If the history ends before the stream
 *  joins, the answer is GAP.
 *  scope      scope of the channel, for example req->scope, that of the request
 *  key        copied
 *  on_resume  NULL: no state is sent; after a gap the stream continues with new events
 *  ctx        passed to on_resume; must be valid until on_resume has returned, the stream has ended or the reply is
 *             dropped
 *  Returns  OK | NOT_FOUND (no history) | INVALID, TOO_LARGE (scope, key) | LIMIT (max_per_stream_count of
 *           vestry_bounds) | NO_MEMORY (a handler need not check this: the request then fails with it)
 *  Threads  the handler's. To join, the stream waits for running publishes to the channel. If the handler runs inside
 *           such a publish, it cannot wait, and the stream is closed with cause ERROR */
VESTRY_API vestry_err vestry_reply_resume(vestry_reply *reply, vestry_scope scope, const vestry_key *key,
                                          vestry_resume_fn on_resume, void *ctx);

/** Join an open connection to a channel, and resume. The missed events are put into the connection's queue before
 *  on_resume is called.
 *  last_event_id  the id that the client sent; may be any text. NULL or "": none
 *  Returns  OK | NOT_FOUND (no history) | EXISTS (the connection is a member already; nothing is sent) | CLOSED (the
 *           connection has ended) | INVALID (also a connection of another instance), TOO_LARGE (scope, key) | FULL (the
 *           queue has no room for an id) | NO_MEMORY | BUSY (inside a publish) | the error of on_resume
 *  Threads  any, hooks of connections included; as vestry_history_begin */
VESTRY_API vestry_err vestry_resume(vestry *v, vestry_scope scope, const vestry_key *key, vestry_connection *connection,
                                    const char *last_event_id, vestry_resume_fn on_resume, void *ctx);

/** Counters of one history, since it began. recorded_count = kept_count + dropped_count. */
typedef struct vestry_history_stats {
  size_t kept_count, kept_bytes;
  uint64_t published_count; /**< events that got an id */
  uint64_t last_seq;        /**< seq of the last event or loss (a loss takes a seq, too); 0: none */
  uint64_t recorded_count, dropped_count;
  uint64_t losses_count;                                          /**< number of losses (memory, limits, the cluster),
                                                                       each of which is a gap for the streams that have
                                                                       not seen the lost events */
  uint64_t fresh_count, current_count, replayed_count, gap_count; /**< streams with each answer */
  uint64_t replayed_events_count, replayed_bytes;
} vestry_history_stats;

/** Get a snapshot of the counters.
 *  Returns  OK | NOT_FOUND | INVALID, TOO_LARGE (scope, key) | NO_MEMORY | BUSY. Threads as vestry_history_begin */
VESTRY_API vestry_err vestry_history_stats_get(vestry *v, vestry_scope scope, const vestry_key *key,
                                               vestry_history_stats *ret_stats);

#ifdef __cplusplus
}
#endif
#endif
