/* SPDX-License-Identifier: MIT */
/* essay: finding a page's content in a document of the application */
/* A document is read once, tag by tag, by the rules of WHATWG HTML, section 13.2.5. The content ends at the end tag
 * that closes the first of the elements of its name. Comments and the texts of elements such as script contain no tags.
 * Of a template, of svg and of math only the end matters, which is found in the same way: elements in a template are
 * not in the document, and in svg and math a tag of any name can be without an end tag. Ids in svg and math count,
 * because the client finds an element by its id.
 *
 * Most documents leave out tags of html, head and body. The head ends at its end tag, or before the first tag or text
 * that cannot be in it (section 13.2.6.4.4). */
#include "app/page/content.h"

#include <string.h>

#include "app/page/element.h"

typedef struct walk {
  const char *html, *end, *id;
  vsi_content *ret;
  enum { IN_HEAD, BEHIND_HEAD, IN_BODY } phase;
  enum { BEFORE, INSIDE, BEHIND } zone;
  vestry_slice name;  /* of the content's element */
  size_t depth;       /* number of open elements of this name, in the content */
  vestry_slice apart; /* name of the template, svg or math that is open */
  size_t apart_depth; /* number of open elements of this name; 0: none is open */
} walk;

static vsi_content_fault fail(walk *w, vsi_content_fault fault, size_t at, const char *why) {
  w->ret->at = at;
  w->ret->why = why;
  return fault;
}

static void begin_body(walk *w, size_t at) {
  if (w->phase == IN_HEAD) w->ret->head_end = at;
  w->phase = IN_BODY;
}

/* Note the end of the head, if this tag marks it. */
static void pass_head(walk *w, size_t at, const vsi_tag *tag, const vsi_element *element) {
  if (w->phase == IN_BODY || w->apart_depth) return;
  const vestry_slice name = tag->name;
  if (!tag->is_end) {
    const bool is_of_body = w->phase == BEHIND_HEAD && vsi_is_word(name, "noscript");
    if (is_of_body || !(element->traits & VSI_IS_OF_HEAD)) begin_body(w, at);
  } else if (vsi_is_word(name, "body") || vsi_is_word(name, "html") || vsi_is_word(name, "br")) {
    begin_body(w, at);
  } else if (vsi_is_word(name, "head") && w->phase == IN_HEAD) {
    w->ret->head_end = at;
    w->phase = BEHIND_HEAD;
  }
}

static bool is_same_name(vestry_slice name, vestry_slice other) {
  return name.len == other.len && vsi_is_same_text(name.data, other.data, name.len);
}

static vsi_content_fault begin_content(walk *w, size_t at, const vsi_tag *tag, const vsi_element *element) {
  if (w->zone != BEFORE) return fail(w, VSI_CONTENT_DUPLICATE, at, "another element has the same id");
  if (w->apart_depth) return fail(w, VSI_CONTENT_FOREIGN, at, "the element is in svg or math");
  if (!(element->traits & VSI_CAN_BE_CONTENT))
    return fail(w, VSI_CONTENT_NOT_FOUND, at, "the element with this id is not a main, div, section or article");
  w->zone = INSIDE;
  w->name = tag->name;
  w->ret->begin = at;
  return VSI_CONTENT_FOUND;
}

static vsi_content_fault start_tag(walk *w, const vsi_tag *tag, bool has_id, const char **at) {
  const size_t begin = (size_t)(*at - w->html);
  const vsi_element *element = vsi_element_of(tag->name);
  const bool is_template = vsi_is_word(tag->name, "template"),
             is_apart = is_template || element->is & VSI_READS_FOREIGN;
  pass_head(w, begin, tag, element);
  *at = tag->at;
  if (has_id && !(w->apart_depth && vsi_is_word(w->apart, "template"))) {
    const vsi_content_fault fault = begin_content(w, begin, tag, element);
    if (fault) return fault;
  }
  if (w->apart_depth) {
    if (is_same_name(tag->name, w->apart) && (is_template || !tag->is_self_closing)) w->apart_depth++;
  } else if (is_apart && (is_template || !tag->is_self_closing)) {
    w->apart = tag->name;
    w->apart_depth = 1;
  } else if (w->zone == INSIDE && is_same_name(tag->name, w->name)) {
    w->depth++;
  }
  const char *text_end;
  if (element->traits & VSI_IS_TEXT && !(w->apart_depth && tag->is_self_closing) &&
      !(*at = vsi_element_skip_text(tag, w->end, &text_end)))
    *at = w->end;
  return VSI_CONTENT_FOUND;
}

