/* SPDX-License-Identifier: MIT */
/* The list of open elements, as the parser's tree construction (WHATWG HTML, section 13.2.6) maintains it for
 * well-formed HTML. */
#ifndef VSI_HTML_OPEN_H
#define VSI_HTML_OPEN_H

#include <stdint.h>

#include "html/tag.h"

/* ----------------------------------------------------------------------------------------------- elements ---- */

/* The elements of HTML that its parser treats specially: WHATWG HTML, section 13.2.6. */

/* Sorted by length of name: name, effect of its tags (vsi_element_act), facts. */
#define VSI_ELEMENTS(X)                                                                                                \
  X(A, "a", LONE, VSI_FORMATTING)                                                                                      \
  X(B, "b", FORMAT, VSI_FORMATTING | VSI_BREAKS_OUT)                                                                   \
  X(I, "i", FORMAT, VSI_FORMATTING | VSI_BREAKS_OUT)                                                                   \
  X(P, "p", BLOCK, VSI_SPECIAL | VSI_IMPLIED | VSI_BREAKS_OUT)                                                         \
  X(S, "s", FORMAT, VSI_FORMATTING | VSI_BREAKS_OUT)                                                                   \
  X(U, "u", FORMAT, VSI_FORMATTING | VSI_BREAKS_OUT)                                                                   \
  X(BR, "br", EMPTY, VSI_SPECIAL | VSI_BREAKS_OUT)                                                                     \
  X(DD, "dd", ITEM, VSI_SPECIAL | VSI_IMPLIED | VSI_BREAKS_OUT)                                                        \
  X(DL, "dl", BLOCK, VSI_SPECIAL | VSI_BREAKS_OUT)                                                                     \
  X(DT, "dt", ITEM, VSI_SPECIAL | VSI_IMPLIED | VSI_BREAKS_OUT)                                                        \
  X(EM, "em", FORMAT, VSI_FORMATTING | VSI_BREAKS_OUT)                                                                 \
  X(H1, "h1", HEADING, VSI_SPECIAL | VSI_BREAKS_OUT)                                                                   \
  X(H2, "h2", HEADING, VSI_SPECIAL | VSI_BREAKS_OUT)                                                                   \
  X(H3, "h3", HEADING, VSI_SPECIAL | VSI_BREAKS_OUT)                                                                   \
  X(H4, "h4", HEADING, VSI_SPECIAL | VSI_BREAKS_OUT)                                                                   \
  X(H5, "h5", HEADING, VSI_SPECIAL | VSI_BREAKS_OUT)                                                                   \
  X(H6, "h6", HEADING, VSI_SPECIAL | VSI_BREAKS_OUT)                                                                   \
  X(HR, "hr", RULE, VSI_SPECIAL | VSI_BREAKS_OUT)                                                                      \
  X(LI, "li", ITEM, VSI_SPECIAL | VSI_IMPLIED | VSI_BREAKS_OUT)                                                        \
  X(MI, "mi", ORDINARY, VSI_MATH_IS_POINT)                                                                             \
  X(MN, "mn", ORDINARY, VSI_MATH_IS_POINT)                                                                             \
  X(MO, "mo", ORDINARY, VSI_MATH_IS_POINT)                                                                             \
  X(MS, "ms", ORDINARY, VSI_MATH_IS_POINT)                                                                             \
  X(OL, "ol", BLOCK, VSI_SPECIAL | VSI_LIST | VSI_BREAKS_OUT)                                                          \
  X(RB, "rb", RUBY_PART, VSI_IMPLIED)                                                                                  \
  X(RP, "rp", RUBY_PART, VSI_IMPLIED)                                                                                  \
  X(RT, "rt", RUBY_PART, VSI_IMPLIED)                                                                                  \
  X(TD, "td", TABLE_PART, VSI_SPECIAL | VSI_SCOPE | VSI_MARKER | VSI_TABLE_MODE)                                       \
  X(TH, "th", TABLE_PART, VSI_SPECIAL | VSI_SCOPE | VSI_MARKER | VSI_TABLE_MODE)                                       \
  X(TR, "tr", TABLE_PART, VSI_SPECIAL | VSI_TABLE_MODE | VSI_TABLE_CONTEXT)                                            \
  X(TT, "tt", FORMAT, VSI_FORMATTING | VSI_BREAKS_OUT)                                                                 \
  X(UL, "ul", BLOCK, VSI_SPECIAL | VSI_LIST | VSI_BREAKS_OUT)                                                          \
  X(BIG, "big", FORMAT, VSI_FORMATTING | VSI_BREAKS_OUT)                                                               \
  X(COL, "col", TABLE_PART, VSI_SPECIAL)                                                                               \
  X(DIR, "dir", BLOCK, VSI_SPECIAL)                                                                                    \
  X(DIV, "div", BLOCK, VSI_SPECIAL | VSI_BREAKS_OUT | VSI_CONTENT)                                                     \
  X(IMG, "img", EMPTY, VSI_SPECIAL | VSI_BREAKS_OUT)                                                                   \
  X(NAV, "nav", BLOCK, VSI_SPECIAL)                                                                                    \
  X(PRE, "pre", BLOCK, VSI_SPECIAL | VSI_BREAKS_OUT)                                                                   \
  X(RTC, "rtc", RUBY_PART, VSI_IMPLIED)                                                                                \
  X(SUB, "sub", ORDINARY, VSI_BREAKS_OUT)                                                                              \
  X(SUP, "sup", ORDINARY, VSI_BREAKS_OUT)                                                                              \
  X(SVG, "svg", FOREIGN, 0)                                                                                            \
  X(VAR, "var", ORDINARY, VSI_BREAKS_OUT)                                                                              \
  X(WBR, "wbr", EMPTY, VSI_SPECIAL)                                                                                    \
  X(XMP, "xmp", TEXT, VSI_SPECIAL | VSI_CLOSES_P)                                                                      \
  X(AREA, "area", EMPTY, VSI_SPECIAL)                                                                                  \
  X(BASE, "base", EMPTY, VSI_SPECIAL | VSI_IN_HEAD)                                                                    \
  X(BODY, "body", ROOT, VSI_SPECIAL | VSI_BREAKS_OUT)                                                                  \
  X(CODE, "code", FORMAT, VSI_FORMATTING | VSI_BREAKS_OUT)                                                             \
  X(DESC, "desc", ORDINARY, VSI_SVG_IS_POINT)                                                                          \
  X(FONT, "font", FORMAT, VSI_FORMATTING | VSI_BREAKS_OUT)                                                             \
  X(FORM, "form", FORM, VSI_SPECIAL)                                                                                   \
  X(HEAD, "head", ROOT, VSI_SPECIAL | VSI_BREAKS_OUT)                                                                  \
  X(HTML, "html", ROOT, VSI_SPECIAL)                                                                                   \
  X(LINK, "link", EMPTY, VSI_SPECIAL | VSI_IN_HEAD)                                                                    \
  X(MAIN, "main", BLOCK, VSI_SPECIAL | VSI_CONTENT)                                                                    \
  X(MATH, "math", FOREIGN, 0)                                                                                          \
  X(MENU, "menu", BLOCK, VSI_SPECIAL | VSI_BREAKS_OUT)                                                                 \
  X(META, "meta", EMPTY, VSI_SPECIAL | VSI_BREAKS_OUT | VSI_IN_HEAD)                                                   \
  X(NOBR, "nobr", LONE, VSI_FORMATTING | VSI_BREAKS_OUT)                                                               \
  X(RUBY, "ruby", ORDINARY, VSI_BREAKS_OUT)                                                                            \
  X(SPAN, "span", ORDINARY, VSI_BREAKS_OUT)                                                                            \
  X(ASIDE, "aside", BLOCK, VSI_SPECIAL)                                                                                \
  X(EMBED, "embed", EMPTY, VSI_SPECIAL | VSI_BREAKS_OUT)                                                               \
  X(FRAME, "frame", ROOT, VSI_SPECIAL)                                                                                 \
  X(IMAGE, "image", EMPTY, 0)                                                                                          \
  X(INPUT, "input", EMPTY, VSI_SPECIAL)                                                                                \
  X(MTEXT, "mtext", ORDINARY, VSI_MATH_IS_POINT)                                                                       \
  X(PARAM, "param", EMPTY, VSI_SPECIAL)                                                                                \
  X(SMALL, "small", FORMAT, VSI_FORMATTING | VSI_BREAKS_OUT)                                                           \
  X(STYLE, "style", TEXT, VSI_SPECIAL | VSI_IN_HEAD | VSI_IN_TABLE)                                                    \
  X(TABLE, "table", TABLE, VSI_SPECIAL | VSI_SCOPE | VSI_BREAKS_OUT | VSI_TABLE_MODE | VSI_TABLE_CONTEXT)              \
  X(TBODY, "tbody", TABLE_PART, VSI_SPECIAL | VSI_TABLE_MODE | VSI_TABLE_CONTEXT)                                      \
  X(TFOOT, "tfoot", TABLE_PART, VSI_SPECIAL | VSI_TABLE_MODE | VSI_TABLE_CONTEXT)                                      \
  X(THEAD, "thead", TABLE_PART, VSI_SPECIAL | VSI_TABLE_MODE | VSI_TABLE_CONTEXT)                                      \
  X(TITLE, "title", TEXT, VSI_SPECIAL | VSI_SVG_IS_POINT | VSI_IN_HEAD)                                                \
  X(TRACK, "track", EMPTY, VSI_SPECIAL)                                                                                \
  X(APPLET, "applet", OBJECT, VSI_SPECIAL | VSI_SCOPE | VSI_MARKER)                                                    \
  X(BUTTON, "button", LONE, VSI_SPECIAL | VSI_BUTTON_SCOPE)                                                            \
  X(CENTER, "center", BLOCK, VSI_SPECIAL | VSI_BREAKS_OUT)                                                             \
  X(DIALOG, "dialog", BLOCK, VSI_IS_DOUBTFUL)                                                                          \
  X(FIGURE, "figure", BLOCK, VSI_SPECIAL)                                                                              \
  X(FOOTER, "footer", BLOCK, VSI_SPECIAL)                                                                              \
  X(HEADER, "header", BLOCK, VSI_SPECIAL)                                                                              \
  X(HGROUP, "hgroup", BLOCK, VSI_SPECIAL)                                                                              \
  X(IFRAME, "iframe", TEXT, VSI_SPECIAL)                                                                               \
  X(KEYGEN, "keygen", UNSURE, VSI_SPECIAL)                                                                             \
  X(MGLYPH, "mglyph", ORDINARY, VSI_MATH_IS_ODD)                                                                       \
  X(OBJECT, "object", OBJECT, VSI_SPECIAL | VSI_SCOPE | VSI_MARKER)                                                    \
  X(OPTION, "option", OPTION, VSI_IMPLIED)                                                                             \
  X(SCRIPT, "script", TEXT, VSI_SPECIAL | VSI_IN_HEAD | VSI_IN_TABLE)                                                  \
  X(SEARCH, "search", BLOCK, VSI_IS_DOUBTFUL)                                                                          \
  X(SELECT, "select", SELECT, VSI_SPECIAL)                                                                             \
  X(SOURCE, "source", EMPTY, VSI_SPECIAL)                                                                              \
  X(STRIKE, "strike", FORMAT, VSI_FORMATTING | VSI_BREAKS_OUT)                                                         \
  X(STRONG, "strong", FORMAT, VSI_FORMATTING | VSI_BREAKS_OUT)                                                         \
  X(ADDRESS, "address", BLOCK, VSI_SPECIAL)                                                                            \
  X(ARTICLE, "article", BLOCK, VSI_SPECIAL | VSI_CONTENT)                                                              \
  X(BGSOUND, "bgsound", EMPTY, VSI_SPECIAL | VSI_IN_HEAD)                                                              \
  X(CAPTION, "caption", TABLE_PART, VSI_SPECIAL | VSI_SCOPE | VSI_MARKER | VSI_TABLE_MODE)                             \
  X(DETAILS, "details", BLOCK, VSI_SPECIAL)                                                                            \
  X(LISTING, "listing", BLOCK, VSI_SPECIAL | VSI_BREAKS_OUT)                                                           \
  X(MARQUEE, "marquee", OBJECT, VSI_SPECIAL | VSI_SCOPE | VSI_MARKER)                                                  \
  X(NOEMBED, "noembed", TEXT, VSI_SPECIAL)                                                                             \
  X(SECTION, "section", BLOCK, VSI_SPECIAL | VSI_CONTENT)                                                              \
  X(SUMMARY, "summary", BLOCK, VSI_SPECIAL)                                                                            \
  X(BASEFONT, "basefont", EMPTY, VSI_SPECIAL | VSI_IN_HEAD)                                                            \
  X(COLGROUP, "colgroup", TABLE_PART, VSI_SPECIAL | VSI_TABLE_MODE | VSI_TABLE_CONTEXT)                                \
  X(FIELDSET, "fieldset", BLOCK, VSI_SPECIAL)                                                                          \
  X(FRAMESET, "frameset", UNSURE, VSI_SPECIAL)                                                                         \
  X(NOFRAMES, "noframes", TEXT, VSI_SPECIAL | VSI_IN_HEAD)                                                             \
  X(NOSCRIPT, "noscript", NOSCRIPT, VSI_SPECIAL | VSI_IN_HEAD)                                                         \
  X(OPTGROUP, "optgroup", OPTION, VSI_IMPLIED)                                                                         \
  X(TEMPLATE, "template", TEMPLATE, VSI_SPECIAL | VSI_SCOPE | VSI_MARKER | VSI_IN_HEAD | VSI_IN_TABLE)                 \
  X(TEXTAREA, "textarea", TEXT, VSI_SPECIAL)                                                                           \
  X(PLAINTEXT, "plaintext", PLAINTEXT, VSI_SPECIAL)                                                                    \
  X(BLOCKQUOTE, "blockquote", BLOCK, VSI_SPECIAL | VSI_BREAKS_OUT)                                                     \
  X(FIGCAPTION, "figcaption", BLOCK, VSI_SPECIAL)                                                                      \
  X(MALIGNMARK, "malignmark", ORDINARY, VSI_MATH_IS_ODD)                                                               \
  X(FOREIGNOBJECT, "foreignobject", ORDINARY, VSI_SVG_IS_POINT)                                                        \
  X(ANNOTATION_XML, "annotation-xml", ORDINARY, VSI_MATH_IS_ODD)

