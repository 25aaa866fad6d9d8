/* What is in a page so that it looks after itself. */
#include <string.h>

#include "base/buffer.h"
#include "page/render.h"

/* A path that was decoded, as it stands in a URL (RFC 3986, section 3.3). */
static void put_path(vsi_buffer *url, const char *path) {
  static const char plain[] = "-._~!$&()*+,;=:@/";
  static const char hex[] = "0123456789ABCDEF";
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

vestry_err vsi_stream_element(vestry_render *render, vestry_html *html) {
  char tag[VSI_TAG_BYTES];
  (void)vsi_tag_write(&render->tag, tag);
  const vestry_attribute had = {"last-event-id",
                                tag}; /* in lower case, as the client writes it: it is to be replaced */
  const vestry_backend_action_options options = {.headers = &had,
                                                 .headers_count = 1,
                                                 .filter_include = render->page->signals,
                                                 .when_hidden = render->page->when_hidden,
                                                 .retry = VESTRY_RETRY_ERROR,
                                                 .retry_max_count = VESTRY_RETRY_FOREVER};
  vsi_buffer url;
  vsi_buffer_init(&url, render->pages->host);
  put_path(&url, vestry_request_path(render->req));
  const char *query = vestry_request_query(render->req);
  if (*query) vsi_buffer_append_char(&url, '?');
  vsi_buffer_append_str(&url, query);
  const char *text = vsi_buffer_terminate(&url);
  vestry_err error = text ? vestry_html_add(html, "<div hidden data-init=\"") : VESTRY_NO_MEMORY;
  if (!error) error = vestry_html_backend_action(html, VESTRY_METHOD_GET, &options, "%-s", text);
  if (!error) error = vestry_html_add(html, "\"></div>");
  vsi_buffer_finish(&url);
  return error;
}

vestry_err vestry_render_head(vestry_render *render, vestry_html *html) {
  (void)render;
  return vestry_html_error(html, NULL, NULL);
}
