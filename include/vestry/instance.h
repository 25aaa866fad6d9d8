/* SPDX-License-Identifier: MIT */
/** The instance: a store, its connections, and the effects (named operations, vestry/registry.h) that reach them.
 *
 *  A program creates an instance, adds routes (vestry/routes.h) and starts a server on it (vestry/server.h, or an
 *  adapter's own functions). At the end it stops the server first, then destroys the instance:
 *
 *      vestry *v; // with vestry/vestry.h and vestry/microhttpd.h
 *      if (vestry_create(&(vestry_options){.bounds = &(vestry_bounds){.max_count = 50000}}, &v)) return 1;
 *      vestry_err err = vestry_route(v, "GET", "/", page, NULL); // page: a vestry_handler_fn
 *      if (!err) err = vestry_server_run(v, &vestry_server_microhttpd, NULL);
 *      vestry_destroy(v);
 *      return err ? 1 : 0; */
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

/** An instance. */
typedef struct vestry vestry;
/** A request: see vestry/request.h. Use it on the handler's thread only. */
typedef struct vestry_request vestry_request;
/** A reply: see vestry/request.h. Use it on the handler's thread only, while the handler runs (vestry_render.reply: on
 *  the render's thread). No function of a reply blocks, unless its comment states it. */
typedef struct vestry_reply vestry_reply;

/** Sets the scope of a request before its handler is called: writes at most VESTRY_SCOPE_MAX_BYTES into buffer and sets
 *  *ret_len, which is 0 before: the scope without an owner. Called on the serving thread, no lock held. The request has
 *  its body and signals, and the scope without an owner until this function returns.
 *  reply    the reply that the handler will fill. Add here what every response needs, for example a cookie or a header.
 *           Do not name keys, because their scope is not known yet. If this function sets a status
 *           (vestry_reply_status, vestry_reply_redirect) and returns an error, vestry sends this reply and does not
 *           call the handler
 *  Returns  OK | any error: the request gets this error as if the handler had returned it, unless the reply has a
 *           status */
typedef vestry_err (*vestry_scope_fn)(const vestry_request *req, vestry_reply *reply, char *buffer, size_t *ret_len,
                                      void *ctx);

/** Functions for a store whose values are streams of an instance (vestry_store_options.value), such as the instance's
 *  own store. A stream can be put into several such stores, and under several keys: see vestry_store_put. Its entries
 *  leave with the stream, with the cause for which it has ended. A put
 *  - of a stream that has ended returns CLOSED;
 *  - of a stream of another instance than that which has the store (vestry_parts.store, vestry_options.stores) returns
 *    INVALID, and the log has the reason;
 *  - beyond vestry_bounds.max_per_stream_count returns LIMIT, and the log has the reason.
 *  The store must live until the instance is destroyed. */
extern VESTRY_API const vestry_value_ops vestry_connection_values;

