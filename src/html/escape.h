/* SPDX-License-Identifier: MIT */
/* Texts and values, escaped. */
#ifndef VSI_HTML_ESCAPE_H
#define VSI_HTML_ESCAPE_H

#include "html/builder.h"

/* Append a text, escaped. What is not valid UTF-8 comes out as U+FFFD from all of them. */
void vsi_html_escape_text(vsi_html *html, const char *text, size_t len);
/* The inside of a JavaScript string, for either kind of quotes; of HTML's special characters it has none. */
void vsi_html_escape_js(vsi_html *html, const char *text, size_t len);
/* One component of a URL; all ASCII, nothing of it special to HTML or JavaScript. */
void vsi_html_escape_component(vsi_html *html, const char *text, size_t len);

/* JSON that jansson wrote, which comes in parts, as JSON that is JavaScript, too. */
typedef struct vsi_json_rewriter {
  vsi_html *html;
  const char *quote; /* how quotes are written */
  bool in_string, behind_backslash;
} vsi_json_rewriter;
void vsi_html_rewrite_json(vsi_json_rewriter *rewriter, const char *json, size_t len);
/* A value, with quotes written like that; the place has been looked at. */
void vsi_html_put_json(vsi_html *html, const json_t *value, const char *quote);

#endif
