/* SPDX-License-Identifier: MIT */
/* The place of the next byte in HTML, tracked by reading the HTML while it is written. */
#ifndef VSI_HTML_PLACE_H
#define VSI_HTML_PLACE_H

#include "html/attribute.h"

/* Begin in ordinary text. */
void vsi_place_init(vsi_html_place *place);
/* Read HTML that the application itself writes. */
void vsi_place_read(vsi_html_place *place, const char *bytes, size_t len);
/* Return the kind of content that can be inserted here. For NONE, ret_why is a static sentence. */
vsi_slot vsi_place_slot(const vsi_html_place *place, const char **ret_why);

/* Read a text that is about to be inserted into this slot (TEXT, URL, JS_STRING). Returns true if it would turn a URL
 * into one that runs JavaScript: then a replacement must be inserted. */
bool vsi_place_insert(vsi_html_place *place, vsi_slot slot, const char *text, size_t len);
/* Return whether the place is ordinary text in which the bytes before do not matter, as at the beginning. */
bool vsi_place_is_plain(const vsi_html_place *place);
/* Return whether any inserted text, or any number, is allowed here and has no effect on the meaning of the following
 * HTML; if so, the place is updated as if it was inserted. ret_in_js: the place is in a JavaScript string. */
bool vsi_place_is_settled(vsi_html_place *place, bool is_number, bool *ret_in_js);

#endif
