/* SPDX-License-Identifier: MIT */
/* essay: a silent stream, detected by its page */
/* An element that opens a stream and supervises it, with no script except attributes for the client. The element of a
 * page (app/page/script.c) and that of another stream differ only in the members of vsi_care and in the handling of
 * events.
 *
 * Silence. If the network drops all packets, or a proxy has lost the connection, the stream neither ends nor delivers
 * anything. Therefore the heartbeats of such a stream are patches of signals: the client reports each patch to the
 * page, with the element whose stream it came from. The patches are empty, because a signal would be shared by all
 * streams of the page. `seen` is the time of the last event. After a laptop has slept, this time is long ago. A hidden
 * tab has no stream, and expects no events.
 *
 * Hidden tabs. Over HTTP/1.1, a browser opens six connections to a host, so a seventh tab would hang if hidden tabs had
 * streams. The client closes the stream of a tab that is hidden. However, it opens a stream in a tab that is loaded in
 * the background, and continues to retry in a tab that was hidden meanwhile. If such a tab is shown while the client
 * waits for its next attempt, the client opens two streams and forgets one. Therefore a tab that is loaded hidden opens
 * its stream when it is first shown, and a tab with a broken stream stops its attempts when it is hidden, and begins
 * anew when it is shown.
 *
 * Removal. The client ends a request when its element is removed, but only if the request's cancellation is left to the
 * client ('cleanup'). The requests of this element are cancelled by its own script. Therefore the script also watches
 * for the removal of the element, with an observer of the child lists of all its ancestors. An element that is moved or
 * inserted again begins anew, because the client then runs `data-init` again.
 *
 * Events of the client. `retrying`: the client repeats the request itself, after a wait of at most
 * VSI_CARE_RETRY_MOST_MS. `finished`: if the client has reported this for all requests that were begun, the server has
 * ended the stream; a broken one is retried.
 *
 * Refusals. The client repeats a request after every status from 400 on, without end. However, a page that was deleted
 * or may not be seen any more does not come back. Therefore, after a refusal (4xx) the tab loads the page again, and
 * the response shows the reason. A proxy whose server restarts may answer 404 for a moment, so only 401, 403 and 410
 * count at once, and other refusals when they are the fourth in a row. If the tab may not load the page again, the
 * element gives up: it shows this, and tries only once a minute. The request is aborted by a timer, because client
 * 1.0.2 would begin another attempt after an abort within its event.
 *
 * If a user may see the page but not its stream, reloading would loop, and discard typed text. Therefore a document
 * whose stream never opened is not reloaded in its first ten seconds, and a tab reloads such documents at most once in
 * five minutes. Until then the element gives up.
 *
 * State that the browser keeps in attributes. `open` of details and dialogs, and styles, for example the size of a
 * field, are changed by the user, and no render knows. A morph would set them to the document's values, and a modal
 * dialog that loses `open` stays modal: the whole page would be dead. An observer therefore keeps, of each such
 * attribute, the document's value before the first change and the browser's value. The morph calls isEqualNode of each
 * element that it changes, with the new element. This function restores the browser's value in both elements, unless
 * the document's value has changed. Likewise it protects text that is edited in place. After a navigation the new page
 * applies, and a modal dialog is closed.
 *
 * Leases (lease.c). Events are answered by a POST to the address of the document, so that it passes through the same
 * proxies. The first renewal is sent at once, further ones at least pause_ms apart. A renewal that fails is repeated
 * soon. If none was ever accepted (204) and another status arrives, the element stops renewing. If one was accepted and
 * another is refused (404), the element releases the lease.
 *
 * The banner is hidden without an inline style, so that it is hidden under a policy that forbids inline styles, and
 * before the client runs. */
#include "app/stream/stream.h"

#include <stdio.h>
#include <string.h>

#include "app/stream/lease.h"
#include "event/script.h"
#include "html/script.h"
#include "instance/instance.h"

VSI_SCRIPTS(care); /* care.js */

void vsi_care_begin(vestry_html *html, const vsi_care *care) {
  vestry_html_add(html,
                  " data-on:datastar-fetch=\"evt.detail.el === el && el.reports(evt.detail)\""
                  " data-init=\"const showRefusal = () => { %-s }, reload = () => { %-s }, isOpenHidden = %-s,"
                  " leaseHeader = '" VSI_LEASE_HEADER "', released = '" VSI_LEASE_RELEASED
                  "', retryMostMs = %d, heartbeatMs = %llu, pauseMs = %llu;",
                  care->give_up, care->reload, care->is_open_hidden ? "true" : "false", VSI_CARE_RETRY_MOST_MS,
                  (unsigned long long)care->heartbeat_ms, (unsigned long long)care->pause_ms);
  vestry_html_add(html,
                  " el.isAgain = !!el.open; el.live = 0;"
                  " el.isOver = () => %-s; el.isOffline = () => %-s; el.setOffline = (is) => { %-s };",
                  care->is_over, care->is_offline, care->set_offline);
}

vestry_err vsi_care_end(vestry_html *html, const vsi_care *care) {
  vestry_html_add(html,
                  " %-s\" data-on:online__window=\"el.isAway() || (el.again?.(), el.open())\""
                  " data-on:visibilitychange__document=\"el.shows()\""
                  " data-on:pageshow__window=\"evt.persisted && el.returns()\"",
                  VSI_SCRIPT(html, care));
  if (care->heartbeat_ms <= UINT32_MAX / 3) /* otherwise there are no heartbeats */
    vestry_html_add(html, " data-on-interval__duration.%ums=\"el.checks()\"", (unsigned)(care->heartbeat_ms / 2 + 1));
  if (care->pause_ms)
    vestry_html_add(html, " data-on-interval__duration.%ums=\"el.renews()\"", (unsigned)(care->heartbeat_ms / 3));
  return vestry_html_error(html, NULL, NULL);
}

/* -------------------------------------------------------------------------- streams that are not a page's -------- */
/* The signals of a GET are part of its URL, whose length is bounded. With a long text in a bound field, each attempt to
 * reopen the stream would get 414. Besides, client 1.0.2 repeats the URL of the first attempt. Therefore the request
 * contains only the tab's id, as the request of a page's stream does, unless the options name signals. */

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
  if (!html) return VESTRY_INVALID;
  vestry_backend_action_options options = given ? *given : (vestry_backend_action_options){0};
  if (!req || options.cancellation || options.headers_count > HEADERS_MOST ||
      (options.headers_count && !options.headers))
    return vsi_html_fail(vsi_html_of(html), VESTRY_INVALID,
                         "vestry_html_stream: the request is NULL, or an option is invalid");
  const vsi_care care = {.is_over = "el.over",
                         .is_offline = "!el.hidden",
                         .set_offline = "el.hidden = !is",
                         .give_up = "el.hidden = false",
                         .reload = "location.reload()",
                         .is_open_hidden = options.when_hidden == VESTRY_HIDDEN_OPEN,
                         .heartbeat_ms = vsi_group_heartbeat_ms(req->v->group),
                         .pause_ms = vsi_leases_pause_ms(req->v)};
  vestry_html_add(html, "<div class=\"vestry-banner\" role=\"status\" hidden");
  vsi_care_begin(html, &care);
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
