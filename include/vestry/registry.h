/* SPDX-License-Identifier: MIT */
/** The registry: effects by name.
 *
 *  An effect is data, a JSON array headed by a name: ["patch-signals", {"counter": 4}]. A registry says what names
 *  mean: effects do something; actions are pure functions that give more effects; placeholders stand for values that
 *  are known only when an effect is dispatched; interceptors step in before and after. Any thread dispatches effects to
 *  the connections stored under a key, with no request in sight:
 *
 *      vestry_registry_effect(vestry_parts_of(v)->registry, "counter/start", start_timer, &app);
 *      vestry_dispatch(v, scope, VESTRY_KEY("counter", 1), VESTRY_LIST("patch-signals", VESTRY_OBJECT("counter", 4)));
 *
 *  Built in: patch-elements [html, options?], patch-elements-seq [[html…], options?], remove-elements [selector,
 *  options?], patch-signals [object or JSON text, options?], remove-signals [path or [path…], options?],
 *  execute-script [text, options?], console-log [text, options?], console-error [text, options?], redirect [url,
 *  options?], replace-url [url, options?], navigate [url, options?], navigate-replace [url, options?], dispatch-event
 *  [name, detail?, options?], prefetch [url or [url…], options?], send-event [name, data?, options?]
 *  (vestry_event_plain; the data a text, or any value as JSON),
 *  close-sse [], wake [] (vestry/app/watch.h). Options are objects named as in the Datastar SDKs: selector,
 *  mode, useViewTransition, viewTransitionSelector, namespace, eventId, retryDuration, onlyIfMissing, autoRemove,
 *  attributes, bubbles, cancelable, composed. vestry itself dispatches "connection" [id] when a stream has opened and
 *  "sse-closed" [id, cause name] when it has ended, if the application has registered effects of these names. */
#ifndef VESTRY_REGISTRY_H
#define VESTRY_REGISTRY_H

#include "vestry/instance.h"

