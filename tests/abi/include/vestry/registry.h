/** The registry and the instance: effects by name, and the object that ties stores, connections and effects together.
 *
 *  An effect is data, a JSON array headed by a name: ["patch-signals", {"counter": 4}]. A registry says what names
 *  mean: effects do something; actions are pure functions that give more effects; placeholders stand for values that
 *  are known only when it is dispatched; interceptors step in before and after. Any thread dispatches effects to the
 *  connections stored under a key, with no request in sight:
 *
 *      vestry_create(&(vestry_options){.store = "lru", .scope = by_session}, &v);
 *      vestry_registry_effect(vestry_registry_of(v), "counter/start", start_timer, &app);
 *      vestry_dispatch(v, scope, VESTRY_KEY("counter", 1), VESTRY_LIST("patch-signals", VESTRY_OBJECT("counter", 4)));
 *
 *  Built in: patch-elements [html, options?], patch-elements-seq [[html…], options?], remove-elements [selector,
 *  options?], patch-signals [object or JSON text, options?], remove-signals [path or [path…], options?],
 *  execute-script [text, options?], console-log [text, options?], console-error [text, options?], redirect [url,
 *  options?], replace-url [url, options?], dispatch-event [name, detail?, options?], prefetch [url or [url…],
 *  options?], send-event [name, data?, options?] (vestry_event_plain; the data a text, or any value as JSON),
 *  close-sse [], wake [] (vestry/watch.h). Options are objects named as in the Datastar SDKs: selector,
 *  mode, useViewTransition, viewTransitionSelector, namespace, eventId, retryDuration, onlyIfMissing, autoRemove,
 *  attributes, bubbles, cancelable, composed. vestry itself dispatches "connection" [id] when a stream has opened and
 *  "sse-closed" [id, cause name] when it has ended, if the application has registered effects of these names. */
#ifndef VESTRY_REGISTRY_H
#define VESTRY_REGISTRY_H

#include "vestry/refusal.h"
#include "vestry/request.h"
#include "vestry/runtime.h"

