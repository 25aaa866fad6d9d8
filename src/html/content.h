/* SPDX-License-Identifier: MIT */
/* The content of a page: the one element in a whole document that is sent when the page changes. */
#ifndef VSI_HTML_CONTENT_H
#define VSI_HTML_CONTENT_H

#include <stddef.h>

#include "vestry/error.h"

enum { VSI_CONTENT_MAX_BYTES = 16 << 20 };

typedef enum vsi_content_fault {
  VSI_CONTENT_FOUND,
  VSI_CONTENT_NOT_FOUND,  /* no main, div, section or article has the id; those in templates and texts do not count */
  VSI_CONTENT_DUPLICATE,  /* more than one element has it */
  VSI_CONTENT_UNBALANCED, /* it is not closed; or tags in it or before it do not fit, so that a parser repairs them */
  VSI_CONTENT_FOREIGN,    /* it stands in svg or math */
  VSI_CONTENT_UNSURE,     /* it cannot be told whether there is one, or another one after it */
  VSI_CONTENT_TOO_LARGE   /* the document has more than VSI_CONTENT_MAX_BYTES */
} vsi_content_fault;

/* Offsets into the document, in bytes. */
typedef struct vsi_content {
  size_t begin, end;        /* the element: from its '<' to after its end tag */
  size_t name_end, tag_end; /* of its start tag: after the name, where attributes can be put; after the '>' */
  size_t head_end;          /* where the head ends: what is put there is the last in it */
  size_t body_begin;        /* the body's start tag, likewise; all three are 0 if there is none */
  size_t body_name_end, body_tag_end;
  size_t at;       /* of a fault: where it is, and */
  const char *why; /* a static sentence */
} vsi_content;

/* Find the main, div, section or article with this id in a document. What is found is the same element wherever a
 * parser reads it: its bytes alone, in another document, come to what they come to here. (Only that a template there
 * does not attach itself as a shadow root.)
 *   html        UTF-8, borrowed for the call
 *   id          not empty
 *   ret         set when it is found; else only `at` and `why` are
 *   Threads     any; no memory, linear, and a stack of about 2 kB */
VESTRY_API vsi_content_fault vsi_content_find(const char *html, size_t len, const char *id, vsi_content *ret);

/* "not found" and so on: static. */
VESTRY_API const char *vsi_content_fault_name(vsi_content_fault fault);

#endif
