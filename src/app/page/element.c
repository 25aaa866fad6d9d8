/* SPDX-License-Identifier: MIT */
/* essay: the elements that a parser closes without an end tag */
/* An HTML parser keeps a list of open elements, and many start tags close some of them, are ignored, or move what
 * follows. If each start tag has its end tag, and no start tag does any of this, then the elements are nested as their
 * tags are. Whether a start tag does, depends on few facts about the elements around it, which are the bits in
 * element.h: a p is open and no element in between hides it, or the innermost element is a table. So no list is
 * searched: an element adds its bits, and hides others, from all that is inside of it. */
#include "app/page/element.h"

#include <endian.h>
#include <string.h>

#include "base/ascii.h"

enum {
  CLOSED = VSI_IN_PARTS | VSI_IN_SELECT, /* only certain elements are allowed there */
  SCOPED = VSI_IN_P | VSI_IN_ITEM,       /* hidden by elements such as a cell */
  INNERMOST = VSI_IN_PARTS | VSI_IN_HEADING | VSI_IN_RUBY | VSI_READS_CDATA
};

/* Classes of elements: is, hides, not_in, only_in. Parsers differ on whether a dialog hides an item. */
#define PHRASE             0, 0, CLOSED, 0
#define SPECIAL            0, VSI_IN_ITEM, CLOSED, 0
#define OBJECT             0, SCOPED, CLOSED, 0
#define FLOW               0, 0, CLOSED | VSI_IN_P, 0
#define BLOCK              0, VSI_IN_ITEM, CLOSED | VSI_IN_P, 0
#define DOUBTFUL           VSI_IN_ITEM, 0, CLOSED | VSI_IN_P, 0
#define LONE(kind)         kind, 0, CLOSED | (kind), 0
#define HEADING            VSI_IN_HEADING, VSI_IN_ITEM, CLOSED | VSI_IN_P | VSI_IN_HEADING, 0
#define TERM               VSI_IN_DD, VSI_IN_LI, CLOSED | VSI_IN_P | VSI_IN_DD, 0
#define PART(kind, parent) kind, SCOPED, 0, parent
#define RUBY_PART          0, 0, CLOSED, VSI_IN_RUBY
#define NOWHERE            0, 0, 0, VSI_IN_NOTHING

