/* SPDX-License-Identifier: MIT */
/* essay: the content that a tab claims to have, and when the claim is valid */
/* The element that opens and supervises the stream of a page (app/stream/stream.c). It uses only attributes of the
 * client.
 *
 * The first request reports the state of the document. While it retries, and when a hidden tab is shown, the client
 * itself keeps this state up to date. Opening the stream anew starts a new request, which would report the state of the
 * document again, although the page may have been changed and changed back since. Therefore such requests report no
 * state and receive everything. The same holds for an element that is moved or inserted again.
 *
 * Redirects and reloads are signals that this element evaluates, because a policy without 'unsafe-inline' permits no
 * script in a stream. A new stream clears the signals of the former one, which the server may send again. */
#include "app/page/page_script.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/page/long_poll.h"
#include "app/stream/lease.h"
#include "app/stream/stream.h"
#include "base/buffer.h"
#include "instance/instance.h"

/* Append a decoded path as it appears in a URL (RFC 3986, section 3.3). */
static void put_path(vsi_buffer *url, const char *path) {
  static const char plain[] = "-._~!$&()*+,;=:@/";
  static const char hex[] = "0123456789ABCDEF";
  if (path[0] == '/' && path[1] == '/') vsi_buffer_append_str(url, "/."); /* a URL that begins with // names a host */
  for (; *path; path++) {
    unsigned char c = (unsigned char)*path;
    bool is_plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || strchr(plain, c);
    if (!is_plain) {
      vsi_buffer_append_char(url, '%');
      vsi_buffer_append_char(url, hex[c >> 4]);
    }
    vsi_buffer_append_char(url, is_plain ? (char)c : hex[c & 15]);
  }
}

uint64_t vsi_document_read(const char *text) {
  char *end;
  if (!text || strlen(text) != 16) return 0;
  uint64_t number = strtoull(text, &end, 16);
  return *end ? 0 : number;
}

/* The function that opens the stream. el.had is the state of the tab for the first request. That request also contains
 * the number of the document, by which the server finds the state of a page with parts when its stream ended
 * (resume_cache.c). A failed request is repeated after a time between retry_ms and twice retry_ms, which each tab draws
 * at random, and later after longer times. A stream can set another time. */
static void put_request(vestry_html *html, const vestry_page *page, const char *url, const char *had,
                        const char *number) {
  unsigned retry_ms = page->pages->retry_ms;
  vestry_html_add(html, " el.had = '%s'; if (el.isAgain) el.had = ''; el.wait = 500; el.hidden = false;", had);
  vestry_html_add(html, " el.isUp = () => el.run && el.got === 2 && !el.isOffline() && !document.hidden"
                        " && !el.rests();"
                        " el.request = () => { $_vestry.go = ''; $_vestry.reload = 0;"
                        " const headers = el.had ? {'last-event-id': el.had");
  if (*number) vestry_html_add(html, ", 'vestry-document': '%s'", number);
  vestry_html_add(html,
                  "} : {}; el.had = ''; const sent = window.vestryOnce?.look?.(el);"
                  " if (sent) headers['vestry-sent'] = sent; const include = el.begins(headers, '%s');"
                  " el.poll || (headers['" VSI_SIGNS_HEADER "'] = '" VSI_LEASE_WANTED "');"
                  "%-s'%s', {headers, filterSignals: {include, exclude: '^$'}, openWhenHidden: %-s,"
                  " retry: el.poll ? 'always' : 'error', retryInterval: %u + Math.random() * %u, retryMaxWait: %d,"
                  " retryMaxCount: Infinity, requestCancellation: el.run}) };",
                  page->signals, page->layout ? " el.told(headers); @get(el.url ?? " : " @get(", url,
                  page->when_hidden == VESTRY_HIDDEN_OPEN ? "true" : "false", retry_ms, retry_ms,
                  VSI_CARE_RETRY_MOST_MS);
}

/* The functions for events, and for streams that the server ended instead of breaking them, for example after a log-out
 * in another tab. The tab then requests the stream again to learn the reason, at growing intervals. The interval starts
 * again if the stream lived for a minute, because a proxy may end old streams.
 *
 * A page that may not be seen any more is reloaded, and its response shows the reason. The tab detects this by the
 * status, or by a stream that brought elements but no signal of a page's stream (el.got is 1, not 2). Appended elements
 * do not count, because they redirect by themselves (vestry_reply_redirect). A page whose stream never opened is not
 * reloaded, because it would be reloaded again and again. */
