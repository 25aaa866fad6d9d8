/* SPDX-License-Identifier: MIT */
/* essay: a stream that says nothing any more, seen by its page */
/* An element that opens a stream and looks after it, by attributes of the client's alone. A page's (app/page/script.c)
 * and one of any other stream are the same but for what vsi_care says, and for what is done with what comes.
 *
 * A stream whose network swallows all, or that a proxy has forgotten, neither ends nor says anything. So the heartbeats
 * of such a stream are signals, which the client tells of; they are empty, so that one stream says nothing of another.
 * `seen` is when anything came last. A laptop that has slept finds that to be long ago. A hidden tab has no stream, and
 * expects nothing.
 *
 * A browser opens six connections to a host over HTTP/1.1: a seventh tab hangs if hidden tabs have streams. The client
 * closes that of a tab which is hidden, but opens one in a tab that is loaded in the background, and goes on trying
 * again in one that was hidden meanwhile; and shown while it waits, it opens two, of which it forgets one. So a tab
 * that is loaded hidden opens its stream when it is first shown; and one whose stream is broken gives up when it is
 * hidden, and begins anew when it is shown.
 *
 * The client ends a request when its element goes, but only one that no other can end ('cleanup'). These are the
 * element's own to end, so it looks after that too: the nodes above it tell when one of their children has gone. An
 * element that is moved, or put in again, begins anew: the client runs `data-init` once more.
 *
 * What the client tells of the stream. `retrying`: it looks after it by itself, for as long as it may wait. `finished`:
 * the stream was ended, not broken, once all that were begun have.
 *
 * No inline style: the banner is hidden also where a policy forbids these, and before the client runs. */
#include "app/stream/stream.h"

#include <stdio.h>
#include <string.h>

#include "app/stream/lease.h"
#include "base/options.h"
#include "event/backend_action.h"
#include "html/builder.h"
#include "instance/instance.h"

void vsi_care_begin(vestry_html *html) {
  vestry_html_add(html,
                  " data-on:datastar-fetch=\"const {el: of, type, argsRaw} = evt.detail;"
                  " if (of !== el) return;"
                  " if (type.startsWith('datastar-')) el.seen = Date.now(), el.hears(type, argsRaw),"
                  " el.answers?.(argsRaw.lease);"
                  " if (type === 'started') el.got = 0, el.live++, el.lease = '';"
                  " if (type === 'retrying' && !el.tried?.()) el.seen = Date.now() + %d, el.setOffline(true);"
                  " if (type === 'error' && ['401', '403'].includes(argsRaw.status)) el.expelled();"
                  " if (type === 'finished' && !--el.live && el.run && !el.isOver()) el.ended()\"",
                  VSI_CARE_RETRY_MOST_MS);
  vestry_html_add(html, " data-init=\"el.isAgain = !!el.open; el.live = 0;");
}

/* A page that may be seen and whose stream may not would load itself again and again, and throw away what is typed.
 * So a tab that has not had its stream since does so once in five minutes. */
enum { EXPELLED_APART_MS = 300000 };

static void put_functions(vestry_html *html, const vsi_care *care) {
  vestry_html_add(html,
                  " const reloaded = (now) => { try {"
                  " if (now) sessionStorage.setItem('vestry-expelled', now);"
                  " return Number(sessionStorage.getItem('vestry-expelled')) } catch { return 0 } };"
                  " el.isOver = () => %-s; el.isOffline = () => %-s; el.setOffline = (is) => { %-s };"
                  " el.expelled = () => {"
                  " if (!el.heard && (performance.now() < 10000 || Date.now() - reloaded() < %d)) return;"
                  " reloaded(Date.now()); %-s };"
                  " el.open = () => { el.run?.abort(); el.run = new AbortController(); el.seen = Date.now();"
                  " el.request() };"
                  " el.ends?.disconnect(); el.ends = new MutationObserver(() => { if (el.isConnected) return;"
                  " el.ends.disconnect(); el.run?.abort(); el.run = null });"
                  " for (let at = el.parentNode; at; at = at.parentNode) el.ends.observe(at, {childList: true});",
                  care->is_over, care->is_offline, care->set_offline, EXPELLED_APART_MS, care->reload);
}

/* A lease of the stream's (lease.c): what comes is answered by a POST to where the document is from, so that the same
 * proxies have it. The first answer is at once, the others a pause apart. One that does not come through is made again
 * soon; but not where none ever was an answer's end. */
static void put_answers(vestry_html *html, const vsi_care *care) {
  char wait[24]; /* as text: of what stands before it the builder may not be sure */
  snprintf(wait, sizeof wait, "%llu", (unsigned long long)care->pause_ms);
  vestry_html_add(html,
                  " el.answers = (lease, wait = %-s) => {"
                  " if (lease) el.lease = lease, el.answered = 0, el.isTaken = false;"
                  " if (!el.lease || !el.run || Date.now() - el.answered < wait) return;"
                  " const of = el.lease; el.answered = Date.now(); el.isLate = false;"
                  " fetch(location.origin + location.pathname, {method: 'POST', headers: {'" VSI_LEASE_HEADER "': of}})"
                  ".then((answer) => answer.status === 204 ? el.isTaken = true"
                  " : el.isTaken ? el.isLate = true : of !== el.lease || (el.lease = ''), () => el.isLate = true) };",
                  wait);
}