#ifdef __cplusplus
extern "C" {
#endif

/** An instance: a store, its connections and the effects that reach them. */
typedef struct vestry vestry;
/** One dispatch under way: what its effects and interceptors may ask for. Valid during the callback it is handed to. */
typedef struct vestry_dispatch_context vestry_dispatch_context;

/** Makes the scope of a request, before its handler: writes at most VESTRY_SCOPE_MAX_BYTES into buffer and sets
 *  *ret_len (0 until then). On the serving thread, no lock held. Body and signals can be asked for; the scope itself is
 *  empty until it returns.
 *  reply    the handler's, for what every answer is to have: a cookie, a header. Not for keys, which are of the scope.
 *           It may also be the answer: with a status (vestry_reply_status, vestry_reply_redirect) and an error
 *           returned, the reply is answered as it is, and the handler is not called
 *  Returns  OK | any error: the request is answered with it, as for a handler, unless the reply has a status */
typedef vestry_err (*vestry_scope_fn)(const vestry_request *req, vestry_reply *reply, char *buffer, size_t *ret_len,
                                      void *ctx);

/** What an instance is made of. Zero is the default. */
typedef struct vestry_options {
  size_t size;             /**< sizeof(vestry_options), or 0 */
  const vestry_host *host; /**< borrowed; NULL: that of the runtime, if one is given, else the default */
  vestry_runtime *runtime; /**< borrowed; NULL: one of its own */
  uint32_t threads_count;  /**< of its own runtime; as vestry_runtime_options */

  const char *store;                     /**< type by name; NULL: "lru" */
  const vestry_store_types *store_types; /**< borrowed; NULL: the built-in ones */
  size_t max_count;                      /**< of the store; as vestry_store_options, like lifetime_ms and the cap */
  uint64_t idle_ms; /**< a stream that was neither put nor looked up by its key, and that no event was written to,
                         leaves for IDLE; heartbeats do not count. 0: never, since a page may be quiet for long, and
                         one whose client is gone ends by itself. As vestry_store_options otherwise */
  uint64_t lifetime_ms;
  size_t max_per_scope_count; /**< entries of one scope in the store, a stream having one for each of its keys there; of
                                   everybody's scope too, the one without a name: with keys in it
                                   (vestry_reply_add_key) all pages together have this bound. Who goes does so for
                                   SIZE, and its browser comes back; a stream with more keys than this, or than
                                   max_count, is refused: 500, and said in the log. For a bound of streams a user see
                                   max_streams_per_scope_count */
  vestry_purge_fn purge;      /**< value is a vestry_connection */
  void *purge_ctx;

  vestry_scope_fn scope; /**< NULL: one constant scope, the empty one */
  void *scope_ctx;
  const struct vestry_session_options *sessions; /**< the scope is the session's (vestry/session.h), and there is none
                                                       above; NULL: no sessions. Copied */

  const vestry_connection_options *connection; /**< for every stream; a reply can change them for its own. Copied;
                                                     NULL: the defaults, as for the next two */
  size_t max_queued_bytes;              /**< of all streams together; 0: 1 GiB; SIZE_MAX: no bound but each stream's.
                                             See vestry_stats.queued_bytes */
  const vestry_connection_hooks *hooks; /**< for every stream */
  bool keep_open;                       /**< auto-close is off unless a reply says otherwise; see vestry_reply_keep */
  size_t max_body_bytes;                /**< of a request; 0: 1 MiB; beyond it 413 */
  size_t max_request_bytes;             /**< of the heads and bodies of all requests under way together; beyond it 503,
                                             and from seven eighths on those that hold most are closed where a
                                             server reads ahead (see its adapter).
                                             0: 256 MiB; SIZE_MAX: no bound. See vestry_stats.request_bytes */
  const vestry_signals_limits *signals; /**< of what requests bring */
  uint32_t retry_after_s;               /**< of a 503; 0: 2 */

  const vestry_profile *profiles;      /**< offered to every stream, best first; copied. NULL: identity alone */
  size_t profiles_count;               /**< at most VESTRY_PROFILES_MAX */
  uint32_t max_private_encoders_count; /**< of streams that are VESTRY_PROFILE_PRIVATE; 0: 64 */
  uint32_t max_channel_encoders_count; /**< of channels, one for each encoding of each; 0: 64 */

  const void *secret;          /**< at least 32 bytes, with which tab ids, CSRF tokens and nonces are sealed; NULL: that
                                    of signed sessions, or random ones: then no page that is open outlives a restart.
                                    Copied */
  size_t secret_len;           /**< of the secret */
  const void *previous_secret; /**< what it sealed is still good: for a change of secrets; NULL: none. Copied */
  size_t previous_secret_len;  /**< of that */
  size_t max_channels_count;   /**< by key, at one time (vestry/broadcast.h); 0: 10,000 */
  size_t max_subscriptions_count;     /**< to topics by key, at one time (vestry/publish.h); 0: 100,000 */
  size_t max_history_bytes;           /**< what all histories of channels keep together (vestry/history.h); 0: 64 MiB */
  size_t max_streams_per_scope_count; /**< streams that stay open of one scope at most, of a user say: by the scope of
                                           the request that opened them, whatever keys they have in whatever scopes,
                                           and whatever the store. When one more opens, the one that was active (opened,
                                           or written an event) longest ago is closed for REPLACED: its browser does not
                                           come back, for it would send the next one away. Of those that were active
                                           within the same second it is the one that opened first; streams that are
                                           ending do not count. The scope without a name has no such bound. 0: none. See
                                           vestry_stats.outnumbered_count. Opening looks at so many streams */
  size_t max_per_stream_count; /**< keys that one stream may have beside its first (vestry_reply_add_key), and, counted
                                    apart, channels, topics and places that it may be a part of from its beginning
                                    (vestry_reply_join, …). Beyond it LIMIT, which is the program's mistake: 500, and
                                    said in the log. 0: 64; at most 65,535 */
  size_t max_answer_bytes;     /**< of the bodies of all answers that are being made or sent: a reply has the room of
                                    its body before there is memory of it. From seven eighths on the connections whose
                                    answers hold most are closed, and beyond it 503. Files in folders (vestry/files.h)
                                    are sent from their descriptors: of them a piece counts. 0: 256 MiB; SIZE_MAX: no
                                    bound. See vestry_stats.answer_bytes */
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
   *  and 128 bytes an event. Never above max_queued_bytes, and an upper bound of the memory that queues hold, encoded
   *  forms aside (of 64 events a stream at most). From seven eighths of max_queued_bytes on, streams are closed for
   *  BUDGET, those that hold most first, until what the others hold is below; their memory comes back when their
   *  runners get to it. A sender that fills the last eighth faster than that gets FULL, as from a full queue. */
  uint64_t queued_bytes, queued_peak_bytes;
  uint64_t requests_count, rejected_count;   /**< served; of these answered 503: no room, or closing */
  uint64_t turned_away[VESTRY_REFUSALS_MAX]; /**< connections and requests, by why */
  /** What the heads and bodies of all requests under way hold now, and the most there ever was: the memory itself, so
   *  that a body which grows is counted as it grows, and one that a server reads ahead is counted there and here. Never
   *  above max_request_bytes. */
  uint64_t request_bytes, request_peak_bytes;
  /** Watches (vestry/watch.h) of streams: watches_begun_count = watches_live_count + watches_ended_count. Their steps,
   *  and how many of these ended their stream by an error. */
  uint64_t watches_begun_count, watches_live_count, watches_ended_count;
  uint64_t watch_steps_count, watch_errors_count;
  /** Sessions (vestry/session.h) that somebody has logged in to and memory holds; and calls of vestry_session_login:
   *  those that said OK, those that failed, and of the first those whose user had a session in memory already. Many
   *  that repeat: a script, or a password that many have. Sessions that ended because their user had too many. */
  uint64_t sessions_live_count, logins_count, logins_failed_count, logins_repeated_count, sessions_displaced_count;
  /** Of the streams that were closed for REPLACED, those whose scope had max_streams_per_scope_count. */
  uint64_t outnumbered_count;
  /** What the bodies of all answers hold that are being made or sent now, and the most there ever was; never above
   *  max_answer_bytes. Bodies below a kilobyte are not counted: the bound of connections bounds them. And how many
   *  answers were cut because all of them held too much, and they most. */
  uint64_t answer_bytes, answer_peak_bytes, answers_cut_count;
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
 *  descriptor of vestry's is closed by that) or _exit. A program that becomes a daemon creates its instance behind the
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
 *           (vestry_is_forked)
 *  Threads  not from a callback of the instance; blocks. A stepped runtime is stepped meanwhile and time is not waited
 *           for */
VESTRY_API vestry_err vestry_stop(vestry *v, uint64_t timeout_ms);

/** Stop without a time limit, then free. Adapters must have been destroyed first, and no other thread may be inside a
 *  function of the instance's, or one that sends to a connection of its, or closes one. References to connections may
 *  be kept: what is sent to them later is CLOSED. NULL is accepted.
 *  Threads  as vestry_stop */
VESTRY_API void vestry_destroy(vestry *v);

/** What the instance works with; borrowed, valid as long as the instance. Threads any; do not block. */
VESTRY_API vestry_runtime *vestry_runtime_of(vestry *v);
VESTRY_API vestry_store *vestry_store_of(vestry *v);
VESTRY_API const vestry_host *vestry_host_of(const vestry *v);
/** How long its streams stay silent before a heartbeat, unless a reply says otherwise; VESTRY_NEVER_MS: for ever.
 *  Threads any. */
VESTRY_API uint64_t vestry_heartbeat_ms(const vestry *v);
/** How large a request's body may be where vestry_body_limit says nothing else. Threads any. */
VESTRY_API size_t vestry_max_body_bytes(const vestry *v);
/** Counters, a snapshot. Threads any. */
VESTRY_API void vestry_stats_get(vestry *v, vestry_stats *ret_stats);

/* --------------------------------------------------------------------------------------------- registering -------- */

/** An effect. args: the array behind the name, borrowed. On the dispatching thread, no lock held; must not block when
 *  the dispatch came from a timer or a hook. OK, or an error that is recorded in the dispatch's result. */
typedef vestry_err (*vestry_effect_fn)(vestry_dispatch_context *context, const json_t *args, void *ctx);

/** An action: a pure function from the state and its arguments to a list of effects and more actions. They are
 *  performed in its place, depth first: what an action comes to is done before what stands behind it.
 *  state        an object: the request's signals, or the data that a dispatch without request was given, else empty.
 *               Borrowed, not to be changed; parts of it may go into the list (json_incref)
 *  args         the array behind the name, borrowed
 *  ret_effects  NULL before; left so, or an empty array: nothing is done. Taken; anything but a list of arrays that are
 *               headed by names is recorded as INVALID, and none of it is performed
 *  Returns  OK, or an error that is recorded; then nothing is performed. On the dispatching thread, no lock held */
typedef vestry_err (*vestry_action_fn)(const json_t *state, const json_t *args, json_t **ret_effects, void *ctx);

/** A placeholder: a list headed by its name, anywhere in an effect or action, is replaced by what this function gives,
 *  innermost first, when the effect or action comes up. What it gives is not looked at again in that pass.
 *  data       the dispatch data (vestry_context_data), borrowed, not to be changed; parts may be given (json_incref)
 *  args       the array behind the name, placeholders in it replaced already; borrowed
 *  ret_value  NULL before; taken. Left so, or when it gives itself, the list stays as it is and waits for a later
 *             dispatch: one that is nested or late, and brings the data which it lacks
 *  Returns  OK, or an error that is recorded; then the effect or action is not performed. On the dispatching thread, no
 *           lock held */
typedef vestry_err (*vestry_placeholder_fn)(const json_t *data, const json_t *args, json_t **ret_value, void *ctx);

/** [VESTRY_QUOTE, x] is replaced by x, in which no placeholder is looked for: for values that come from a client, who
 *  could otherwise name placeholders too. */
#define VESTRY_QUOTE "vestry/quote"

/** Where interceptors step in. */
typedef enum vestry_phase {
  VESTRY_PHASE_CONNECT,  /**< which connections: around the decision where a reply's effects go. before may add stored
                              ones (vestry_context_target); none added: a stream is opened. after knows what came of it
                              (vestry_context_opened); nothing is dispatched yet */
  VESTRY_PHASE_DISPATCH, /**< around one dispatch, nested ones too */
  VESTRY_PHASE_ACTION,   /**< around one action, and all that it comes to */
  VESTRY_PHASE_EFFECT,   /**< around one effect */
  VESTRY_PHASE_CLOSE     /**< around what is done for a stream that has ended: its hooks, then "sse-closed" */
} vestry_phase;

/** One side of an interceptor. effect: in PHASE_ACTION and PHASE_EFFECT the action or effect, whole, its placeholders
 *  replaced; otherwise NULL. Same thread as the dispatch. OK, or an error that is recorded; the rest goes on. */
typedef vestry_err (*vestry_intercept_fn)(vestry_dispatch_context *context, const json_t *effect, void *ctx);

/** Two functions that step in before and after something. */
typedef struct vestry_interceptor {
  size_t size;      /**< sizeof(vestry_interceptor), or 0 */
  const char *name; /**< for error records; copied */
  vestry_phase phase;
  vestry_intercept_fn before; /**< in order of registration; NULL: none */
  vestry_intercept_fn after;  /**< in reverse order; NULL: none */
  void *ctx;
} vestry_interceptor;

/** What names mean, apart from any instance: a library can offer one, an application uses several. */
typedef struct vestry_registry vestry_registry;

/** Create an empty registry.
 *  host          borrowed; NULL: the default
 *  ret_registry  owned by the caller; untouched on failure
 *  Returns  OK | INVALID | NO_MEMORY
 *  Threads  any; a registry is used by one at a time, like all that follows */
VESTRY_API vestry_err vestry_registry_create(const vestry_host *host, vestry_registry **ret_registry);
/** Free it; instances that use it keep what it brought. NULL is accepted. */
VESTRY_API void vestry_registry_destroy(vestry_registry *registry);

/** Say what a name means. It can mean a placeholder, and beside that an effect or an action; of two of a kind the last
 *  wins, and so it does between an effect and an action.
 *  name     copied; not empty, at most 255 bytes
 *  ctx      handed to the function; must live as long as the instances that use the registry
 *  Returns  OK | INVALID | NO_MEMORY (registry unchanged) */
VESTRY_API vestry_err vestry_registry_effect(vestry_registry *registry, const char *name, vestry_effect_fn effect,
                                             void *ctx);
VESTRY_API vestry_err vestry_registry_action(vestry_registry *registry, const char *name, vestry_action_fn action,
                                             void *ctx);
VESTRY_API vestry_err vestry_registry_placeholder(vestry_registry *registry, const char *name,
                                                  vestry_placeholder_fn placeholder, void *ctx);
/** Append an interceptor. OK | INVALID | NO_MEMORY (registry unchanged). */
VESTRY_API vestry_err vestry_registry_intercept(vestry_registry *registry, const vestry_interceptor *interceptor);
/** Add all of another registry: its names win over those that are there, its interceptors come after. It is copied from
 *  and may be destroyed. OK | INVALID | NO_MEMORY (registry unchanged). */
VESTRY_API vestry_err vestry_registry_add(vestry_registry *registry, const vestry_registry *more);

/** The instance's own registry, which has the built-in effects: register what the application has, or add a registry.
 *  Threads  one at a time, before the first request or dispatch: from then on names are only read, without a lock. An
 *           effect is found by one hashed look-up and one comparison, whatever else is registered */
VESTRY_API vestry_registry *vestry_registry_of(vestry *v);

/* ---------------------------------------------------------------------------------------------- dispatching ------- */

/** What went wrong in a dispatch, one record a failure. Texts are cut to fit. */
typedef struct vestry_dispatch_error {
  vestry_phase phase;
  bool is_after; /**< an interceptor's after; otherwise its before, or no interceptor's failure */
  vestry_err error;
  char name[64];   /**< of the effect, action, placeholder or interceptor that failed */
  char what[64];   /**< an interceptor's: the effect or action it was around. Of all others: the effect or action that
                        the placeholder was in, or the action that the effect or action came of. May be empty */
  char detail[96]; /**< why, if more is known; may be empty */
} vestry_dispatch_error;

/** Actions within actions at most, through nested dispatches too; a deeper one fails with LIMIT. */
#define VESTRY_ACTIONS_MAX_DEPTH 32
/** Effects and actions that may come of one dispatch, from actions and nested dispatches; beyond it one LIMIT is
 *  recorded, and no more is performed but the effects of the dispatched list itself. */
#define VESTRY_DISPATCH_MAX_COUNT 10000
/** Dispatches within dispatches at most (vestry_context_dispatch). */
#define VESTRY_DISPATCH_MAX_NESTING 8

/** Failures that a dispatch's outcome has records of. */
#define VESTRY_DISPATCH_ERRORS_MAX 8

/** The outcome of a dispatch. Failures beyond the room for records are counted. */
typedef struct vestry_dispatch_result {
  size_t size;                /**< sizeof(vestry_dispatch_result), or 0 */
  uint32_t effects_count;     /**< effects that were performed without an error */
  uint32_t errors_count;      /**< failures, of effects, actions, placeholders and interceptors */
  uint32_t skipped_count;     /**< effects and actions left out: for fail-fast, or a limit */
  uint32_t connections_count; /**< connections the dispatch was for */
  vestry_dispatch_error errors[VESTRY_DISPATCH_ERRORS_MAX]; /**< the first errors_count; the others are zero */
} vestry_dispatch_result;

/** Dispatch effects to all open connections stored under a key. One failing effect does not stop the others.
 *  vestry/dispatch.h has more forms: with data, nested, late, of JSON, with the effects' results.
 *      vestry_dispatch(v, scope, VESTRY_KEY("counter", 1), VESTRY_LIST("patch-signals", VESTRY_OBJECT("counter", n)));
 *  effects  one effect, a list headed by its name; or a list of effects
 *  Returns  OK | NOT_FOUND (no open connection: nothing was dispatched) | INVALID, TOO_LARGE (effects, key) | CLOSED
 *           (the instance) | NO_MEMORY | else the first failure, an effect's or an interceptor's; vestry_dispatch_with
 *           tells all. An effect that nobody registered fails with NOT_FOUND too: connections_count is 0 only when
 *           nobody was there
 *  Threads  any; runs the effects on this thread; does not block unless an effect does */
VESTRY_API vestry_err vestry_dispatch(vestry *v, vestry_scope scope, const vestry_key *key,
                                      const vestry_value *effects);
/** The same with a list of effects, [["name", args…], …], in the format language of jansson's json_pack. */
VESTRY_API vestry_err vestry_dispatch_pack(vestry *v, vestry_scope scope, const vestry_key *key, const char *format,
                                           ...);

/* Inside effects and interceptors. All borrowed, the callback's thread only. */

/** The instance that dispatches. */
VESTRY_API vestry *vestry_context_instance(const vestry_dispatch_context *context);
/** The request behind the dispatch; NULL when there is none. */
VESTRY_API const vestry_request *vestry_context_request(const vestry_dispatch_context *context);
/** The scope of the request or dispatch. */
VESTRY_API vestry_scope vestry_context_scope(const vestry_dispatch_context *context);
/** The connections it is for, and how many. */
VESTRY_API vestry_connection *const *vestry_context_connections(const vestry_dispatch_context *context,
                                                                size_t *ret_count);
/** The reply that is being performed, in PHASE_CONNECT; NULL otherwise. */
VESTRY_API const vestry_reply *vestry_context_reply(const vestry_dispatch_context *context);
/** Add a connection to those the reply's effects go to; a reference is taken. PHASE_CONNECT only. In after, when a
 *  stream was opened: that stream is given up, unopened, in favour of the connections added now, and the request is
 *  answered 204.
 *  OK | CLOSED (it is not open: not added) | INVALID (phase) | NO_MEMORY. */
VESTRY_API vestry_err vestry_context_target(vestry_dispatch_context *context, vestry_connection *connection);
/** The stream that was opened for this reply; NULL: there is none. PHASE_CONNECT's after only, NULL elsewhere. */
VESTRY_API vestry_connection *vestry_context_opened(const vestry_dispatch_context *context);
/** Refuse the reply: the request is answered with this error, as for a handler; a stream that was opened for it is
 *  given up; nothing is dispatched. The first refusal counts. PHASE_CONNECT only.
 *  OK | INVALID (phase, VESTRY_OK as error). */
VESTRY_API vestry_err vestry_context_refuse(vestry_dispatch_context *context, vestry_err error);
/** Say more about a failure: the text goes into the error record that the running effect or interceptor gets if it
 *  returns an error. Cut to fit; the last call counts.
 *  Returns  error, so that an effect can end with: return vestry_context_fail(context, VESTRY_INVALID, "no %s", x); */
VESTRY_API vestry_err vestry_context_fail(vestry_dispatch_context *context, vestry_err error, const char *format, ...)
    VESTRY_PRINTF(3, 4);
/** Send an event to every connection of the dispatch: the one door through which all built-in effects send. When the
 *  connections of a reply were stored ones, and all of them close before any accepted anything, a stream is opened for
 *  the request after all, and the event goes there: effects are not lost to that race, nor run twice.
 *  Returns  OK: at least one accepted it, and those that did not were closed | CLOSED: none is open | FULL, TOO_LARGE,
 *           NO_MEMORY: at least one that is open could not take it; the others have it */
VESTRY_API vestry_err vestry_context_send(vestry_dispatch_context *context, vestry_event *event);

#ifdef __cplusplus
}
#endif
#endif
