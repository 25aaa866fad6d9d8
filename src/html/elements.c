/* SPDX-License-Identifier: MIT */
/* The table of the elements that the HTML parser treats specially (elements.h), and the lookup of an element by its
 * name. */
#include "html/elements.h"

#include <string.h>

#include "base/ascii.h"

#define RULE_OF(name, text, act, facts) [VSI_EL_##name] = {text, VSI_ACT_##act, facts},
const vsi_element_rule vsi_elements[VSI_ELEMENTS_COUNT] = {
    VSI_ELEMENTS(RULE_OF) /* and pseudo-elements, without a name */
        [VSI_EL_IN_SVG] = {"", VSI_ACT_ORDINARY, VSI_IS_FOREIGN},
    [VSI_EL_IN_MATH] = {"", VSI_ACT_ORDINARY, VSI_IS_FOREIGN},
    [VSI_EL_SVG_POINT] = {"", VSI_ACT_ORDINARY, VSI_IS_FOREIGN | VSI_SPECIAL | VSI_SCOPE},
    [VSI_EL_MATH_POINT] = {"", VSI_ACT_ORDINARY, VSI_IS_FOREIGN | VSI_SPECIAL | VSI_SCOPE},
};

/* By name length: the first element with a name of that length; after the last length, the end. */
static const uint8_t first[] = {
    VSI_EL_A,
    VSI_EL_A,
    VSI_EL_BR,
    VSI_EL_BIG,
    VSI_EL_AREA,
    VSI_EL_ASIDE,
    VSI_EL_APPLET,
    VSI_EL_ADDRESS,
    VSI_EL_BASEFONT,
    VSI_EL_PLAINTEXT,
    VSI_EL_BLOCKQUOTE,
    VSI_EL_FOREIGNOBJECT,
    VSI_EL_FOREIGNOBJECT,
    VSI_EL_FOREIGNOBJECT,
    VSI_EL_ANNOTATION_XML,
    VSI_EL_IN_SVG,
};
enum { LONGEST = sizeof first / sizeof *first - 2 };

/* Return the first eight bytes of a name, padded with zeroes. */
static inline uint64_t head_of(const char *name) {
  uint64_t head;
  memcpy(&head, name, sizeof head);
  return head;
}

vsi_element vsi_element_of(vestry_slice name) {
  char lower[LONGEST + 2] = {0};
  if (name.len > LONGEST) return VSI_EL_OTHER;
  for (size_t i = 0; i < name.len; i++) lower[i] = vsi_lower(((const char *)name.data)[i]);
  uint64_t head = head_of(lower);
  for (unsigned i = first[name.len]; i < first[name.len + 1]; i++)
    if (head_of(vsi_elements[i].name) == head && (name.len <= 8 || strcmp(vsi_elements[i].name, lower) == 0))
      return (vsi_element)i;
  return VSI_EL_OTHER;
}