const char *vsi_care_is_away(const vsi_care *care) {
  return care->is_open_hidden ? "el.isOver()" : "document.hidden || el.isOver()";
}

vestry_err vsi_care_end(vestry_html *html, const vsi_care *care) {
  const char *is_away = vsi_care_is_away(care);
  put_functions(html, care);
  if (care->pause_ms) put_answers(html, care);
  vestry_html_add(html, " %-s || el.open()\" data-on:online__window=\"%-s || (el.again?.(), el.open())\"", is_away,
                  is_away);
  vestry_html_add(html,
                  " data-on:visibilitychange__document=\"document.hidden"
                  " ? %-s (el.run?.abort(), el.run = null)"
                  " : (el.seen = el.shown = Date.now(), el.run || el.isOver() || el.open())\"",
                  care->is_open_hidden ? "true ||" : "!(el.poll || el.isOffline()) ||");
  vestry_html_add(html,
                  " data-on:pageshow__window=\"!evt.persisted || Date.now() - el.shown < 1000 || %-s || el.open()\"",
                  is_away);
  if (care->heartbeat_ms <= UINT32_MAX / 3) /* otherwise there are none */
    vestry_html_add(html,
                    " data-on-interval__duration.%ums=\"document.hidden || el.isOver() ||"
                    " Date.now() - el.seen < Math.max(%u, el.patience?.() ?? 0)"
                    " || (el.setOffline(true), el.silent ? el.silent() : el.open())\"",
                    (unsigned)(care->heartbeat_ms / 2 + 1), (unsigned)(care->heartbeat_ms * 5 / 2));
  if (care->pause_ms) /* a large event is under way, perhaps */
    vestry_html_add(html,
                    " data-on-interval__duration.%ums=\"document.hidden || el.answers?.('', el.isLate ? 0 : %u)\"",
                    (unsigned)(care->heartbeat_ms / 3), (unsigned)care->heartbeat_ms);
  return vestry_html_error(html, NULL, NULL);
}

/* -------------------------------------------------------------------------------------------- any stream's -------- */
/* The signals of a GET stand in its URL, whose length is bounded. With a long text in a bound field a stream that is
 * opened anew would get 414, again and again; and client 1.0.2 repeats the URL as it was at first. So the request has
 * the tab's id, as a page's, unless the options name signals. */

enum { HEADERS_MOST = 63 };

static vestry_err put_request(vestry_html *html, const vestry_backend_action_options *options, const char *url,
                              va_list arguments) VESTRY_PRINTF(3, 0);
static vestry_err put_request(vestry_html *html, const vestry_backend_action_options *options, const char *url,
                              va_list arguments) {
  vestry_attribute headers[HEADERS_MOST + 1];
  vestry_backend_action_options own = *options;
  if (own.headers_count) memcpy(headers, own.headers, own.headers_count * sizeof *headers);
  headers[own.headers_count++] = (vestry_attribute){VSI_SIGNS_HEADER, VSI_LEASE_WANTED};
  own.headers = headers;
  if (!own.filter_include && !own.filter_exclude) own.filter_include = VSI_STREAM_SIGNALS;
  if (!own.retry) own.retry = VESTRY_RETRY_ERROR;
  if (!own.retry_max_wait_ms) own.retry_max_wait_ms = VSI_CARE_RETRY_MOST_MS;
  if (!own.retry_max_count) own.retry_max_count = VESTRY_RETRY_FOREVER;
  return vsi_html_cancelled_action(html, VESTRY_METHOD_GET, &own, "el.run", url, arguments);
}

vestry_err vestry_html_stream(vestry_html *html, const vestry_request *req, const char *text,
                              const vestry_backend_action_options *given, const char *url, ...) {
  vestry_backend_action_options options = {.size = 0};
  if (!html) return VESTRY_INVALID;
  if (!req || VSI_OPTIONS_TAKE(vestry_backend_action_options, options, given) || options.cancellation ||
      options.headers_count > HEADERS_MOST || (options.headers_count && !options.headers))
    return vsi_html_fail(vsi_html_of(html), VESTRY_INVALID,
                         "vestry_html_stream: its request is missing, or its options are outside what it accepts");
  const vsi_care care = {.is_over = "el.over",
                         .is_offline = "!el.hidden",
                         .set_offline = "el.hidden = !is",
                         .reload = "location.reload()",
                         .is_open_hidden = options.when_hidden == VESTRY_HIDDEN_OPEN,
                         .heartbeat_ms = vsi_group_heartbeat_ms(req->v->group),
                         .pause_ms = vsi_leases_pause_ms(req->v)};
  vestry_html_add(html, "<div class=\"vestry-banner\" role=\"status\" hidden");
  vsi_care_begin(html);
  vestry_html_add(html, " el.request = () => ");
  va_list arguments;
  va_start(arguments, url);
  vestry_err error = put_request(html, &options, url, arguments);
  va_end(arguments);
  if (error) return error;
  vestry_html_add(html, "; el.hears = () => { el.heard = true; el.setOffline(false) };"
                        " el.ended = () => { el.over = true; el.run = null; el.setOffline(false) };");
  vsi_care_end(html, &care);
  return vestry_html_add(html, ">%s</div>", text ? text : "Offline. Trying again…");
}