/** Upper bounds of an instance. 0 selects the default, which each member states. */
typedef struct vestry_bounds {
  size_t max_count; /**< maximum number of entries in the store: max_count of vestry_store_options. 0: for "lru" 10,000,
                         for "hash" no maximum */
  /** Maximum number of entries of one scope (vestry/key.h) in the store: max_per_scope_count of vestry_store_options.
   *  0: no maximum. A stream has one entry for each of its keys in the scope. The scope without an owner, which all
   *  clients share, has this bound, too: all streams with keys in it (vestry_reply_key, vestry_reply_add_key) share one
   *  bound, whichever client opened them. A stream evicted by this limit ends with cause SIZE (vestry/cause.h); its
   *  browser reconnects. A stream with more keys in the scope than this bound, or with more keys in all than max_count,
   *  gets 500, with the reason in the log. To limit the streams of a user, see max_streams_per_scope_count. */
  size_t max_per_scope_count;
  /** Maximum number of open streams of one scope, for example of a user. A stream counts in the scope of the request
   *  that opened it, regardless of its keys and of the type of the store. If one more opens, the stream whose last
   *  activity (its opening, or a written event) is the oldest ends with cause REPLACED. This is a clean end, so its
   *  browser does not reconnect at once and evict the next stream. Among streams active within the same second, the one
   *  that opened first ends. Streams that are ending, or that close after their effects, do not count. The scope
   *  without an owner has no such bound. 0: none. See vestry_stats.outnumbered_count. The cost of an opening is
   *  proportional to this number. */
  size_t max_streams_per_scope_count;
  /** Maximum number of keys of one stream in addition to its first (vestry_reply_add_key). It is also the maximum
   *  number of channels (vestry_reply_join), topics (vestry/app/bus.h) and places of presences (vestry/app/presence.h)
   *  together that a stream joins when it opens. A key or a join beyond it fails with LIMIT. Because this is a mistake
   *  in the program, the response is 500, with the reason in the log. 0: 64; at most 65,535. */
  size_t max_per_stream_count;
  /** Maximum number of queued bytes of all streams together; 0: 1 GiB; SIZE_MAX: no bound except that of each stream.
   *  See vestry_stats.queued_bytes. */
  size_t max_queued_bytes;
  /** Maximum size of a request's body; a larger one gets 413. At most 7/16 of max_request_bytes, because a body is in
   *  memory twice while it is read. 0: 1 MiB, or 7/16 of max_request_bytes if that is less. */
  size_t max_body_bytes;
  /** Maximum memory for the heads and bodies of all current requests; beyond it 503. From 7/8 of this bound on, a
   *  server that collects bodies before it calls the handler closes the requests that hold most memory (see the header
   *  of the adapter). 0: 256 MiB; SIZE_MAX: no bound. See vestry_stats.request_bytes. */
  size_t max_request_bytes;
  /** Maximum memory for the bodies of all responses that are being made or sent, counted before it is allocated. From
   *  7/8 of this bound on, the connections whose responses hold most memory are closed. A response whose body does not
   *  fit becomes a 503. So that room for small responses remains, a body larger than 1/256 of this bound fits only if
   *  the bodies together then hold at most 15/16 of it. A file in a folder (vestry/app/files.h) is read in pieces while
   *  it is sent, and counts with the size of one piece. 0: 256 MiB; SIZE_MAX: no bound. See
   *  vestry_stats.response_bytes. */
  size_t max_all_responses_bytes;
  size_t max_channels_count;           /**< maximum number of channels by key at one time (vestry/channel.h); 0:
                                            10,000 */
  uint64_t max_epoch_bytes;            /**< maximum number of bytes published in one epoch of a channel by key
                                            (vestry/channel.h); 0: 64 MiB; at most 1 GiB */
  uint32_t max_channel_encoders_count; /**< maximum number of encoders of channels and documents; a channel uses one for
                                            each of its encodings, and a document one while it is encoded; beyond it,
                                            a document is sent unencoded; 0: 64 */
  uint32_t retry_after_s;              /**< Retry-After of a 503, in seconds; 0: 2 */
  /** Maximum number of values of a query, or of a form (vestry_request_value). A form with more values gets 413 before
   *  its guards and its handler; all values of a query with more count as absent. 0: 10,000; at most 1,000,000. */
  size_t max_values_count;
} vestry_bounds;

#if !defined(__cplusplus) && defined(__STDC_VERSION__) && __STDC_VERSION__ >= 199901L
/** Bounds for a device that has 2 MB of memory for vestry: 1,000 streams, each with one key, take 0.5 MB of it, and the
 *  queues, requests and responses at most 1 MB. max_count counts keys: for 1,000 streams with two keys each, set it to
 *  2,000. The queue of one stream holds at most 256 kB, half of max_queued_bytes (vestry_connection_options). A
 *  pointer, valid until the end of the enclosing block; to change a bound, copy the struct first. In C only.
 *      const vestry_options options = {.threads_count = VESTRY_THREADS_NONE, .bounds = VESTRY_BOUNDS_DEVICE}; */
