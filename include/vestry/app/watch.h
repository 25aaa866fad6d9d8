/* SPDX-License-Identifier: MIT */
/** Watches: a stream that is fed by a step function, which is called again and again until the stream ends.
 *
 *      static vestry_err tick(vestry_watcher *watcher, vestry_connection *connection, void *ctx) {
 *        return vestry_connection_patch_signals(connection, VESTRY_OBJECT("seconds", seconds_of(ctx)), NULL);
 *      }
 *
 *      static vestry_err clock(const vestry_request *req, vestry_reply *reply, void *app) {
 *        return vestry_reply_watch(reply, &(vestry_watch){.step = tick, .ctx = app, .every_ms = 1000});
 *      }
 *
 *  A step looks, sends what there is to send, and returns; it says when it is to be called again, or that it is done.
 *  It is also called when it is woken, and never before as many events of its stream have been written as had been
 *  accepted when its last step returned: a page that does not read slows its own watch, and no other. */
#ifndef VESTRY_WATCH_H
#define VESTRY_WATCH_H

#include "vestry/app/bus.h"
#include "vestry/request.h"
#include "vestry/runtime.h"

#ifdef __cplusplus
extern "C" {
#endif

/** A watch that is under way: one stream's. Valid until its end function has returned, and as long as a reference to
 *  its connection is held. */
typedef struct vestry_watcher vestry_watcher;

/** Send what there is to send, by vestry_connection_patch_signals and the like, and say when to be called again, by
 *  vestry_watch_wait, or that this was all, by vestry_watch_finish. Of what was said the last counts; if nothing was,
 *  it is called again at the next every_ms, or when it is woken.
 *  On a thread of the runtime's, no lock held; of one watch never in two threads at once, and what one step wrote the
 *  next one sees. Must not block (see vestry_watch.runtime): other streams wait for the thread, and the stream does not
 *  end before the step has returned.
 *  Returns  OK; otherwise the stream is closed for ERROR, so that its browser comes back, and a line says so in the
 *           host's log. CLOSED, when the stream has been closed meanwhile, is no news */
typedef vestry_err (*vestry_watch_step_fn)(vestry_watcher *watcher, vestry_connection *connection, void *ctx);

/** The watch is over: no step is running, and none will be called; ctx may be freed. Exactly once, whatever happens:
 *  the step has finished it, the client is gone, the stream was drained or closed; or there was no stream at all. No
 *  lock held; must not block. On the stream's runner, before its close hooks are called, so before vestry_stop returns
 *  OK; without a stream on the thread of the request, when it has been answered.
 *  cause  why the stream ended; NONE: there was none */
typedef void (*vestry_watch_end_fn)(vestry_cause cause, void *ctx);

/** What a stream is fed by. Zero is the default. */
typedef struct vestry_watch {
  size_t size;               /**< sizeof(vestry_watch), or 0 */
  vestry_watch_step_fn step; /**< mandatory. The first one is called when the stream is open, and what the reply sends
                                  has been written */
  vestry_watch_end_fn end;   /**< NULL: none */
  void *ctx;                 /**< handed to both */
  uint64_t every_ms;         /**< the beat of steps that do not say when: from the first step on, without drift; beats
                                  that were missed are left out. 0: they are called when woken */
  uint64_t pause_ms;         /**< from one step to the next at least, whatever was said: a wake that comes sooner waits.
                                  0: none */
  uint32_t ahead_count;      /**< so many events may still wait to be written when a step is called. 0: none */
  vestry_runtime *runtime;   /**< on whose threads the steps run. Of one of your own they may block. Borrowed, must not
                                  be stopped before vestry_stop has returned OK; NULL: the instance's */
} vestry_watch;

/** Watches of one reply at most. */
#define VESTRY_REPLY_WATCHES_MAX 16

/** Have the stream that this request opens be fed by a step function. The reply is a stream's by it, with effects or
 *  without, and stays open until the watch is finished or the stream ends otherwise. Under a key it is kept beside
 *  others (VESTRY_KEEP_MANY) unless vestry_reply_keep says something else. Called several times, the stream has several
 *  watches, which do not wait for each other.
 *  An ordinary request, a HEAD request too, gets the reply's status and body, as for every reply: 204 if there are
 *  none (see vestry_reply_any_client).
 *  watch    copied
 *  Returns  OK | INVALID (NULL, no step) | LIMIT (VESTRY_REPLY_WATCHES_MAX) | NO_MEMORY (may be left to vestry). The
 *           end function is called for all but INVALID: on failure before this returns
 *  Threads  the handler's
 *  Memory   one allocation of 256 bytes at most; steps need none */
VESTRY_API vestry_err vestry_reply_watch(vestry_reply *reply, const vestry_watch *watch);

/** In a step: call it again so many milliseconds after it has returned, or when it is woken before. 0: at once, but
 *  after all others whose turn it is. VESTRY_NEVER_MS: only when it is woken. */
VESTRY_API void vestry_watch_wait(vestry_watcher *watcher, uint64_t ms);
/** In a step: this was all. Closes the stream for CLOSED, after what was sent; the other watches of it end, too. */
VESTRY_API void vestry_watch_finish(vestry_watcher *watcher);
/** In a step: whether it is the watch's first one. */
VESTRY_API bool vestry_watch_is_first(const vestry_watcher *watcher);
/** In a step: from now on, until the stream ends, wake it for each message of a topic (vestry/app/bus.h). A step that
 *  subscribes, in its first call, and then looks, misses nothing.
 *  Returns  as vestry_subscribe */
VESTRY_API vestry_err vestry_watch_subscribe(vestry_watcher *watcher, vestry_scope scope, const vestry_key *key);

/** Have a step called: what the caller did before, that step sees. Wakes are coalesced: several before a step are one,
 *  and one that comes while a step runs is followed by another step. Nothing happens when the stream is closed.
 *  Threads  any; constant time, lock-free but to wake a thread; does not block */
VESTRY_API void vestry_watch_wake(vestry_watcher *watcher);

/** Counters of an instance's watches: begun_count = live_count + ended_count. */
typedef struct vestry_watch_stats {
  size_t size; /**< sizeof(vestry_watch_stats), or 0 */
  uint64_t begun_count, live_count, ended_count;
  uint64_t steps_count, errors_count; /**< steps; and those that ended their stream by an error */
} vestry_watch_stats;

/** A snapshot of the counters. Any thread. */
VESTRY_API void vestry_watch_stats_get(vestry *v, vestry_watch_stats *ret_stats);

#ifdef __cplusplus
}
#endif
#endif
