/* SPDX-License-Identifier: MIT */
/** Histories: what a channel was sent lately, so that a stream that breaks misses nothing of it.
 *
 *  Pages are state: a tab that comes back is shown how things are now (vestry/app/page.h). Logs, chats and tokens of a
 *  language model are not: their events append, and each of them counts. A channel by key (vestry/channel.h) may
 *  have a history for that.
 *
 *      vestry_history_begin(v, scope, VESTRY_KEY("log", id), NULL);      // EXISTS: it has one
 *
 *      static vestry_err live(const vestry_request *req, vestry_reply *reply, void *app) {
 *        vestry_reply_keep(reply, VESTRY_KEEP_MANY, 0);
 *        return vestry_reply_resume(reply, req->scope, VESTRY_KEY("log", id), show, app);   // not vestry_reply_join
 *      }
 *      static vestry_err show(vestry_connection *connection, const vestry_resumed *resumed, void *app) {
 *        if (resumed->answer != VESTRY_RESUME_FRESH && resumed->answer != VESTRY_RESUME_GAP) return VESTRY_OK;
 *        return vestry_connection_patch_elements(connection, ...);   // the present state, whole
 *      }
 *
 *  After each event that is broadcast while there is a history stands its id, `epoch.seq`: the history's life, 64
 *  random bits in hex, and a count from 1. The client says the last one that it has seen when it comes back
 *  (Last-Event-ID). What it has missed is sent in order, once, before what comes then, and with nothing of the channel
 *  in between; or else it is a gap, and the application sends the present state. A gap is a stream like any other: its
 *  status is 200.
 *
 *  None is missing and none comes twice, as ids tell. An id stands after its event: where a stream is cut exactly
 *  between the two, that one event comes again. (The other way round it would be lost.) Let one that must not be
 *  applied twice have an element with an id.
 *
 *  Nothing is lost without a word. What cannot be kept, for memory or for the bounds, what the cluster has lost
 *  (vestry/cluster/cluster.h: on_gap), and what was before the history began, is a gap for each stream that has not
 *  seen it. A stream that stays open, and could not take an event, is closed, whatever its policy, for FULL or ERROR:
 *  it comes back, and says what it has. For the same reason events of a history are never conflated.
 *
 *  State and events. An application that keeps a state too changes it and then broadcasts. A change can be in the state
 *  that a gap is answered with, and its event still to come: then the stream gets both. So let an event be harmless
 *  where the state has it already, which it is if it patches an element with an id by a morph; or hold a lock of the
 *  application's around change and broadcast, and around reading and sending the state in on_resume: then what has come
 *  before the state is in it, and what comes after it is not.
 *
 *  A stream has one id: with two histories, or a history and a page, one of them is answered with a gap, for certain.
 *
 *  With a cluster each node keeps a history of its own, of what it was sent: begin it on every node where it is wanted
 *  (after vestry_cluster_create), and the node is sent all broadcasts to the channel, also while the channel has no
 *  member there. A stream that comes to another node is a GAP there: two nodes that broadcast at the same time may be
 *  heard in another order by each of the others, so a count at one says nothing at another. Sticky routing by the key
 *  avoids that.
 *
 *  What it costs: an event is copied twice when it is broadcast; what is missed is encoded for each stream by itself.
 *  It does not outlive the process. */
#ifndef VESTRY_HISTORY_H
#define VESTRY_HISTORY_H

#include "vestry/channel.h"

