/* SPDX-License-Identifier: MIT */
/* The list of open elements, as the parser's tree construction (WHATWG HTML, section 13.2.6) maintains it for
 * well-formed HTML. */
#ifndef VSI_HTML_OPEN_H
#define VSI_HTML_OPEN_H

#include "html/elements.h"
#include "html/tag.h"

enum { VSI_OPEN_MAX = 256 };

/* Each function returns NULL, or a static sentence why the open elements are no longer known. After a sentence only
 * vsi_open_lose may be called. */
typedef struct vsi_open {
  const char *html; /* offsets into it are below 2^24 */
  size_t depth;
  /* While in_content, elements below index `floor` are ignored, so that nothing depends on them. `floor` is the index
   * of the content or of a noscript in it. */
  bool in_content;
  size_t floor;
  bool is_loose;                  /* only the boundaries of svg, math, templates and texts are tracked */
  uint32_t entries[VSI_OPEN_MAX]; /* the element, and the offset of its name */
  uint16_t counts[VSI_ELEMENTS_COUNT];
} vsi_open;

void vsi_open_init(vsi_open *open, const char *html);

/* Process a tag; is_self_closing is known. */
const char *vsi_open_start(vsi_open *open, const vsi_tag *tag, vsi_element element);
const char *vsi_open_end(vsi_open *open, const vsi_tag *tag, vsi_element element);
/* Process a text that is not only white space. */
const char *vsi_open_text(vsi_open *open);

/* Continue after a sentence, tracking loosely. false: it is unknown whether svg or math is open. */
bool vsi_open_lose(vsi_open *open);

static inline vsi_element vsi_open_at(const vsi_open *open, size_t i) {
  return (vsi_element)(open->entries[i] >> 24);
}
/* Return the innermost open element; OTHER: none is open. */
static inline vsi_element vsi_open_top(const vsi_open *open) {
  return open->depth ? vsi_open_at(open, open->depth - 1) : VSI_EL_OTHER;
}
/* Return whether elements of svg or math are open; whether the innermost is one. */
bool vsi_open_has_foreign(const vsi_open *open);
static inline bool vsi_open_is_foreign(const vsi_open *open) {
  return (vsi_elements[vsi_open_top(open)].facts & VSI_IS_FOREIGN) != 0;
}
/* Return whether the next tags belong to svg or math: the innermost element is foreign, and not an integration
 * point. */
static inline bool vsi_open_reads_foreign(const vsi_open *open) {
  vsi_element top = vsi_open_top(open);
  return top == VSI_EL_IN_SVG || top == VSI_EL_IN_MATH;
}

#endif
