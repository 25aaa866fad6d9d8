/* SPDX-License-Identifier: MIT */
/** Histories: the recent events of a channel, from which a stream that reconnects receives what it has missed.
 *
 *      vestry_history_begin(v, scope, VESTRY_KEY("log", id), NULL);      // EXISTS: it has one
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
 *  Use one for events that append: logs, chats, tokens of a language model. docs/guide/history.md has the rules. */
#ifndef VESTRY_HISTORY_H
#define VESTRY_HISTORY_H

#include "vestry/channel.h"

#ifdef __cplusplus
extern "C" {
#endif

/** Guarantees of a history:
 *  - Each broadcast event is followed by its id, `epoch.seq`: 64 random bits of the history in hex, and a number from
 *    1. A client that reconnects sends the last id that it has seen (Last-Event-ID). The missed events are sent once
 *    and in order, before all later ones, and with no other event of the channel between; otherwise it is a gap, and
 *    the application sends the current state. The status of a gap is 200.
 *  - No event is missing or repeated, by its id. A stream that breaks between an event and its id gets this one event
 *    twice, because in the other order it would be lost. Give an element that must not be applied twice an id.
 *  - Every loss is a gap for each stream that has not seen the event: no memory, the limits below, a loss in the
 *    cluster (on_gap in vestry/cluster/cluster.h), and events before the history began. An open stream that cannot take
 *    an event is closed with cause FULL or ERROR under every policy, and resumes. Therefore, events of a history are
 *    never conflated.
 *  - A stream has one id: with two histories, or a history and a page, one of them always gets a gap.
 *  - In a cluster each node has its own history of all broadcasts to the channel. Begin it on every node, after
 *    vestry_cluster_create; it receives them without members, too. A stream that reconnects to another node gets a GAP,
 *    because nodes may receive concurrent broadcasts in different orders. Sticky routing by the key avoids this. */

/** Cost of an event in bytes, in addition to its bytes and its id. */
#define VESTRY_HISTORY_EVENT_COST ((size_t)48)

/** Limits of a history. Zero selects the default, which is given in [brackets]. Beyond a limit the oldest events are
 *  dropped. */
typedef struct vestry_history_options {
  size_t size;         /**< sizeof(vestry_history_options), or 0 */
  uint32_t max_count;  /**< maximum number of events [1,000] */
  size_t max_bytes;    /**< maximum size of events with their ids, and VESTRY_HISTORY_EVENT_COST for each [1 MiB]. A
                            larger event is sent, and is a gap. vestry_histories_create limits all histories together */
  uint64_t max_age_ms; /**< maximum age of events [600,000]. A history ends by itself after this time, or at most twice
                            this time, without an event and without a member. VESTRY_NEVER_MS: no maximum, and no end */
} vestry_history_options;

/** Set the maximum size of all histories of an instance; without this call it is 64 MiB. Beyond it, an event takes the
 *  room of the oldest events of another history that has more than twice as much; if there is none, of the oldest
 *  events of its channel. Call it once, before the first history.
 *  max_bytes  0: 64 MiB; SIZE_MAX: no maximum
 *  Returns  OK | EXISTS (there was a history, or a maximum) | NO_MEMORY
 *  Threads  any; does not block */
VESTRY_API vestry_err vestry_histories_create(vestry *v, size_t max_bytes);

/** Counters of all histories of an instance. begun_count = live_count + ended_count. */
typedef struct vestry_histories_stats {
  size_t size; /**< sizeof(vestry_histories_stats), or 0 */
  uint64_t begun_count, live_count, ended_count;
  uint64_t bytes, peak_bytes; /**< current and highest size; never above the maximum */
} vestry_histories_stats;

/** Get a snapshot of the counters. Threads any. */
VESTRY_API void vestry_histories_stats_get(vestry *v, vestry_histories_stats *ret_stats);

/** Begin a history of a channel: from now on its events have ids and are stored. The channel exists as long as its
 *  history, and counts in vestry_bounds.max_channels_count. The history ends by vestry_history_end, by itself, or with
 *  the instance. A broadcast copies its event twice; missed events are encoded for each stream.
 *  scope, key  copied
 *  options     NULL: the defaults; copied
 *  Returns  OK | EXISTS (it has one, which stays unchanged for at least another max_age_ms) | INVALID, TOO_LARGE
 *           (scope, key, options) | LIMIT (max_channels_count) | NO_MEMORY | IO (no randomness) | CLOSED (the instance)
 *           | BUSY (inside a publish to this channel: a hook that it calls)
 *  Threads  any; waits for publishes to the channel, as vestry_broadcast does */
VESTRY_API vestry_err vestry_history_begin(vestry *v, vestry_scope scope, const vestry_key *key,
                                           const vestry_history_options *options);
/** End a history: members stay, and get events without ids. A stream that reconnects later has a gap.
 *  Returns  OK | NOT_FOUND | INVALID, TOO_LARGE (scope, key) | NO_MEMORY (for a long key; the history continues) | BUSY
 *  Threads  as vestry_history_begin */
VESTRY_API vestry_err vestry_history_end(vestry *v, vestry_scope scope, const vestry_key *key);

/** How a stream resumes. */
typedef enum vestry_resume_answer {
  VESTRY_RESUME_FRESH,    /**< it names no event, and has seen none. Send the current state */
  VESTRY_RESUME_CURRENT,  /**< it has all events. Send nothing */
  VESTRY_RESUME_REPLAYED, /**< the missed events were put into it. Send nothing */
  VESTRY_RESUME_GAP       /**< the missed events are unknown, dropped, or do not fit into its queue: an id of an earlier
                               history, of another node, of another source, or forged. Send the current state */
} vestry_resume_answer;

/** The result of resuming. */
typedef struct vestry_resumed {
  size_t size; /**< sizeof(vestry_resumed) of this library */
  vestry_resume_answer answer;
  uint64_t replayed_count; /**< number of missed events; 0 unless REPLAYED */
} vestry_resumed;

/** Called when a stream has joined: for FRESH and GAP, send it the complete current state. Broadcasts from now on are
 *  put into the stream, before or after what this function sends. Then the stream gets the id of the last event before
 *  its joining; until then it has none, so that it has a gap again if it breaks earlier.
 *
 *  If the application has a state besides the events, it changes the state first and then broadcasts. A change can be
 *  in the state sent for a gap while its event is yet to come: then the stream gets both. Either let such an event have
 *  no further effect, for example a morph of an element with an id; or hold a lock around change and broadcast, and
 *  around reading and sending the state in on_resume.
 *
 *  Called on the thread that resumes the stream, before the reply's effects; no lock held; once, and not if there is no
 *  stream.
 *  resumed  valid during the call
 *  Returns  OK, or an error: the stream is closed with cause ERROR, and its client reconnects */
typedef vestry_err (*vestry_resume_fn)(vestry_connection *connection, const vestry_resumed *resumed, void *ctx);

/** Join a channel with the stream that this reply opens, until the stream ends, and resume after its Last-Event-ID:
 *  instead of vestry_reply_join, with the same rules. A stream with the right to join may receive all stored events,
 *  older ones included. If the history has ended meanwhile, it is a GAP.
 *  scope      of the channel; req->scope: the request's
 *  key        copied
 *  on_resume  NULL: there is no state to send; after a gap the stream continues with new events
 *  ctx        must live until on_resume was called, the stream has ended or the reply is dropped
 *  Returns  OK | NOT_FOUND (no history) | INVALID, TOO_LARGE (scope, key) | LIMIT (max_per_stream_count of
 *           vestry_bounds) | NO_MEMORY (a handler may ignore it: the request is answered with it)
 *  Threads  the handler's; the joining waits for publishes to the channel. Inside a publish to it, it cannot wait, and
 *           the stream is closed with cause ERROR */
VESTRY_API vestry_err vestry_reply_resume(vestry_reply *reply, vestry_scope scope, const vestry_key *key,
                                          vestry_resume_fn on_resume, void *ctx);

/** Join a channel with an open connection, and resume. The missed events, and nothing else, are put into its queue
 *  before on_resume is called and this returns.
 *  last_event_id  the id from the client, unchecked; NULL or "": none
 *  Returns  OK | NOT_FOUND (no history) | EXISTS (it is a member already; nothing is sent) | CLOSED (the connection has
 *           ended) | INVALID (also a connection of another instance), TOO_LARGE (scope, key) | FULL (its queue has no
 *           room for an id) | NO_MEMORY | BUSY (inside a publish) | the error of on_resume
 *  Threads  any, hooks of connections included; as vestry_history_begin */
VESTRY_API vestry_err vestry_resume(vestry *v, vestry_scope scope, const vestry_key *key, vestry_connection *connection,
                                    const char *last_event_id, vestry_resume_fn on_resume, void *ctx);

/** Counters of one history, since it began. recorded_count = kept_count + dropped_count. */
typedef struct vestry_history_stats {
  size_t size; /**< sizeof(vestry_history_stats), or 0 */
  size_t kept_count, kept_bytes;
  uint64_t published_count; /**< events that got an id */
  uint64_t last_seq;        /**< of the last event, or of a later loss; 0: none */
  uint64_t recorded_count, dropped_count;
  uint64_t losses_count;                                          /**< times that events were not recorded (memory,
                                                                       limits, the cluster): a gap for each stream that
                                                                       had not seen them */
  uint64_t fresh_count, current_count, replayed_count, gap_count; /**< streams, by their answer */
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