#ifdef __cplusplus
extern "C" {
#endif

/** What an event costs beside its bytes and its id. */
#define VESTRY_HISTORY_EVENT_COST ((size_t)48)

/** What is kept. Zero is the default, in brackets. What is beyond a bound goes, the oldest first. */
typedef struct vestry_history_options {
  size_t size;         /**< sizeof(vestry_history_options), or 0 */
  uint32_t max_count;  /**< events [1,000] */
  size_t max_bytes;    /**< their bytes with their ids, and VESTRY_HISTORY_EVENT_COST for each [1 MiB]. A larger one is
                           sent, and is a gap. Of all histories together: vestry_histories_create */
  uint64_t max_age_ms; /**< how old they may be [600,000]. A history ends by itself when it has been for so long, up to
                            twice that, without an event and without a member. VESTRY_NEVER_MS: neither */
} vestry_history_options;

/** Bound what all histories of an instance keep together; without it they keep 64 MiB at most. Once, before the first
 *  history.
 *  max_bytes  0: 64 MiB; SIZE_MAX: no bound
 *  Returns    OK | EXISTS (there was a history, or a bound) | NO_MEMORY
 *  Threads    any; does not block */
VESTRY_API vestry_err vestry_histories_create(vestry *v, size_t max_bytes);

/** What all histories of an instance have been and keep. begun_count = live_count + ended_count. */
typedef struct vestry_histories_stats {
  size_t size; /**< sizeof(vestry_histories_stats), or 0 */
  uint64_t begun_count, live_count, ended_count;
  uint64_t bytes, peak_bytes; /**< kept now, and the most there ever was; never above the bound */
} vestry_histories_stats;

/** A snapshot of the counters. Any thread. */
VESTRY_API void vestry_histories_stats_get(vestry *v, vestry_histories_stats *ret_stats);

/** Give a channel a history: from here on its events have ids and are kept. The channel is there as long as the history
 *  is, and counts in vestry_bounds.max_channels_count. It ends by vestry_history_end, by itself, or with the instance.
 *  scope, key  copied
 *  options     NULL: the defaults; copied
 *  Returns  OK | EXISTS (it has one, which stays as it is, for another max_age_ms at least) | INVALID, TOO_LARGE
 *           (scope, key, options) | LIMIT (max_channels_count) | NO_MEMORY | IO (no randomness) | CLOSED (the
 *           instance) | BUSY (from inside a publish to this channel: a hook that it calls)
 *  Threads  any; waits for publishes to the channel, as vestry_broadcast does */
VESTRY_API vestry_err vestry_history_begin(vestry *v, vestry_scope scope, const vestry_key *key,
                                           const vestry_history_options *options);
/** End it: members stay, and get events without ids. A stream that comes back later has a gap.
 *  Returns  OK | NOT_FOUND | INVALID, TOO_LARGE (scope, key) | NO_MEMORY (for a long key; it goes on) | BUSY
 *  Threads  as vestry_history_begin */
VESTRY_API vestry_err vestry_history_end(vestry *v, vestry_scope scope, const vestry_key *key);

/** How a stream resumes. */
typedef enum vestry_resume_answer {
  VESTRY_RESUME_FRESH,    /**< it names no event: it has seen nothing. Send the present state */
  VESTRY_RESUME_CURRENT,  /**< it has all. Send nothing */
  VESTRY_RESUME_REPLAYED, /**< what it has missed was put into it. Send nothing */
  VESTRY_RESUME_GAP       /**< what it has missed is not known, or not there any more, or does not fit into its queue:
                               an id of a former life, of another node, of something else, or made up. Send the present
                               state */
} vestry_resume_answer;

/** What came of it. */
typedef struct vestry_resumed {
  size_t size; /**< sizeof(vestry_resumed) of this library */
  vestry_resume_answer answer;
  uint64_t replayed_count; /**< events that it had missed; 0 unless REPLAYED */
} vestry_resumed;

/** A stream has joined: for FRESH and GAP, send it the present state, whole. What is broadcast from here on is put into
 *  the stream, before or after what this sends. The stream is then given the id of the last event that stands before
 *  this point; until then it has none, so that it has a gap again if it breaks before.
 *  On the thread that has it resume, before the reply's effects; no lock held; once, and not if there is no stream.
 *  resumed  valid during the call
 *  Returns  OK, or an error: the stream is closed for ERROR, and comes back */
typedef vestry_err (*vestry_resume_fn)(vestry_connection *connection, const vestry_resumed *resumed, void *ctx);

/** Have the stream that this reply opens join a channel, until it ends, and go on where its Last-Event-ID says: instead
 *  of vestry_reply_join, with its rules. A stream that may join may be sent all that is kept, from before that time
 *  too. If the history has ended meanwhile, it is a GAP.
 *  scope      whose channel it is; req->scope: of the request's own
 *  key        copied
 *  on_resume  NULL: there is no state to send; after a gap the stream goes on from where it joins
 *  ctx        must live until then; of a stream: until it ends or the reply is dropped
 *  Returns  OK | NOT_FOUND (it has no history) | INVALID, TOO_LARGE (scope, key) | LIMIT (16 channels, topics and
 *           places of one reply) | NO_MEMORY (may be left to vestry)
 *  Threads  the handler's; the stream's joining waits for publishes to the channel. From inside a publish to it, it
 *           cannot, and the stream is closed for ERROR */
VESTRY_API vestry_err vestry_reply_resume(vestry_reply *reply, vestry_scope scope, const vestry_key *key,
                                          vestry_resume_fn on_resume, void *ctx);

/** The same for a connection that is there. All that is missed, and nothing else, is put into its queue before this
 *  returns, and before on_resume is called.
 *  last_event_id  what the client says, whatever that is; NULL or "": nothing
 *  Returns  OK | NOT_FOUND (no history) | EXISTS (it is in the channel; nothing is sent) | CLOSED (the connection has
 *           ended) | INVALID (also: one of another instance), TOO_LARGE (scope, key) | FULL (its queue has no room for
 *           an id) | NO_MEMORY | BUSY (from inside a publish) | what on_resume says
 *  Threads  any, hooks of connections included; as vestry_history_begin */
VESTRY_API vestry_err vestry_resume(vestry *v, vestry_scope scope, const vestry_key *key, vestry_connection *connection,
                                    const char *last_event_id, vestry_resume_fn on_resume, void *ctx);

/** One history, since it began. recorded_count = kept_count + dropped_count. */
typedef struct vestry_history_stats {
  size_t size; /**< sizeof(vestry_history_stats), or 0 */
  size_t kept_count, kept_bytes;
  uint64_t published_count; /**< events that were given an id */
  uint64_t last_seq;        /**< of the last one, or of a loss that came after it; 0: none */
  uint64_t recorded_count, dropped_count;
  uint64_t losses_count; /**< times that events were not recorded (memory, bounds, the cluster): a gap for each stream
                              that had not seen them */
  uint64_t fresh_count, current_count, replayed_count, gap_count; /**< streams, by their answer */
  uint64_t replayed_events_count, replayed_bytes;
} vestry_history_stats;

/** A snapshot.
 *  Returns  OK | NOT_FOUND | INVALID, TOO_LARGE (scope, key) | NO_MEMORY | BUSY. Threads as vestry_history_begin */
VESTRY_API vestry_err vestry_history_stats_get(vestry *v, vestry_scope scope, const vestry_key *key,
                                               vestry_history_stats *ret_stats);

#ifdef __cplusplus
}
#endif
#endif