static void put_hearing(vestry_html *html) {
  vestry_html_add(html, " el.hears = (type, args) => { el.counts();"
                        " if (type === 'datastar-patch-signals')"
                        " el.got = 2, el.heard = true, window.vestryOnce?.seen?.(args.signals);"
                        " if (type === 'datastar-patch-elements' && args.mode !== 'append') el.got = el.got || 1 };"
                        " el.ended = () => {"
                        " if (el.got === 1) el.expelled();"
                        " if (el.got === 2) el.run = null,"
                        " el.wait = Date.now() - el.asked > 60000 ? 1000 : Math.min(el.wait * 2, 60000),"
                        " setTimeout(() => el.run || document.hidden || !el.isConnected || el.open(), el.wait / 2) };");
}

/* The effect of the signals that redirect or reload. It uses a timer, so that the other data of the same event is
 * applied first. The timer has a second reason: a browser that is redirected while it still loads a page would replace
 * the history entry of that page. */
static void put_leave(vestry_html *html, const char *reload) {
  vestry_html_add(html,
                  " data-effect=\"$_vestry.go && setTimeout((url) => location.href = url, 0, $_vestry.go);"
                  " $_vestry.reload && setTimeout(() => %-s, $_vestry.reload)\"",
                  reload);
}

static vestry_err put_element(vestry_html *html, const vestry_page *page, const char *url, const char *had,
                              const char *number) {
  const vestry_pages *pages = page->pages;
  const char *reload = page->layout ? "el.leave()" : "location.reload()";
  const vsi_care care = {.is_over = "$_vestry.over",
                         .is_offline = "$_vestry.offline",
                         .set_offline = "$_vestry.offline = is",
                         .give_up = "$_vestry.offline = false, $_vestry.failing = true",
                         .reload = reload,
                         .is_open_hidden = page->when_hidden == VESTRY_HIDDEN_OPEN,
                         .heartbeat_ms = vsi_group_heartbeat_ms(pages->v->group),
                         .pause_ms = vsi_leases_pause_ms(pages->v)};
  vestry_html_add(
      html,
      "<div class=\"vestry-banner\" role=\"status\" hidden"
      " data-signals=\"{_vestry: {offline: false, failing: false, over: false, go: '', reload: 0, poll: 0}}\""
      " data-show=\"$_vestry.offline || $_vestry.failing\""
      " data-text=\"$_vestry.offline ? '%s' : '%s'\"",
      pages->offline_text, pages->failing_text);
  put_leave(html, reload);
  vsi_care_begin(html);
  put_request(html, page, url, had, number);
  vsi_navigate_put(html, page, vsi_care_is_away(&care));
  vsi_long_poll_put(html, vsi_care_is_away(&care));
  put_hearing(html);
  vsi_care_end(html, &care);
  return vestry_html_add(html, "></div>");
}

vestry_err vsi_stream_element(const vestry_page *page, const vestry_request *req, const vsi_state_tag *tag,
                              vestry_html *html) {
  const vestry_host *host = page->pages->host;
  char had[VSI_STATE_TAG_BYTES];
  (void)vsi_state_tag_write(tag, had);
  vsi_buffer url;
  vsi_buffer_init(&url, host);
  put_path(&url, req->path);
  const char *query = req->query;
  if (*query) vsi_buffer_append_char(&url, '?');
  vsi_buffer_append_str(&url, query);
  const char *text = vsi_buffer_terminate(&url);
  char number[17] = "";
  uint64_t document = 0;
  /* without randomness it has no number */
  if (tag->parts_count && !host->random(host->ctx, &document, sizeof document))
    snprintf(number, sizeof number, "%016llx", (unsigned long long)document);
  vestry_err error = text ? put_element(html, page, text, had, number) : VESTRY_NO_MEMORY;
  vsi_buffer_finish(&url);
  return error;
}

vestry_err vsi_stream_style(const char *nonce, vestry_html *html) {
  if (*nonce)
    vestry_html_add(html, "<style nonce=\"%s\">", nonce);
  else
    vestry_html_add(html, "<style>");
  return vestry_html_add(html,
                         ".vestry-banner{position:fixed;inset:auto 0 0 0;padding:.5rem 1rem;text-align:center;"
                         "background:#7a1f1f;color:#fff;font:1rem/1.4 system-ui,sans-serif;z-index:1000}"
                         ".vestry-window{overflow:auto;overflow-anchor:none}.vestry-window svg{display:block;flex:none}"
                         ".vestry-window-rows{display:flex}.vestry-window-rows>div{flex:auto}"
                         "@media (scripting:enabled){.vestry-window-links{display:none}}"
                         "@media (scripting:none){.vestry-window svg{display:none}}</style>");
}
