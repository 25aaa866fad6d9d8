/* SPDX-License-Identifier: MIT */
/* essay: tracking the place in HTML while it is written */
/* A tokenizer of HTML that keeps only its state: WHATWG HTML, section 13.2.5, with states merged that differ only in
 * the tokens that they emit. If it might read some HTML differently from a browser, it enters LOST, where no text can
 * be inserted, so that it refuses rather than errs.
 *
 * Foreign content (svg, math) depends on the tree builder, which is not implemented here. In it, `title`, `style` and
 * `script` contain elements like any other, and CDATA sections are parsed; in a `select` or a `frameset` the parser
 * ignores these tags. Therefore markup inside such an element leads to LOST there, and so does a tag in `title` or
 * `textarea` elsewhere, and every CDATA section. Both read text without markup alike. In a `script` of svg,
 * character references are decoded; vestry_html_js does not depend on that. `noscript` is read as ordinary elements, as
 * by a parser without scripting. A parser with scripting shows none of it, but takes the next "</noscript" for its end,
 * even in a value or a comment. Therefore no `<` is allowed in values and comments inside a noscript. */
#include "html/place.h"

#include <string.h>

#include "base/ascii.h"
#include "html/value.h"

enum {
  TEXT,
  TAG_OPEN,     /* after < */
  END_TAG_OPEN, /* after </ */
  TAG_NAME,
  BEFORE_NAME, /* of an attribute */
  NAME,
  AFTER_NAME,
  BEFORE_VALUE,
  DOUBLE_QUOTED,
  SINGLE_QUOTED,
  UNQUOTED,
  AFTER_VALUE,
  SELF_CLOSING, /* after the / of a tag */
  DECLARATION,  /* after <! */
  DECLARATION_DASH,
  COMMENT_START,
  COMMENT_START_DASH,
  COMMENT,
  COMMENT_END_DASH,
  COMMENT_END,
  COMMENT_END_BANG,
  BOGUS,      /* ends at the next >: doctypes, processing instructions, malformed comments */
  TEXT_UNTIL, /* in an element whose text ends only at its own end tag */
  LOST
};

/* Kinds of text in TEXT_UNTIL. */
enum { ESCAPABLE, /* RCDATA: character references are decoded */ RAW, SCRIPT };

void vsi_place_init(vsi_html_place *place) {
  *place = (vsi_html_place){.state = TEXT};
}

/* Values of `foreign`: the outermost open element of svg, math, select. Its end tag ends it, unless the element
 * contains another in which the parser may ignore that tag (WHATWG HTML, 13.2.6.4.7 and 13.2.6.5): NEVER_LEFT. */
enum { NOT_FOREIGN, IN_SELECT = 1, IN_SVG, IN_MATH, NEVER_LEFT };

/* Return the index, from 1, of the current element in a list of names; 0: not in the list. */
static uint8_t index_of(const vsi_html_place *place, const char *const *names, size_t count) {
  const size_t len = place->element_len;
  for (size_t i = 0; i < count; i++)
    if (len == strlen(names[i]) && memcmp(place->element, names[i], len) == 0) return (uint8_t)(i + 1);
  return 0;
}
#define INDEX_OF(place, names) index_of(place, names, sizeof(names) / sizeof *(names))

/* Track `foreign` at a tag. */
static void note_foreign(vsi_html_place *place) {
  static const char *const roots[] = {"select", "svg", "math"}; /* in the order of the values */
  static const char *const inner[] = {"foreignobject", "desc", "annotation-xml", "mi",    "mo", "mn", "ms", "mtext",
                                      "template",      "svg",  "math",           "select"};
  static const char *const options[] = {"option", "optgroup", "hr"};
  static const char *const frames[] = {"frameset"};
  if (place->is_end_tag) {
    if (place->foreign && place->foreign == INDEX_OF(place, roots)) place->foreign = NOT_FOREIGN;
  } else if (!place->foreign) {
    place->foreign = INDEX_OF(place, frames) ? NEVER_LEFT : INDEX_OF(place, roots);
  } else if (place->foreign == IN_SELECT ? !INDEX_OF(place, options) : INDEX_OF(place, inner)) {
    place->foreign = NEVER_LEFT;
  }
}

/* A tag has ended: set what follows it, text or the content of a special element. */
static void tag_end(vsi_html_place *place) {
  static const struct {
    const char *name;
    uint8_t content;
  } elements[] = {{"title", ESCAPABLE}, {"textarea", ESCAPABLE}, {"style", RAW},    {"xmp", RAW},
                  {"iframe", RAW},      {"noembed", RAW},        {"noframes", RAW}, {"script", SCRIPT}};
  size_t len = place->element_len;
#define ELEMENT_IS(text) (len == strlen(text) && memcmp(place->element, text, len) == 0)
  place->state = TEXT;
  note_foreign(place);
  if (ELEMENT_IS("noscript")) place->in_noscript = !place->is_end_tag;
  if (place->is_end_tag) return;
  place->drops_newline = ELEMENT_IS("pre") || ELEMENT_IS("listing") || ELEMENT_IS("textarea");
  if (ELEMENT_IS("plaintext")) place->state = LOST;
  for (size_t i = 0; i < sizeof elements / sizeof *elements; i++) {
    if (!ELEMENT_IS(elements[i].name)) continue;
    place->state = TEXT_UNTIL;
    place->content = elements[i].content;
    place->matched = 0;
    place->js = VSI_JS_CODE;
    place->js_last = 0;
  }
}