#define VESTRY_BOUNDS_DEVICE                                                                                           \
  (&(const vestry_bounds){.max_count = 1000,                                                                           \
                          .max_per_stream_count = 8,                                                                   \
                          .max_queued_bytes = 512 << 10,                                                               \
                          .max_body_bytes = 32 << 10,                                                                  \
                          .max_request_bytes = 256 << 10,                                                              \
                          .max_all_responses_bytes = 256 << 10,                                                        \
                          .max_channels_count = 64,                                                                    \
                          .max_epoch_bytes = 1 << 20,                                                                  \
                          .max_channel_encoders_count = 1,                                                             \
                          .max_values_count = 100})
#endif

/** A store of streams that the creator of an instance has made, for example one by session and one by device:
 *
 *      vestry_store_options options = {.value = &vestry_connection_values, .purge = device_gone};
 *      vestry_store *devices; // streams under ("device", id), in the scope of their tenant
 *      if (vestry_store_create("hash", &options, &devices)) return 1;
 *      const vestry_named_store stores[] = {{"devices", devices, by_tenant, NULL}};
 *      vestry_create(&(vestry_options){.stores = stores, .stores_count = 1}, &v);
 *
 *  A reply selects it by vestry_reply_store, and a dispatch by vestry_dispatch_options.store. Clusters know only the
 *  keys of the instance's own store. */
typedef struct vestry_named_store {
  /** NULL: this is the instance's own store (vestry_parts.store), instead of the one that vestry_create would make.
   *  Then the options have no store, store_type, idle_ms, lifetime_ms, purge, max_count and max_per_scope_count. */
  const char *name;
  /** Empty, with vestry_connection_values and the host of the instance. Borrowed until vestry_destroy has returned;
   *  meanwhile no other instance uses it. The instance drives it (vestry_store_drive), unless you do, and closes it in
   *  vestry_close. Destroy it after vestry_destroy, but not in a forked child (vestry_is_forked). */
  vestry_store *store;
  vestry_scope_fn scope; /**< scope of the keys of a reply in this store; NULL: that of the request */
  void *scope_ctx;
} vestry_named_store;

/** Options of an instance. Zero is the default. */
typedef struct vestry_options {
  const vestry_host *host; /**< borrowed; NULL: the host of runtime if that is set, else the default. Another host than
                                that of runtime is INVALID */
  vestry_runtime *runtime; /**< borrowed; NULL: the instance creates its own */
  uint32_t threads_count;  /**< threads of the instance's own runtime; as vestry_runtime_options */

  const char *store;                   /**< name of the store type; NULL: that of store_type, or else "lru" */
  const vestry_store_type *store_type; /**< a store type of the application, in addition to the built-in ones
                                            (vestry/store.h); NULL: none */
  uint64_t idle_ms; /**< a stream ends with cause IDLE after this time without a put, a lookup by its key, or a written
                         event; heartbeats do not count. 0: never, because a page may be quiet for long, and the stream
                         of a lost client ends by itself. Another value: as idle_ms of vestry_store_options */
  uint64_t lifetime_ms;        /**< as in vestry_store_options; 0: never */
  const vestry_bounds *bounds; /**< copied; NULL: the defaults */
  vestry_purge_fn purge;       /**< called for each entry that leaves the store (vestry/store.h); value is a
                                    vestry_connection */
  void *purge_ctx;

  vestry_scope_fn scope; /**< NULL: the scope without an owner for all requests */
  void *scope_ctx;

  const vestry_connection_options *connection; /**< for every stream, unless a reply overrides it. Copied; NULL: the
                                                    defaults */
  const vestry_connection_hooks *hooks;        /**< for every stream. Copied; NULL: none */
  bool keep_open;                              /**< new streams stay open after their effects, unless a reply sets
                                                    auto_close (vestry_stream_options) */
  const vestry_signals_limits *signals;        /**< limits of signals in requests. Copied; NULL: the defaults */

  const vestry_profile *profiles; /**< encodings offered to every stream, best first; copied. NULL: identity only */
  size_t profiles_count;          /**< at most VESTRY_PROFILES_MAX */

  /** Whether the client's address, for limits per client, comes from X-Forwarded-For. The proxy must set this header to
   *  its peer's address, not append to it (docs/guide/proxies.md). If false, the client's address is the peer's. In
   *  this case, a client has no address if the peer is on this machine, or if the request has a header of a proxy:
   *  Forwarded, X-Forwarded-For, X-Forwarded-Host, X-Real-IP or Via. Limits per client do not apply to a client without
   *  an address (docs/security.md). */
  bool is_behind_proxy;

  const vestry_named_store *stores; /**< stores that you have created, with their own types, bounds, scope functions and
                                         purge hooks. Copied; each name differs from the others */
  size_t stores_count;
} vestry_options;

