/* SPDX-License-Identifier: MIT */
/* A document as the browser of tests sees it: its elements, their text, and the literals in their attributes. It is
 * much simpler than the parser of a browser: an element without an end tag ends with its parent. */
#ifndef VSI_TESTING_MARKUP_H
#define VSI_TESTING_MARKUP_H

#include <jansson.h>
#include <stdbool.h>

#include "base/buffer.h"

/* An element. Offsets into the document, in bytes. */
typedef struct vsi_markup_element {
  char name[16];                       /* in lower case; cut if it is longer */
  size_t begin, inner, inner_end, end; /* its start tag; its content; behind its end tag */
  size_t parent;                       /* its number; VSI_NO_ELEMENT: none */
} vsi_markup_element;

#define VSI_NO_ELEMENT SIZE_MAX

typedef struct vsi_markup {
  const vestry_host *host;
  const char *html; /* borrowed */
  size_t len;
  vsi_markup_element *elements;
  size_t count, room;
} vsi_markup;

/* Read a document, which is borrowed until vsi_markup_finish. OK | NO_MEMORY; finish it in both cases. */
vestry_err vsi_markup_read(vsi_markup *markup, const vestry_host *host, const char *html, size_t len);
void vsi_markup_finish(vsi_markup *markup);
/* Whole elements and texts of another document. */
typedef struct vsi_markup_part {
  const vsi_markup *of;
  size_t begin, end;   /* its bytes */
  size_t first, count; /* its elements */
} vsi_markup_part;

/* Take over a change of the document: the bytes from begin to end, whole elements and texts, were replaced by a part
 * of another one. html: the new document. ret_first: the new elements. OK | NO_MEMORY (only finish it) */
vestry_err vsi_markup_replace(vsi_markup *markup, const char *html, size_t begin, size_t end, const vsi_markup_part *by,
                              size_t *ret_first);

/* Get an attribute of an element, decoded, into a buffer, which is cleared before. name: in lower case. If it ends with
 * ':' or "__", the first attribute whose name begins with it counts, and ret_rest (may be NULL) receives the rest of
 * that name, terminated and cut. Returns whether there is one. */
bool vsi_markup_attribute(const vsi_markup *markup, size_t element, const char *name, vsi_buffer *value, char *ret_rest,
                          size_t capacity);
/* Return a copy of an attribute, as it is read by vsi_markup_attribute; NULL: there is none, or no memory. */
char *vsi_markup_copy(const vsi_markup *markup, size_t element, const char *name);
/* Return a copy of the expression of the listener for pressed buttons (vestry/app/press.h) that is nearest around an
 * element; NULL: there is none, or no memory. */
char *vsi_markup_listener(const vsi_markup *markup, size_t element);
/* In the expression of such a listener: the URL of the pressed button. */
#define VSI_MARKUP_PRESSED "b.dataset.press"
/* Get the visible text of an element, with single spaces, into a buffer, which is cleared before. signals: an object
 * for elements with data-text="$name"; NULL: their content counts. */
void vsi_markup_text(const vsi_markup *markup, size_t element, const json_t *signals, vsi_buffer *text);
/* Find the element with this id inside of another one; within: VSI_NO_ELEMENT: in the document. */
size_t vsi_markup_by_id(const vsi_markup *markup, size_t within, const char *id);
/* Return the nearest ancestor, or the element itself, with this name; VSI_NO_ELEMENT: none. */
size_t vsi_markup_around(const vsi_markup *markup, size_t element, const char *name);

/* Read a literal of JavaScript: a string, number, boolean, null, list or object. *at: moved behind it. NULL: there is
 * none, or no memory. The caller owns the result. */
json_t *vsi_js_literal(const char **at);

#endif
