/* SPDX-License-Identifier: MIT */
#include "html/builder.h"

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

bool vsi_html_make_room(vsi_html *html, size_t more) {
  if (html->error) return false;
  if (html->data && more < html->capacity - html->len) return true;
  if (html->is_fixed) return vsi_html_fail(html, VESTRY_TOO_LARGE, "it does not fit the buffer"), false;
  size_t wanted = html->data || more >= FIRST_CAPACITY ? more : FIRST_CAPACITY - 1;
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