/* Sorted by name. */
static const vsi_element elements[] = {
    {"a", 0, LONE(VSI_IN_A)},
    {"address", 0, FLOW},
    {"annotation-xml", VSI_IS_MATH_ODD, PHRASE},
    {"applet", 0, OBJECT},
    {"area", VSI_IS_VOID, SPECIAL},
    {"article", VSI_CAN_BE_CONTENT, BLOCK},
    {"aside", 0, BLOCK},
    {"b", VSI_BREAKS_OUT, PHRASE},
    {"base", VSI_IS_VOID | VSI_IS_OF_HEAD, SPECIAL},
    {"basefont", VSI_IS_VOID | VSI_IS_OF_HEAD, SPECIAL},
    {"bgsound", VSI_IS_VOID | VSI_IS_OF_HEAD, SPECIAL},
    {"big", VSI_BREAKS_OUT, PHRASE},
    {"blockquote", VSI_BREAKS_OUT, BLOCK},
    {"body", VSI_BREAKS_OUT, NOWHERE},
    {"br", VSI_IS_VOID | VSI_BREAKS_OUT, SPECIAL},
    {"button", 0, VSI_IN_BUTTON, SCOPED, CLOSED | VSI_IN_BUTTON, 0},
    {"caption", 0, PART(0, VSI_IN_TABLE)},
    {"center", VSI_BREAKS_OUT, BLOCK},
    {"code", VSI_BREAKS_OUT, PHRASE},
    {"col", VSI_IS_VOID, PART(0, VSI_IN_COLUMNS)},
    {"colgroup", 0, PART(VSI_IN_COLUMNS, VSI_IN_TABLE)},
    {"dd", VSI_BREAKS_OUT, TERM},
    {"desc", VSI_IS_SVG_POINT, PHRASE},
    {"details", 0, BLOCK},
    {"dialog", 0, DOUBTFUL},
    {"dir", 0, BLOCK},
    {"div", VSI_CAN_BE_CONTENT | VSI_BREAKS_OUT, FLOW},
    {"dl", VSI_BREAKS_OUT, BLOCK},
    {"dt", VSI_BREAKS_OUT, TERM},
    {"em", VSI_BREAKS_OUT, PHRASE},
    {"embed", VSI_IS_VOID | VSI_BREAKS_OUT, SPECIAL},
    {"fieldset", 0, BLOCK},
    {"figcaption", 0, BLOCK},
    {"figure", 0, BLOCK},
    {"font", VSI_BREAKS_OUT, PHRASE},
    {"footer", 0, BLOCK},
    {"foreignobject", VSI_IS_SVG_POINT, PHRASE},
    {"form", 0, VSI_IN_FORM, VSI_IN_ITEM, CLOSED | VSI_IN_P | VSI_IN_FORM, 0},
    {"frame", 0, NOWHERE},
    {"frameset", 0, NOWHERE},
    {"h1", VSI_BREAKS_OUT, HEADING},
    {"h2", VSI_BREAKS_OUT, HEADING},
    {"h3", VSI_BREAKS_OUT, HEADING},
    {"h4", VSI_BREAKS_OUT, HEADING},
    {"h5", VSI_BREAKS_OUT, HEADING},
    {"h6", VSI_BREAKS_OUT, HEADING},
    {"head", VSI_IS_OF_HEAD | VSI_BREAKS_OUT, NOWHERE},
    {"header", 0, BLOCK},
    {"hgroup", 0, BLOCK},
    {"hr", VSI_IS_VOID | VSI_BREAKS_OUT, 0, 0, VSI_IN_PARTS | VSI_IN_P | VSI_IN_OPTION | VSI_IN_OPTGROUP, 0},
    {"html", VSI_IS_OF_HEAD, NOWHERE},
    {"i", VSI_BREAKS_OUT, PHRASE},
    {"iframe", VSI_IS_TEXT, SPECIAL},
    {"image", VSI_IS_VOID, PHRASE},
    {"img", VSI_IS_VOID | VSI_BREAKS_OUT, SPECIAL},
    {"input", VSI_IS_VOID, SPECIAL},
    {"keygen", 0, NOWHERE},
    {"li", VSI_BREAKS_OUT, VSI_IN_LI, VSI_IN_DD, CLOSED | VSI_IN_P | VSI_IN_LI, 0},
    {"link", VSI_IS_VOID | VSI_IS_OF_HEAD, SPECIAL},
    {"listing", VSI_BREAKS_OUT, BLOCK},
    {"main", VSI_CAN_BE_CONTENT, BLOCK},
    {"malignmark", VSI_IS_MATH_ODD, PHRASE},
    {"marquee", 0, OBJECT},
    {"math", 0, VSI_IN_MATH, 0, CLOSED, 0},
    {"menu", VSI_BREAKS_OUT, BLOCK},
    {"meta", VSI_IS_VOID | VSI_IS_OF_HEAD | VSI_BREAKS_OUT, SPECIAL},
    {"mglyph", VSI_IS_MATH_ODD, PHRASE},
    {"mi", VSI_IS_MATH_POINT, PHRASE},
    {"mn", VSI_IS_MATH_POINT, PHRASE},
    {"mo", VSI_IS_MATH_POINT, PHRASE},
    {"ms", VSI_IS_MATH_POINT, PHRASE},
    {"mtext", VSI_IS_MATH_POINT, PHRASE},
    {"nav", 0, BLOCK},
    {"nobr", VSI_BREAKS_OUT, LONE(VSI_IN_NOBR)},
    {"noembed", VSI_IS_TEXT, SPECIAL},
    {"noframes", VSI_IS_TEXT | VSI_IS_OF_HEAD, SPECIAL},
    {"noscript", VSI_IS_TEXT | VSI_IS_OF_HEAD, NOWHERE},
    {"object", 0, OBJECT},
    {"ol", VSI_BREAKS_OUT, BLOCK},
    {"optgroup", 0, VSI_IN_OPTGROUP, 0, VSI_IN_PARTS | VSI_IN_OPTION | VSI_IN_OPTGROUP, VSI_IN_SELECT},
    {"option", 0, VSI_IN_OPTION, 0, VSI_IN_PARTS | VSI_IN_OPTION, 0},
    {"p", VSI_BREAKS_OUT, VSI_IN_P, 0, CLOSED | VSI_IN_P, 0},
    {"param", VSI_IS_VOID, SPECIAL},
    {"plaintext", VSI_IS_TEXT, NOWHERE},
    {"pre", VSI_BREAKS_OUT, BLOCK},
    {"rb", 0, RUBY_PART},
    {"rp", 0, RUBY_PART},
    {"rt", 0, RUBY_PART},
    {"rtc", 0, NOWHERE},
    {"ruby", VSI_BREAKS_OUT, VSI_IN_RUBY, 0, CLOSED, 0},
    {"s", VSI_BREAKS_OUT, PHRASE},
    {"script", VSI_IS_TEXT | VSI_IS_OF_HEAD, 0, 0, VSI_IN_COLUMNS, 0},
    {"search", 0, DOUBTFUL},
    {"section", VSI_CAN_BE_CONTENT, BLOCK},
    {"select", 0, VSI_IN_SELECT, VSI_IN_ITEM, CLOSED, 0},
    {"small", VSI_BREAKS_OUT, PHRASE},
    {"source", VSI_IS_VOID, SPECIAL},
    {"span", VSI_BREAKS_OUT, PHRASE},
    {"strike", VSI_BREAKS_OUT, PHRASE},
    {"strong", VSI_BREAKS_OUT, PHRASE},
    {"style", VSI_IS_TEXT | VSI_IS_OF_HEAD, 0, 0, VSI_IN_COLUMNS | VSI_IN_SELECT, 0},
    {"sub", VSI_BREAKS_OUT, PHRASE},
    {"summary", 0, BLOCK},
    {"sup", VSI_BREAKS_OUT, PHRASE},
    {"svg", 0, VSI_IN_SVG, 0, CLOSED, 0},
    {"table", VSI_BREAKS_OUT, VSI_IN_TABLE, SCOPED, CLOSED | VSI_IN_P, 0},
    {"tbody", 0, PART(VSI_IN_BODY, VSI_IN_TABLE)},
    {"td", 0, PART(0, VSI_IN_ROW)},
    {"template", VSI_IS_OF_HEAD, NOWHERE},
    {"textarea", VSI_IS_TEXT, SPECIAL},
    {"tfoot", 0, PART(VSI_IN_BODY, VSI_IN_TABLE)},
    {"th", 0, PART(0, VSI_IN_ROW)},
    {"thead", 0, PART(VSI_IN_BODY, VSI_IN_TABLE)},
    {"title", VSI_IS_TEXT | VSI_IS_OF_HEAD | VSI_IS_SVG_POINT, SPECIAL},
    {"tr", 0, PART(VSI_IN_ROW, VSI_IN_TABLE | VSI_IN_BODY)},
    {"track", VSI_IS_VOID, SPECIAL},
    {"tt", VSI_BREAKS_OUT, PHRASE},
    {"u", VSI_BREAKS_OUT, PHRASE},
    {"ul", VSI_BREAKS_OUT, BLOCK},
    {"var", VSI_BREAKS_OUT, PHRASE},
    {"wbr", VSI_IS_VOID, SPECIAL},
    {"xmp", VSI_IS_TEXT, FLOW},
};
static const vsi_element ordinary = {"", 0, PHRASE};

