/* SPDX-License-Identifier: MIT */
/* essay: finding a page's content in a document of the application */
/* The document is read once, tag by tag, while open.c tracks the open elements. The part before the content matters
 * only for the open elements, and the part after it only because the id might occur again. Therefore, HTML before the
 * content must be well formed as far as open.c reads it, but a document with a malformed footer still has a content. */
#include "html/content.h"

#include <string.h>

#include "base/ascii.h"
#include "base/hex.h"
#include "html/open.h"

typedef struct walk {
  const char *html, *end, *id;
  vsi_content *ret;
  vsi_open open;
  enum { IN_HEAD, BEHIND_HEAD, IN_BODY } phase;
  enum { BEFORE, INSIDE, BEHIND } zone;
  size_t place;         /* index of the content among the open elements */
  size_t noscript_end;  /* INSIDE: end of the open noscript's text; 0: none is open */
  const char *lost_why; /* BEFORE: the reason why the open elements are unknown since lost_at */
  size_t lost_at;
  bool is_unsure; /* BEFORE: it is also unknown which bytes are text */
} walk;

static vsi_content_fault fail(walk *w, vsi_content_fault fault, size_t at, const char *why) {
  w->ret->at = at;
  w->ret->why = why;
  return fault;
}

/* ------------------------------------------------------------------------------------------------------ the id ---- */

static size_t put_utf8(uint32_t c, char out[4]) {
  size_t more = c < 0x80 ? 0 : c < 0x800 ? 1 : c < 0x10000 ? 2 : 3;
  static const unsigned char lead[] = {0, 0xc0, 0xe0, 0xf0};
  out[0] = (char)(lead[more] | c >> 6 * more);
  for (size_t i = 1; i <= more; i++) out[i] = (char)(0x80 | (c >> 6 * (more - i) & 0x3f));
  return more + 1;
}

/* Read the character reference at '&'. Returns its end; NULL: it is one that is not supported here. */
static const char *read_reference(const char *at, const char *end, uint32_t *ret_c) {
  static const struct {
    const char *name;
    char c;
    bool needs_end;
  } names[] = {{"amp", '&', false}, {"lt", '<', false}, {"gt", '>', false}, {"quot", '"', false}, {"apos", '\'', true}};
  const char *name = at + 1;
  *ret_c = '&';
  if (name < end && *name == '#') {
    bool is_hex = end - name > 1 && (name[1] | 0x20) == 'x';
    const char *digits = name + 1 + is_hex;
    uint32_t c = 0;
    for (at = digits; at < end; at++) {
      int digit = vsi_hex_digit(vsi_lower(*at));
      if (digit < 0 || (digit > 9 && !is_hex)) break;
      if (c < 0x110000) c = c * (is_hex ? 16 : 10) + (uint32_t)digit;
    }
    if (at == digits) return name; /* a literal '&' */
    if (c >= 0x80 && c < 0xa0) return NULL;
    *ret_c = !c || c > 0x10ffff || (c >= 0xd800 && c < 0xe000) ? 0xfffd : c;
    return at + (at < end && *at == ';');
  }
  const char *name_end = name;
  while (name_end < end && (vsi_is_letter(*name_end) || vsi_is_digit(*name_end))) name_end++;
  size_t len = (size_t)(name_end - name);
  bool has_end = name_end < end && *name_end == ';';
  if (!len) return name;
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
    if (len != strlen(names[i].name) || memcmp(name, names[i].name, len) != 0) continue;
    if (!has_end && (names[i].needs_end || (name_end < end && *name_end == '='))) return NULL;
    *ret_c = (uint32_t)names[i].c;
    return name_end + has_end;
  }
  return NULL;
}

enum { DIFFERS, EQUALS, UNKNOWN };

/* Compare the value of an id attribute, as it is written, with this id. */
static int compare_id(vestry_slice value, const char *id) {
  const char *at = value.data, *end = at + value.len;
  while (at < end) {
    char made[4];
    size_t len = 1;
    uint32_t c;
    made[0] = *at;
    if (*at == '&') {
      if (!(at = read_reference(at, end, &c))) return UNKNOWN;
      len = put_utf8(c, made);
    } else if (*at == '\r') { /* line breaks are one character */
      made[0] = '\n';
      at += 1 + (end - at > 1 && at[1] == '\n');
    } else if (!*at) {
      len = put_utf8(0xfffd, made);
      at++;
    } else {
      at++;
    }
    if (strncmp(id, made, len) != 0) return DIFFERS;
    id += len;
  }
  return *id ? DIFFERS : EQUALS;
}

/* ---- tags -------------------------------------------------------------------------------------------------------- */