/** Counters since creation. opened_count = open_count + closed_count. The store has its own counters
 *  (vestry_store_stats_get). */
typedef struct vestry_stats {
  uint64_t opened_count, open_count, closed_count;
  uint64_t closed_by_cause[VESTRY_CAUSES_MAX];
  /** Sums over all connections, as in vestry_connection_stats. */
  uint64_t accepted_count, written_count, discarded_count, conflated_count, refused_count;
  uint64_t heartbeats_count;
  uint64_t encodes_count; /**< runs of an encoder over an event: one for all streams of an encoding, as a rule */
  uint64_t written_bytes, wire_bytes; /**< bytes of events, and bytes on the wire: see vestry_connection_stats */
  /** Current and highest memory of the queues of all streams: the bytes of events, counted in each queue that holds the
   *  event, and 192 bytes and the name of its state for each event. This number never exceeds max_queued_bytes. The
   *  encoded forms of events are not counted; a stream holds them for at most 64 events.
   *
   *  If the queues hold more than 7/8 of max_queued_bytes, streams end with cause BUDGET until the queues of the
   *  remaining streams hold less than 7/8. The streams whose queues hold most end first; among streams with about the
   *  same size, the one that has held it longest. Their memory is freed when their runners (the threads that write to
   *  them) end them. A sender that fills the last eighth before the runners have freed this memory gets FULL, as from a
   *  full queue. */
  uint64_t queued_bytes, queued_peak_bytes;
  uint64_t requests_count, rejected_count;         /**< requests served, and those of them that got 503 because a bound
                                                        was reached or the instance was closing */
  uint64_t refused_by_reason[VESTRY_REFUSALS_MAX]; /**< refused connections and requests, by reason */
  /** Current and highest memory of the heads and bodies of all current requests. This is the allocated memory: a
   *  growing body counts as it grows; a body that the server collects first is counted twice, in the server's copy and
   *  in the request's. Never above max_request_bytes. */
  uint64_t request_bytes, request_peak_bytes;
  /** Streams that ended with cause REPLACED because their scope had reached max_streams_per_scope_count. */
  uint64_t outnumbered_count;
  /** Current and highest memory of the bodies of all responses that are being made or sent; never above
   *  max_all_responses_bytes. Bodies below a kilobyte are not counted, because the bound of connections limits them.
   *  responses_cut_count counts the responses that were aborted because all responses together held too much memory;
   *  those that hold most memory are aborted first. */
  uint64_t response_bytes, response_peak_bytes, responses_cut_count;
  /** Channels by key (vestry/channel.h). made = live + ended; refused: not made because of max_channels_count. */
  uint64_t channels_made_count, channels_live_count, channels_ended_count, channels_refused_count;
  /** State of a drain (vestry/drain.h): whether it has begun, and the time since it began. drain_streams_count: streams
   *  that were open when it began. drain_sent_count: streams that the drain has begun to close so far.
   *  closed_by_cause[DRAIN] counts a stream only when its remaining events are written and its end is complete. The
   *  drain is complete when open_count is 0. */
  bool drain_has_begun;
  uint64_t drain_elapsed_ms, drain_streams_count, drain_sent_count;
} vestry_stats;

/** Create an instance: runtime (unless given), store, registry (vestry/registry.h) with the built-in effects and
 *  interceptors.
 *  options       NULL: the defaults; copied, except what is marked borrowed
 *  ret_instance  owned by the caller; untouched on failure
 *  Returns  OK | INVALID (options) | NOT_FOUND (the store's type) | EXISTS (store_type has the name of a built-in type)
 *           | CLOSED (options->runtime) | NO_MEMORY | IO | another error of store_type or of a profile. Unless memory
 *           has run out, the log has the reason
 *  Threads  any */
