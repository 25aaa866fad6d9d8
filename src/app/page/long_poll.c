/* SPDX-License-Identifier: MIT */
/* essay: long polls for pages whose streams a proxy breaks */
/* Long polls, for pages whose streams a proxy breaks.
 *
 * A proxy between a page and its server may hold a stream back until it ends, or cut it after a moment. Then the page
 * uses long polls. A long poll is a stream that ends cleanly: after the first event in it, of any kind, or after the
 * maximum time for which it is held. Everything else works as with a stream. The client repeats the request by itself,
 * with the id of the last event. Therefore no change between two long polls is missed, and the response to a page that
 * is up to date is empty.
 *
 * When a page changes to long polls:
 *
 * - after two streams in a row without any event in time. This time is separate from the heartbeat, which may be
 *   shorter than the first response of a busy server; or
 * - after two streams in a row that were cut a moment after they began.
 *
 * After ten minutes, and when the browser is online again, the page tries a stream. The trial lasts three seconds at
 * most, so a path that is still broken delays the page by no more than that. If a long poll brings nothing either, the
 * network is down: the page returns to streams and shows that it is offline.
 *
 * How long a response is held. The page sends the time as a signal, which no proxy removes. When a long poll is cut,
 * its lifetime shows how long the path permits, and later long polls are held for half of this time. A long poll that
 * is held back sends nothing until it ends; its lifetime is then known up to the client's wait before it, which is at
 * most restMs (long_poll.js). A long poll without an event counts as cut only if it lived longer than the client waits
 * for a server that is down.
 *
 * How often. The client waits 0.5 to 1 second between two long polls. If a proxy removes the header with the id, each
 * long poll is answered at once with the whole content; therefore the wait after a request without a state is longer.
 *
 * How many. A held long poll occupies a connection of the server, on civetweb a thread. Therefore long polls are not
 * held while three quarters of the connections are in use: they end when the page was checked. Such a response begins
 * with two events, of which the second shows the page that the response was not cut. If nothing has changed, a third
 * event after the check ends the response. A page with parts, which are checked after it, is held for BRIEF_MOST_MS in
 * this case.
 *
 * The headers of a request stay the same when the client repeats it. A request that reports submissions
 * (app/page/sent.c) is not repeated, because every repetition would be answered at once. If a submission was answered
 * between two long polls, or a long poll ended before the submission was shown, the page reports it in the next
 * request. */
#include "app/page/page_script.h"

#include "html/script.h"
#include "http/request.h"
#include "vestry/signals.h"

enum {
  HELD_MOST_MS = 25000,
  BRIEF_MOST_MS = 3000,  /* maximum for one that is not held; its page may need this time */
  AGAIN_MS = 500,        /* minimum wait; the maximum is twice this */
  AGAIN_WHOLE_MS = 1000, /* minimum wait after the whole content, or after a long poll that was not held */
};

VSI_SCRIPTS(long_poll); /* long_poll.js */

static bool has_little_room(const vestry_request *req) {
  const vestry_request_ops *ops = req->own->ops;
  uint32_t streams, capacity;
  if (!ops->room || !ops->room) return false;
  ops->room(req->own->server_request, &streams, &capacity);
  return streams >= capacity - capacity / 4;
}

vsi_long_poll vsi_long_poll_read(const vestry_request *req) {
  vsi_long_poll poll = {0};
  int64_t hold_ms;
  if (!req->signals || vestry_signals_get(req->signals, "_vestry.poll", VESTRY_INTO(&hold_ms), NULL) || hold_ms <= 0)
    return poll;
  poll.is_brief = has_little_room(req);
  const int64_t most_ms = poll.is_brief ? BRIEF_MOST_MS : HELD_MOST_MS;
  poll.hold_ms = (uint32_t)(hold_ms > most_ms ? most_ms : hold_ms);
  return poll;
}

uint32_t vsi_long_poll_again_ms(const vestry_pages *pages, bool has_tag, vsi_long_poll poll) {
  return !has_tag || poll.is_brief ? AGAIN_WHOLE_MS : pages->retry_ms < AGAIN_MS ? pages->retry_ms : AGAIN_MS;
}

void vsi_long_poll_put(vestry_html *html) {
  vestry_html_add(html, " const heldMs = %d, againMs = %d; %-s", HELD_MOST_MS, AGAIN_MS, VSI_SCRIPT(html, long_poll));
}
