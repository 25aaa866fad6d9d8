/* SPDX-License-Identifier: MIT */
/** Watches: call a step function repeatedly, which sends changes to a stream, until the stream ends.
 *
 *      static vestry_err tick(vestry_watcher *watcher, vestry_connection *connection, void *ctx) {
 *        return vestry_connection_patch_signals(connection, VESTRY_OBJECT("seconds", seconds_of(ctx)), NULL);
 *      }
 *      static vestry_err clock(const vestry_request *req, vestry_reply *reply, void *app) {
 *        return vestry_reply_watch(reply, &(vestry_watch){.step = tick, .ctx = app, .every_ms = 1000});
 *      }
 *
 *  A step reads its data source, sends the changes, and returns. The next step runs at its time, or when the watch is
 *  woken; but it waits until the events accepted before the end of the previous step are written, except at most
 *  ahead_count of them. So a client that reads slowly delays only its own watch. The rules: docs/guide/streams.md. */
#ifndef VESTRY_WATCH_H
#define VESTRY_WATCH_H

#include "vestry/app/bus.h"
#include "vestry/request.h"
#include "vestry/runtime.h"

#ifdef __cplusplus
extern "C" {
#endif

/** A running watch of one stream. Valid until its end function has returned; longer if a reference to its connection is
 *  held. Except for vestry_watch_wake, its functions are for the step's thread; none of them blocks. */
typedef struct vestry_watcher vestry_watcher;

/** Sends the changes, for example by vestry_connection_patch_signals. May call vestry_watch_wait, of which the last
 *  call counts, or vestry_watch_finish. Otherwise the next step runs at the next multiple of every_ms, or when the
 *  watch is woken. Called on a thread of the runtime, no lock held. Steps of one watch never run at once, and each step
 *  sees the memory writes of the previous step. Must not block (unless vestry_watch.runtime is a separate one), because
 *  other streams wait for the thread. The stream does not end before the step has returned.
 *  Returns  OK | any error: the stream is closed with cause ERROR, so that its browser reconnects, and the host's log
 *           has a line. If the stream was already closed (CLOSED), nothing is logged */
typedef vestry_err (*vestry_watch_step_fn)(vestry_watcher *watcher, vestry_connection *connection, void *ctx);

/** Called when a watch is over: no step is running or will be called, so ctx may be freed. Called exactly once, no lock
 *  held: after the stream has ended for any reason, on the thread of the stream, before its close hooks, and thus
 *  before vestry_stop returns OK. If no stream was opened: on the thread of the request, after it has been answered.
 *  Must not block.
 *  cause  cause of the stream's end; NONE: no stream was opened */
typedef void (*vestry_watch_end_fn)(vestry_cause cause, void *ctx);

/** A watch. Zero is the default. */
typedef struct vestry_watch {
  vestry_watch_step_fn step; /**< mandatory. The first step runs when the stream is open and the reply's events have
                                  been written */
  vestry_watch_end_fn end;   /**< NULL: none */
  void *ctx;                 /**< passed to both */
  uint64_t every_ms;         /**< interval of steps, counted from the first step, without drift; applies unless a step
                                  calls vestry_watch_wait. Missed steps are skipped. 0: steps run only when woken */
  uint64_t pause_ms;         /**< minimum time between the starts of two steps; an earlier wake waits. 0: none */
  uint32_t ahead_count;      /**< number of accepted events that may still be unwritten when a step runs. 0: none */
  vestry_runtime *runtime;   /**< runs the steps; on a separate runtime they may block. Borrowed; must not be stopped
                                  before vestry_stop has returned OK. NULL: the instance's runtime */
} vestry_watch;

/** Maximum number of watches of one reply. */
#define VESTRY_REPLY_WATCHES_MAX 16

/** Add a watch to the stream that this request opens. The reply becomes a stream, with or without effects, which stays
 *  open until a watch finishes or the stream ends otherwise. If the reply has a key, the stream is stored in addition
 *  to others (VESTRY_KEEP_MANY), unless vestry_reply_keep sets another policy. Several calls add several watches, which
 *  do not wait for each other. An ordinary request, including HEAD, opens no stream (see vestry_reply_any_client): it
 *  gets the reply's status and body, or 204 if neither is set.
 *  watch  copied
 *  Returns  OK | INVALID (NULL, no step) | LIMIT (VESTRY_REPLY_WATCHES_MAX) | NO_MEMORY (a handler need not check this:
 *           the request then fails with it). On INVALID the end function is not called; on LIMIT and NO_MEMORY it is
 *           called before this returns
 *  Threads  the handler's
 *  Memory  one allocation of at most 256 bytes; steps need none */
VESTRY_API vestry_err vestry_reply_watch(vestry_reply *reply, const vestry_watch *watch);

/** Set the time until the next step, in milliseconds from the return of this step. A wake can start the step earlier.
 *  0: at once, after everything that is ready to run on the runtime. VESTRY_NEVER_MS: only when woken. Call it only in
 *  a step. */
VESTRY_API void vestry_watch_wait(vestry_watcher *watcher, uint64_t ms);
/** Finish a watch: close the stream with cause CLOSED after the sent events, which also ends its other watches. Call it
 *  only in a step. */
VESTRY_API void vestry_watch_finish(vestry_watcher *watcher);
/** Return whether this is the first step of the watch. Call it only in a step. */
VESTRY_API bool vestry_watch_is_first(const vestry_watcher *watcher);
/** Wake the watch at each message of a topic (vestry/app/bus.h), until the stream ends. If the first step subscribes
 *  before it reads its source, no change is missed. Call it only in a step.
 *  Returns  as vestry_subscribe */
VESTRY_API vestry_err vestry_watch_subscribe(vestry_watcher *watcher, vestry_scope scope, const vestry_key *key);

/** Wake a watch: a step runs, and sees the caller's earlier memory writes. Several wakes before a step cause one step;
 *  a wake during a step causes another step. No effect after the stream is closed.
 *  Threads  any; constant time, lock-free except to wake a thread; does not block */
VESTRY_API void vestry_watch_wake(vestry_watcher *watcher);

/** Counters of an instance's watches: begun_count = live_count + ended_count. */
typedef struct vestry_watch_stats {
  uint64_t begun_count, live_count, ended_count;
  uint64_t steps_count, errors_count; /**< errors_count: steps that ended their stream by an error */
} vestry_watch_stats;

/** Get a snapshot of the counters. Threads any. */
VESTRY_API void vestry_watch_stats_get(vestry *v, vestry_watch_stats *ret_stats);

#ifdef __cplusplus
}
#endif
#endif
