/* SPDX-License-Identifier: MIT */
/* essay: the open elements, without a parser's repairs */
/* An HTML parser keeps a list of open elements, and almost every tag closes some of them: elements whose end tags may
 * be omitted, and elements that may not contain the new one. These rules are implemented here exactly. The parser's
 * repairs of invalid HTML are not: formatting that continues after the element that should have ended it, elements that
 * are moved out of tables, nested forms. If a tag would cause such a repair, the function returns a sentence that names
 * it, and from then on the open elements are unknown. The parser's second list, of active formatting elements, is not
 * needed, because without repairs it contains exactly the open formatting elements.
 *
 * The content is the element of a page that is sent when the page changes (content.h). A tag in it must have the same
 * effect in any document. The effect depends on elements around the content only if the search for the element that the
 * tag closes reaches the beginning of the content without a result. Such a tag is refused, too (why_beyond).
 *
 * A parser reads the inside of a noscript as text if scripts run, and as elements otherwise; the client reads events in
 * the second way. So inside the content a noscript is read as elements, which must begin and end inside the noscript,
 * and content.c checks that the noscript ends at the same place in both readings. */
#include "html/open.h"

#include <string.h>

#include "base/ascii.h"

/* ----------------------------------------------------------------------------------------------- elements ---- */

#define RULE_OF(name, text, act, facts) [VSI_EL_##name] = {text, VSI_ACT_##act, facts},
const vsi_element_rule vsi_elements[VSI_ELEMENTS_COUNT] = {
    VSI_ELEMENTS(RULE_OF) /* and pseudo-elements, without a name */
        [VSI_EL_IN_SVG] = {"", VSI_ACT_ORDINARY, VSI_IS_FOREIGN},
    [VSI_EL_IN_MATH] = {"", VSI_ACT_ORDINARY, VSI_IS_FOREIGN},
    [VSI_EL_SVG_POINT] = {"", VSI_ACT_ORDINARY, VSI_IS_FOREIGN | VSI_SPECIAL | VSI_SCOPE},
    [VSI_EL_MATH_POINT] = {"", VSI_ACT_ORDINARY, VSI_IS_FOREIGN | VSI_SPECIAL | VSI_SCOPE},
};

/* Indexed by the length of a name: the first element whose name is at least as long. The last entry is the end of the
 * table. */
static const uint8_t first[] = {VSI_EL_A,
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
                                VSI_EL_IN_SVG};
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

/* ------------------------------------------------------------------------------------------ open elements ---- */

enum { NONE = VSI_OPEN_MAX, BEYOND };
enum { NAMES_COMPARED = 32 }; /* for one end tag, to bound its time */

static const char why_beyond[] =
    "the effect of a tag depends on HTML around the content, because the content lacks the element that it closes";
static const char why_formatting[] = "a formatting element is not closed before its parent ends";
static const char why_form[] = "a form is not closed before its parent ends, or is inside another form";
static const char why_table[] =
    "content that is not allowed between the parts of a table would be moved out of the table";
static const char why_select[] = "parsers differ on the elements allowed in a select";
static const char why_foreign[] = "a tag in svg or math does not match";

static uint32_t facts_of(const vsi_open *open, size_t i) {
  return vsi_elements[vsi_open_at(open, i)].facts;
}

void vsi_open_init(vsi_open *open, const char *html) {
  open->html = html;
  open->depth = open->floor = 0;
  open->is_loose = open->in_content = false;
  memset(open->counts, 0, sizeof open->counts);
}

static const char *push(vsi_open *open, const vsi_tag *tag, vsi_element element) {
  if (open->depth == VSI_OPEN_MAX) return "too many elements are open";
  uint32_t at = (uint32_t)((const char *)tag->name.data - open->html);
  open->entries[open->depth++] = (uint32_t)element << 24 | at;
  open->counts[element]++;
  return NULL;
}

static void drop(vsi_open *open) {
  open->counts[vsi_open_top(open)]--;
  open->depth--;
}