VESTRY_API vestry_err vestry_create(const vestry_options *options, vestry **ret_instance);

/** Return whether this process was forked from the one that created the instance (or the runtime given to it).
 *
 *  Such a child has the memory but none of the threads: no stream or timer runs, and a lock that a thread held remains
 *  locked. Therefore, in the child
 *  - vestry_close, and the destroy functions of adapters, pages, timers and so on do nothing;
 *  - vestry_destroy, vestry_stop and vestry_server_stop return CLOSED, and so do functions that dispatch, serve,
 *    broadcast, send, post or set a timer;
 *  - no other function of the instance may be called; the streams remain the parent's.
 *  The child ends with exec, which closes every descriptor of vestry, or with _exit. A program that becomes a daemon
 *  creates its instance after the fork.
 *  Threads  any; a load */
VESTRY_API bool vestry_is_forked(const vestry *v);

/** Start closing the instance: from now on requests get 503 and new streams are refused; every stream is aborted with
 *  cause SHUTDOWN (browsers reconnect). Idempotent.
 *  Threads  any; does not block */
VESTRY_API void vestry_close(vestry *v);

/** End the streams of a scope, for example when its user logs out: those whose scope this is (of the request that
 *  opened them, or of vestry_connection_scope_set), whatever their keys and channels, and those that are stored under a
 *  key of the scope in the instance's own store (vestry_store_remove with VESTRY_EVERY_KEY).
 *
 *  A stream that opens at the same time may stay open. Therefore make the log-in invalid first, and let the on_open
 *  hook (vestry_options.hooks) check it once more. In a cluster, call this on each node.
 *  scope    not empty: the scope without an owner has the streams of all other clients, so an empty user name would
 *           end them all
 *  cause    CLOSED: the browser does not reconnect; for example ERROR: it reconnects, in the scope that its request has
 *           then. Any but NONE and DETACHED
 *  Returns  OK | NOT_FOUND (no stream) | INVALID (scope, which is logged if it is empty; cause) | TOO_LARGE (scope) |
 *           CLOSED (vestry_is_forked) | NO_MEMORY
 *  Threads  any; does not block. The time grows with the number of all open streams */
VESTRY_API vestry_err vestry_close_scope(vestry *v, vestry_scope scope, vestry_cause cause);

/** Give a live stream another scope, without a reconnect, for example when its user logs in: from now on the stream is
 *  one of the new scope.
 *  - Keys: the stream leaves its keys of the old scope in the instance's own store, and is under the same keys of the
 *    new one. The purge hook gets each old key, with cause DETACHED. Keys of other scopes, and of other stores
 *    (vestry_options.stores), stay. During the call, a dispatch reaches the stream by both keys.
 *  - max_streams_per_scope_count: the stream counts in the new scope; if this is full, another stream of it ends.
 *    max_per_scope_count counts its entries, for a moment in both scopes.
 *  - Interceptors and effects that run when the stream ends get the new scope.
 *  - In a cluster, the other nodes learn the new keys and forget the old ones.
 *  - Channels, topics, histories and presences stay as they are, because the stream has joined each of them by its
 *    name, which may have any scope. Leave and join channels with vestry_leave and vestry_join.
 *  - Tabs, tokens, nonces and forms belong to the scope of a request. The page still holds those of the old scope,
 *    which the new one rejects: send new ones, or reload the page. A live page (vestry/app/page.h) and a stream with a
 *    session (vestry/app/session.h) keep the user of their request: reload them.
 *  Events that were sent before are still written.
 *  scope       empty: the one without an owner, for example at a log-out. All anonymous clients share it and its keys
 *  many_count  for each key in the new scope: maximum number of streams under it, 0: 8; beyond it the oldest ends with
 *              cause REPLACED. 1: the stream replaces all others
 *  Returns  OK | CLOSED (the stream has ended) | BUSY (another thread, or a function further up on this one, changes
 *           the scope) | FULL, LIMIT (the store has no room for the new entries) | NO_MEMORY | INVALID (scope; a
 *           connection of no instance) | TOO_LARGE (scope) | UNSUPPORTED (the store's type has no key_of). On failure
 *           the stream is under its old keys, and no other stream was replaced
 *  Threads  any, hooks and effects included; takes locks briefly; runs purge hooks on this thread, no lock held. Keys
 *           of the old scope that another thread puts the stream under meanwhile may stay there */
