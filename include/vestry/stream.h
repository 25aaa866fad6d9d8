/* SPDX-License-Identifier: MIT */
/** A stream that looks after itself: an element that opens a stream which is no page's (those have it already,
 *  vestry/page.h), such as one that is kept under a key.
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
 *  Its request sends the signal tabId alone (vestry/tab.h), because signals of a GET are a part of its URL: with a long
 *  text of a bound field each attempt would get 414. A handler that needs other signals has them by
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

#ifdef __cplusplus
}
#endif
#endif