/* Close the element at an index and all elements above it. Returns why this would be a repair; NULL: all are closed. */
static const char *close_from(vsi_open *open, size_t i) {
  bool goes_on = false;
  while (open->depth > i) {
    size_t at = open->depth - 1;
    uint32_t facts = facts_of(open, at);
    vsi_element element = vsi_open_at(open, at);
    if (facts & VSI_MARKER) goes_on = false;
    if (at > i) {
      if (facts & VSI_FORMATTING) goes_on = true;
      if (element == VSI_EL_FORM) return why_form;
      if (element == VSI_EL_SELECT) return why_select;
      if (element == VSI_EL_NOSCRIPT) return "a noscript is not closed before its parent ends";
      if (facts & VSI_IS_FOREIGN) return why_foreign;
    }
    drop(open);
  }
  return goes_on ? why_formatting : NULL;
}

static void close_implied(vsi_open *open, vsi_element except) {
  while (open->depth > open->floor && vsi_open_top(open) != except &&
         vsi_elements[vsi_open_top(open)].facts & VSI_IMPLIED)
    drop(open);
}

/* Return the index of the innermost open element of this kind, unless an element with a fact in `parting` hides it.
 * - NONE: no such element is open.
 * - BEYOND: the search has reached the beginning of the content, so such an element may be open around it. (If no p is
 *   open, the result is NONE, because no p is open around the content either.) */
static size_t find(const vsi_open *open, vsi_element element, uint32_t parting) {
  if (!open->counts[element] && (!open->in_content || element == VSI_EL_P)) return NONE;
  for (size_t i = open->depth; i-- > open->floor;) {
    if (vsi_open_at(open, i) == element) return i;
    if (facts_of(open, i) & parting) return NONE;
  }
  return open->in_content ? BEYOND : NONE;
}

/* Close the element at an index that find has returned, after the elements above it whose end tags may be omitted.
 * NONE: close nothing. */
static const char *close_found(vsi_open *open, size_t i, vsi_element except) {
  if (i == NONE) return NULL;
  if (i == BEYOND) return why_beyond;
  close_implied(open, except);
  return close_from(open, i);
}

/* Find the p that a block closes. Around the content no p is open, because the content is a block itself. But a search
 * inside a noscript ends at the noscript (`floor`), and a p may be open around that. */
static size_t find_p(const vsi_open *open) {
  size_t i = find(open, VSI_EL_P, VSI_SCOPE | VSI_BUTTON_SCOPE);
  return i == BEYOND && vsi_open_at(open, open->floor) != VSI_EL_NOSCRIPT ? NONE : i;
}

static const char *close_p(vsi_open *open) {
  return close_found(open, find_p(open), VSI_EL_P);
}

/* ------------------------------------------------------------------------------------------------------ tables ---- */

/* Find the innermost open part of a table. */
static size_t find_part(const vsi_open *open) {
  if (!open->counts[VSI_EL_TABLE] && !open->in_content) return NONE;
  for (size_t i = open->depth; i-- > open->floor;)
    if (facts_of(open, i) & (VSI_TABLE_MODE | VSI_IS_FOREIGN)) return i;
  return BEYOND;
}

static bool is_body(vsi_element element) {
  return element == VSI_EL_TBODY || element == VSI_EL_THEAD || element == VSI_EL_TFOOT;
}
static bool is_cell(vsi_element element) {
  return element == VSI_EL_TD || element == VSI_EL_TH;
}

/* Open a part of a table directly inside another part. The new part closes parts that cannot contain it, and opens
 * parts that it requires: for example, a td in a table opens a tbody and a tr. */
static const char *start_part(vsi_open *open, const vsi_tag *tag, vsi_element element) {
  for (const char *why = NULL;;) {
    vsi_element top = vsi_open_top(open), missing = VSI_EL_OTHER;
    if (top == VSI_EL_COLGROUP) {
      if (element == VSI_EL_COL) return NULL;
      drop(open);
    } else if (top == VSI_EL_TR && !is_cell(element)) {
      drop(open);
    } else if (is_body(top) && element != VSI_EL_TR && !is_cell(element)) {
      drop(open);
    } else {
      if (top == VSI_EL_TABLE && element == VSI_EL_COL) missing = VSI_EL_COLGROUP;
      if (top == VSI_EL_TABLE && (element == VSI_EL_TR || is_cell(element))) missing = VSI_EL_TBODY;
      if (is_body(top) && is_cell(element)) missing = VSI_EL_TR;
      if (missing == VSI_EL_OTHER) return push(open, tag, element);
      if ((why = push(open, tag, missing))) return why;
    }
  }
}

