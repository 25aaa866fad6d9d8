/* SPDX-License-Identifier: MIT */
/* The current attribute, and facts about its tag: the part of place.c without the states of HTML. place->name holds
 * the name while it is read, and then the beginning of the value. */
#ifndef VSI_HTML_ATTRIBUTE_H
#define VSI_HTML_ATTRIBUTE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The place of the next byte in the HTML. */
typedef struct vsi_html_place {
  uint8_t state, content, facts, kind, result, js, js_last, matched, name_len, element_len;
  bool in_fragment, is_end_tag, in_noscript;
  uint8_t foreign;    /* an element that is open and changes how the parser reads others (place.c) */
  bool drops_newline; /* the parser would drop a line feed that came next */
  char name[32], element[16];
} vsi_html_place;

/* Kinds of content that can be inserted at a place. */
typedef enum vsi_slot {
  VSI_SLOT_NONE,      /* no inserted text; *ret_why has the reason */
  VSI_SLOT_TEXT,      /* a text: of an element, or all or a part of an ordinary attribute's value */
  VSI_SLOT_URL,       /* a part of an attribute's value that is a URL */
  VSI_SLOT_JS_STRING, /* a part of a JavaScript string, inside literal quotes */
  VSI_SLOT_JS_CODE,   /* a JavaScript expression, in an attribute */
  VSI_SLOT_SCRIPT     /* a JavaScript expression, in a script element */
} vsi_slot;

static inline vsi_slot vsi_slot_none(const char **ret_why, const char *why) {
  *ret_why = why;
  return VSI_SLOT_NONE;
}

/* Collect a name, of an element or an attribute, in lower case. A name that is too long ends in a byte that no known
 * name has. */
void vsi_name_begin(vsi_html_place *place, char c);
void vsi_name_add(vsi_html_place *place, char c);

/* Called when the name is complete. */
void vsi_attribute_named(vsi_html_place *place);
/* Called when the value begins, for each literal byte, and when it ends. */
void vsi_attribute_begin(vsi_html_place *place);
void vsi_attribute_read(vsi_html_place *place, char c);
void vsi_attribute_end(vsi_html_place *place);

/* Return the slot in a quoted value, as vsi_place_slot. */
vsi_slot vsi_attribute_slot(const vsi_html_place *place, const char **ret_why);
/* Return the slot in the text of a script element; in a string it is JS_STRING. */
vsi_slot vsi_script_slot(const vsi_html_place *place, const char **ret_why);
/* As vsi_place_is_settled, in a value. */
bool vsi_attribute_is_settled(vsi_html_place *place, bool is_number, bool *ret_in_js);
/* Return why the HTML written last makes an earlier inserted text harmful; NULL: it does not. Static. */
const char *vsi_place_conflict(const vsi_html_place *place);
/* As vsi_place_insert, into a value. */
bool vsi_attribute_insert(vsi_html_place *place, vsi_slot slot, const char *text, size_t len);

/* A small reader of JavaScript, which recognizes strings. */
enum {
  VSI_JS_CODE = 0,
  VSI_JS_SINGLE = 1,    /* in a string of single quotes */
  VSI_JS_DOUBLE = 2,    /* in a string of double quotes */
  VSI_JS_BACKSLASH = 4, /* flag: the byte before was a backslash, which escapes the next */
  VSI_JS_LOST = 8       /* code or string: unknown */
};
void vsi_js_read(vsi_html_place *place, char c, bool has_references);

#endif
