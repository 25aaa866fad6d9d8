/* Where in the HTML the next byte will stand, found by reading along. */
#ifndef VSI_EVENT_HTML_PLACE_H
#define VSI_EVENT_HTML_PLACE_H

#include "vestry/html.h"

/* What can be put somewhere. */
typedef enum vsi_slot {
  VSI_SLOT_NONE,      /* nothing of others; *ret_why says what is here */
  VSI_SLOT_TEXT,      /* a text: of an element, or the whole or a part of an ordinary attribute's value */
  VSI_SLOT_URL,       /* part of the value of an attribute that is a URL */
  VSI_SLOT_JS_STRING, /* part of a JavaScript string, within quotes that are there */
  VSI_SLOT_JS_CODE,   /* a JavaScript expression, in an attribute */
  VSI_SLOT_SCRIPT     /* a JavaScript expression, in a script element */
} vsi_slot;

/* The beginning: ordinary text. */
void vsi_place_init(vestry_html_place *place);
/* Read what the application itself writes there. */
void vsi_place_read(vestry_html_place *place, const char *bytes, size_t len);
/* What can be put here. ret_why is set for NONE: a static sentence. */
vsi_slot vsi_place_slot(const vestry_html_place *place, const char **ret_why);

/* Read a text of others that is about to be put into this slot (TEXT, URL, JS_STRING).
 * Returns  true for a URL that it would make one that runs JavaScript: something else must be put there */
bool vsi_place_insert(vestry_html_place *place, vsi_slot slot, const char *text, size_t len);
/* Whether the parser would drop a line feed that came next. */
bool vsi_place_drops_newline(const vestry_html_place *place);

/* A small reader of JavaScript, as far as strings go: beside the .c of its own. */
enum {
  VSI_JS_CODE = 0,
  VSI_JS_SINGLE = 1,    /* in a string of single quotes */
  VSI_JS_DOUBLE = 2,    /* in a string of double quotes */
  VSI_JS_BACKSLASH = 4, /* flag: the byte before was a backslash, which escapes the next */
  VSI_JS_LOST = 8       /* whether this is code or string is not known */
};
void vsi_js_read(vestry_html_place *place, char c, bool has_references);

#endif
