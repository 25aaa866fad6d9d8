/* The element that opens a page's stream and looks after it, by attributes of the client's alone.
 *
 * The first request says what the document has, and the client itself keeps that up to date: while it tries again, and
 * when a hidden tab is shown. Whoever opens the stream anew starts a new request, which would say again what the
 * document had at first, and the page may have been changed and changed back since. So these requests say nothing, and
 * get all.
 *
 * A stream whose network swallows all, or that a proxy has forgotten, neither ends nor says anything. So a page's
 * heartbeats are signals, which the client tells of; `seen` is when anything came last. A hidden tab has no stream, and
 * expects nothing. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "page/render.h"
#include "registry/instance/instance.h"

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

/* The first request also says which document it is: by that the server finds what a page with parts had when its stream
 * ended (departed.c). */
static void put_open(vestry_html *html, const vestry_page *page, const char *url, const char *had, const char *number) {
  const vestry_attribute headers[] = {
      {"last-event-id", had}, /* in lower case, as the client writes it: it replaces it */
      {"vestry-document", number}};
  const vestry_backend_action_options options = {.headers = had ? headers : NULL,
                                                 .headers_count = had ? 1 + (number != NULL) : 0,
                                                 .filter_include = page->signals,
                                                 .filter_exclude = "^$",
                                                 .when_hidden = page->when_hidden,
                                                 .retry = VESTRY_RETRY_ERROR,
                                                 .retry_max_wait_ms = 10000,
                                                 .retry_max_count = VESTRY_RETRY_FOREVER};
  (void)vestry_html_backend_action(html, VESTRY_METHOD_GET, &options, "%-s", url);
}

/* seen: when the stream was last heard of; it is looked at twice in a heartbeat's time. */
static void put_watch(vestry_html *html, const vestry_page *page, const char *url) {
  uint64_t heartbeat_ms = vsi_group_heartbeat_ms(page->pages->v->group);
  if (heartbeat_ms > UINT32_MAX / 3) return; /* there are none */
  unsigned patience_ms = (unsigned)(heartbeat_ms * 5 / 2);
  vestry_html_add(html,
                  " data-on:visibilitychange__document=\"el.seen = Date.now()\""
                  " data-on-interval__duration.%ums=\"!document.hidden && Date.now() - el.seen > %u"
                  " ? (el.seen = Date.now(), $_vestry.offline = true, ",
                  (unsigned)(heartbeat_ms / 2 + 1), patience_ms);
  put_open(html, page, url, NULL, NULL);
  vestry_html_add(html, ") : 0\"");
}

/* No && in front of an action: the builder loses its way at references in code. */
static vestry_err put_element(vestry_html *html, const vestry_page *page, const char *url, const char *had,
                              const char *number) {
  const vestry_pages *pages = page->pages;
  vestry_html_add(html,
                  "<div class=\"vestry-banner\" role=\"status\" style=\"display: none\""
                  " data-signals=\"{_vestry: {offline: false, failing: false}}\""
                  " data-show=\"$_vestry.offline || $_vestry.failing\""
                  " data-text=\"$_vestry.offline ? '%s' : '%s'\""
                  " data-on:datastar-fetch=\"evt.detail.el !== el ? 0 :"
                  " evt.detail.type.startsWith('datastar-') ? el.seen = Date.now() :"
                  " evt.detail.type === 'retrying' ? $_vestry.offline = !document.hidden : 0\"",
                  pages->offline_text, pages->failing_text);
  vestry_html_add(html, " data-init=\"el.seen = Date.now(); ");
  put_open(html, page, url, had, number);
  vestry_html_add(html, "\" data-on:online__window=\"");
  put_open(html, page, url, NULL, NULL);
  vestry_html_add(html, "\" data-on:pageshow__window=\"evt.persisted ? ");
  put_open(html, page, url, NULL, NULL);
  vestry_html_add(html, " : 0\"");
  put_watch(html, page, url);
  return vestry_html_add(html, "></div>");
}

vestry_err vsi_stream_element(vestry_render *render, vestry_html *html) {
  char tag[VSI_TAG_BYTES];
  (void)vsi_tag_write(&render->tag, tag);
  vsi_buffer url;
  vsi_buffer_init(&url, render->pages->host);
  put_path(&url, vestry_request_path(render->req));
  const char *query = vestry_request_query(render->req);
  if (*query) vsi_buffer_append_char(&url, '?');
  vsi_buffer_append_str(&url, query);
  const char *text = vsi_buffer_terminate(&url);
  char number[17] = "";
  uint64_t document = 0;
  const vestry_host *host = render->pages->host;
  if (render->parts_count && !host->random(host->ctx, &document, sizeof document)) /* without, it has none */
    snprintf(number, sizeof number, "%016llx", (unsigned long long)document);
  vestry_err error = text ? put_element(html, render->page, text, tag, *number ? number : NULL) : VESTRY_NO_MEMORY;
  vsi_buffer_finish(&url);
  return error;
}

vestry_err vestry_render_head(vestry_render *render, vestry_html *html) {
  (void)render;
  return vestry_html_add(html,
                         "<style>.vestry-banner{position:fixed;inset:auto 0 0 0;padding:.5rem 1rem;text-align:center;"
                         "background:#7a1f1f;color:#fff;font:1rem/1.4 system-ui,sans-serif;z-index:1000}</style>");
}
