/* SPDX-License-Identifier: MIT */
/* The attribute that is being read, and the one thing that is known of its tag: what is in place.c without the
 * states. While a name is read it is in place->name; after that, the beginning of the value is. */
#ifndef VSI_HTML_ATTRIBUTE_H
#define VSI_HTML_ATTRIBUTE_H

#include "html/cursor.h"

/* What can be put somewhere. */
typedef enum vsi_slot {
  VSI_SLOT_NONE,      /* nothing of others; *ret_why says what is here */
  VSI_SLOT_TEXT,      /* a text: of an element, or the whole or a part of an ordinary attribute's value */
  VSI_SLOT_URL,       /* part of the value of an attribute that is a URL */
  VSI_SLOT_JS_STRING, /* part of a JavaScript string, within quotes that are there */
  VSI_SLOT_JS_CODE,   /* a JavaScript expression, in an attribute */
  VSI_SLOT_SCRIPT     /* a JavaScript expression, in a script element */
} vsi_slot;

/* Names, of elements too: in lower case, and those longer than the room end in a byte that no known name has. */
void vsi_name_begin(vsi_html_place *place, char c);
void vsi_name_add(vsi_html_place *place, char c);

/* The name is complete. */
void vsi_attribute_named(vsi_html_place *place);
/* Its value begins, goes on with a byte of the application's own, ends. */
void vsi_attribute_begin(vsi_html_place *place);
void vsi_attribute_read(vsi_html_place *place, char c);
void vsi_attribute_end(vsi_html_place *place);

/* What can be put into the value, which has quotes; as vsi_place_slot. */
vsi_slot vsi_attribute_slot(const vsi_html_place *place, const char **ret_why);
/* What can be put into the text of a script element; a string there is JS_STRING. */
vsi_slot vsi_script_slot(const vsi_html_place *place, const char **ret_why);
/* As vsi_place_is_settled, in a value. */
bool vsi_attribute_is_settled(vsi_html_place *place, bool is_number, bool *ret_in_js);
/* As vsi_place_conflict. */
const char *vsi_attribute_conflict(const vsi_html_place *place);
/* As vsi_place_insert, into a value. */
bool vsi_attribute_insert(vsi_html_place *place, vsi_slot slot, const char *text, size_t len);

#endif