VESTRY_API vestry_err vestry_connection_scope_set(vestry_connection *connection, vestry_scope scope, size_t many_count);
/** Get the scope of a stream: that of the request that opened it, or that of vestry_connection_scope_set. Under a
 *  shared key it shows whose stream a target is, for example in a vestry_target_fn (vestry/registry.h).
 *      char buffer[VESTRY_SCOPE_MAX_BYTES];
 *      const bool is_of_a_user = vestry_connection_scope_get(connection, buffer).len > 0;
 *  buffer   the scope is copied there, because another thread may change it; the result borrows it
 *  Returns  the scope, also after the end of the stream; empty: the one without an owner, also if it is of no instance
 *  Threads  any, hooks and effects included; takes the connection's lock for a few instructions */
VESTRY_API vestry_scope vestry_connection_scope_get(vestry_connection *connection, char buffer[VESTRY_SCOPE_MAX_BYTES]);

/** Close, then wait for at most timeout_ms until every stream has ended, its hooks have run, and no page is being
 *  rendered (vestry/app/page.h); none is rendered afterwards. Then wait, without this limit, until no purge hook of an
 *  expired stream runs. Objects that hooks, effects and renders use, above all timers, must live until this has
 *  returned OK. Destroy timers on the instance's own runtime after that and before the instance. Requests in progress,
 *  and the documents that they render, are the adapter's: to wait for them, stop the server first (vestry/server.h).
 *  Other nodes of a cluster may request effects until vestry_cluster_destroy.
 *  Returns  OK | TIMEOUT (a render runs, or some streams are stuck in their transport; call again, or destroy the
 *           server first) | CLOSED (vestry_is_forked) | BUSY (called in a callback of the instance, a host's log or a
 *           listing, in a render, or on a thread of its runtime, which would wait for itself: nothing is done, and the
 *           log has the reason; vestry_close may be called there)
 *  Threads  not from a callback of the instance; blocks. A stepped runtime is stepped meanwhile, without waiting for
 *           time to pass */
VESTRY_API vestry_err vestry_stop(vestry *v, uint64_t timeout_ms);

/** Stop without a time limit, then free. Adapters must have been destroyed, and no other thread may be inside a
 *  function of the instance, or inside one that sends to or closes one of its connections. References to connections
 *  may be kept: later sends to them return CLOSED. NULL is accepted.
 *  Returns  OK (also for NULL) | BUSY (called where vestry_stop returns BUSY: the instance continues to work, and the
 *           log has the reason) | TIMEOUT (stepped: as BUSY) | CLOSED (vestry_is_forked: nothing is freed)
 *  Threads  as vestry_stop */
VESTRY_API vestry_err vestry_destroy(vestry *v);

/** Parts of an instance. */
typedef struct vestry_parts {
  const vestry_host *host;
  vestry_runtime *runtime;
  vestry_store *store;              /**< holds the connections */
  struct vestry_registry *registry; /**< to register effects, before the first request (vestry/registry.h) */
  uint64_t heartbeat_ms;            /**< idle time of a stream before a heartbeat, unless a reply sets it;
                                         VESTRY_NEVER_MS: no heartbeats */
  size_t max_body_bytes;            /**< maximum size of a request's body, unless vestry_body_limit overrides it */
} vestry_parts;

/** Get the parts of an instance. They are borrowed, and do not change as long as the instance lives.
 *      vestry_registry_effect(vestry_parts_of(v)->registry, "counter/start", start_timer, NULL); // vestry/registry.h
 *  Threads any; does not block. */
VESTRY_API const vestry_parts *vestry_parts_of(const vestry *v);
/** Get a snapshot of the counters. Threads any. */
VESTRY_API void vestry_stats_get(vestry *v, vestry_stats *ret_stats);

#ifdef __cplusplus
}
#endif
#endif
