/* SPDX-License-Identifier: MIT */
/* Tags of HTML in memory, and the markup between them: WHATWG HTML, section 13.2.5. This is the tokenizer for whole
 * HTML; place.c reads HTML in pieces. */
#ifndef VSI_HTML_TAG_H
#define VSI_HTML_TAG_H

#include <stdbool.h>

#include "base/ascii.h"
#include "vestry/host.h"

/* Return whether the text begins with `lower`, ignoring the case of ASCII letters, as in HTML and in any locale:
 * strncasecmp takes I and i for different letters in a Turkish one. */
static inline bool vsi_starts_with(const char *text, size_t len, const char *lower) {
  const size_t wanted = strlen(lower);
  return wanted <= len && vsi_is_same_text(text, lower, wanted);
}
/* Return whether the text begins with one of several prefixes, compared as by vsi_starts_with. */
bool vsi_starts_with_any(vestry_slice text, const char *const *prefixes, size_t count);
/* The same for an array (not a pointer) of prefixes. */
#define VSI_STARTS_WITH_ANY(text, prefixes) vsi_starts_with_any(text, prefixes, sizeof(prefixes) / sizeof *(prefixes))

/* Return the text without its first len bytes. len: at most the length of the text */
static inline vestry_slice vsi_slice_behind(vestry_slice text, size_t len) {
  return (vestry_slice){(const char *)text.data + len, text.len - len};
}

/* Return whether the text begins with these bytes. */
static inline bool vsi_slice_begins(vestry_slice text, const char *with) {
  const size_t len = strlen(with);
  return text.len >= len && memcmp(text.data, with, len) == 0;
}

/* A tag that is being read. */
typedef struct vsi_tag {
  vestry_slice name; /* as it is written */
  bool is_end;
  bool is_self_closing; /* valid at the end of the tag: it ends with "/>" */
  const char *at, *end;
} vsi_tag;

/* An attribute as it is written: character references in its value are not decoded. */
typedef struct vsi_tag_attribute {
  vestry_slice name, value;
} vsi_tag_attribute;

/* Begin to read the tag whose '<' is at `at`. false: no tag begins there. */
VESTRY_API bool vsi_tag_begin(vsi_tag *tag, const char *at, const char *end);
/* Read the next attribute. false: there is none; tag->at is after the '>', or NULL if the text ends inside the tag. */
VESTRY_API bool vsi_tag_next(vsi_tag *tag, vsi_tag_attribute *ret_attribute);

/* Return the end of the comment, declaration or instruction whose "<!", "<?" or "</" is at `at`, where no tag begins;
 * `end` if it has no end. A CDATA section is recognized only if reads_cdata: in svg and math. */
VESTRY_API const char *vsi_tag_skip_markup(const char *at, const char *end, bool reads_cdata);
/* Find the end tag that ends the text of an element, of a script with its escapes or of any other; `end`: there is
 * none. */
VESTRY_API const char *vsi_tag_text_end(const char *at, const char *end, vestry_slice name);

/* Find the place where an attribute of the html element can be inserted (WHATWG HTML, sections 13.2.6.4.1 and
 * 13.2.6.4.2): after the name of its start tag. If the document begins without that tag, ret_has_tag is false, and a
 * whole tag can be inserted at the place, before the bytes for which the parser would create the element. A second tag
 * of that name adds only attributes that the first one lacks.
 *  html  UTF-8, borrowed for the call; linear time, no allocation */
VESTRY_API size_t vsi_html_root_tag(vestry_slice html, bool *ret_has_tag);

#endif
