/* SPDX-License-Identifier: MIT */
/* essay: the server's clock in a page */
/* A page knows one time of the server: that at which its document was rendered. It assigns this time to the middle of
 * the document's request, between requestStart and responseStart of the navigation. The error is then at most half of
 * this interval, and half of the difference between the two directions on a network that is slow but symmetric. If the
 * page used the time at which its script runs instead, the error would contain the download of document, client and
 * style sheets, which is seconds on a slow network.
 *
 * From then on the page counts with two clocks of the client. Date.now() jumps when the clock is set. performance.now()
 * never jumps, but does not count while the machine sleeps, at least in some browsers. If their difference shrinks, or
 * grows by less than 50 ms, Date.now() was corrected, and performance.now() is right. If it grows by more, either the
 * machine has slept or the clock was set forward. The first is more likely, so Date.now() is right. With a URL the page
 * does not rely on this: after each jump, and after a document that took more than 100 ms, it reads the clock again, at
 * most three times, and takes the shortest of the requests.
 *
 * An element is written when its text changes, and not once a second: the timer is set to the next change of a visible
 * element, so that a time is late by a few milliseconds at most. A morph empties the elements, because the server sends
 * them empty. A MutationObserver runs before the next frame, and writes them again, so that no empty one is shown. */
#include "vestry/app/clock.h"

#include <inttypes.h>
#include <stdio.h>
#include <time.h>

#include "html/script.h"

VSI_SCRIPTS(clock); /* clock.js */

int64_t vestry_clock_ms(const vestry_clock *clock) {
  struct timespec now;
  if (clock && clock->now_ms) return clock->now_ms(clock->ctx);
  clock_gettime(CLOCK_REALTIME, &now);
  return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

vestry_err vestry_html_clock(vestry_html *html, const vestry_clock *given) {
  const vestry_clock clock = given ? *given : (vestry_clock){0};
  return vestry_html_add(html,
                         "data-init__clock=\"const at = %lld, url = '%s'; window.vestryClock = window.vestryClock || "
                         "%-s\"",
                         (long long)vestry_clock_ms(&clock), clock.url ? clock.url : "", VSI_SCRIPT(html, clock));
}

vestry_err vestry_clock_handler(const vestry_request *req, vestry_reply *reply, void *app) {
  char text[24];
  (void)req;
  const int len = snprintf(text, sizeof text, "%" PRId64, vestry_clock_ms(app));
  vestry_err error = vestry_reply_header(reply, "Cache-Control", "no-store");
  return error ? error : vestry_reply_body(reply, "text/plain", text, (size_t)len);
}
