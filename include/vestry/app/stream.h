/* SPDX-License-Identifier: MIT */
/** Supervised streams: an element that opens a stream and reopens it when it fails. Use it for streams other than those
 *  of live pages (vestry/app/page.h), for example a stream that is stored under a key.
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
 *  - The element reopens the stream, without a limit of attempts: after a break, after two and a half heartbeats
 *    without data, when the browser is online again, and when the page returns from the browser's back/forward cache.
 *    It shows a text while the stream is broken, and is hidden otherwise. The handler of a reopened stream must send
 *    the current state, because only the Datastar client's own attempts after a break send Last-Event-ID.
 *  - A stream that the server ends cleanly (VESTRY_CAUSE_CLOSED, as by close-sse; a status of 204) is not reopened,
 *    unless options->retry is VESTRY_RETRY_ALWAYS. After 401, 403 or 410, and after the fourth successive response with
 *    another status from 400 to 499, except 408, 425 and 429, the tab reloads its page. While the stream does not open,
 *    the tab reloads at most once in five minutes, and in between requests the stream about once a minute.
 *  - The element has the class vestry-banner (vestry_render_head has a style), and needs no inline style or script.
 *    Each stream begins with an empty patch of signals, and its heartbeats are such patches, too.
 *  - The request contains only the signal tabId (vestry/app/tab.h), because signals of a GET are part of its URL: a
 *    long text in a bound field would cause 414. If the handler needs other signals, add them by
 *    options->filter_include; their size must be bounded. Client 1.0.2 sends the values of the first attempt again.
 *  req      request of the document
 *  text     text of the banner; NULL: "Offline. Trying again…"
 *  options  of the request, as for vestry_html_backend_action; NULL: the defaults. Different defaults apply to retry
 *           (ERROR), retry_max_wait_ms (10,000), retry_max_count (FOREVER), and, unless filter_exclude is set,
 *           filter_include ("^tabId$"). when_hidden DEFAULT and CLOSED close the stream of a hidden tab. At most 63
 *           headers; cancellation must not be set
 *  url      as for vestry_html_backend_action
 *  Returns  as vestry_html_backend_action; INVALID also if options->cancellation is set
 *  Threads  the handler's; does not block */
VESTRY_API vestry_err vestry_html_stream(vestry_html *html, const vestry_request *req, const char *text,
                                         const vestry_backend_action_options *options, const char *url, ...)
    VESTRY_PRINTF(5, 6);

/** Set the lease of an instance's streams. Behind a proxy the server does not notice that a client's network is broken,
 *  because the server's TCP connection ends at the proxy. Therefore, the element that supervises a stream (of a page or
 *  of vestry_html_stream) renews a lease: when it has received data, usually a heartbeat, it sends a POST without a
 *  body to the document's path. vestry answers this request before guards, sessions and handlers run. If a lease is not
 *  renewed within lease_ms, the stream ends with cause LEASE_EXPIRED and its user leaves the presence. A lease begins
 *  with its first renewal; an idle page sends one for each heartbeat. Streams that set a longer heartbeat, or none,
 *  have no lease. If a renewal reaches a process that cannot pass it on to that of the stream, the tab releases the
 *  lease, and the stream stays open without it (docs/guide/proxies.md, Leases). If this process notices the end of a
 *  lease more than a second late, because it was stopped or all its threads were busy, renewals may wait in its
 *  sockets. Then all leases begin anew, but not twice in succession.
 *
 *  Call this once, before the first request, before or after vestry_pages_create or vestry_application_create. Pages
 *  have leases of the default length without this call; other streams have none.
 *  lease_ms  must be more than the heartbeat; 0: the heartbeat plus ten seconds, which is 25 s by default;
 *            VESTRY_NEVER_MS: no leases, and pages send no renewals
 *  Returns  OK | INVALID (not longer than a heartbeat; logged) | EXISTS (a second call; logged) | NO_MEMORY | CLOSED
 *  Threads  any; does not block */
VESTRY_API vestry_err vestry_leases_create(vestry *v, uint64_t lease_ms);

/** Counters of leases. A lease counts from its first renewal. begun_count = live_count + ended_count;
 *  vestry_stats.closed_by_cause[LEASE_EXPIRED] counts those that expired. */
typedef struct vestry_lease_stats {
  uint64_t begun_count, live_count, ended_count;
  uint64_t renewals_count; /**< renewals of open streams */
  uint64_t unknown_count;  /**< refused renewals: late, forged, or for a node that this one cannot reach */
} vestry_lease_stats;

/** Get a snapshot of the counters; all zero without leases. Threads any. */
VESTRY_API void vestry_lease_stats_get(vestry *v, vestry_lease_stats *ret_stats);

#ifdef __cplusplus
}
#endif
#endif