/* The name of the tag is complete; attributes will reuse its memory. */
static void tag_named(vsi_html_place *place) {
  place->facts = 0;
  place->element_len = place->name_len <= sizeof place->element ? place->name_len : 0;
  memcpy(place->element, place->name, place->element_len);
}

/* Read a byte inside an element whose text ends at its end tag. matched: the number of bytes of "</name" that the bytes
 * before match. */
static void text_until(vsi_html_place *place, char c) {
  enum { LESS = 1, SLASH = 2, LESS_BANG = 0xFF };
  if (place->content == SCRIPT) vsi_js_read(place, c, false);
  uint8_t matched = place->matched;
  place->matched = 0;
  if (matched == LESS_BANG) {
    if (c == '-') place->state = LOST; /* <!--: a <script after it would hide the next </script> */
  } else if (matched == LESS && c == '/') {
    place->matched = SLASH;
    return;
  } else if (matched == LESS && ((vsi_is_letter(c) && (place->foreign || place->content == ESCAPABLE)) ||
                                 (place->foreign && (c == '!' || c == '?')))) {
    place->state = LOST; /* a tag for a parser that does not read this element as text */
  } else if (matched == LESS && c == '!' && place->content == SCRIPT) {
    place->matched = LESS_BANG;
    return;
  } else if (matched >= SLASH) {
    size_t at = matched - (size_t)SLASH;
    if (at < place->element_len && vsi_lower(c) == place->element[at]) {
      place->matched = (uint8_t)(matched + 1);
      return;
    }
    if (at == place->element_len && (vsi_is_space(c) || c == '/' || c == '>')) {
      place->is_end_tag = true;
      place->state = vsi_is_space(c) ? BEFORE_NAME : SELF_CLOSING;
      if (c == '>') tag_end(place);
      return;
    }
    if (place->foreign || ((place->content == ESCAPABLE || place->in_noscript) && (at || vsi_is_letter(c))))
      place->state = LOST;
  }
  if (c == '<') place->matched = LESS;
}

/* Read one byte. Returns false if it must be read once more, in the new state. */
static bool step_place(vsi_html_place *place, char c) {
#define GO(next)    return place->state = (next), true
#define AGAIN(next) return place->state = (next), false
  if (place->in_noscript && c == '<' && place->state != TEXT && place->state != TEXT_UNTIL) GO(LOST);
  switch (place->state) {
  case TEXT: place->drops_newline = false; GO(c == '<' ? TAG_OPEN : TEXT);
  case TAG_OPEN:
  case END_TAG_OPEN:
    if (vsi_is_letter(c)) {
      place->is_end_tag = place->state == END_TAG_OPEN;
      vsi_name_begin(place, c);
      GO(TAG_NAME);
    }
    if (place->state == END_TAG_OPEN) AGAIN(BOGUS); /* "</>" is ignored, and BOGUS ends at once */
    if (c == '/') GO(END_TAG_OPEN);
    if (c == '!') GO(DECLARATION);
    AGAIN(c == '?' ? BOGUS : TEXT);
  case TAG_NAME:
    if (vsi_is_space(c) || c == '/' || c == '>') {
      tag_named(place);
      AGAIN(AFTER_VALUE);
    }
    vsi_name_add(place, c);
    return true;
  case SELF_CLOSING:
  case AFTER_VALUE:
  case BEFORE_NAME:
  case AFTER_NAME:
    if (c == '>') return tag_end(place), true;
    if (c == '/') GO(SELF_CLOSING);
    if (vsi_is_space(c)) GO(place->state == AFTER_NAME ? AFTER_NAME : BEFORE_NAME);
    if (c == '=' && place->state == AFTER_NAME) GO(BEFORE_VALUE);
    vsi_name_begin(place, c); /* also a "=" without a name before it */
    GO(NAME);
  case NAME:
    if (vsi_is_space(c) || c == '/' || c == '>' || c == '=') vsi_attribute_named(place);
    if (vsi_is_space(c) || c == '/' || c == '>') AGAIN(AFTER_NAME);
    if (c == '=') GO(BEFORE_VALUE);
    vsi_name_add(place, c);
    return true;
  case BEFORE_VALUE:
    if (vsi_is_space(c)) return true;
    if (c == '>') return tag_end(place), true;
    vsi_attribute_begin(place);
    if (c != '"' && c != '\'') AGAIN(UNQUOTED);
    GO(c == '"' ? DOUBLE_QUOTED : SINGLE_QUOTED);
  case DOUBLE_QUOTED:
  case SINGLE_QUOTED:
    if (c != (place->state == DOUBLE_QUOTED ? '"' : '\'')) return vsi_attribute_read(place, c), true;
    vsi_attribute_end(place);
    GO(AFTER_VALUE);
  case UNQUOTED:
    if (c != '>' && !vsi_is_space(c)) return vsi_attribute_read(place, c), true;
    vsi_attribute_end(place);
    if (c == '>') return tag_end(place), true;
    GO(BEFORE_NAME);
  case DECLARATION:
    if (c == '[') GO(LOST);
    if (c == '-') GO(DECLARATION_DASH);
    AGAIN(BOGUS);
  case DECLARATION_DASH:
    if (c == '-') GO(COMMENT_START);
    AGAIN(BOGUS);
  case COMMENT_START:
  case COMMENT_START_DASH:
    if (c == '>') GO(TEXT);
    if (c == '-') GO(place->state == COMMENT_START ? COMMENT_START_DASH : COMMENT_END);
    GO(COMMENT);
  case COMMENT: GO(c == '-' ? COMMENT_END_DASH : COMMENT);
  case COMMENT_END_DASH: GO(c == '-' ? COMMENT_END : COMMENT);
  case COMMENT_END:
    if (c == '>') GO(TEXT);
    if (c == '-') return true;
    GO(c == '!' ? COMMENT_END_BANG : COMMENT);
  case COMMENT_END_BANG:
    if (c == '>') GO(TEXT);
    GO(c == '-' ? COMMENT_END_DASH : COMMENT);
  case BOGUS: GO(c == '>' ? TEXT : BOGUS);
  case TEXT_UNTIL:
    place->drops_newline = false;
    text_until(place, c);
    return true;
  default: return true; /* LOST */
  }
}

