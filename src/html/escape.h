/* SPDX-License-Identifier: MIT */
/* Escaping of texts and values. */
#ifndef VSI_HTML_ESCAPE_H
#define VSI_HTML_ESCAPE_H

#include "html/builder.h"

/* Append a text, escaped. This and the other functions replace invalid UTF-8 by U+FFFD. */
void vsi_html_escape_text(vsi_html *html, const char *text, size_t len);
/* Append the inside of a JavaScript string, for both kinds of quotes; the result has no special characters of HTML. */
void vsi_html_escape_js(vsi_html *html, const char *text, size_t len);
/* Append one component of a URL, in ASCII without special characters of HTML or JavaScript. */
void vsi_html_escape_component(vsi_html *html, const char *text, size_t len);

/* Rewrites JSON from jansson, which arrives in parts, into JSON that is also JavaScript. */
typedef struct vsi_json_rewriter {
  vsi_html *html;
  const char *quote; /* replacement for quotes */
  bool in_string, behind_backslash;
} vsi_json_rewriter;
void vsi_html_rewrite_json(vsi_json_rewriter *rewriter, const char *json, size_t len);
/* Append a value, with this replacement for quotes; the place was checked before. */
void vsi_html_put_json(vsi_html *html, const json_t *value, const char *quote);

#endif
