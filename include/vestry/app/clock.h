/* SPDX-License-Identifier: MIT */
/** The server's clock in pages: countdowns and running times that are right although the clock of the client is wrong
 *  and its network is slow.
 *
 *      static const vestry_clock clock = {.url = "/clock"};
 *
 *      vestry_route(v, "GET", "/clock", vestry_clock_handler, (void *)&clock);
 *
 *      vestry_html_add(html, "<body ");                                // outside of patched elements
 *      vestry_html_clock(html, &clock);
 *      vestry_html_add(html, "><time data-countdown=\"%lld\" data-over=\"over\"></time>", (long long)ends_ms);
 *
 *  docs/guide/page-rules.md#countdowns-by-the-servers-clock explains the attributes. */
#ifndef VESTRY_CLOCK_H
#define VESTRY_CLOCK_H

#include "vestry/request.h"

#ifdef __cplusplus
extern "C" {
#endif

/** A clock that pages show. Zero is the clock of this machine, which pages read once. */
typedef struct vestry_clock {
  int64_t (*now_ms)(void *ctx); /**< returns milliseconds since 1970; NULL: the system's clock. Use the clock that
                                     decides, for example that of the database. Called on the threads of renders and
                                     handlers, several at once, no lock held; may block */
  void *ctx;                    /**< passed to now_ms */
  const char *url; /**< path at which vestry_clock_handler has a route; an application whose document has the clock adds
                        it itself. A page reads the clock there again if its
                        document was slow, or if the clock of the client was set meanwhile. NULL: never */
} vestry_clock;

/** Append an attribute to the start tag of an element of a document, once in each document. The page then shows the
 *  time in each element with an attribute of this list, also in elements that are patched in later:
 *
 *      data-countdown   the time until then, in milliseconds since 1970; rounded up to seconds
 *      data-elapsed     the time since then; rounded down
 *      data-format      text with {d}, {h}, {m}, {s}, or {hh}, {mm}, {ss} for two digits: days, hours, minutes and
 *                       seconds. The largest unit in the text takes the rest. Default: {m}:{ss}, from one hour on
 *                       {h}:{mm}:{ss}
 *      data-over        the text of a countdown that is over; default: as for zero
 *
 *  and in each `time` element with these two, whose text it replaces:
 *
 *      datetime         a time with its zone, such as 2026-03-01T14:05:00Z
 *      data-local       `time`: hour and minute in the zone of the reader; `day`: the date with its weekday there, in
 *                       the language of the document
 *
 *  - The text is written by the page: leave elements of the first list empty. They need no data-ignore-morph.
 *  - The element with this attribute must be outside of patched content, because the attribute contains the present
 *    time, and so differs in each render.
 *  - Expressions of the page get the server's clock in milliseconds by `vestryClock()`.
 *  - A tab in the background, and a page without a visible time, has no timer.
 *  clock    NULL: zero. Read during the call
 *  Returns  OK | INVALID (clock: a later version) | as vestry_html_add
 *  Threads  that of html; as now_ms */
VESTRY_API vestry_err vestry_html_clock(vestry_html *html, const vestry_clock *clock);

/** Answer with the clock: a handler for vestry_route. app is the vestry_clock, borrowed as long as the instance, or
 *  NULL. The response is a number in text, and is never stored. */
VESTRY_API vestry_err vestry_clock_handler(const vestry_request *req, vestry_reply *reply, void *app);

/** Get the time of a clock.
 *  clock    NULL: the system's clock
 *  Returns  milliseconds since 1970
 *  Threads  any; as now_ms */
VESTRY_API int64_t vestry_clock_ms(const vestry_clock *clock);

#ifdef __cplusplus
}
#endif
#endif
