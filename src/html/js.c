/* SPDX-License-Identifier: MIT */
/* Read JavaScript as far as necessary to know whether a byte is inside a string. Only a parser can distinguish the `/`
 * of a division from that of a regular expression, or find the end of a template's braces; so the reader gives up at
 * these, and at comments. In an attribute, character references are another spelling of quotes and backslashes, which a
 * browser decodes first; the reader gives up at a possible beginning of one. */
#include "html/js.h"

#include "base/ascii.h"

static uint8_t next(uint8_t js, char last, char c) {
  if (js & VSI_JS_BACKSLASH) return (uint8_t)(js & ~VSI_JS_BACKSLASH & 0xFF);
  if (js == VSI_JS_CODE) {
    if (c == '\'') return VSI_JS_SINGLE;
    if (c == '"') return VSI_JS_DOUBLE;
    return c == '`' || c == '/' || (last == '<' && c == '!') ? VSI_JS_LOST : VSI_JS_CODE;
  }
  if (c == '\n' || c == '\r') return VSI_JS_LOST; /* no string continues there */
  if (c == '\\') return js | VSI_JS_BACKSLASH;
  return c == (js == VSI_JS_SINGLE ? '\'' : '"') ? VSI_JS_CODE : js;
}

void vsi_js_read(vsi_html_place *place, char c, bool has_references) {
  char last = (char)place->js_last;
  place->js_last = (uint8_t)c;
  if (place->js == VSI_JS_LOST) return;
  if (has_references && last == '&' && (c == '#' || vsi_is_letter(c) || vsi_is_digit(c)))
    place->js = VSI_JS_LOST;
  else
    place->js = next(place->js, last, c);
}
