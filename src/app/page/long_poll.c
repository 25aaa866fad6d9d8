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
 * most REST_MS. A long poll without an event counts as cut only if it lived longer than the client waits for a server
 * that is down.
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
#include "app/page/long_poll.h"

#include "app/page/pages.h"
#include "base/options.h"
#include "http/request.h"
#include "vestry/signals.h"

enum {
  HELD_MOST_MS = 25000,
  BRIEF_MOST_MS = 3000,  /* maximum for one that is not held; its page may need this time */
  AGAIN_MS = 500,        /* minimum wait; the maximum is twice this */
  AGAIN_WHOLE_MS = 1000, /* likewise, after the whole content or a long poll that was not held */
  REST_MS = 2500,
  RETURN_MS = 600000,
  SLOW_MS = 5000, /* a stream without an event for this time counts as mute; doubled each time */
  SLOW_MOST_MS = 20000,
  TRIAL_MS = 3000,     /* the same for a stream that is tried between long polls */
  SHORT_MS = 5000,     /* a stream that lives shorter than this counts as cut */
  DOWN_MOST_MS = 12500 /* the client's longest wait, and REST_MS */
};

static bool has_little_room(const vestry_request *req) {
  const vestry_request_ops *ops = req->own->ops;
  uint32_t streams, capacity;
  if (!VSI_OPS_HAVE(ops, vestry_request_ops, room) || !ops->room) return false;
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

/* Variables of the element: el.count is the number of events of this request, el.first the time of the first.
 * `el.asked` is the time when the request, or the client's wait before it, began. el.mute and el.cut count mute and cut
 * streams in a row. */
static void put_begin(vestry_html *html) {
  vestry_html_add(html,
                  " const wait = (ms) => { clearTimeout(el.timer);"
                  " el.timer = setTimeout(() => el.run && !document.hidden && !el.count && el.silent(), ms) };"
                  " const begin = () => { el.poll = %d; el.until = Date.now() + %d; el.mute = el.cut = 0 };"
                  " el.poll ||= 0; el.mute = el.cut = el.rest = 0; el.slow = %d;"
                  " el.again = () => { if (el.poll) el.poll = 0, el.mute = el.cut = 1, el.slow = %d };"
                  " el.rests = () => Date.now() < el.rest;"
                  " el.patience = () => el.poll ? el.poll + %d : el.count ? 0 : el.slow + %d;",
                  HELD_MOST_MS, RETURN_MS, SLOW_MS, TRIAL_MS, DOWN_MOST_MS, DOWN_MOST_MS);
  vestry_html_add(
      html,
      " el.begins = (headers, include) => {"
      " el.count = el.rest = 0; el.asked = Date.now(); wait(el.poll ? el.poll + %d : el.slow);"
      " el.tells = () => (headers['vestry-sent'] ?? '').includes('.')"
      " || window.vestryOnce?.look(el).includes('.');"
      " $_vestry.poll = el.poll;"
      " return el.poll ? '(?:' + include.replace(new RegExp('^/|/$', 'g'), '') + ')|^_vestry.poll$' : include };"
      " el.counts = () => { if (!el.count++) el.first = Date.now(), el.slow = %d, el.mute = 0 };"
      " el.silent = () => {"
      " if (!el.count) {"
      " el.slow = Math.min(el.slow * 2, %d);"
      " if (el.poll) el.poll = 0, el.setOffline(true); else if (++el.mute > 1) begin() }"
      " el.open() };",
      SLOW_MS, SLOW_MS, SLOW_MOST_MS);
}

void vsi_long_poll_put(vestry_html *html, const char *is_away) {
  put_begin(html);
  vestry_html_add(html,
                  " const anew = () => {"
                  " const of = el.run;"
                  " setTimeout(() => { of?.abort(); if (el.run === of) el.run = null });"
                  " setTimeout(() => %-s || el.run || !el.isConnected || el.open(), %d + Math.random() * %d);"
                  " return true };",
                  is_away, AGAIN_MS, AGAIN_MS);
  vestry_html_add(html,
                  " el.tried = () => {"
                  " const now = Date.now(), count = el.count, lived = now - el.asked;"
                  " el.count = 0; el.asked = now;"
                  " if (!el.poll) {"
                  " wait(el.slow + %d);"
                  " if (count) el.cut = now - el.first < %d ? el.cut + 1 : 0;"
                  " if (el.cut < 2) return false;"
                  " begin(); return anew() }",
                  DOWN_MOST_MS - REST_MS, SHORT_MS);
  vestry_html_add(html,
                  " if (el.isOver()) { setTimeout(() => { el.run?.abort(); el.run = null }); return true }"
                  " if (lived < el.poll - 1000 && (count === 1 || !count && lived > %d)) {"
                  " el.poll = Math.max(500, Math.round(Math.max(count ? now - el.first : 0, lived - %d) / 2));"
                  " return anew() }"
                  " if (!count) return false;"
                  " el.seen = now; wait(el.poll + el.slow + %d);"
                  " if (now > el.until) el.again(); else if (!el.tells()) { el.rest = now + %d; return true }"
                  " return anew() };",
                  DOWN_MOST_MS, REST_MS, DOWN_MOST_MS - REST_MS, REST_MS);
}
