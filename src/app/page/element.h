/* SPDX-License-Identifier: MIT */
/* The elements of HTML that its parser treats specially (WHATWG HTML, section 13.2.6), as far as this matters where
 * each start tag has its end tag. */
#ifndef VSI_PAGE_ELEMENT_H
#define VSI_PAGE_ELEMENT_H

#include <stdbool.h>
#include <stdint.h>

#include "html/tag.h"

/* The elements that are open around a tag. */
enum {
  /* the innermost element */
  VSI_IN_TABLE = 1,
  VSI_IN_BODY = 1 << 1, /* of a table: tbody, thead, tfoot */
  VSI_IN_ROW = 1 << 2,
  VSI_IN_COLUMNS = 1 << 3,
  VSI_IN_PARTS = VSI_IN_TABLE | VSI_IN_BODY | VSI_IN_ROW | VSI_IN_COLUMNS, /* where a table allows only its parts */
  VSI_IN_HEADING = 1 << 4,
  VSI_IN_RUBY = 1 << 5,
  VSI_IN_SVG = 1 << 6,
  VSI_IN_MATH = 1 << 7,
  VSI_IN_SVG_POINT = 1 << 8, /* an integration point, inside of which HTML is parsed again */
  VSI_IN_MATH_POINT = 1 << 9,
  VSI_READS_FOREIGN = VSI_IN_SVG | VSI_IN_MATH, /* tags belong to svg or math */
  VSI_READS_CDATA = VSI_READS_FOREIGN | VSI_IN_SVG_POINT | VSI_IN_MATH_POINT,
  /* elements at any distance, unless one in between hides them */
  VSI_IN_P = 1 << 10,
  VSI_IN_LI = 1 << 11,
  VSI_IN_DD = 1 << 12, /* or dt */
  VSI_IN_ITEM = VSI_IN_LI | VSI_IN_DD,
  VSI_IN_A = 1 << 13,
  VSI_IN_NOBR = 1 << 14,
  VSI_IN_BUTTON = 1 << 15,
  VSI_IN_FORM = 1 << 16,
  VSI_IN_SELECT = 1 << 17,
  VSI_IN_OPTION = 1 << 18,
  VSI_IN_OPTGROUP = 1 << 19,
  VSI_IN_NOTHING = 1 << 20 /* never set */
};

enum {
  VSI_IS_VOID = 1,             /* has no content and no end tag */
  VSI_IS_TEXT = 1 << 1,        /* its content is text; of a noscript, if scripts run */
  VSI_IS_OF_HEAD = 1 << 2,     /* belongs to the head if the body has not begun */
  VSI_CAN_BE_CONTENT = 1 << 3, /* of a page whose handler writes the whole document */
  VSI_BREAKS_OUT = 1 << 4,     /* its start tag ends svg and math */
  VSI_IS_SVG_POINT = 1 << 5,
  VSI_IS_MATH_POINT = 1 << 6,
  VSI_IS_MATH_ODD = 1 << 7 /* in math, read by special rules, which are not implemented here */
};

typedef struct vsi_element {
  char name[16];
  uint8_t traits;
  uint32_t is;      /* to the tags inside of it */
  uint32_t hides;   /* from the tags inside of it */
  uint32_t not_in;  /* where its start tag closes an element, is ignored, or moves */
  uint32_t only_in; /* one of these must be around it; 0: nothing must */
} vsi_element;

/* Return the element of this name, ignoring case; without a name: any that has no special rules. */
const vsi_element *vsi_element_of(vestry_slice name);

/* Return whether the parser opens the element where its start tag is, and closes no other. around: the open elements */
static inline bool vsi_element_fits(const vsi_element *element, uint32_t around) {
  if (around & (VSI_IN_MATH | VSI_IN_MATH_POINT) && element->traits & VSI_IS_MATH_ODD) return false;
  if (around & VSI_READS_FOREIGN) return !(element->traits & VSI_BREAKS_OUT);
  return !(element->not_in & around) && (!element->only_in || element->only_in & around);
}

/* Return the place behind the text of an element, such as a script, and its end tag; NULL: the document ends before.
 * tag: its start tag, which was read. ret_text_end: the end of the text */
const char *vsi_element_skip_text(const vsi_tag *tag, const char *end, const char **ret_text_end);

/* Return what is open inside of the element. */
uint32_t vsi_element_inside(const vsi_element *element, uint32_t around);

#endif
