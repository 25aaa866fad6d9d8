/* SPDX-License-Identifier: MIT */
/** Dispatch in full: with data, nested in an effect, later from another thread, and with results.
 *
 *  An effect that starts a job keeps its dispatch, and dispatches more when the job is done, with data for
 *  placeholders:
 *
 *      // ["save", {"title": …}, [["patch-signals", {"saved-as": ["id-of-saved"]}]]]: save copies its arguments
 *      // (json_deep_copy) into a job, calls vestry_context_keep(context, &job->kept), and starts the job
 *      static void job_done(job *job, int id) {        // on a thread of the application
 *        json_t *data = json_pack("{s:i}", "id", id);  // the placeholder "id-of-saved" returns its member "id"
 *        vestry_dispatch_later(job->kept, job->effects, &(vestry_dispatch_options){.data = data}, NULL);
 *        json_decref(data);
 *        vestry_dispatch_handle_unref(job->kept);
 *      } */
#ifndef VESTRY_DISPATCH_H
#define VESTRY_DISPATCH_H

#include "vestry/registry.h"

#ifdef __cplusplus
extern "C" {
#endif

/** Options of a dispatch. Zero is the default: to no connection, without data. */
typedef struct vestry_dispatch_options {
  vestry_scope scope;            /**< scope of the key */
  const vestry_key *key;         /**< dispatch to the open connections stored under this key; borrowed. NULL: see
                                      connection */
  vestry_connection *connection; /**< dispatch to this connection; borrowed. NULL and no key: the dispatch has no
                                      connection, and sends of its effects return CLOSED. Setting both is INVALID, as
                                      is a connection of another instance, which is logged */
  json_t *data;                  /**< dispatch data, an object; borrowed. NULL: empty */
  bool fail_fast;                /**< skip the rest after a failure; afters of interceptors still run */
  json_t *results;               /**< array of the caller, to which {"effect": effect, "value": value} is appended for
                                      each effect performed without an error; value is its result
                                      (vestry_context_return), or null. NULL: not wanted */
  bool only_here;                /**< with key: do not dispatch on other nodes of a cluster
                                      (vestry/cluster/cluster.h) */
  const char *store;             /**< with key: name of the store in which the key is looked up (vestry_options.stores),
                                      on this node only; NULL: the instance's own store */
} vestry_dispatch_options;

/** Dispatch a list of effects.
 *  effects     borrowed
 *  options     NULL: the defaults
 *  ret_result  may be NULL; set unless INVALID
 *  Returns, threads: as vestry_dispatch
 *
 *  Data and state. Placeholders read the dispatch data, an object: the request's signals, or the data of a dispatch
 *  without request. A nested or late dispatch adds its own data for that call only; its members override those of the
 *  same name. Actions read the state, which is the dispatch data of the outermost dispatch. Both are shared by
 *  reference within a dispatch, so do not change JSON after it was dispatched or passed in. vestry_context_keep makes
 *  copies.
 *
 *  Threads. jansson counts references without a lock, so a JSON value belongs to one thread at a time. Each thread
 *  dispatches its own copies of effects and data (json_deep_copy), and an effect that keeps arguments for another
 *  thread copies them. */
VESTRY_API vestry_err vestry_dispatch_with(vestry *v, json_t *effects, const vestry_dispatch_options *options,
                                           vestry_dispatch_result *ret_result);

/* For use inside effects and interceptors, on the callback's thread only. */

/** Set the result value of the running effect. The last call counts; a failed effect has no value.
 *  value    taken in any case; NULL: NO_MEMORY, so that an effect can end with
 *           return vestry_context_return(context, json_pack(…));
 *  Returns  OK | NO_MEMORY | INVALID (not inside an effect) */
VESTRY_API vestry_err vestry_context_return(vestry_dispatch_context *context, json_t *value);

/** Dispatch more effects now, for the same connections, request and state. The nested dispatch has its own failures and
 *  results.
 *  effects     borrowed
 *  options     data is added to the dispatch data for this call; fail_fast and results as in vestry_dispatch_with;
 *              scope, key and connection must be unset. NULL: the defaults
 *  ret_result  may be NULL; set, except that INVALID, LIMIT and NO_MEMORY may leave it unchanged
 *  Returns  OK | INVALID (also: in PHASE_CONNECT) | LIMIT (VESTRY_DISPATCH_MAX_NESTING) | NO_MEMORY | the first
 *           failure */
VESTRY_API vestry_err vestry_context_dispatch(vestry_dispatch_context *context, json_t *effects,
                                              const vestry_dispatch_options *options,
                                              vestry_dispatch_result *ret_result);

/** A kept dispatch: its connections, scope, data and state, but not its request. */
typedef struct vestry_dispatch_handle vestry_dispatch_handle;

/** Keep the current dispatch for later dispatches; data and state are copied.
 *  ret_handle  owned by the caller; untouched on failure
 *  Returns  OK | INVALID (in PHASE_CONNECT) | NO_MEMORY */
VESTRY_API vestry_err vestry_context_keep(vestry_dispatch_context *context, vestry_dispatch_handle **ret_handle);

/** Give up the reference to a kept dispatch (NULL accepted), after its last vestry_dispatch_later. Returns NULL.
 *  Threads any; also after the instance was destroyed. */
VESTRY_API vestry_dispatch_handle *vestry_dispatch_handle_unref(vestry_dispatch_handle *handle);

/** Dispatch more effects later: as vestry_context_dispatch, but on any thread, any number of times, until the instance
 *  is destroyed. Nesting and counts begin anew.
 *  Returns  OK | INVALID | NOT_FOUND (all its connections have closed: nothing was dispatched; a dispatch that had no
 *           connection is performed) | CLOSED (the instance) | NO_MEMORY | the first failure
 *  Threads  any, several at once; runs the effects on this thread; does not block unless an effect does */
VESTRY_API vestry_err vestry_dispatch_later(vestry_dispatch_handle *handle, json_t *effects,
                                            const vestry_dispatch_options *options, vestry_dispatch_result *ret_result);

#ifdef __cplusplus
}
#endif
#endif