static const char *start_in_table(vsi_open *open, const vsi_tag *tag, vsi_element element) {
  const vsi_element_rule *rule = &vsi_elements[element];
  if (rule->act == VSI_ACT_TABLE_PART) return start_part(open, tag, element);
  if (!(rule->facts & VSI_IN_TABLE)) return why_table;
  if (element == VSI_EL_TEMPLATE) return push(open, tag, element);
  if (vsi_open_top(open) == VSI_EL_COLGROUP) drop(open);
  return NULL;
}

/* Open a part of a table whose start tag is inside a cell or a caption. The cell or caption is closed first. */
static const char *start_part_in_body(vsi_open *open, const vsi_tag *tag, vsi_element element) {
  size_t i = find_part(open);
  if (i == NONE) return NULL;
  if (i == BEYOND) return why_beyond;
  const char *why = facts_of(open, i) & VSI_IS_FOREIGN ? why_foreign : close_from(open, i);
  return why ? why : start_part(open, tag, element);
}

static const char *end_part(vsi_open *open, vsi_element element) {
  size_t i = find_part(open), j;
  if (i == NONE || element == VSI_EL_COL) return NULL;
  if (i == BEYOND) return why_beyond;
  if (facts_of(open, i) & VSI_IS_FOREIGN) return why_foreign;
  vsi_element part = vsi_open_at(open, i);
  if (part == element) return close_found(open, i, VSI_EL_OTHER);
  if (part == VSI_EL_COLGROUP) { /* the tag closes the colgroup first */
    drop(open);
    part = vsi_open_at(open, --i);
  }
  /* The end tag of a cell, a caption or a colgroup has no effect, unless it belongs to the innermost part. Inside a
   * caption only the end tag of the table has one. */
  if (is_cell(element) || element == VSI_EL_CAPTION || element == VSI_EL_COLGROUP) return NULL;
  if (part == VSI_EL_CAPTION && element != VSI_EL_TABLE) return NULL;
  for (j = i; j > open->floor && vsi_open_at(open, j) != VSI_EL_TABLE && vsi_open_at(open, j) != element;) j--;
  return vsi_open_at(open, j) == element ? close_from(open, j) : NULL;
}

/* ------------------------------------------------------------------------------------------------ svg and math ---- */

static const char *start_foreign(vsi_open *open, const vsi_tag *tag, vsi_element element) {
  uint32_t facts = vsi_elements[element].facts;
  bool in_svg = vsi_open_top(open) == VSI_EL_IN_SVG;
  if (facts & VSI_BREAKS_OUT || (!in_svg && facts & VSI_MATH_IS_ODD)) return why_foreign;
  if (tag->is_self_closing) return NULL;
  if (in_svg) return push(open, tag, facts & VSI_SVG_IS_POINT ? VSI_EL_SVG_POINT : VSI_EL_IN_SVG);
  return push(open, tag, facts & VSI_MATH_IS_POINT ? VSI_EL_MATH_POINT : VSI_EL_IN_MATH);
}

/* Return whether the tag has the name of the open element at an index. */
static bool is_named(const vsi_open *open, size_t i, vestry_slice name) {
  const char *at = open->html + (open->entries[i] & 0xffffff);
  return vsi_is_same_text(at, name.data, name.len) &&
         (vsi_is_space(at[name.len]) || at[name.len] == '/' || at[name.len] == '>');
}

static const char *end_foreign(vsi_open *open, const vsi_tag *tag) {
  if (!is_named(open, open->depth - 1, tag->name)) return why_foreign;
  drop(open);
  return NULL;
}

/* -------------------------------------------------------------------------------------------------- start tags ---- */

/* Close the open item before a new one: an li closes an li, and a dd or dt closes a dd or dt. The search stops at
 * special elements other than address, div and p. */
static const char *close_item(vsi_open *open, vsi_element element) {
  vsi_element other = element == VSI_EL_DD ? VSI_EL_DT : element == VSI_EL_DT ? VSI_EL_DD : element;
  if (!open->counts[element] && !open->counts[other] && !open->in_content) return NULL;
  for (size_t i = open->depth; i-- > open->floor;) {
    vsi_element at = vsi_open_at(open, i);
    uint32_t facts = facts_of(open, i);
    if (at == element || at == other) return close_found(open, i, at);
    if (facts & VSI_IS_DOUBTFUL) return "parsers differ on whether the item before this one ends here";
    if (facts & VSI_SPECIAL && at != VSI_EL_ADDRESS && at != VSI_EL_DIV && at != VSI_EL_P) return NULL;
  }
  return open->in_content ? why_beyond : NULL;
}

