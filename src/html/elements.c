#include "html/elements.h"

#include <string.h>

#include "base/ascii.h"

#define RULE_OF(name, text, act, facts) [VSI_EL_##name] = {text, VSI_ACT_##act, facts},
const vsi_element_rule vsi_elements[VSI_ELEMENTS_COUNT] = {
    VSI_ELEMENTS(RULE_OF) /* and those without a name that begins anywhere */
        [VSI_EL_IN_SVG] = {"", VSI_ACT_ORDINARY, VSI_IS_FOREIGN},
    [VSI_EL_IN_MATH] = {"", VSI_ACT_ORDINARY, VSI_IS_FOREIGN},
    [VSI_EL_SVG_POINT] = {"", VSI_ACT_ORDINARY, VSI_IS_FOREIGN | VSI_SPECIAL | VSI_SCOPE},
    [VSI_EL_MATH_POINT] = {"", VSI_ACT_ORDINARY, VSI_IS_FOREIGN | VSI_SPECIAL | VSI_SCOPE},
};

/* By length, the first element whose name has it; behind the last length, the end. */
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

vsi_element vsi_element_of(vestry_slice name) {
  char lower[LONGEST];
  if (name.len > LONGEST) return VSI_EL_OTHER;
  for (size_t i = 0; i < name.len; i++) lower[i] = vsi_lower(((const char *)name.data)[i]);
  for (unsigned i = first[name.len]; i < first[name.len + 1]; i++)
    if (memcmp(vsi_elements[i].name, lower, name.len) == 0) return (vsi_element)i;
  return VSI_EL_OTHER;
}
