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

#include "app/stream/lease.h"
#include "app/stream/stream.h"
#include "base/ascii.h"
#include "base/buffer.h"
#include "html/script.h"
#include "instance/instance.h"

/* navigate.js, stream.js, … */
extern const char vsi_script_window_first[];
VSI_SCRIPTS(navigate);
VSI_SCRIPTS(stream);
VSI_SCRIPTS(window);

/* Append a decoded path as it appears in a URL (RFC 3986, section 3.3). */
static void put_path(vsi_buffer *url, const char *path) {
  static const char plain[] = "-._~!$&()*+,;=:@/";
  static const char hex[] = "0123456789ABCDEF";
  if (path[0] == '/' && path[1] == '/') vsi_buffer_append_str(url, "/."); /* a URL that begins with // names a host */
  for (; *path; path++) {
    unsigned char c = (unsigned char)*path;
    bool is_plain = vsi_is_letter(c) || vsi_is_digit(c) || strchr(plain, c);
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
 * (state_tag.c). A failed request is repeated after a time between retry_ms and twice retry_ms, which each tab draws
 * at random, and later after longer times. A stream can set another time.
 *
 * stream.js also has the functions for events, and for streams that the server ended instead of breaking them, for
 * example after a log-out in another tab. The tab then requests the stream again to learn the reason, at growing
 * intervals. The interval starts again if the stream lived for a minute, because a proxy may end old streams.
 *
 * A page that may not be seen any more is reloaded, and its response shows the reason. The tab detects this by the
 * status, or by a stream that brought elements but no signal of a page's stream (el.got is 1, not 2). Appended elements
 * do not count, because they redirect by themselves (vestry_reply_redirect). A document whose stream never opened is
 * not reloaded in its first ten seconds, nor within five minutes after such a reload, because otherwise it would be
 * reloaded again and again (`el.expelled`, app/stream/stream.c). */
static void put_request(vestry_html *html, const vestry_page *page, const char *url, const char *had,
                        const char *number) {
  vestry_html_add(html, " el.had = '%s'; if (el.isAgain) el.had = ''; const ofDocument = {", had);
  if (*number) vestry_html_add(html, "'vestry-document': '%s'", number);
  vestry_html_add(html,
                  "}, signs = {'" VSI_SIGNS_HEADER "': '" VSI_LEASE_WANTED "'}, signals = '%s', retryMs = %u;"
                  " el.request = () => @get(el.url ?? '%s', el.asks());",
                  page->signals, (unsigned)page->pages->retry_ms, url);
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

/* The script for navigation and for all windows that it can show, if the page has a layout. */
static void put_navigation(vestry_html *html, const vestry_page *page) {
  if (!page->layout) return;
  vestry_html_add(html, " if (!el.told) { const layout = '%s', contentId = '%s'; %-s %-s }", page->layout, page->id,
                  VSI_SCRIPT(html, navigate), VSI_SCRIPT(html, window));
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
  vsi_care_begin(html, &care);
  put_request(html, page, url, had, number);
  put_navigation(html, page);
  vsi_long_poll_put(html);
  vestry_html_add(html, " %-s",
                  VSI_SCRIPT(html, stream)); /* last, because the builder cannot know the place after a division */
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

/* Append the start tag of a style or script. nonce: "": none. */
static void open_with_nonce(vestry_html *html, const char *element, const char *nonce) {
  vestry_html_add(html, "<%-s", element);
  if (*nonce) vestry_html_add(html, " nonce=\"%s\"", nonce);
  vestry_html_add(html, ">");
}

vestry_err vsi_stream_style(const char *nonce, vestry_html *html) {
  open_with_nonce(html, "style", nonce);
  return vestry_html_add(html,
                         ".vestry-banner{position:fixed;inset:auto 0 0 0;padding:.5rem 1rem;text-align:center;"
                         "background:#7a1f1f;color:#fff;font:1rem/1.4 system-ui,sans-serif;z-index:1000}"
                         ".vestry-window{overflow:auto;overflow-anchor:none}.vestry-window svg{display:block;flex:none}"
                         ".vestry-window-rows{display:flex}.vestry-window-rows>div{flex:auto}"
                         "@media (scripting:enabled){.vestry-window-links{display:none}}"
                         "@media (scripting:none){.vestry-window svg{display:none}}</style>");
}

vestry_err vsi_window_put_first(vestry_html *html, const char *nonce) {
  open_with_nonce(html, "script", nonce);
  return vestry_html_add(html, "%-s</script>", vsi_script_window_first);
}

/* essay: navigation between addresses within a document */
/* Navigation of pages with a layout. For links and forms marked with data-navigate, and for back and forward, the
 * script changes the address, opens the stream there, and lets the client morph the content.
 *
 * Which addresses belong to the layout. The page does not know what an address leads to: another page, a log-in, or a
 * picture. Therefore the request of the stream names the layout, and a page with another layout rejects it. The script
 * applies no event until the stream has proved that it belongs to a page. A lease is no proof, because every stream may
 * have one (app/stream/lease.c). If the address is not a page of the layout, it is loaded as without a script. The
 * former stream was ended before, so no old event follows a newer one.
 *
 * When a navigation is complete. Equal content is not sent, so the absence of content proves nothing. Therefore a
 * navigation has a number, as a submission has (app/page/sent.c), and the stream reports that number after its first
 * render. Then the title, the scroll position, the focus and the text for screen readers change together.
 *
 * The state of the tab. A navigation claims the content of the last event and of each part. The data of both kinds of
 * events contains their marks, too (event/mark.h). The mark of a part replaces the former claim of that part. The first
 * eight digits of a claim identify the part (state_tag.h).
 *
 * Loading an address as a document. By then the script has set the new address in the history entry, so this entry
 * belongs to the current document. A browser that moves between entries of the same document loads nothing, even if one
 * of the entries was reloaded as another document since. Therefore the script first sets another address in the entry,
 * and then calls location.replace with the new address, so that the entry belongs to the new document. If the page is
 * still there after a while, for example after a download, it opens its stream again.
 *
 * Scroll positions. Each entry of the history has a key in its state, and the tab stores the scroll position of each
 * key. The browser cannot do this, because it would scroll before the content has arrived. During a navigation the
 * entry has no position, because the screen still shows the former entry. Entries that the browser created, by a link
 * within the page, get a key when the script first sees them.
 *
 * Fragments. A change of the address by a script sets neither :target nor the place where the Tab key continues. When
 * the content has arrived, the script therefore lets the browser go to the fragment of the present address, which
 * replaces the state of the history entry; the script sets it again.
 *
 * Actions. A response belongs to the page on which its action began: for a submission when it was made (once.js), for
 * another request when the client has started it. Its events are hidden from the client on any other page, if the
 * element belongs to the content or makes submissions; streams of the layout's elements go on.
 *
 * Fields. In a field that is being edited, the input wins over the render, because the render may belong to earlier
 * input. After any other navigation, a field shows the value in the address. */

bool vsi_navigate_is_here(const vestry_page *page, const vestry_request *req) {
  const char *layout = vestry_request_header(req, "Vestry-Layout");
  return !layout || (page->layout && strcmp(layout, page->layout) == 0);
}

/* Find the text of a title element, without decoding it; it ends where HTML ends the element. */
static vestry_slice find_title(vestry_slice html) {
  static const char start[] = "<title>", end[] = "</title";
  const char *all_end = html.data ? (const char *)html.data + html.len : NULL;
  const char *at = html.data ? memmem(html.data, html.len, start, sizeof start - 1) : NULL;
  if (!at) return (vestry_slice){NULL, 0};
  at += sizeof start - 1;
  const char *to = memmem(at, (size_t)(all_end - at), end, sizeof end - 1);
  return to ? (vestry_slice){at, (size_t)(to - at)} : (vestry_slice){NULL, 0};
}

/* Character references have the same meaning in an attribute. The title is copied first, because it is in the builder's
 * memory, which moves as the builder grows. */
void vsi_navigate_begin(const vestry_page *page, vestry_html *html) {
  vsi_html *to = vsi_html_of(html);
  const vestry_slice title = find_title((vestry_slice){to->data, to->len});
  vsi_buffer copy;
  vsi_buffer_init(&copy, page->pages->host);
  for (size_t i = 0; i < title.len; i++) {
    const char c = ((const char *)title.data)[i];
    if (c == '"')
      vsi_buffer_append_str(&copy, "&quot;");
    else
      vsi_buffer_append_char(&copy, c);
  }
  const char *text = title.data ? vsi_buffer_terminate(&copy) : NULL;
  vestry_html_add(html, "<%-s id=\"%s\" tabindex=\"-1\"", page->element, page->id);
  if (text) vestry_html_add(html, " data-title=\"%-s\"", text);
  vestry_html_add(html, ">");
  if (title.data && !text) vsi_html_fail(to, VESTRY_NO_MEMORY, NULL);
  vsi_buffer_finish(&copy);
}