static bool is_heading(vsi_element element) {
  return element >= VSI_EL_H1 && element <= VSI_EL_H6;
}

/* Open an element in a select. Only option, optgroup, hr and script are accepted, because newer parsers treat all other
 * elements differently. */
static const char *start_in_select(vsi_open *open, const vsi_tag *tag, vsi_element element) {
  if (element == VSI_EL_SCRIPT) return NULL;
  if (element != VSI_EL_OPTION && element != VSI_EL_OPTGROUP && element != VSI_EL_HR) return why_select;
  if (vsi_open_top(open) == VSI_EL_OPTION) drop(open);
  if (element != VSI_EL_OPTION && vsi_open_top(open) == VSI_EL_OPTGROUP) drop(open);
  return element == VSI_EL_HR ? NULL : push(open, tag, element);
}

static const char *start_lone(vsi_open *open, const vsi_tag *tag, vsi_element element) {
  if (open->counts[element])
    return element == VSI_EL_FORM ? why_form : "a link, button or nobr is in another one of its kind";
  return push(open, tag, element);
}

static const char *start_ruby_part(vsi_open *open, const vsi_tag *tag, vsi_element element) {
  size_t i = find(open, VSI_EL_RUBY, VSI_SCOPE);
  if (i == BEYOND) return why_beyond;
  bool in_rtc = element == VSI_EL_RP || element == VSI_EL_RT;
  if (i != NONE) close_implied(open, in_rtc ? VSI_EL_RTC : VSI_EL_OTHER);
  return push(open, tag, element);
}

static const char *start_option(vsi_open *open, const vsi_tag *tag, vsi_element element) {
  if (element == VSI_EL_OPTGROUP) return why_select;
  if (vsi_open_top(open) == VSI_EL_OPTION) drop(open);
  if (open->counts[VSI_EL_OPTION]) return why_select;
  return push(open, tag, element);
}

static const char *start_in_body(vsi_open *open, const vsi_tag *tag, vsi_element element) {
  const vsi_element_rule *rule = &vsi_elements[element];
  const char *why = NULL;
  switch ((vsi_element_act)rule->act) {
  case VSI_ACT_HEADING:
  case VSI_ACT_BLOCK:
    why = close_p(open);
    if (!why && rule->act == VSI_ACT_HEADING && is_heading(vsi_open_top(open))) drop(open);
    break;
  case VSI_ACT_ITEM:
    why = close_item(open, element);
    if (!why) why = close_p(open);
    break;
  case VSI_ACT_FORM: why = open->counts[VSI_EL_FORM] ? why_form : close_p(open); break;
  case VSI_ACT_TABLE:
    if (find_p(open) != NONE) why = "a table is in a p, which is closed or not depending on the page's doctype";
    break;
  case VSI_ACT_EMPTY: return NULL;
  case VSI_ACT_RULE: return close_p(open);
  case VSI_ACT_TEXT: return rule->facts & VSI_CLOSES_P ? close_p(open) : NULL;
  case VSI_ACT_NOSCRIPT: return open->in_content ? push(open, tag, element) : NULL;
  case VSI_ACT_LONE: return start_lone(open, tag, element);
  case VSI_ACT_TABLE_PART: return start_part_in_body(open, tag, element);
  case VSI_ACT_OPTION: return start_option(open, tag, element);
  case VSI_ACT_RUBY_PART: return start_ruby_part(open, tag, element);
  case VSI_ACT_FOREIGN:
    if (tag->is_self_closing) return NULL;
    return push(open, tag, element == VSI_EL_SVG ? VSI_EL_IN_SVG : VSI_EL_IN_MATH);
  case VSI_ACT_ROOT: return open->in_content ? "a tag of the whole page is in the content" : NULL;
  case VSI_ACT_PLAINTEXT: return "everything after a plaintext is text";
  case VSI_ACT_UNSURE: return "parsers differ on an obsolete element";
  case VSI_ACT_ORDINARY:
  case VSI_ACT_FORMAT:
  case VSI_ACT_OBJECT:
  case VSI_ACT_SELECT:
  case VSI_ACT_TEMPLATE: break;
  }
  return why ? why : push(open, tag, element);
}

