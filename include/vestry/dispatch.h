/* SPDX-License-Identifier: MIT */
/** Dispatching in full: with data, nested in an effect, later from another thread, and with what came of it.
 *
 *  An effect that starts a job keeps its dispatch, and dispatches more when the job is done. What it could not know
 *  before, a placeholder brings in then:
 *
 *      // ["save", {"title": …}, [["patch-signals", {"saved-as": ["id-of-saved"]}]]]
 *      static vestry_err save(vestry_dispatch_context *context, const json_t *args, void *ctx) {
 *        job *j = job_new(ctx, json_array_get(args, 0), json_array_get(args, 1)); // copies them: json_deep_copy
 *        vestry_err error = vestry_context_keep(context, &j->kept);
 *        return error ? error : job_start(j);
 *      }
 *      static void job_done(job *j, int id) {          // on a thread of the application's
 *        json_t *data = json_pack("{s:i}", "id", id);  // the placeholder "id-of-saved" gives its member "id"
 *        vestry_dispatch_later(j->kept, j->effects, &(vestry_dispatch_options){.data = data}, NULL);
 *        json_decref(data);
 *        vestry_dispatch_handle_unref(j->kept);
 *      }
 *
 *  Data and state. The dispatch data is an object that placeholders read: the request's signals, or what a dispatch
 *  without request was given; a nested or late dispatch adds its own, for that call only, over what has the same name.
 *  The state, which actions read, is what the dispatch data was at the outermost dispatch. Both are shared by
 *  reference within a dispatch: JSON that was dispatched or handed in is not to be changed any more. What is kept of a
 *  dispatch is a copy (vestry_context_keep).
 *
 *  Threads. jansson counts references without a lock, so a value belongs to one thread at a time: lists of effects and
 *  data that several threads dispatch are each thread's own (json_deep_copy), and so is what an effect keeps of its
 *  arguments for another thread. */
#ifndef VESTRY_DISPATCH_H
#define VESTRY_DISPATCH_H

#include "vestry/registry.h"

#ifdef __cplusplus
extern "C" {
#endif

/** How to dispatch. Zero is the default: to no connection, without data. */
typedef struct vestry_dispatch_options {
  size_t size;                   /**< sizeof(vestry_dispatch_options), or 0 */
  vestry_scope scope;            /**< of the key */
  const vestry_key *key;         /**< to the open connections stored under it; borrowed. NULL: see connection */
  vestry_connection *connection; /**< to this one; borrowed. NULL, and no key: to none; what an effect sends then is
                                      CLOSED. Both: INVALID */
  json_t *data;                  /**< dispatch data, an object; borrowed. NULL: empty */
  bool fail_fast;                /**< perform no more once something has failed; afters of interceptors still run */
  json_t *results;               /**< an array of the caller's, to which {"effect": effect, "value": value} is appended
                                      for each effect that was performed without an error; value is what it gave
                                      (vestry_context_return), otherwise null. NULL: not wanted */
  bool only_here;                /**< by key: no other node of a cluster is asked (vestry/cluster/cluster.h) */
} vestry_dispatch_options;

/** Dispatch a list of effects.
 *  effects     borrowed
 *  options     NULL: the defaults
 *  ret_result  may be NULL; set unless INVALID
 *  Returns, threads: as vestry_dispatch */
VESTRY_API vestry_err vestry_dispatch_with(vestry *v, json_t *effects, const vestry_dispatch_options *options,
                                           vestry_dispatch_result *ret_result);

/* Inside effects and interceptors, on the callback's thread only. */

/** Give a value as the effect's result; the last one counts, and none if the effect fails.
 *  value    taken in any case; NULL: NO_MEMORY, so that an effect can end with
 *           return vestry_context_return(context, json_pack(…));
 *  Returns  OK | NO_MEMORY | INVALID (not inside an effect) */
VESTRY_API vestry_err vestry_context_return(vestry_dispatch_context *context, json_t *value);

/** Dispatch more now, for the same connections and request, and the same state; its failures and results are its own.
 *  effects     borrowed
 *  options     data is added to the dispatch data for this call; fail_fast and results as ever; its key and connection
 *              must be unset. NULL: the defaults
 *  ret_result  may be NULL; set unless INVALID or LIMIT
 *  Returns  OK | INVALID (also: in PHASE_CONNECT) | LIMIT (VESTRY_DISPATCH_MAX_NESTING) | NO_MEMORY | the first
 *           failure */
VESTRY_API vestry_err vestry_context_dispatch(vestry_dispatch_context *context, json_t *effects,
                                              const vestry_dispatch_options *options,
                                              vestry_dispatch_result *ret_result);

/** What is kept of a dispatch: its connections, scope, data and state. Not its request. */
typedef struct vestry_dispatch_handle vestry_dispatch_handle;

/** Keep what a later dispatch needs: of data and state copies.
 *  ret_handle  one reference, the caller's; untouched on failure
 *  Returns  OK | INVALID (in PHASE_CONNECT) | NO_MEMORY */
VESTRY_API vestry_err vestry_context_keep(vestry_dispatch_context *context, vestry_dispatch_handle **ret_handle);

/** Take a reference. Returns its argument. Threads any. */
VESTRY_API vestry_dispatch_handle *vestry_dispatch_handle_ref(vestry_dispatch_handle *handle);
/** Drop a reference (NULL accepted), the last frees. Returns NULL. Threads any; also after the instance was
 *  destroyed. */
VESTRY_API vestry_dispatch_handle *vestry_dispatch_handle_unref(vestry_dispatch_handle *handle);

/** Dispatch more, later: as vestry_context_dispatch, but from any thread, as often as wanted, until the instance is
 *  destroyed; nesting and counts begin anew.
 *  Returns  OK | INVALID | NOT_FOUND (all its connections have closed: nothing was dispatched) | CLOSED (the instance)
 *           | NO_MEMORY | the first failure. One that was for no connection still is
 *  Threads  any, several at once; runs the effects on this thread; does not block unless an effect does */
VESTRY_API vestry_err vestry_dispatch_later(vestry_dispatch_handle *handle, json_t *effects,
                                            const vestry_dispatch_options *options, vestry_dispatch_result *ret_result);

#ifdef __cplusplus
}
#endif
#endif
