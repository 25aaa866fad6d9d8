/* SPDX-License-Identifier: MIT */
/* The memory and the error of an HTML builder (builder.h). */
#include "html/builder.h"

#include <stdio.h>
#include <string.h>

#include "base/array.h"
#include "html/place.h"

enum { FIRST_CAPACITY = 256 };

void vsi_html_init_fixed(vsi_html *html, char *buffer, size_t capacity) {
  *html = (vsi_html){.data = buffer, .capacity = capacity, .is_fixed = true};
  vsi_place_init(&html->place);
}

vestry_err vsi_html_fail(vsi_html *html, vestry_err error, const char *why) {
  if (html->error) return html->error;
  html->error = error;
  html->why = why;
  return error;
}

void vsi_html_fail_at(vsi_html *html, const char *format, size_t at) {
  size_t len = at < VSI_HTML_SHOWN ? at : VSI_HTML_SHOWN;
  html->is_at_format = true;
  html->at = at;
  html->shown_len = (uint8_t)len;
  memcpy(html->shown, format + at - len, len);
}

const char *vsi_html_explain(const vestry_html *builder, vestry_err error, char text[static VSI_HTML_EXPLAINED]) {
  const vsi_html *html = vsi_html_of(builder);
  if (!error || html->error != error || !html->why) return vestry_strerror(error);
  if (!html->is_at_format) return html->why;
  snprintf(text, VSI_HTML_EXPLAINED, "byte %zu of the format%s%.*s: %s", html->at, html->shown_len ? ", after " : "",
           (int)html->shown_len, html->shown, html->why);
  return text;
}

bool vsi_html_make_room(vsi_html *html, size_t more) {
  if (html->error) return false;
  const size_t wanted = html->data || more >= FIRST_CAPACITY ? more : FIRST_CAPACITY - 1;
  if (html->data && more < html->capacity - html->len) return true;
  if (html->is_fixed) return vsi_html_fail(html, VESTRY_TOO_LARGE, "the HTML does not fit the buffer"), false;
  if (more < SIZE_MAX && !VSI_ARRAY_RESERVE(html->host, html->data, html->len, html->capacity, wanted + 1)) return true;
  return vsi_html_fail(html, VESTRY_NO_MEMORY, "out of memory"), false;
}

void vsi_html_put(vsi_html *html, const char *bytes, size_t len) {
  if (!len || !vsi_html_reserve(html, len)) return;
  memcpy(html->data + html->len, bytes, len);
  html->len += len;
}

void vsi_html_put_str(vsi_html *html, const char *text) {
  vsi_html_put(html, text, strlen(text));
}
