/* SPDX-License-Identifier: MIT */
/** A registry maps the names of effects to functions; a dispatch runs effects for connections.
 *
 *  An effect is data, a JSON array whose first item is its name: ["patch-signals", {"counter": 4}]. A registry gives
 *  each name a meaning:
 *  - effects are functions that do something;
 *  - actions are pure functions that return more effects;
 *  - placeholders stand for values that are known only when an effect is dispatched;
 *  - interceptors are called before and after a step.
 *
 *  Any thread can dispatch effects to the connections stored under a key, without a request. An application registers
 *  its own effects first, here the function start_timer (a vestry_effect_fn):
 *
 *      vestry_err error = vestry_registry_effect(vestry_parts_of(v)->registry, "counter/start", start_timer, NULL);
 *      if (!error) error = vestry_dispatch(v, (vestry_scope){0}, VESTRY_KEY("counter"),
 *                                          VESTRY_LIST("counter/start", 10)); */
#ifndef VESTRY_REGISTRY_H
#define VESTRY_REGISTRY_H

#include "vestry/instance.h"

#ifdef __cplusplus
extern "C" {
#endif

/** A dispatch in progress, as callbacks see it. Valid during the callback that receives it. */
typedef struct vestry_dispatch_context vestry_dispatch_context;

/* --------------------------------------------------------------------------------------------- registration ------- */

/** Performs an effect. args: the array after the name, borrowed. Called on the dispatching thread, no lock held; must
 *  not block if the dispatch comes from a timer or a hook. OK, or an error that is recorded in the dispatch's
 *  result. */
typedef vestry_err (*vestry_effect_fn)(vestry_dispatch_context *context, const json_t *args, void *ctx);

/** Returns the effects and further actions of an action; a pure function of the state and its arguments. The list is
 *  performed in the place of the action, depth first: all results of an action are performed before the items after the
 *  action.
 *  state        an object: the request's signals, or the data of a dispatch without request; otherwise empty. Borrowed:
 *               do not change it. Parts of it may go into the list (json_incref)
 *  args         the array after the name, borrowed
 *  ret_effects  NULL before the call; vestry takes it over. NULL or an empty array: no effect is performed. A value
 *               other than a list of arrays that begin with names is recorded as INVALID, and none of it is performed
 *  Returns  OK | any error: vestry records it and performs nothing in place of the action. On the dispatching thread,
 *           no lock held */
typedef vestry_err (*vestry_action_fn)(const json_t *state, const json_t *args, json_t **ret_effects, void *ctx);

/** Returns the value of a placeholder. A placeholder is a list with the placeholder's name first, anywhere in an effect
 *  or action. Placeholders are replaced, innermost first, when the effect or action is about to be performed. vestry
 *  does not search the inserted value for placeholders at that time. It does so later, if an action returns an effect
 *  that contains the value, or if an effect dispatches the value.
 *  data       the dispatch data (vestry_dispatch_info), borrowed: do not change it. Parts of it may be returned
 *             (json_incref)
 *  args       the array after the name, with its placeholders replaced; borrowed
 *  ret_value  NULL before the call; vestry takes it over. If it remains NULL, or is the placeholder's own list, the
 *             list stays in place. A later dispatch with the missing data replaces the list: one inside an effect
 *             (nested), or one after the request (late; vestry/dispatch.h). For example, the inner list of
 *             ["show-order", ["id-of-saved"]] stays while the data has no id. The effect that saves the order
 *             dispatches the outer list with the data {"id": 7}, and vestry performs ["show-order", 7]
 *  Returns  OK | any error: vestry records it and does not perform the effect or action. On the dispatching thread, no
 *           lock held */
typedef vestry_err (*vestry_placeholder_fn)(const json_t *data, const json_t *args, json_t **ret_value, void *ctx);

/** Quote a value: [VESTRY_QUOTE, x] is replaced by x, in which placeholders are not replaced. Use it for values of a
 *  client, because they could contain names of placeholders. */
#define VESTRY_QUOTE "vestry/quote"

/** The phase of a dispatch around which an interceptor is called. */
typedef enum vestry_phase {
  VESTRY_PHASE_CONNECT,  /**< the choice of the connections that a reply's effects go to. vestry first chooses those of
                              the reply (vestry/request.h); the interceptors' functions `before` may add others
                              (vestry_context_target); without any connection, vestry opens a stream. The functions
                              `after` see the result (vestry_dispatch_info.opened); nothing is dispatched yet */
  VESTRY_PHASE_DISPATCH, /**< one dispatch, also a nested one */
  VESTRY_PHASE_ACTION,   /**< one action, and everything that results from it */
  VESTRY_PHASE_EFFECT,   /**< one effect */
  VESTRY_PHASE_CLOSE     /**< the end of a stream: its hooks, then the effect "sse-closed" */
} vestry_phase;

/** Called before or after a phase. effect: in PHASE_ACTION and PHASE_EFFECT the whole action or effect, its
 *  placeholders replaced, or the one that replaces it (vestry_context_replace); otherwise NULL. Borrowed. On the thread
 *  of the dispatch. OK, or an error that is recorded; the phase continues. */
typedef vestry_err (*vestry_intercept_fn)(vestry_dispatch_context *context, const json_t *effect, void *ctx);

/** An interceptor: functions called before and after a phase. */
typedef struct vestry_interceptor {
  const char *name; /**< for error records; mandatory; copied */
  vestry_phase phase;
  vestry_intercept_fn before; /**< called in order of registration; NULL: none, then `after` is mandatory */
  vestry_intercept_fn after;  /**< called in reverse order; NULL: none */
  void *ctx;
} vestry_interceptor;

/** The functions of effects, actions and placeholders by name, and the interceptors, of an instance
 *  (vestry_parts.registry). A library offers a function that registers its names. */
typedef struct vestry_registry vestry_registry;

/** Register the meaning of a name. A name can mean a placeholder and, independently, one effect or action. A later
 *  placeholder of a name replaces the earlier one; likewise, a later effect or action replaces the earlier effect or
 *  action of this name.
 *  name     copied; not empty, at most 255 bytes
 *  ctx      passed to the function; must live as long as the instance
 *  Returns  OK | INVALID | NO_MEMORY (registry unchanged)
 *  Threads  one at a time for all vestry_registry_… functions of an instance, and not while it dispatches, because
 *           names are looked up without a lock
 *
 *  vestry dispatches "connection" [id] when a stream has opened and "sse-closed" [id, cause name] when it has ended, if
 *  the application has registered effects with these names. Built-in effects, which a registry may replace
 *  (vestry_event_effect has more about them):
 *  - patch-elements [html, options?], patch-elements-seq [[html…], options?], remove-elements [selector, options?]
 *  - patch-signals [object or JSON text, options?], remove-signals [path or [path…], options?]
 *  - execute-script [text, options?], console-log [text, options?], console-error [text, options?]
 *  - redirect [url, options?], replace-url [url, options?], navigate [url, options?], navigate-replace [url, options?],
 *    prefetch [url or [url…], options?]
 *  - dispatch-event [name, detail?, options?]; send-event [name, data?, options?] (data is a text, or any value as
 *    JSON)
 *  - close-sse [], wake [] (vestry/app/watch.h)
 *  Options are objects with the names of the Datastar SDKs: selector, mode, useViewTransition, viewTransitionSelector,
 *  namespace, eventId, retryDuration, onlyIfMissing, autoRemove, attributes, bubbles, cancelable, composed; and state
 *  (vestry_elements_options). */
VESTRY_API vestry_err vestry_registry_effect(vestry_registry *registry, const char *name, vestry_effect_fn effect,
                                             void *ctx);
VESTRY_API vestry_err vestry_registry_action(vestry_registry *registry, const char *name, vestry_action_fn action,
                                             void *ctx);
VESTRY_API vestry_err vestry_registry_placeholder(vestry_registry *registry, const char *name,
                                                  vestry_placeholder_fn placeholder, void *ctx);
/** Append an interceptor. OK | INVALID | NO_MEMORY (registry unchanged). Threads as vestry_registry_effect. */
VESTRY_API vestry_err vestry_registry_intercept(vestry_registry *registry, const vestry_interceptor *interceptor);

/* --------------------------------------------------------------------------------------------- dispatch ----------- */

/** One failure in a dispatch. Texts are truncated to fit. */
typedef struct vestry_dispatch_error {
  vestry_phase phase;
  bool is_after; /**< true: the function `after` of an interceptor failed; false: a function `before`, or no
                      interceptor */
  vestry_err error;
  char name[64];   /**< name of the effect, action, placeholder or interceptor that failed */
  char what[64];   /**< where it failed. For an interceptor: the effect or action around which it was called. For a
                        placeholder: the effect or action that contains it. For an effect or action: the action that
                        returned it. May be empty */
  char detail[96]; /**< more about the reason; may be empty */
} vestry_dispatch_error;

/** Maximum depth of actions within actions, also through nested dispatches; a deeper one fails with LIMIT. */
#define VESTRY_ACTIONS_MAX_DEPTH 32
/** Maximum number of effects and actions that result from one dispatch, through actions and nested dispatches. Beyond
 *  it, vestry records one LIMIT, and performs only the effects that are in the dispatched list itself. */
#define VESTRY_DISPATCH_MAX_COUNT 10000
/** Maximum depth of dispatches within dispatches on one thread. A dispatch is within another if an effect, an action or
 *  an interceptor calls vestry_context_dispatch, or any other function that dispatches. A deeper one fails with LIMIT:
 *  nothing is dispatched. */
#define VESTRY_DISPATCH_MAX_NESTING 8

/** Maximum number of error records in a result. */
#define VESTRY_DISPATCH_ERRORS_MAX 8

/** Result of a dispatch. Failures beyond VESTRY_DISPATCH_ERRORS_MAX increase errors_count, but have no record. */
typedef struct vestry_dispatch_result {
  uint32_t effects_count;     /**< effects performed without an error */
  uint32_t errors_count;      /**< failures of effects, actions, placeholders and interceptors */
  uint32_t skipped_count;     /**< effects and actions skipped because of fail-fast, a limit or an interceptor */
  uint32_t connections_count; /**< connections that the dispatch was for */
  vestry_dispatch_error errors[VESTRY_DISPATCH_ERRORS_MAX]; /**< records of the first failures: min(errors_count,
                                                                 VESTRY_DISPATCH_ERRORS_MAX) elements; the others are
                                                                 zero */
} vestry_dispatch_result;

/** Dispatch effects to all open connections stored under a key. A failing effect does not stop the others.
 *  vestry/dispatch.h has more forms: with data, nested, late, of JSON, with the results of effects.
 *      vestry_dispatch(v, scope, VESTRY_KEY("counter", 1), VESTRY_LIST("patch-signals", VESTRY_OBJECT("counter", 4)));
 *  effects  one effect, a list with its name first; or a list of effects. Also JSON: VESTRY_VALUES(json), borrowed
 *  Returns  OK | NOT_FOUND (no open connection: nothing was dispatched) | INVALID, TOO_LARGE (effects, key) | CLOSED
 *           (the instance) | NO_MEMORY | LIMIT (VESTRY_DISPATCH_MAX_NESTING: nothing was dispatched) | else the first
 *           failure of an effect or interceptor; vestry_dispatch_with returns all. An effect that is not registered
 *           also fails with NOT_FOUND. To distinguish the two, use vestry_dispatch_with, whose connections_count is 0
 *           only if there was no connection. In a cluster also TIMEOUT, IO, BUSY, and errors of other nodes
 *           (vestry/cluster/cluster.h)
 *  Threads  any; runs the effects on this thread; does not block unless an effect does. In a cluster it waits for the
 *           replies of other nodes if they hold the key, or if this node does not hold it */
VESTRY_API vestry_err vestry_dispatch(vestry *v, vestry_scope scope, const vestry_key *key,
                                      const vestry_value *effects);

/* For use inside effects and interceptors, on the callback's thread only. */

/** A dispatch as an effect or interceptor sees it; all of it is borrowed. */
typedef struct vestry_dispatch_info {
  vestry *v;                             /**< the instance that dispatches */
  const vestry_request *request;         /**< the request that the dispatch answers; NULL: none */
  vestry_scope scope;                    /**< scope of the request or dispatch */
  vestry_connection *const *connections; /**< connections that the dispatch is for */
  size_t connections_count;
  json_t *data, *state;                 /**< objects, never NULL; do not change them: see vestry/dispatch.h */
  const vestry_dispatch_result *result; /**< the result so far */
  json_t *value;                        /**< in a function `after` of PHASE_EFFECT: the effect's result value;
                                             otherwise, or if none, NULL */
  const vestry_reply *reply;            /**< in PHASE_CONNECT: the reply that is performed; otherwise NULL */
  /** In a function `after` of PHASE_CONNECT: the stream that was prepared for this reply; otherwise, or if there is
   *  none, NULL. */
  vestry_connection *opened;
} vestry_dispatch_info;

/** Get the current state of the dispatch. Valid during the callback; the next call of this function overwrites it. The
 *  list of connections may be read while the callback sends or adds targets; the next call returns it with connections
 *  that were added meanwhile. */
VESTRY_API const vestry_dispatch_info *vestry_context_info(const vestry_dispatch_context *context);
/** Add a connection to the targets of the reply's effects; a reference is taken. In PHASE_CONNECT only. If a function
 *  `after` adds a connection although a stream was prepared for the reply, vestry gives that stream up before its head
 *  is sent; the effects go to the added connections, and the request gets 204. OK | CLOSED (the connection is not open:
 *  not added) | INVALID (phase; a connection of another instance) | NO_MEMORY. */
VESTRY_API vestry_err vestry_context_target(vestry_dispatch_context *context, vestry_connection *connection);
/** Refuse the reply: the request gets this error, as if the handler had returned it. A stream that was opened for it is
 *  abandoned, and nothing is dispatched. The first refusal counts. In PHASE_CONNECT only.
 *  OK | INVALID (phase, VESTRY_OK as error). */
VESTRY_API vestry_err vestry_context_refuse(vestry_dispatch_context *context, vestry_err error);
/** Perform another effect instead of the one that the interceptor is called around, or none: in a function `before` of
 *  PHASE_EFFECT. In PHASE_ACTION, the same for an action. For example, an interceptor that forbids an effect:
 *      return is_allowed(effect) ? VESTRY_OK : vestry_context_replace(context, json_array());
 *  effect   an effect (in PHASE_ACTION: an action); its placeholders are not replaced. An empty array: the effect is
 *           skipped, and counts in skipped_count. Taken in any case. The last call of a function counts
 *  Returns  OK | INVALID (another phase or moment, or the value is no effect; in PHASE_ACTION: no registered action) |
 *           NO_MEMORY (effect is NULL). After an error in a function `before`, the effect is skipped
 *
 *  The interceptors registered later get the replacement. If the effect is skipped, they are not called for it. The
 *  functions `after` of this interceptor and of the earlier ones are called in both cases. */
VESTRY_API vestry_err vestry_context_replace(vestry_dispatch_context *context, json_t *effect);
/** Describe a failure: the text goes into the error record of the running effect or interceptor, if it returns an
 *  error. The format is printf's, and nothing is escaped. Truncated to fit; the last call counts.
 *  Returns  error, so that an effect can end with: return vestry_context_fail(context, VESTRY_INVALID, "no %s", x); */
VESTRY_API vestry_err vestry_context_fail(vestry_dispatch_context *context, vestry_err error, const char *format, ...)
    VESTRY_PRINTF(3, 4);
/** Send an event to every connection of the dispatch. All built-in effects send by this function. If all connections
 *  of a reply have closed before one of them accepts an event, its request gets 503, or 410 if the reply names the
 *  connection (vestry_reply_connection).
 *  Returns  OK: at least one connection accepted the event, and those that did not were closed | CLOSED: none is open |
 *           FULL, TOO_LARGE, NO_MEMORY: at least one open connection could not accept it; the others have accepted
 *           it */
VESTRY_API vestry_err vestry_context_send(vestry_dispatch_context *context, vestry_event *event);

#ifdef __cplusplus
}
#endif
#endif
