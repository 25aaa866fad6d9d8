/* SPDX-License-Identifier: MIT */
/* essay: a page whose streams are broken on their way */
/* Something between a page and its server may hold a stream back until it ends, or cut it after a moment. Then the page
 * long polls instead. A long poll is a stream that ends cleanly: with the first thing that is put into it, whatever
 * that is, or when it was held long enough. All else is as with a stream: the client repeats the request by itself,
 * with the id of the last event, so that no change between two long polls is missed, and the answer to a page that has
 * all is empty.
 *
 * When. Two streams of which nothing has come in time (a time of their own: heartbeats may be shorter than a busy
 * server's first answer), or two that were cut a moment after they began. After ten
 * minutes, and when the browser is online again, the page tries one stream, for three seconds at most: so a way that is
 * still broken makes the page late by no more than that. If nothing comes of a long poll either, the network is gone:
 * the page goes back to streams, and says that it is offline.
 *
 * For how long. A signal says it, which no proxy takes away. A long poll that is cut says how long long polls may live
 * there: from then on they are held half as long. One that is held back says nothing until it ends, so its life is
 * known up to the client's wait before it, REST_MS at most; and one of which nothing has come is taken for a cut one
 * only if it has lived for longer than the client waits for a server that is down.
 *
 * How often. The client waits half a second up to a second between two long polls. Where the header with the id is
 * taken away, each long poll is answered at once with the whole content: those that say nothing of what the page has
 * are followed by a longer wait.
 *
 * How many. A long poll that is held takes a place of the server's, on civetweb a thread. So while three quarters of
 * the places are taken, long polls are not held: they end when the page was looked at. The second sign that such a long
 * poll begins with tells the page that it was not cut; a third one, after the look, is what it ends by where nothing
 * has changed. A page with parts, which are looked at after it, is held for BRIEF_MOST_MS then.
 *
 * The headers of a request stay what they were when the client repeats it. So one that told of submissions
 * (app/page/sent.c) is not repeated, for it would be answered at once, again and again. And where a submission was
 * answered between two long polls, or the long poll ended before the submission was seen, the page tells of it by the
 * next one. */
#include "app/page/long_poll.h"

#include "app/page/pages.h"
#include "base/options.h"
#include "http/request.h"
#include "vestry/signals.h"

enum {
  HELD_MOST_MS = 25000,
  BRIEF_MOST_MS = 3000,  /* of one that is not held: its page may take so long */
  AGAIN_MS = 500,        /* up to twice that */
  AGAIN_WHOLE_MS = 1000, /* likewise, after the whole content, and after one that was not held */
  REST_MS = 2500,
  RETURN_MS = 600000,
  SLOW_MS = 5000, /* a stream that says nothing for so long is mute; doubled each time */
  SLOW_MOST_MS = 20000,
  TRIAL_MS = 3000,     /* the same of a stream that is tried in between */
  SHORT_MS = 5000,     /* a stream that is cut before that */
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

/* el.count: what has come of this request, el.first: when; el.asked: when it began, or the client's wait before it.
 * el.mute, el.cut: how many streams in a row. */
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