/* In a template, and after the open elements have become unknown, only the distinction of text from tags matters. But
 * in a template an element that ends formatting (VSI_MARKER), such as a cell, must be closed explicitly: if the end of
 * the template closes it, the parser does not remove its marker from the list of active formatting elements. */
static bool is_shield(const vsi_open *open, vsi_element element) {
  return !open->is_loose && vsi_elements[element].facts & VSI_MARKER;
}

static const char *start_loosely(vsi_open *open, const vsi_tag *tag, vsi_element element) {
  if (is_shield(open, element)) return push(open, tag, element);
  switch ((vsi_element_act)vsi_elements[element].act) {
  case VSI_ACT_SELECT:
  case VSI_ACT_TEMPLATE:
  case VSI_ACT_NOSCRIPT:
  case VSI_ACT_FOREIGN:
  case VSI_ACT_PLAINTEXT: return start_in_body(open, tag, element);
  case VSI_ACT_UNSURE: return "a frameset, or an element on which parsers differ";
  default: return element == VSI_EL_COL && open->counts[VSI_EL_TEMPLATE] ? "columns are in a template" : NULL;
  }
}

static bool is_loose(const vsi_open *open) {
  return open->is_loose || open->counts[VSI_EL_TEMPLATE];
}

const char *vsi_open_start(vsi_open *open, const vsi_tag *tag, vsi_element element) {
  vsi_element top = vsi_open_top(open);
  if (vsi_open_reads_foreign(open)) return start_foreign(open, tag, element);
  if (top == VSI_EL_MATH_POINT && vsi_elements[element].facts & VSI_MATH_IS_ODD)
    return why_foreign; /* even here the parser takes these for elements of MathML */
  if (open->counts[VSI_EL_SELECT]) return start_in_select(open, tag, element);
  if (is_loose(open)) return start_loosely(open, tag, element);
  if (vsi_elements[top].facts & VSI_TABLE_CONTEXT) return start_in_table(open, tag, element);
  return start_in_body(open, tag, element);
}

/* ---------------------------------------------------------------------------------------------------- end tags ---- */

/* Close an element without special rules: the end tag ends the open element of its name, unless a special element is in
 * between. */
static const char *end_ordinary(vsi_open *open, vsi_element element, vestry_slice name) {
  size_t compared = 0;
  if (!open->counts[element]) return NULL;
  for (size_t i = open->depth; i-- > open->floor;) {
    uint32_t facts = facts_of(open, i);
    if (vsi_open_at(open, i) == VSI_EL_OTHER && ++compared > NAMES_COMPARED)
      return "an end tag is too far from its start tag";
    if (vsi_open_at(open, i) == element && (element != VSI_EL_OTHER || is_named(open, i, name))) {
      close_implied(open, element);
      return close_from(open, i);
    }
    if (facts & (VSI_IS_FOREIGN | VSI_IS_DOUBTFUL)) return "an end tag has no start tag";
    if (facts & VSI_SPECIAL) return NULL;
  }
  return NULL;
}

static const char *end_heading(vsi_open *open) {
  size_t count = 0;
  for (unsigned h = VSI_EL_H1; h <= VSI_EL_H6; h++) count += open->counts[h];
  if (!count && !open->in_content) return NULL;
  for (size_t i = open->depth; i-- > open->floor;) {
    if (is_heading(vsi_open_at(open, i))) return close_found(open, i, VSI_EL_OTHER);
    if (facts_of(open, i) & VSI_SCOPE) return NULL;
  }
  return open->in_content ? why_beyond : NULL;
}

/* Close the innermost open element, which must be that of the end tag. In a form, elements whose end tags may be
 * omitted are closed first. */
static const char *end_exactly(vsi_open *open, vsi_element element, const char *why) {
  if (!open->counts[element] && !open->in_content) return NULL;
  if (element == VSI_EL_FORM) close_implied(open, VSI_EL_OTHER);
  if (vsi_open_top(open) != element) return why;
  drop(open);
  return NULL;
}

static const char *end_option(vsi_open *open, const vsi_tag *tag, vsi_element element) {
  if (!open->counts[VSI_EL_SELECT]) return end_ordinary(open, element, tag->name);
  if (element == VSI_EL_OPTGROUP && vsi_open_top(open) == VSI_EL_OPTION) drop(open);
  if (vsi_open_top(open) != element) return why_select;
  drop(open);
  return NULL;
}

