/* SPDX-License-Identifier: MIT */
/* essay: what a tab claims to have, and when it may */
/* The element that opens a page's stream and looks after it (app/stream/stream.c), by attributes of the client's alone.
 *
 * The first request says what the document has, and the client itself keeps that up to date: while it tries again, and
 * when a hidden tab is shown. To open the stream anew starts a new request, which would say again what the document had
 * at first, and the page may have been changed and changed back since. So these requests say nothing, and get all. Nor
 * does an element that is moved, or put in again.
 *
 * A redirect, and loading the page anew, are signals that this element looks at: a policy without 'unsafe-inline' lets
 * no script in by a stream. A stream that begins anew forgets what the former one said: it may say it again. */
#include "app/page/page_script.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/page/long_poll.h"
#include "app/stream/lease.h"
#include "app/stream/stream.h"
#include "base/buffer.h"
#include "instance/instance.h"

/* A path that was decoded, as it stands in a URL (RFC 3986, section 3.3). */
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

/* What opens the stream. el.had is what the tab has, for the first request, which also says which document it is: by
 * that the server finds what a page with parts had when its stream ended (resume_cache.c). A request that is begun in
 * vain says nothing for retry_ms up to twice that, and then for longer: so long as the server has not said otherwise,
 * each tab has a time of its own. */
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

/* A stream that was ended, not broken, as by a log-out elsewhere: the server is asked why, more and more seldom, unless
 * the stream had lived for a minute: something between ends those that are old, perhaps.
 * A page that may not be seen any more is loaded anew, and so gets the answer that says so. That it may not be is known
 * by the status, or since elements came but no sign of a page's stream (el.got is 1, not 2); what is appended leads
 * elsewhere by itself (vestry_reply_redirect). Not if its stream was
 * never to be had: it would be loaded again and again. */
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

/* What the server says by signals: where to go, or when to load the page anew. By a timer, so that what came with it is
 * applied, and an address that replaces a page still loading does not take its place in the history. */
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
  if (tag->parts_count && !host->random(host->ctx, &document, sizeof document)) /* without, it has none */
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