/* Handle open.c's result for a tag. */
static vsi_content_fault note(walk *w, size_t at, const char *why) {
  if (!why) return VSI_CONTENT_FOUND;
  if (w->zone == INSIDE) return fail(w, VSI_CONTENT_UNBALANCED, at, why);
  if (w->zone == BEFORE && !w->lost_why) {
    w->lost_why = why;
    w->lost_at = at;
  }
  bool is_known = vsi_open_lose(&w->open);
  if (w->zone == BEHIND && !is_known) return fail(w, VSI_CONTENT_UNSURE, at, why);
  w->is_unsure |= !is_known;
  return VSI_CONTENT_FOUND;
}

static void begin_body(walk *w, size_t at) {
  if (w->phase == IN_HEAD) w->ret->head_end = at;
  w->phase = IN_BODY;
}

/* Return whether a tag is in the body already. Otherwise it belongs to the head, or marks the beginning of the body. */
static bool is_in_body(walk *w, size_t at, vsi_element element, bool is_end) {
  if (w->phase == IN_BODY || w->open.counts[VSI_EL_TEMPLATE]) return true;
  if (is_end) {
    if (element == VSI_EL_BODY || element == VSI_EL_HTML || element == VSI_EL_BR) begin_body(w, at);
    if (element != VSI_EL_HEAD || w->phase != IN_HEAD) return element == VSI_EL_TEMPLATE;
    w->ret->head_end = at;
    w->phase = BEHIND_HEAD;
    return false;
  }
  if (element == VSI_EL_HTML || element == VSI_EL_HEAD) return false;
  if (vsi_elements[element].facts & VSI_IN_HEAD && !(element == VSI_EL_NOSCRIPT && w->phase == BEHIND_HEAD))
    return element == VSI_EL_TEMPLATE;
  begin_body(w, at);
  return element != VSI_EL_BODY;
}

static vsi_content_fault begin_content(walk *w, size_t at, const vsi_tag *tag, vsi_element element) {
  if (w->zone != BEFORE) return fail(w, VSI_CONTENT_DUPLICATE, at, "another element has the same id");
  if (vsi_open_has_foreign(&w->open)) return fail(w, VSI_CONTENT_FOREIGN, at, "the element is in svg or math");
  if (!(vsi_elements[element].facts & VSI_CONTENT))
    return fail(w, VSI_CONTENT_NOT_FOUND, at, "the element with this id is not a main, div, section or article");
  const char *why = w->lost_why;
  if (why) return fail(w, VSI_CONTENT_UNBALANCED, w->lost_at, why);
  if ((why = vsi_open_start(&w->open, tag, element))) return fail(w, VSI_CONTENT_UNBALANCED, at, why);
  w->zone = INSIDE;
  w->open.in_content = true;
  w->place = w->open.floor = w->open.depth - 1;
  w->ret->begin = at;
  return VSI_CONTENT_FOUND;
}

/* Inside the content, a noscript must have the same end whether it is read as text or as elements. */
static vsi_content_fault begin_noscript(walk *w, size_t at, const char *text, vestry_slice name) {
  if (w->zone != INSIDE || w->open.floor != w->place) return VSI_CONTENT_FOUND;
  const char *text_end = vsi_tag_text_end(text, w->end, name);
  if (text_end == w->end) return fail(w, VSI_CONTENT_UNBALANCED, at, "a noscript is not closed");
  w->open.floor = w->open.depth - 1;
  w->noscript_end = (size_t)(text_end - w->html);
  return VSI_CONTENT_FOUND;
}

/* Skip the text of an element and its end tag. */
static const char *skip_text(const walk *w, const char *at, vestry_slice name) {
  vsi_tag tag;
  vsi_tag_attribute attribute;
  at = vsi_tag_text_end(at, w->end, name);
  if (at == w->end) return at;
  vsi_tag_begin(&tag, at, w->end, false);
  while (vsi_tag_next(&tag, &attribute)) continue;
  return tag.at ? tag.at : w->end;
}

static vsi_content_fault start_tag(walk *w, vsi_tag *tag, vestry_slice id, bool has_id, const char **at) {
  size_t begin = (size_t)(*at - w->html);
  vsi_element element = vsi_element_of(tag->name);
  bool reads_foreign = vsi_open_reads_foreign(&w->open), in_body = is_in_body(w, begin, element, false);
  vsi_content_fault fault = VSI_CONTENT_FOUND;
  int is_content = has_id && !w->open.counts[VSI_EL_TEMPLATE] ? compare_id(id, w->id) : DIFFERS;
  if (is_content == UNKNOWN)
    return fail(w, VSI_CONTENT_UNSURE, begin, "this id contains a character reference, which is not decoded");
  if (is_content)
    fault = begin_content(w, begin, tag, element);
  else if (in_body)
    fault = note(w, begin, vsi_open_start(&w->open, tag, element));
  *at = tag->at;
  if (fault || reads_foreign) return fault;
  if (element == VSI_EL_FRAMESET && w->zone == BEHIND)
    return fail(w, VSI_CONTENT_UNSURE, begin, "a frameset can replace the whole page");
  vsi_element_act act = (vsi_element_act)vsi_elements[element].act;
  if (act == VSI_ACT_TEXT || (act == VSI_ACT_NOSCRIPT && w->zone != INSIDE))
    *at = skip_text(w, *at, tag->name);
  else if (act == VSI_ACT_NOSCRIPT)
    fault = begin_noscript(w, begin, *at, tag->name);
  return fault;
}