/* Return the first eight bytes of a name, whose order as a number is that of the names. No two names share them. */
static inline uint64_t head_of(const char *name) {
  uint64_t head;
  memcpy(&head, name, sizeof head);
  return be64toh(head);
}

const vsi_element *vsi_element_of(vestry_slice name) {
  char lower[sizeof ordinary.name] = {0};
  if (name.len >= sizeof lower) return &ordinary;
  for (size_t i = 0; i < name.len; i++) lower[i] = vsi_lower(((const char *)name.data)[i]);
  const uint64_t head = head_of(lower);
  size_t from = 0, to = sizeof elements / sizeof *elements - 1;
  while (from < to) {
    const size_t middle = (from + to) / 2;
    if (head_of(elements[middle].name) < head)
      from = middle + 1;
    else
      to = middle;
  }
  return memcmp(elements[from].name, lower, sizeof lower) == 0 ? &elements[from] : &ordinary;
}

const char *vsi_element_skip_text(const vsi_tag *tag, const char *end, const char **ret_text_end) {
  vsi_tag end_tag;
  vsi_tag_attribute attribute;
  *ret_text_end = vsi_tag_text_end(tag->at, end, tag->name);
  if (*ret_text_end == end) return NULL;
  vsi_tag_begin(&end_tag, *ret_text_end, end);
  while (vsi_tag_next(&end_tag, &attribute)) continue;
  return end_tag.at;
}

uint32_t vsi_element_inside(const vsi_element *element, uint32_t around) {
  const uint32_t distant = around & ~(uint32_t)INNERMOST;
  if (around & VSI_IN_SVG && element->traits & VSI_IS_SVG_POINT)
    return VSI_IN_SVG_POINT | (distant & ~(uint32_t)SCOPED);
  if (around & VSI_IN_MATH && element->traits & VSI_IS_MATH_POINT)
    return VSI_IN_MATH_POINT | (distant & ~(uint32_t)SCOPED);
  if (around & VSI_READS_FOREIGN) return around;
  return element->is | (distant & ~element->hides);
}
