/* SPDX-License-Identifier: MIT */
/* The content of a page: the element of a whole document that is sent when the page changes. */
#ifndef VSI_HTML_CONTENT_H
#define VSI_HTML_CONTENT_H

#include <stddef.h>

#include "vestry/error.h"

enum { VSI_CONTENT_MAX_BYTES = 16 << 20 };

typedef enum vsi_content_fault {
  VSI_CONTENT_FOUND,
  VSI_CONTENT_NOT_FOUND,  /* no main, div, section or article has the id; those in templates and texts do not count */
  VSI_CONTENT_DUPLICATE,  /* several elements have it */
  VSI_CONTENT_UNBALANCED, /* it is not closed; or tags in it or before it do not match, so that a parser repairs them */
  VSI_CONTENT_FOREIGN,    /* it is inside svg or math */
  VSI_CONTENT_UNSURE,     /* it is uncertain whether there is one, or a second one after it */
  VSI_CONTENT_TOO_LARGE   /* the document has more than VSI_CONTENT_MAX_BYTES */
} vsi_content_fault;

/* Offsets into the document, in bytes. */
typedef struct vsi_content {
  size_t begin, end; /* the element: from its '<' to the end of its end tag */
  size_t head_end;   /* end of the head; insertions there come last in it */
  size_t at;         /* of a fault: its place */
  const char *why;   /* of a fault: a static sentence */
} vsi_content;

/* Find the main, div, section or article with this id in a document. The result is the same element in every parser and
 * in every place: its bytes alone, in another document, have the same meaning as here. (The only exception is a
 * template, which does not attach itself as a shadow root there.)
 *   html        UTF-8, borrowed for the call
 *   id          not empty
 *   ret         set if it is found; otherwise only `at` and `why` are set
 *   Threads     any; no allocation, linear time, a stack of about 2 kB */
VESTRY_API vsi_content_fault vsi_content_find(const char *html, size_t len, const char *id, vsi_content *ret);

/* Return the name of a fault, such as "not found"; static. */
VESTRY_API const char *vsi_content_fault_name(vsi_content_fault fault);

#endif
