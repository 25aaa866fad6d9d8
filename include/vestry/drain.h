/* SPDX-License-Identifier: MIT */
/** Draining: every stream is sent away, evenly over a window, so that neither this server nor the next is overrun.
 *
 *      vestry_drain(v, 10000);                           // on SIGTERM, say
 *      vestry_drain_wait(v, 10000 + 6000);               // all gone, or it is time to stop anyway
 *      vestry_stop(v, 1000);
 *
 *  Streams are aborted in the order in which they were opened, at an even pace: each one's share of the window. What a
 *  stream was sent before is written first, then a hint of its own (an SSE `retry`), then it is aborted for DRAIN: the
 *  browser comes back when the hint says. Hints are such that all come back after the window is over, and the time that
 *  a 503 asks for (vestry_bounds.retry_after_s) beyond that, evenly over as long as the window again: the server that
 *  takes over has that time to start. A client that retries on network errors alone (Datastar's default) gives up for
 *  good at a 503, so it must not come back before. The hint stays the client's delay for later breaks, too; a server
 *  that wants it shorter tells it so (vestry_event_retry, in on_open).
 *
 *  In a cluster (vestry/cluster/cluster.h) the other nodes are told at once: to them it is DRAINING, and what they
 *  dispatch reaches the streams that are still there.
 *
 *  New streams are refused from the start: 503 with Retry-After. Requests that need no new stream are served as ever,
 *  and effects reach the streams that are still there. */
#ifndef VESTRY_DRAIN_H
#define VESTRY_DRAIN_H

#include "vestry/instance.h"

#ifdef __cplusplus
extern "C" {
#endif

/** The longest window: a day. */
#define VESTRY_DRAIN_MAX_MS UINT64_C(86400000)

/** Begin to drain: vestry_stats tells how far it is. There is no way back; vestry_close and vestry_stop may come at
 *  any time and abort what is left.
 *  window_ms  over which streams are sent away, at most VESTRY_DRAIN_MAX_MS; 0: at once (and back over a second). A
 *             peer that does not take what it was sent is given five seconds more
 *  Returns  OK | EXISTS (it was begun before) | CLOSED (the instance or its runtime closes) | INVALID | NO_MEMORY
 *           (nothing has begun)
 *  Threads  any; does not block; streams are sent away by a timer of the instance's runtime */
VESTRY_API vestry_err vestry_drain(vestry *v, uint64_t window_ms);

/** Wait until every stream has ended and its hooks have run.
 *  Returns  OK | TIMEOUT (some are left) | INVALID (no drain has begun)
 *  Threads  not from a callback of the instance; blocks. A stepped runtime is stepped meanwhile and time is not waited
 *           for */
VESTRY_API vestry_err vestry_drain_wait(vestry *v, uint64_t timeout_ms);

#ifdef __cplusplus
}
#endif
#endif