/* The element. OTHER is any without special rules. The last four are elements inside svg and math: ordinary ones, and
 * integration points, inside of which HTML is parsed again. */
#define VSI_ELEMENT_NAME(name, text, act, facts) VSI_EL_##name,
typedef enum vsi_element {
  VSI_EL_OTHER,
  VSI_ELEMENTS(VSI_ELEMENT_NAME) VSI_EL_IN_SVG,
  VSI_EL_IN_MATH,
  VSI_EL_SVG_POINT,
  VSI_EL_MATH_POINT,
  VSI_ELEMENTS_COUNT
} vsi_element;

/* The effect of an element's tags. */
typedef enum vsi_element_act {
  VSI_ACT_ORDINARY,
  VSI_ACT_BLOCK,     /* closes a p */
  VSI_ACT_HEADING,   /* a block; the end tag of any heading ends any other */
  VSI_ACT_ITEM,      /* ends the item before it */
  VSI_ACT_FORMAT,    /* continues after the element that should have ended it */
  VSI_ACT_LONE,      /* must not be nested in another one of its kind */
  VSI_ACT_FORM,      /* likewise; besides, its end tag may be outside its parent */
  VSI_ACT_OBJECT,    /* elements open inside of it do not count outside, and vice versa */
  VSI_ACT_EMPTY,     /* has no content and no end tag */
  VSI_ACT_RULE,      /* likewise, but closes a p */
  VSI_ACT_TEXT,      /* its content is text */
  VSI_ACT_PLAINTEXT, /* likewise, without an end */
  VSI_ACT_NOSCRIPT,  /* likewise, if scripts run */
  VSI_ACT_TABLE,
  VSI_ACT_TABLE_PART,
  VSI_ACT_SELECT,
  VSI_ACT_OPTION, /* and optgroup */
  VSI_ACT_RUBY_PART,
  VSI_ACT_TEMPLATE,
  VSI_ACT_FOREIGN, /* svg and math */
  VSI_ACT_ROOT,    /* html, head and body, which exist anyway; and frame */
  VSI_ACT_UNSURE   /* parsers differ, or it replaces the page */
} vsi_element_act;