#ifdef __cplusplus
extern "C" {
#endif

/** One dispatch under way: what its effects and interceptors may ask for. Valid during the callback it is handed to. */
typedef struct vestry_dispatch_context vestry_dispatch_context;

/* --------------------------------------------------------------------------------------------- registering -------- */

/** An effect. args: the array after the name, borrowed. On the dispatching thread, no lock held; must not block when
 *  the dispatch came from a timer or a hook. OK, or an error that is recorded in the dispatch's result. */
typedef vestry_err (*vestry_effect_fn)(vestry_dispatch_context *context, const json_t *args, void *ctx);

/** An action: a pure function from the state and its arguments to a list of effects and more actions. The list is
 *  performed in the action's place, depth first: all that an action gives is performed before what stands after the
 *  action.
 *  state        an object: the request's signals, or the data that a dispatch without request was given, else empty.
 *               Borrowed, not to be changed; parts of it may go into the list (json_incref)
 *  args         the array after the name, borrowed
 *  ret_effects  NULL before; left so, or an empty array: nothing is done. Taken; anything but a list of arrays that are
 *               headed by names is recorded as INVALID, and none of it is performed
 *  Returns  OK, or an error that is recorded; then nothing is performed. On the dispatching thread, no lock held */
typedef vestry_err (*vestry_action_fn)(const json_t *state, const json_t *args, json_t **ret_effects, void *ctx);

/** A placeholder: a list headed by its name, anywhere in an effect or action, is replaced by what this function gives,
 *  innermost first, when the effect or action comes up. What it gives is not looked at again in that pass.
 *  data       the dispatch data (vestry_dispatch_info), borrowed, not to be changed; parts may be given (json_incref)
 *  args       the array after the name, placeholders in it replaced already; borrowed
 *  ret_value  NULL before; taken. If it stays NULL, or is the placeholder's own list, that list stays in place and
 *             waits for a later dispatch: one that is nested or late, and brings the data which it lacks. So in
 *             ["show-order", ["id-of-saved"]] the inner list stays while the data has no id; when the effect that
 *             saves the order dispatches this with the data {"id": 7}, it becomes ["show-order", 7]
 *  Returns  OK, or an error that is recorded; then the effect or action is not performed. On the dispatching thread, no
 *           lock held */
typedef vestry_err (*vestry_placeholder_fn)(const json_t *data, const json_t *args, json_t **ret_value, void *ctx);

/** [VESTRY_QUOTE, x] is replaced by x, in which no placeholder is looked for: for values that come from a client, which
 *  could otherwise name placeholders too. */
#define VESTRY_QUOTE "vestry/quote"

/** Where interceptors step in. */
typedef enum vestry_phase {
  VESTRY_PHASE_CONNECT,  /**< which connections: around the decision where a reply's effects go. before may add stored
                              ones (vestry_context_target); none added: a stream is opened. after knows what came of it
                              (vestry_dispatch_info.opened); nothing is dispatched yet */
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
 *  Threads  any; one thread at a time uses a registry, by this and all functions that follow */
VESTRY_API vestry_err vestry_registry_create(const vestry_host *host, vestry_registry **ret_registry);
/** Free it; instances that use it keep what it brought. NULL is accepted. */
VESTRY_API void vestry_registry_destroy(vestry_registry *registry);

/** Say what a name means. A name can mean a placeholder and, beside that, one effect or action. The last placeholder of
 *  a name wins, and so does its last effect or action.
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
/** Add all of another registry: its names win over those that are there, its interceptors come after. The other
 *  registry is copied, and may be destroyed. OK | INVALID | NO_MEMORY (registry unchanged). */
VESTRY_API vestry_err vestry_registry_add(vestry_registry *registry, const vestry_registry *more);

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
/** Dispatches within dispatches at most, on one thread: by vestry_context_dispatch, or by any function that dispatches
 *  and is called in an effect, an action or an interceptor. A deeper one fails with LIMIT: nothing is dispatched. */
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
 *  effects  one effect, a list headed by its name; or a list of effects. JSON is one of them as well:
 *           VESTRY_VALUES(json), which is borrowed
 *  Returns  OK | NOT_FOUND (no open connection: nothing was dispatched) | INVALID, TOO_LARGE (effects, key) | CLOSED
 *           (the instance) | NO_MEMORY | LIMIT (VESTRY_DISPATCH_MAX_NESTING: nothing was dispatched) | else the first
 *           failure, an effect's or an interceptor's; vestry_dispatch_with tells all. An effect that is not registered
 *           fails with NOT_FOUND too: connections_count is 0 only when there was no connection
 *  Threads  any; runs the effects on this thread; does not block unless an effect does */
VESTRY_API vestry_err vestry_dispatch(vestry *v, vestry_scope scope, const vestry_key *key,
                                      const vestry_value *effects);

/* Inside effects and interceptors, on the callback's thread only. */

/** A dispatch, as an effect or an interceptor sees it; all of it borrowed. */
typedef struct vestry_dispatch_info {
  vestry *v;                             /**< the instance that dispatches */
  const vestry_request *request;         /**< that the dispatch answers; NULL: none */
  vestry_scope scope;                    /**< of the request or dispatch */
  vestry_connection *const *connections; /**< that it is for */
  size_t connections_count;
  json_t *data, *state;                 /**< objects, never NULL, not to be changed: see vestry/dispatch.h */
  const vestry_dispatch_result *result; /**< what has come of it so far */
  json_t *value;                        /**< PHASE_EFFECT's after: what the effect gave; otherwise, or if none, NULL */
  const vestry_reply *reply;            /**< PHASE_CONNECT: that is performed; otherwise NULL */
  /** PHASE_CONNECT's after: the stream that was opened for this reply; otherwise, or if there is none, NULL. */
  vestry_connection *opened;
} vestry_dispatch_info;

/** The dispatch that is under way, as it stands now. Valid during the callback; the next call of this function
 *  overwrites it. */
VESTRY_API const vestry_dispatch_info *vestry_context_info(const vestry_dispatch_context *context);
/** Add a connection to those the reply's effects go to; a reference is taken. PHASE_CONNECT only. In after, when a
 *  stream was opened: that stream is given up, unopened, in favour of the connections added now, and the request is
 *  answered 204.
 *  OK | CLOSED (it is not open: not added) | INVALID (phase) | NO_MEMORY. */
VESTRY_API vestry_err vestry_context_target(vestry_dispatch_context *context, vestry_connection *connection);
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
