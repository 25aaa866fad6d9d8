/* SPDX-License-Identifier: MIT */
/* Escaping of texts and values, and inserting them at the place of a builder. */
#ifndef VSI_HTML_ESCAPE_H
#define VSI_HTML_ESCAPE_H

#include "html/builder.h"

/* Append the inside of a JavaScript string, for both kinds of quotes; the result has no special characters of HTML. All
 * functions replace invalid UTF-8 by U+FFFD. */
void vsi_html_escape_js(vsi_html *html, const char *text, size_t len);
/* Append one component of a URL, in ASCII without special characters of HTML or JavaScript. */
void vsi_html_escape_component(vsi_html *html, const char *text, size_t len);

/* Append a value as JSON, with this replacement for quotes; the place was checked before. INVALID: as
 * vsi_json_put_value, or the value is NULL. */
void vsi_html_put_value(vsi_html *html, const vestry_value *value, const char *quote);

/* Insert a text, escaped for its place. */
void vsi_html_insert(vsi_html *html, const char *text, size_t len);
/* The same, if vsi_place_is_settled has returned true. */
void vsi_html_insert_settled(vsi_html *html, bool in_js, const char *text, size_t len);

/* Begin a JavaScript value here. INVALID if none is possible (in a URL, inside a string), or in a script element unless
 * in_script. ret_quote: the spelling of the value's quotes, `"` or `'`: a character reference in attributes and text,
 * where the parser decodes it; the character itself in a script element. */
vestry_err vsi_html_code_begin(vsi_html *html, bool in_script, char quote, const char **ret_quote);
void vsi_html_code_end(vsi_html *html);

#endif
