/* SPDX-License-Identifier: MIT */
/* The content of a page: the element of a whole document that is sent when the page changes. */
#ifndef VSI_PAGE_CONTENT_H
#define VSI_PAGE_CONTENT_H

#include <stddef.h>

enum { VSI_CONTENT_MAX_BYTES = 16 << 20 };

typedef enum vsi_content_fault {
  VSI_CONTENT_FOUND,
  VSI_CONTENT_NOT_FOUND,  /* no main, div, section or article has the id; those in templates and texts do not count */
  VSI_CONTENT_DUPLICATE,  /* several elements have it */
  VSI_CONTENT_UNBALANCED, /* it is not closed */
  VSI_CONTENT_FOREIGN,    /* it is inside svg or math */
  VSI_CONTENT_TOO_LARGE   /* the document has more than VSI_CONTENT_MAX_BYTES */
} vsi_content_fault;

/* Offsets into the document, in bytes. */
typedef struct vsi_content {
  size_t begin, end; /* the element: from its '<' to the end of its end tag */
  size_t head_end;   /* end of the head; insertions there come last in it */
  size_t at;         /* of a fault: its place */
  const char *why;   /* of a fault: a static sentence */
} vsi_content;

/* Find the main, div, section or article with this id in a document. Its end tag is found by counting the tags of its
 * name. So elements in it whose end tags HTML permits to omit make no difference, and the nesting of others is not
 * checked: a browser repairs it, which can give another element in an event than in the document.
 *   html        UTF-8, borrowed for the call
 *   id          letters, digits, '-' and '_'; not empty
 *   ret         set if it is found; otherwise only `at` and `why` are set
 *   Threads     any; no allocation, linear time */
vsi_content_fault vsi_content_find(const char *html, size_t len, const char *id, vsi_content *ret);

/* Return the name of a fault, such as "not found"; static. */
const char *vsi_content_fault_name(vsi_content_fault fault);

#endif
