/* SPDX-License-Identifier: MIT */
/** Draining: closes every stream, evenly over a window, so that neither this server nor the next is overloaded.
 *
 *      vestry_drain(v, 10000);                           // for example on SIGTERM
 *      vestry_drain_wait(v, 10000 + 6000);               // all ended, or it is time to stop anyway
 *      vestry_stop(v, 1000);
 *
 *  From the start of the drain, requests for new streams get 503 with Retry-After. Requests that need no new stream are
 *  served, and effects reach the remaining streams. In a cluster (vestry/cluster/cluster.h) the other nodes are
 *  informed at once: this node is DRAINING, and their dispatches reach the remaining streams. */
#ifndef VESTRY_DRAIN_H
#define VESTRY_DRAIN_H

#include "vestry/instance.h"

#ifdef __cplusplus
extern "C" {
#endif

/** Maximum window: a day. */
#define VESTRY_DRAIN_MAX_MS UINT64_C(86400000)

/** Begin to drain; vestry_stats has the progress. A drain cannot be undone; vestry_close and vestry_stop may be called
 *  at any time and abort the remaining streams.
 *  window_ms  time over which streams are closed, at most VESTRY_DRAIN_MAX_MS; 0: all at once (browsers reconnect over
 *             a second). A peer that does not read has five seconds more
 *  Returns  OK | EXISTS (a drain has begun before) | CLOSED (the instance or its runtime closes) | INVALID | NO_MEMORY
 *           (nothing has begun)
 *  Threads  any; does not block; a timer of the instance's runtime closes the streams
 *
 *  Streams end in the order of their opening, at an even pace. For each stream, its queued events are written first,
 *  then a reconnection delay (an SSE `retry`); then it is aborted with cause DRAIN. The delays are such that the
 *  browsers reconnect after the window and the time of a 503's Retry-After (vestry_bounds.retry_after_s), spread evenly
 *  over the length of the window: the next server has that time to start. They must not reconnect earlier, because a
 *  client that retries on network errors only (Datastar's default) gives up for good at a 503. The browser keeps this
 *  delay for later reconnections; to shorten it, the next server sends the effect send-event
 *  with the option retryDuration in on_open. */
VESTRY_API vestry_err vestry_drain(vestry *v, uint64_t window_ms);

/** Wait until every stream has ended and its hooks have run.
 *  Returns  OK | TIMEOUT (some are left) | INVALID (no drain has begun)
 *  Threads  not from a callback of the instance; blocks. A stepped runtime is stepped meanwhile, without waiting for
 *           time to pass */
VESTRY_API vestry_err vestry_drain_wait(vestry *v, uint64_t timeout_ms);

#ifdef __cplusplus
}
#endif
#endif