static void end_tag(walk *w, const vsi_tag *tag, const char **at) {
  pass_head(w, (size_t)(*at - w->html), tag, vsi_element_of(tag->name));
  *at = tag->at;
  if (w->apart_depth) {
    if (is_same_name(tag->name, w->apart)) w->apart_depth--;
  } else if (w->zone == INSIDE && is_same_name(tag->name, w->name) && !--w->depth) {
    w->ret->end = (size_t)(*at - w->html);
    w->zone = BEHIND;
  }
}

/* A text that is not white space begins the body. */
static void text(walk *w, const char *at, const char *end) {
  if (w->phase == IN_BODY || w->apart_depth) return;
  while (at < end && vsi_is_space(*at)) at++;
  if (at < end) begin_body(w, (size_t)(at - w->html));
}

/* Read the markup that begins at '<'. */
static vsi_content_fault markup(walk *w, const char **at) {
  const char *const from = *at, *next = from + 1;
  vsi_tag tag;
  if (!vsi_tag_begin(&tag, from, w->end)) {
    const bool is_foreign = w->apart_depth && !vsi_is_word(w->apart, "template");
    const bool is_markup = next < w->end && (*next == '!' || *next == '?' || *next == '/');
    *at = is_markup ? vsi_tag_skip_markup(from, w->end, is_foreign) : next;
    if (!is_markup) text(w, from, next);
    return VSI_CONTENT_FOUND;
  }
  vsi_tag_attribute attribute;
  vestry_slice id = {NULL, 0};
  while (vsi_tag_next(&tag, &attribute))
    if (!id.data && vsi_is_word(attribute.name, "id")) id = attribute.value; /* of two, the first counts */
  if (!tag.at) { /* the document ends inside it, so it is no tag */
    *at = w->end;
    return VSI_CONTENT_FOUND;
  }
  if (!tag.is_end) return start_tag(w, &tag, id.len == strlen(w->id) && memcmp(id.data, w->id, id.len) == 0, at);
  end_tag(w, &tag, at);
  return VSI_CONTENT_FOUND;
}

vsi_content_fault vsi_content_find(const char *html, size_t len, const char *id, vsi_content *ret) {
  walk w = {.html = html, .end = html + len, .id = id, .ret = ret};
  *ret = (vsi_content){.why = ""};
  if (len > VSI_CONTENT_MAX_BYTES) return fail(&w, VSI_CONTENT_TOO_LARGE, 0, "the document is too large");
  for (const char *at = html; at < w.end;) {
    const char *less = memchr(at, '<', (size_t)(w.end - at));
    text(&w, at, less ? less : w.end);
    if (!less) break;
    at = less;
    const vsi_content_fault fault = markup(&w, &at);
    if (fault) return fault;
  }
  if (w.zone == BEHIND) return VSI_CONTENT_FOUND;
  if (w.zone == INSIDE) return fail(&w, VSI_CONTENT_UNBALANCED, ret->begin, "the element has no end tag");
  return fail(&w, VSI_CONTENT_NOT_FOUND, 0, "no element has this id");
}

const char *vsi_content_fault_name(vsi_content_fault fault) {
  static const char *const names[] = {"found", "not found", "duplicate", "unbalanced", "in svg or math", "too large"};
  return (size_t)fault < sizeof names / sizeof *names ? names[fault] : "unknown";
}
