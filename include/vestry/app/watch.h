/* SPDX-License-Identifier: MIT */
/** Watches: a step function that is called repeatedly to feed a stream, until the stream ends.
 *
 *      static vestry_err tick(vestry_watcher *watcher, vestry_connection *connection, void *ctx) {
 *        return vestry_connection_patch_signals(connection, VESTRY_OBJECT("seconds", seconds_of(ctx)), NULL);
 *      }
 *      static vestry_err clock(const vestry_request *req, vestry_reply *reply, void *app) {
 *        return vestry_reply_watch(reply, &(vestry_watch){.step = tick, .ctx = app, .every_ms = 1000});
 *      }
 *
 *  A step checks its source, sends the changes, and returns; it can set the time of the next step, or finish. It also
 *  runs when it is woken. Before the next step, all events that were accepted until the last step returned must be
 *  written, except at most ahead_count of them: a page that does not read slows its own watch only. docs/guide/watch.md
 *  has the rules. */
#ifndef VESTRY_WATCH_H
#define VESTRY_WATCH_H

#include "vestry/app/bus.h"
#include "vestry/request.h"
#include "vestry/runtime.h"

#ifdef __cplusplus
extern "C" {
#endif

/** A running watch of one stream. Valid until its end function has returned, and as long as a reference to its
 *  connection is held. */
typedef struct vestry_watcher vestry_watcher;

/** Sends the changes, by vestry_connection_patch_signals and its like, and may call vestry_watch_wait or
 *  vestry_watch_finish, of which the last call counts. Without such a call the next step is at the next every_ms, or
 *  when it is woken.
 *  Called on a thread of the runtime, no lock held. Steps of one watch never run at once, and each sees the writes of
 *  the one before. Must not block (see vestry_watch.runtime), because other streams wait for the thread, and the stream
 *  does not end before the step has returned.
 *  Returns  OK; after another value the stream is closed with cause ERROR, so that its browser reconnects, and the
 *           host's log has a line. CLOSED, if the stream was closed meanwhile, is not logged */
typedef vestry_err (*vestry_watch_step_fn)(vestry_watcher *watcher, vestry_connection *connection, void *ctx);

/** Called when a watch is over: no step is running, and none will be called; ctx may be freed. Called exactly once:
 *  after the step has finished the watch, the client has disconnected, the stream was drained or closed, or if there
 *  was no stream. No lock held; must not block. Runs on the thread of the stream, before its close hooks, and thus
 *  before vestry_stop returns OK; without a stream on the thread of the request, when it has been answered.
 *  cause  of the stream's end; NONE: there was no stream */
typedef void (*vestry_watch_end_fn)(vestry_cause cause, void *ctx);

/** A watch. Zero is the default. */
typedef struct vestry_watch {
  size_t size;               /**< sizeof(vestry_watch), or 0 */
  vestry_watch_step_fn step; /**< mandatory. The first step runs when the stream is open and the reply's events have
                                  been written */
  vestry_watch_end_fn end;   /**< NULL: none */
  void *ctx;                 /**< passed to both */
  uint64_t every_ms;         /**< interval of steps that set no time: from the first step on, without drift; missed
                                  steps are skipped. 0: only when woken */
  uint64_t pause_ms;         /**< minimum time between two steps; a wake that comes earlier waits. 0: none */
  uint32_t ahead_count;      /**< maximum number of unwritten events when a step is called. 0: none */
  vestry_runtime *runtime;   /**< runs the steps, which may block if it is a separate one. Borrowed; must not be stopped
                                  before vestry_stop has returned OK; NULL: the instance's */
} vestry_watch;

/** Maximum number of watches of one reply. */
#define VESTRY_REPLY_WATCHES_MAX 16

/** Feed the stream that this request opens by a step function. The reply becomes a stream, with or without effects,
 *  which stays open until the watch finishes or the stream ends otherwise. If the reply has a key, the stream is stored
 *  beside others (VESTRY_KEEP_MANY), unless vestry_reply_keep sets another policy. Several calls add several watches,
 *  which do not wait for each other.
 *  An ordinary request, HEAD included, gets the reply's status and body, as for every reply: 204 if there are none (see
 *  vestry_reply_any_client).
 *  watch  copied
 *  Returns  OK | INVALID (NULL, no step) | LIMIT (VESTRY_REPLY_WATCHES_MAX) | NO_MEMORY (a handler may ignore it: the
 *           request is answered with it). The end function is called in each case except INVALID; after a failure
 *           before the return
 *  Threads  the handler's
 *  Memory  one allocation of at most 256 bytes; steps need none */
VESTRY_API vestry_err vestry_reply_watch(vestry_reply *reply, const vestry_watch *watch);

/** Set the time until the next step, in milliseconds from the return of this one; a wake comes first. 0: at once, but
 *  after all others that are ready. VESTRY_NEVER_MS: only when woken. In a step. */
VESTRY_API void vestry_watch_wait(vestry_watcher *watcher, uint64_t ms);
/** Finish a watch. Closes the stream with cause CLOSED, after the sent events; its other watches end, too. In a
 *  step. */
VESTRY_API void vestry_watch_finish(vestry_watcher *watcher);
/** Return whether this is the first step of the watch. In a step. */
VESTRY_API bool vestry_watch_is_first(const vestry_watcher *watcher);
/** Wake the watch for each message of a topic (vestry/app/bus.h), until the stream ends. A first step that subscribes
 *  and then reads its source misses no change. In a step.
 *  Returns  as vestry_subscribe */
VESTRY_API vestry_err vestry_watch_subscribe(vestry_watcher *watcher, vestry_scope scope, const vestry_key *key);

/** Wake a watch: a step runs, which sees everything that the caller wrote before. Wakes are coalesced: several before a
 *  step cause one step, and one during a step causes another. No effect after the stream is closed.
 *  Threads  any; constant time, lock-free except to wake a thread; does not block */
VESTRY_API void vestry_watch_wake(vestry_watcher *watcher);

/** Counters of an instance's watches: begun_count = live_count + ended_count. */
typedef struct vestry_watch_stats {
  size_t size; /**< sizeof(vestry_watch_stats), or 0 */
  uint64_t begun_count, live_count, ended_count;
  uint64_t steps_count, errors_count; /**< steps; steps that ended their stream by an error */
} vestry_watch_stats;

/** Get a snapshot of the counters. Threads any. */
VESTRY_API void vestry_watch_stats_get(vestry *v, vestry_watch_stats *ret_stats);

#ifdef __cplusplus
}
#endif
#endif