enum {
  VSI_SPECIAL = 1, /* of the parser's category of special elements */
  VSI_FORMATTING = 1 << 1,
  VSI_IMPLIED = 1 << 2,        /* its end tag can be omitted */
  VSI_SCOPE = 1 << 3,          /* a tag inside it closes no element around it */
  VSI_BUTTON_SCOPE = 1 << 4,   /* a tag inside it closes no p around it */
  VSI_LIST = 1 << 5,           /* the end tag of an li inside it closes no li around it */
  VSI_MARKER = 1 << 6,         /* formatting inside it ends with it */
  VSI_BREAKS_OUT = 1 << 7,     /* its start tag ends svg and math */
  VSI_CLOSES_P = 1 << 8,       /* its start tag closes a p, although it is no block */
  VSI_TABLE_MODE = 1 << 9,     /* inside it, the tags of a table's parts have their meaning */
  VSI_TABLE_CONTEXT = 1 << 10, /* directly inside it, only parts of a table are allowed */
  VSI_IN_HEAD = 1 << 11,       /* belongs to the head if the body has not begun */
  VSI_IN_TABLE = 1 << 12,      /* is allowed directly inside a table, although it is no part of one */
  VSI_CONTENT = 1 << 13,       /* can be the content of a page */
  VSI_SVG_IS_POINT = 1 << 14,  /* in svg, an integration point */
  VSI_MATH_IS_POINT = 1 << 15, /* in math, an integration point */
  VSI_MATH_IS_ODD = 1 << 16,   /* in math, read by special rules, which are not implemented here */
  VSI_IS_DOUBTFUL = 1 << 17,   /* parsers differ on whether it is special */
  VSI_IS_FOREIGN = 1 << 18     /* of svg or math */
};

typedef struct vsi_element_rule {
  char name[15];
  uint8_t act;
  uint32_t facts;
} vsi_element_rule;

extern VESTRY_API const vsi_element_rule vsi_elements[VSI_ELEMENTS_COUNT];

/* Return the element of this name, ignoring case. */
VESTRY_API vsi_element vsi_element_of(vestry_slice name);

/* ------------------------------------------------------------------------------------------ open elements ---- */
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

VESTRY_API void vsi_open_init(vsi_open *open, const char *html);

/* Process a tag; is_self_closing is known. */
VESTRY_API const char *vsi_open_start(vsi_open *open, const vsi_tag *tag, vsi_element element);
VESTRY_API const char *vsi_open_end(vsi_open *open, const vsi_tag *tag, vsi_element element);
/* Process a text that is not only white space. */
VESTRY_API const char *vsi_open_text(vsi_open *open);

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
