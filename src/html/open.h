/* SPDX-License-Identifier: MIT */
/* Which elements are open: what the parser's tree construction (WHATWG HTML, section 13.2.6) makes of tags, as far as
 * HTML keeps to it. */
#ifndef VSI_HTML_OPEN_H
#define VSI_HTML_OPEN_H

#include "html/elements.h"
#include "html/tag.h"

enum { VSI_OPEN_MAX = 256 };

/* Each function returns NULL, or a static sentence that says why it cannot be told what is open now. What is open is
 * then not to be asked any more, but for vsi_open_lose. */
typedef struct vsi_open {
  const char *html; /* its offsets are below 2^24 */
  size_t depth;
  /* While in_content: below the place `floor`, which is the content's or that of a noscript in it, nothing is looked
   * at, so that nothing depends on what is there. */
  bool in_content;
  size_t floor;
  bool is_loose;                  /* only what parts HTML from svg, math, templates and texts is looked at */
  uint32_t entries[VSI_OPEN_MAX]; /* the element, and where its name begins */
  uint16_t counts[VSI_ELEMENTS_COUNT];
} vsi_open;

void vsi_open_init(vsi_open *open, const char *html);

/* A tag; is_self_closing is known. */
const char *vsi_open_start(vsi_open *open, const vsi_tag *tag, vsi_element element);
const char *vsi_open_end(vsi_open *open, const vsi_tag *tag, vsi_element element);
/* A text that is not white space alone. */
const char *vsi_open_text(vsi_open *open);

/* After what is not understood: go on, but loosely. false: where svg and math begin and end is not known any more. */
bool vsi_open_lose(vsi_open *open);

static inline vsi_element vsi_open_at(const vsi_open *open, size_t i) {
  return (vsi_element)(open->entries[i] >> 24);
}
/* The innermost; OTHER: nothing is open. */
static inline vsi_element vsi_open_top(const vsi_open *open) {
  return open->depth ? vsi_open_at(open, open->depth - 1) : VSI_EL_OTHER;
}
/* Elements of svg or math are open; the innermost is one. */
bool vsi_open_has_foreign(const vsi_open *open);
static inline bool vsi_open_is_foreign(const vsi_open *open) {
  return (vsi_elements[vsi_open_top(open)].facts & VSI_IS_FOREIGN) != 0;
}
/* Tags that come now are those of svg or math: it is foreign, and no place where HTML is read again. */
static inline bool vsi_open_reads_foreign(const vsi_open *open) {
  vsi_element top = vsi_open_top(open);
  return top == VSI_EL_IN_SVG || top == VSI_EL_IN_MATH;
}

#endif