/* Return the byte that ends a run without effect; 0: any byte may have an effect. */
static char run_end(const vsi_html_place *place) {
  if (place->in_noscript && place->state != TEXT) return '\0';
  switch (place->state) {
  case TEXT: return '<';
  case DOUBLE_QUOTED: return place->kind == VSI_VALUE_TEXT ? '"' : '\0';
  case SINGLE_QUOTED: return place->kind == VSI_VALUE_TEXT ? '\'' : '\0';
  case COMMENT: return '-';
  case BOGUS: return '>';
  case TEXT_UNTIL: return place->matched || place->content == SCRIPT ? '\0' : '<';
  default: return '\0';
  }
}

void vsi_place_read(vsi_html_place *place, const char *bytes, size_t len) {
  const char *end = bytes + len;
  while (bytes < end && place->state != LOST) {
    char stop = run_end(place);
    if (stop && *bytes != stop) {
      place->drops_newline = false;
      bytes = memchr(bytes, stop, (size_t)(end - bytes));
      if (!bytes) return;
    }
    if (step_place(place, *bytes)) bytes++;
  }
}

vsi_slot vsi_place_slot(const vsi_html_place *place, const char **ret_why) {
  switch (place->state) {
  case TEXT: return VSI_SLOT_TEXT;
  case DOUBLE_QUOTED:
  case SINGLE_QUOTED: return vsi_attribute_slot(place, ret_why);
  case BEFORE_VALUE:
  case UNQUOTED: return vsi_slot_none(ret_why, "the value is in an attribute value without quotes");
  case COMMENT_START:
  case COMMENT_START_DASH:
  case COMMENT:
  case COMMENT_END_DASH:
  case COMMENT_END:
  case COMMENT_END_BANG:
  case DECLARATION:
  case DECLARATION_DASH:
  case BOGUS: return vsi_slot_none(ret_why, "the value is in a comment or declaration");
  case TEXT_UNTIL:
    if (place->content == SCRIPT) {
      vsi_slot slot = vsi_script_slot(place, ret_why);
      return slot == VSI_SLOT_JS_STRING ? vsi_slot_none(ret_why, "the value is in a string of a script element") : slot;
    }
    if (place->content == ESCAPABLE && !place->matched) return VSI_SLOT_TEXT;
    return vsi_slot_none(ret_why, "the value is in an element whose text cannot be escaped");
  case LOST: return vsi_slot_none(ret_why, "the value follows HTML that is too intricate to determine its context");
  default: return vsi_slot_none(ret_why, "the value is inside a tag, outside of its attribute values");
  }
}

bool vsi_place_insert(vsi_html_place *place, vsi_slot slot, const char *text, size_t len) {
  if (len) place->drops_newline = false;
  if (len) place->js_last = 0;
  return place->state != TEXT && place->state != TEXT_UNTIL && vsi_attribute_insert(place, slot, text, len);
}

bool vsi_place_is_plain(const vsi_html_place *place) {
  return place->state == TEXT && !place->in_noscript && !place->foreign && !place->drops_newline;
}

bool vsi_place_is_settled(vsi_html_place *place, bool is_number, bool *ret_in_js) {
  *ret_in_js = false;
  if (place->drops_newline) return false;
  switch (place->state) {
  case TEXT: return true;
  case TEXT_UNTIL: return place->content == ESCAPABLE && !place->matched;
  case DOUBLE_QUOTED:
  case SINGLE_QUOTED: return vsi_attribute_is_settled(place, is_number, ret_in_js);
  default: return false;
  }
}
