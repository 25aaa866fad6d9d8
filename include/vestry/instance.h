/* SPDX-License-Identifier: MIT */
/** The instance: the object that ties a store, its connections and the effects that reach them together. A program
 *  creates one, gives it routes (vestry/routes.h), starts a server on it (vestry/server.h, or an adapter's own
 *  functions), and stops and destroys it at its end, after the server:
 *
 *      vestry *v;
 *      if (vestry_create(&(vestry_options){.bounds = &(vestry_bounds){.max_count = 10000}}, &v)) return 1;
 *      vestry_route(v, "GET", "/", page, &app);
 *      vestry_err err = vestry_server_run(v, &vestry_server_microhttpd, NULL);
 *      vestry_destroy(v);
 */
#ifndef VESTRY_INSTANCE_H
#define VESTRY_INSTANCE_H

#include "vestry/connection.h"
#include "vestry/profile.h"
#include "vestry/refusal.h"
#include "vestry/signals.h"
#include "vestry/store.h"

#ifdef __cplusplus
extern "C" {
#endif

/** An instance: a store, its connections and the effects that reach them. */
typedef struct vestry vestry;
/** What came in: see vestry/request.h. */
typedef struct vestry_request vestry_request;
/** What is to go out: see vestry/request.h. */
typedef struct vestry_reply vestry_reply;

/** Makes the scope of a request, before its handler: writes at most VESTRY_SCOPE_MAX_BYTES into buffer and sets
 *  *ret_len (0 until then). On the serving thread, no lock held. Body and signals can be asked for; the scope itself is
 *  empty until it returns.
 *  reply    the handler's, for what every answer is to have: a cookie, a header. Not for keys, which are of the scope.
 *           It may also be the answer: with a status (vestry_reply_status, vestry_reply_redirect) and an error
 *           returned, the reply is answered as it is, and the handler is not called
 *  Returns  OK | any error: the request is answered with it, as for a handler, unless the reply has a status */
typedef vestry_err (*vestry_scope_fn)(const vestry_request *req, vestry_reply *reply, char *buffer, size_t *ret_len,
                                      void *ctx);

/** How much an instance holds at most. 0 is the default, which each member says. */
typedef struct vestry_bounds {
  size_t size;      /**< sizeof(vestry_bounds), or 0 */
  size_t max_count; /**< of the store; as vestry_store_options, like lifetime_ms and the cap */
  /** Entries of one scope in the store; a stream has one for each of its keys there. The scope without a name
   *  (everybody's) has this bound, too: all pages with keys in it (vestry_reply_add_key) share the bound. A stream that
   *  goes for this leaves for SIZE, and its browser comes back; a stream with more keys than this, or than max_count,
   *  is refused: 500, and said in the log. For a bound of streams a user see max_streams_per_scope_count. */
  size_t max_per_scope_count;
  /** Streams of one scope that stay open, at most: those of a user, say. A stream counts in the scope of the request
   *  that opened it, whatever keys it has, and whatever the store is. When one more opens, the one that was active
   *  (opened, or written an event) longest ago is closed for REPLACED: its browser does not come back, for it would
   *  send the next one away. Of those that were active within the same second it is the one that opened first; streams
   *  that are ending do not count. The scope without a name has no such bound. 0: none. See
   *  vestry_stats.outnumbered_count. Each opening looks at that many streams. */
  size_t max_streams_per_scope_count;
  /** Keys that one stream may have beside its first (vestry_reply_add_key), and, counted apart, channels,
   *  topics and places that it may be a part of from its beginning (vestry_reply_join, …). Beyond it LIMIT,
   *  which is the program's mistake: 500, and said in the log. 0: 64; at most 65,535. */
  size_t max_per_stream_count;
  /** Of all streams together; 0: 1 GiB; SIZE_MAX: no bound but each stream's. See vestry_stats.queued_bytes. */
  size_t max_queued_bytes;
  size_t max_body_bytes; /**< of a request; 0: 1 MiB; beyond it 413 */
  /** Of the heads and bodies of all requests under way together; beyond it 503, and from seven eighths on those
   *  that hold most are closed where a server reads ahead (see its adapter). 0: 256 MiB; SIZE_MAX: no bound.
   *  See vestry_stats.request_bytes. */
  size_t max_request_bytes;
  /** Of the bodies of all answers that are being made or sent: a reply has the room of its body before there is
   *  memory of it. From seven eighths on the connections whose answers hold most are closed, and beyond it 503.
   *  Files in folders (vestry/app/files.h) are sent from their descriptors: of them a piece counts. 0: 256 MiB;
   *  SIZE_MAX: no bound. See vestry_stats.answer_bytes. */
  size_t max_answer_bytes;
  size_t max_channels_count;           /**< by key, at one time (vestry/channel.h); 0: 10,000 */
  uint64_t max_epoch_bytes;            /**< published in one epoch of a channel by key; 0: 64 MiB; at most 1 GiB */
  uint32_t max_private_encoders_count; /**< of streams that are VESTRY_PROFILE_PRIVATE; 0: 64 */
  uint32_t max_channel_encoders_count; /**< of channels, one for each encoding of each; 0: 64 */
  uint32_t retry_after_s;              /**< seconds after which a 503 lets a client try again; 0: 2 */
} vestry_bounds;

/** What an instance is made of. Zero is the default. */
typedef struct vestry_options {
  size_t size;             /**< sizeof(vestry_options), or 0 */
  const vestry_host *host; /**< borrowed; NULL: that of the runtime, if one is given, else the default */
  vestry_runtime *runtime; /**< borrowed; NULL: one of its own */
  uint32_t threads_count;  /**< of its own runtime; as vestry_runtime_options */

  const char *store;                   /**< type by name; NULL: that of store_type, or else "lru" */
  const vestry_store_type *store_type; /**< of your own, beside the built-in ones (vestry/store.h); NULL: none */
  uint64_t idle_ms; /**< a stream that was neither put nor looked up by its key, and that no event was written to,
                         leaves for IDLE; heartbeats do not count. 0: never, since a page may be quiet for long, and
                         one whose client is gone ends by itself. As vestry_store_options otherwise */
  uint64_t lifetime_ms;
  const vestry_bounds *bounds; /**< how much it holds at most. Copied; NULL: the defaults */
  vestry_purge_fn purge;       /**< value is a vestry_connection */
  void *purge_ctx;

  vestry_scope_fn scope; /**< NULL: one constant scope, the empty one */
  void *scope_ctx;

  const vestry_connection_options *connection; /**< for every stream; a reply can change them for its own. Copied;
                                                     NULL: the defaults, as for the next two */
  const vestry_connection_hooks *hooks;        /**< for every stream */
  bool keep_open;                       /**< auto-close is off unless a reply says otherwise; see vestry_reply_keep */
  const vestry_signals_limits *signals; /**< of what requests bring */

  const vestry_profile *profiles; /**< offered to every stream, best first; copied. NULL: identity alone */
  size_t profiles_count;          /**< at most VESTRY_PROFILES_MAX */

  /** Where a bound is one client's, its address is what X-Forwarded-For says, which the proxy must set to its peer's,
   *  not append to (docs/guide/proxies.md). Not set: the peer's address, but none for a peer on this machine and for a
   *  request with a header of a proxy's. A client without an address is not known: no bound of one person is its
   *  (docs/security.md). */
  bool is_behind_proxy;
} vestry_options;

/** Everything since creation. opened_count = open_count + closed_count. The store has counters of its own
 *  (vestry_store_stats_get). */
typedef struct vestry_stats {
  size_t size; /**< sizeof(vestry_stats), or 0 */
  uint64_t opened_count, open_count, closed_count;
  uint64_t closed_by_cause[VESTRY_CAUSES_MAX];
  /** Events of all connections, as vestry_connection_stats. */
  uint64_t accepted_count, written_count, discarded_count, conflated_count, refused_count;
  uint64_t barriers_count, kept_count, forgotten_count; /**< of streams that conflate: why less was left out */
  uint64_t heartbeats_count;
  uint64_t written_bytes, wire_bytes; /**< of events, and as they went out: see vestry_connection_stats */
  /** Waiting in all streams now, and the most there ever was: bytes of events, of one that waits in several in each,
   *  and 160 bytes an event; of a stream that conflates also what is noted of each event, some 650 bytes and 8 for each
   *  id in it. Never above max_queued_bytes, and an upper bound of the memory that queues hold, encoded forms aside (of
   *  64 events a stream at most). From seven eighths of max_queued_bytes on, streams are closed for BUDGET, those that
   *  hold most first (of those that hold about as much, the first that did), until what the others hold is below; their
   *  memory comes back when their runners get to it. A sender that fills the last eighth faster than that gets FULL, as
   *  from a full queue. */
  uint64_t queued_bytes, queued_peak_bytes;
  uint64_t requests_count, rejected_count;         /**< served; of these answered 503: no room, or closing */
  uint64_t refused_by_reason[VESTRY_REFUSALS_MAX]; /**< connections and requests, by why */
  /** What the heads and bodies of all requests under way hold now, and the most there ever was: the memory itself, so
   *  that a body which grows is counted as it grows, and one that a server reads ahead is counted there and here. Never
   *  above max_request_bytes. */
  uint64_t request_bytes, request_peak_bytes;
  /** Of the streams that were closed for REPLACED, those whose scope had max_streams_per_scope_count. */
  uint64_t outnumbered_count;
  /** What the bodies of all answers hold that are being made or sent now, and the most there ever was; never above
   *  max_answer_bytes. Bodies below a kilobyte are not counted: the bound of connections bounds them. And how many
   *  answers were cut because all of them held too much, and they most. */
  uint64_t answer_bytes, answer_peak_bytes, answers_cut_count;
  /** A drain (vestry/drain.h): whether one has begun, and how long ago; the streams that were open then, and those of
   *  them that were told to go so far, which closed_by_cause[DRAIN] counts when they end. When open_count is 0 the
   *  drain is over. */
  bool drain_has_begun;
  uint64_t drain_elapsed_ms, drain_streams_count, drain_sent_count;
} vestry_stats;

/** Create an instance: runtime (unless given), store, registry with the built-in effects and interceptors.
 *  options       NULL: the defaults; copied but for what is borrowed
 *  ret_instance  owned by the caller; untouched on failure
 *  Returns  OK | INVALID | NOT_FOUND (the store's type; the log says so) | NO_MEMORY | IO
 *  Threads  any */
VESTRY_API vestry_err vestry_create(const vestry_options *options, vestry **ret_instance);

/** Whether this process was forked off the one that created the instance (or the runtime that it was given). Such a
 *  child has the memory, and no thread of it: nothing runs, and what a thread had locked stays locked. So there
 *  vestry_close and vestry_destroy, and the destroys of adapters, pages, timers and so on, do nothing, vestry_stop says
 *  CLOSED, and so does whatever dispatches, serves, broadcasts, sends, posts or sets a timer; streams stay the
 *  parent's. Nothing else of the instance may be called there. What the child holds goes with it: it calls exec (every
 *  descriptor of vestry's is closed by that) or _exit. A program that becomes a daemon creates its instance after the
 *  fork.
 *  Threads  any; a load */
VESTRY_API bool vestry_is_forked(const vestry *v);

/** Begin to end: requests are answered 503 from here on, new streams are refused, every stream is aborted for SHUTDOWN
 *  (browsers come back). Idempotent.
 *  Threads  any; does not block */
VESTRY_API void vestry_close(vestry *v);

/** Close, then wait until every stream has ended and its hooks have run, for timeout_ms at most. What hooks and effects
 *  use, timers above all, must live until this has returned OK; timers on the instance's own runtime are then to be
 *  destroyed, before the instance is.
 *  Returns  OK | TIMEOUT (some streams are stuck in their transport; call again, or destroy the server first) | CLOSED
 *           (vestry_is_forked) | BUSY (in a callback of the instance, or on a thread of its runtime: nothing is done,
 *           and the log says so; vestry_close may be called there)
 *  Threads  not from a callback of the instance; blocks. A stepped runtime is stepped meanwhile and time is not waited
 *           for */
VESTRY_API vestry_err vestry_stop(vestry *v, uint64_t timeout_ms);

/** Stop without a time limit, then free; where vestry_stop returns BUSY nothing is done, and the log says so. Adapters
 *  must have been destroyed first, and no other thread may be inside a function of the instance's, or one that sends to
 *  a connection of its, or closes one. References to connections may be kept: what is sent to them later is CLOSED.
 *  NULL is accepted.
 *  Threads  as vestry_stop */
VESTRY_API void vestry_destroy(vestry *v);

/** What an instance works with. */
typedef struct vestry_parts {
  const vestry_host *host;
  vestry_runtime *runtime;
  vestry_store *store;              /**< of connections */
  struct vestry_registry *registry; /**< to register effects with, before the first request (vestry/registry.h) */
  uint64_t heartbeat_ms;            /**< how long its streams stay silent before a heartbeat, unless a reply says
                                         otherwise; VESTRY_NEVER_MS: for ever */
  size_t max_body_bytes;            /**< of a request, where vestry_body_limit says nothing else */
} vestry_parts;

/** The parts of an instance, borrowed: they do not change, and are there as long as the instance.
 *      vestry_registry_effect(vestry_parts_of(v)->registry, "counter/start", start, &app);
 *  Threads any; does not block. */
VESTRY_API const vestry_parts *vestry_parts_of(const vestry *v);
/** Counters, a snapshot. Threads any. */
VESTRY_API void vestry_stats_get(vestry *v, vestry_stats *ret_stats);

#ifdef __cplusplus
}
#endif
#endif
