/* SPDX-License-Identifier: MIT */
/* Where in the HTML the next byte will stand, found by reading along. */
#ifndef VSI_HTML_PLACE_H
#define VSI_HTML_PLACE_H

#include "html/attribute.h"

/* The beginning: ordinary text. */
void vsi_place_init(vsi_html_place *place);
/* Read what the application itself writes there. */
void vsi_place_read(vsi_html_place *place, const char *bytes, size_t len);
/* What can be put here. ret_why is set for NONE: a static sentence. */
vsi_slot vsi_place_slot(const vsi_html_place *place, const char **ret_why);

/* Read a text of others that is about to be put into this slot (TEXT, URL, JS_STRING).
 * Returns  true for a URL that it would make one that runs JavaScript: something else must be put there */
bool vsi_place_insert(vsi_html_place *place, vsi_slot slot, const char *text, size_t len);
/* What the application has written last makes a text of others harmful that was harmless when it was put there: why, a
 * static sentence; NULL: no. */
const char *vsi_place_conflict(const vsi_html_place *place);
/* Ordinary text, of which nothing before matters: what is read from here on is read as from the beginning. */
bool vsi_place_is_plain(const vsi_html_place *place);
/* Whether a text of others, or a number, can be put here whatever it is, and changes nothing of what comes after it; if
 * so it is noted as there. ret_in_js: it stands in a JavaScript string. */
bool vsi_place_is_settled(vsi_html_place *place, bool is_number, bool *ret_in_js);
/* Whether the parser would drop a line feed that came next. */
bool vsi_place_drops_newline(const vsi_html_place *place);

#endif