static vsi_content_fault end_tag(walk *w, const vsi_tag *tag, const char **at) {
  size_t begin = (size_t)(*at - w->html);
  vsi_element element = vsi_element_of(tag->name);
  *at = tag->at;
  if (!is_in_body(w, begin, element, true)) return VSI_CONTENT_FOUND;
  vsi_content_fault fault = note(w, begin, vsi_open_end(&w->open, tag, element));
  if (fault || w->zone != INSIDE) return fault;
  if (w->noscript_end && w->open.depth <= w->open.floor) {
    if (begin != w->noscript_end)
      return fail(w, VSI_CONTENT_UNBALANCED, begin, "a noscript ends elsewhere if scripts run");
    w->noscript_end = 0;
    w->open.floor = w->place;
  }
  if (w->open.depth > w->place) return fault;
  w->ret->end = (size_t)(*at - w->html);
  w->zone = BEHIND;
  w->open.in_content = false;
  w->open.floor = 0;
  return fault;
}

/* ---- the document ------------------------------------------------------------------------------------------------ */

static vsi_content_fault text(walk *w, const char *at, const char *end) {
  if (w->phase == IN_BODY && !(vsi_elements[vsi_open_top(&w->open)].facts & VSI_TABLE_CONTEXT))
    return VSI_CONTENT_FOUND;
  if (w->open.counts[VSI_EL_TEMPLATE]) return VSI_CONTENT_FOUND;
  while (at < end && vsi_is_space(*at)) at++;
  if (at == end) return VSI_CONTENT_FOUND;
  size_t where = (size_t)(at - w->html);
  begin_body(w, where);
  return note(w, where, vsi_open_text(&w->open));
}

/* Read the markup that begins at '<'. */
static vsi_content_fault markup(walk *w, const char **at) {
  const char *next = *at + 1;
  vsi_tag tag;
  if (!vsi_tag_begin(&tag, *at, w->end, false)) {
    if (next < w->end && (*next == '!' || *next == '?' || *next == '/')) {
      *at = vsi_tag_skip_markup(*at, w->end, vsi_open_is_foreign(&w->open));
      return VSI_CONTENT_FOUND;
    }
    const char *from = *at;
    *at = next;
    return text(w, from, next);
  }
  vsi_tag_attribute attribute;
  vestry_slice id = {NULL, 0};
  bool has_id = false;
  while (vsi_tag_next(&tag, &attribute)) {
    if (has_id || !vsi_is_word(attribute.name, "id")) continue;
    has_id = true; /* of two, the first counts */
    id = attribute.value;
  }
  if (!tag.at) { /* the document ends inside it, so it is no tag */
    *at = w->end;
    return VSI_CONTENT_FOUND;
  }
  return tag.is_end ? end_tag(w, &tag, at) : start_tag(w, &tag, id, has_id, at);
}

vsi_content_fault vsi_content_find(const char *html, size_t len, const char *id, vsi_content *ret) {
  walk w = {.html = html, .end = html + len, .id = id, .ret = ret};
  *ret = (vsi_content){.why = ""};
  if (len > VSI_CONTENT_MAX_BYTES) return fail(&w, VSI_CONTENT_TOO_LARGE, 0, "the document is too large");
  vsi_open_init(&w.open, html);
  for (const char *at = html; at < w.end;) {
    const char *less = memchr(at, '<', (size_t)(w.end - at));
    vsi_content_fault fault = text(&w, at, less ? less : w.end);
    if (fault) return fault;
    if (!less) break;
    at = less;
    if ((fault = markup(&w, &at))) return fault;
    if (w.noscript_end && (size_t)(at - html) > w.noscript_end)
      return fail(&w, VSI_CONTENT_UNBALANCED, w.noscript_end, "a noscript ends elsewhere if scripts run");
  }
  if (w.zone == BEHIND) return VSI_CONTENT_FOUND;
  if (w.zone == INSIDE) return fail(&w, VSI_CONTENT_UNBALANCED, ret->begin, "the element has no end tag");
  if (w.is_unsure) return fail(&w, VSI_CONTENT_UNSURE, w.lost_at, w.lost_why);
  return fail(&w, VSI_CONTENT_NOT_FOUND, 0, "no element has this id");
}

const char *vsi_content_fault_name(vsi_content_fault fault) {
  static const char *const names[] = {"found",          "not found", "duplicate", "unbalanced",
                                      "in svg or math", "unsure",    "too large"};
  return (size_t)fault < sizeof names / sizeof *names ? names[fault] : "unknown";
}
