/* SPDX-License-Identifier: MIT */
/** Supervised streams: an element that opens a stream and reopens it when it fails, for streams that are not a page's
 *  (vestry/app/page.h has its own), for example one that is stored under a key.
 *
 *      vestry_html_stream(&html, req, NULL, NULL, "/stream?user=%s", user);
 *
 *  A stream opened by a plain `data-init="@get(…)"` can freeze unnoticed: the network drops all packets, a proxy has
 *  lost the connection, or the laptop slept. The element makes the server send heartbeats, and detects their
 *  absence. */
#ifndef VESTRY_STREAM_H
#define VESTRY_STREAM_H

#include "vestry/backend_action.h"
#include "vestry/request.h"

#ifdef __cplusplus
extern "C" {
#endif

/** Append an element that opens a stream by GET and supervises it while the element is in the page.
 *  - It reopens the stream without end: after a break, after two and a half heartbeats without data, when the browser
 *    is online again, and when the page returns from the browser's cache. Meanwhile it shows a text; otherwise it is
 *    hidden. A reopened stream begins anew: its handler sends the current state. Last-Event-ID is sent within the
 *    client's own attempts.
 *  - A stream that the server ends cleanly (VESTRY_CAUSE_CLOSED, as by close-sse; a status of 204) is not reopened,
 *    unless options->retry is VESTRY_RETRY_ALWAYS. After 401, 403 or 410, and after four responses in a row of other
 *    statuses from 400 to 499 (408, 425 and 429 do not count), the tab reloads its page; at most once in five minutes
 *    while none of its streams opens. Until then the stream is requested about once a minute.
 *  - The element has the class vestry-banner (vestry_render_head has a style), and needs no inline style or script.
 *    Each stream begins with an empty patch of signals, and its heartbeats are such patches, too.
 *  - The request contains the signal tabId only (vestry/app/tab.h), because signals of a GET are part of its URL: a
 *    long text of a bound field would cause 414. A handler that needs other signals gets them by
 *    options->filter_include; their size must be bounded. Client 1.0.2 repeats the values of the first attempt.
 *  req      of the document
 *  text     of the banner; NULL: "Offline. Trying again…"
 *  options  of the action, as of vestry_html_backend_action; NULL: the defaults, which are here: retry ERROR,
 *           retry_max_wait_ms 10,000, retry_max_count FOREVER, and filter_include "^tabId$" unless filter_include or
 *           filter_exclude is set. when_hidden DEFAULT and CLOSED close the stream of a hidden tab. At most 63 headers;
 *           no cancellation
 *  url      as of vestry_html_backend_action
 *  Returns  as vestry_html_backend_action; INVALID also: options->cancellation
 *  Threads  the handler's; does not block */
VESTRY_API vestry_err vestry_html_stream(vestry_html *html, const vestry_request *req, const char *text,
                                         const vestry_backend_action_options *options, const char *url, ...)
    VESTRY_PRINTF(5, 6);

/** Set the lease of an instance's streams. Behind a proxy a client with a broken network remains undetected, because
 *  the server's TCP connection ends at the proxy. Therefore, the element that supervises a stream (of a page or of
 *  vestry_html_stream) renews a lease: after received data, above all heartbeats, it sends a POST without a body to the
 *  document's path, which is answered before guards, sessions and handlers run. If a lease is not renewed within
 *  lease_ms, the stream ends with cause LEASE_EXPIRED and its user leaves the presence. A lease begins with its first
 *  renewal; an idle page sends one for each heartbeat. Streams that set a longer heartbeat, or none, have no lease.
 *  After a standstill of this process (it was stopped, or all its threads were busy, for more than a second at the end
 *  of a lease), all leases begin anew, because renewals may wait in its sockets.
 *
 *  Call it once, before the first request. Otherwise vestry_pages_create does it with the default.
 *  lease_ms  more than the heartbeat; 0: the heartbeat and ten seconds, 25 s by default; VESTRY_NEVER_MS: no leases,
 *            and pages send no renewals
 *  Returns  OK | INVALID (not longer than a heartbeat; logged) | EXISTS (it has leases) | NO_MEMORY | CLOSED
 *  Threads  any; does not block */
VESTRY_API vestry_err vestry_leases_create(vestry *v, uint64_t lease_ms);

/** Counters of leases that have begun, with their first renewal: begun_count = live_count + ended_count;
 *  vestry_stats.closed_by_cause[LEASE_EXPIRED] counts those that expired. */
typedef struct vestry_lease_stats {
  size_t size; /**< sizeof(vestry_lease_stats), or 0 */
  uint64_t begun_count, live_count, ended_count;
  uint64_t renewals_count; /**< renewals of open streams */
  uint64_t unknown_count;  /**< renewals without a stream: too late, for another node, or forged */
} vestry_lease_stats;

/** Get a snapshot of the counters; all zero without leases. Threads any. */
VESTRY_API void vestry_lease_stats_get(vestry *v, vestry_lease_stats *ret_stats);

#ifdef __cplusplus
}
#endif
#endif