static const char *end_select(vsi_open *open) {
  while (vsi_open_top(open) == VSI_EL_OPTION || vsi_open_top(open) == VSI_EL_OPTGROUP) drop(open);
  return end_exactly(open, VSI_EL_SELECT, why_select);
}

static const char *end_in_body(vsi_open *open, const vsi_tag *tag, vsi_element element) {
  switch ((vsi_element_act)vsi_elements[element].act) {
  case VSI_ACT_HEADING: return end_heading(open);
  case VSI_ACT_ITEM:
    return close_found(open, find(open, element, element == VSI_EL_LI ? VSI_SCOPE | VSI_LIST : VSI_SCOPE), element);
  case VSI_ACT_BLOCK:
    if (element == VSI_EL_P) return close_p(open); /* if none is open, the parser makes an empty one */
    return close_found(open, find(open, element, VSI_SCOPE), VSI_EL_OTHER);
  case VSI_ACT_OBJECT: return close_found(open, find(open, element, VSI_SCOPE), VSI_EL_OTHER);
  case VSI_ACT_LONE:
    if (element == VSI_EL_BUTTON) return close_found(open, find(open, element, VSI_SCOPE), VSI_EL_OTHER);
    return end_exactly(open, element, why_formatting);
  case VSI_ACT_FORMAT: return end_exactly(open, element, why_formatting);
  case VSI_ACT_FORM: return end_exactly(open, element, why_form);
  case VSI_ACT_TEMPLATE: return open->in_content ? why_beyond : NULL; /* the client parses events in a template */
  case VSI_ACT_NOSCRIPT: return end_exactly(open, element, "a noscript is not closed before its parent ends");
  case VSI_ACT_TABLE:
  case VSI_ACT_TABLE_PART: return end_part(open, element);
  case VSI_ACT_ROOT:
    return open->in_content && element != VSI_EL_HEAD && element != VSI_EL_FRAME ? "the content is not closed" : NULL;
  case VSI_ACT_OPTION:
  case VSI_ACT_RUBY_PART:
  case VSI_ACT_ORDINARY: return end_ordinary(open, element, tag->name);
  case VSI_ACT_RULE:
  case VSI_ACT_EMPTY:
  case VSI_ACT_TEXT:
  case VSI_ACT_SELECT:
  case VSI_ACT_FOREIGN:
  case VSI_ACT_PLAINTEXT:
  case VSI_ACT_UNSURE: break; /* there is no open element that the tag could end */
  }
  return NULL;
}

const char *vsi_open_end(vsi_open *open, const vsi_tag *tag, vsi_element element) {
  if (vsi_open_is_foreign(open)) return end_foreign(open, tag);
  if (vsi_elements[element].act == VSI_ACT_TEXT) return NULL; /* the element was read together with its end tag */
  if (open->counts[VSI_EL_SELECT]) {
    if (element == VSI_EL_SELECT) return end_select(open);
    return vsi_elements[element].act == VSI_ACT_OPTION ? end_option(open, tag, element) : why_select;
  }
  if (is_loose(open)) {
    if (element == VSI_EL_TEMPLATE || is_shield(open, element))
      return end_exactly(open, element, "in a template a cell, caption or object is not closed before its parent ends");
    return element == VSI_EL_NOSCRIPT ? end_exactly(open, element, "a noscript is not closed before its parent ends")
                                      : NULL;
  }
  if (vsi_elements[vsi_open_top(open)].facts & VSI_TABLE_CONTEXT && vsi_elements[element].act != VSI_ACT_TABLE &&
      vsi_elements[element].act != VSI_ACT_TABLE_PART)
    return why_table;
  return end_in_body(open, tag, element);
}

const char *vsi_open_text(vsi_open *open) {
  return vsi_elements[vsi_open_top(open)].facts & VSI_TABLE_CONTEXT ? why_table : NULL;
}

bool vsi_open_has_foreign(const vsi_open *open) {
  return open->counts[VSI_EL_IN_SVG] || open->counts[VSI_EL_IN_MATH];
}

bool vsi_open_lose(vsi_open *open) {
  bool is_known = !vsi_open_has_foreign(open) && !is_loose(open) && !open->counts[VSI_EL_SELECT];
  vsi_open_init(open, open->html);
  open->is_loose = true;
  return is_known;
}
