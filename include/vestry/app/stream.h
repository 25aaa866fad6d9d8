/* SPDX-License-Identifier: MIT */
/** A stream that looks after itself: an element that opens a stream which is no page's (those have it already,
 *  vestry/app/page.h), such as one that is kept under a key.
 *
 *      vestry_html_stream(&html, req, NULL, NULL, "/stream?user=%s", user);
 *
 *  A stream that is opened by a mere `data-init="@get(…)"` can freeze without a word: its network swallows all, a
 *  proxy has forgotten it, the laptop slept. The element has the server say now and then that it is there, and sees
 *  when it does not. */
#ifndef VESTRY_STREAM_H
#define VESTRY_STREAM_H

#include "vestry/backend_action.h"
#include "vestry/request.h"

#ifdef __cplusplus
extern "C" {
#endif

/** Append an element that opens a stream by GET and looks after it, for as long as it is in the page. It opens the
 *  stream anew when it was broken, for ever; when nothing was heard for two and a half heartbeats; when the browser is
 *  online again; and when the page comes back from the browser's cache. Meanwhile the element shows a text; otherwise
 *  it is hidden. A stream that the server ends cleanly (VESTRY_CAUSE_CLOSED, as by close-sse; a status of 204) has had
 *  its last word, and is not opened again, unless options->retry is VESTRY_RETRY_ALWAYS. After an answer of 401 or 403
 *  the tab loads its page anew; at most once in five minutes while no stream of it opens.
 *  The element is of the class vestry-banner (style: vestry_render_head has one), and needs no inline style or script.
 *  Each stream that is opened begins with an empty patch of signals, and so are its heartbeats.
 *  A stream that is opened anew begins anew: its handler says how things are now. (Within the client's own attempts
 *  Last-Event-ID is sent along, as ever.)
 *  Its request sends the signal tabId alone (vestry/app/tab.h), because signals of a GET are a part of its URL: with a
 *  long text of a bound field each attempt would get 414. A handler that needs other signals has them by
 *  options->filter_include; their size must be bounded. Client 1.0.2 repeats the values of the first attempt.
 *  req      of the document
 *  text     of the banner; NULL: "Offline. Trying again…"
 *  options  of the action, as of vestry_html_backend_action; NULL: the defaults, which are here: retry ERROR,
 *           retry_max_wait_ms 10,000, retry_max_count FOREVER, and filter_include "^tabId$" unless filter_include or
 *           filter_exclude is set. when_hidden DEFAULT and CLOSED close the stream of a
 *           hidden tab. At most 63 headers; no cancellation
 *  url      as of vestry_html_backend_action
 *  Returns  as vestry_html_backend_action; INVALID also: options->cancellation
 *  Threads  the handler's; does not block */
VESTRY_API vestry_err vestry_html_stream(vestry_html *html, const vestry_request *req, const char *text,
                                         const vestry_backend_action_options *options, const char *url, ...)
    VESTRY_PRINTF(5, 6);

/** Give an instance leases: with a proxy in front a client whose network is cut goes unnoticed, since the server's TCP
 *  ends at the proxy. So the element that looks after a stream (of a page: vestry/app/page.h; of any stream:
 *  vestry_html_stream) answers what comes, heartbeats above all, by a POST without a body to the document's path, which
 *  is answered before guards, sessions and handlers are asked. A stream that was answered once and then is not for so
 *  long ends with cause LEASE_EXPIRED; so does the presence of its user. An idle page answers once a heartbeat. Streams
 *  with a longer heartbeat of their own, or none, have no lease.
 *
 *  Once, before the first request. vestry_pages_create does it with the default where it was not done.
 *  lease_ms  more than the heartbeat; 0: ten seconds more, 25 s by default; VESTRY_NEVER_MS: no stream has a lease, and
 *            no page answers
 *  Returns   OK | INVALID (not longer than a heartbeat; the log says so) | EXISTS (it has leases) | NO_MEMORY | CLOSED
 *  Threads   any; does not block */
VESTRY_API vestry_err vestry_leases_create(vestry *v, uint64_t lease_ms);

/** Counters of leases that have begun, with their first answer: begun_count = live_count + ended_count;
 *  vestry_stats.closed_by_cause[LEASE_EXPIRED] says how many of them ran out. */
typedef struct vestry_lease_stats {
  size_t size; /**< sizeof(vestry_lease_stats), or 0 */
  uint64_t begun_count, live_count, ended_count;
  uint64_t renewals_count; /**< answers to streams that are here */
  uint64_t unknown_count;  /**< answers to none, which came too late, were for another node, or are forged */
} vestry_lease_stats;

/** A snapshot of the counters; all zero without leases. Any thread. */
VESTRY_API void vestry_lease_stats_get(vestry *v, vestry_lease_stats *ret_stats);

#ifdef __cplusplus
}
#endif
#endif
