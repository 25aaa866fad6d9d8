/* SPDX-License-Identifier: MIT */
/* Tags of HTML that lies in memory, and what stands between them: WHATWG HTML, section 13.2.5. This is the tokenizer
 * for whole HTML (roots.c, content.c); place.c reads HTML that comes in pieces. */
#ifndef VSI_HTML_TAG_H
#define VSI_HTML_TAG_H

#include <stdbool.h>

#include "vestry/host.h"

/* After the white space that begins at `at`; in an event also after the keys of lines in it: each line but the first
 * has "data: elements " before it, which the client does not see. */
const char *vsi_tag_skip_space(const char *at, const char *end, bool in_event);

/* A tag that is being read. */
typedef struct vsi_tag {
  vestry_slice name; /* as it is written */
  bool is_end, in_event;
  bool is_self_closing; /* once it is over: it ends with "/>" */
  const char *at, *end;
} vsi_tag;

/* An attribute as it is written: character references stand in its value. */
typedef struct vsi_tag_attribute {
  vestry_slice name, value;
} vsi_tag_attribute;

/* Begin with the tag whose '<' is at `at`. false: no tag begins there. */
bool vsi_tag_begin(vsi_tag *tag, const char *at, const char *end, bool in_event);
/* The next attribute. false: there is none; tag->at is after the '>', or NULL if the text ends inside of the tag. */
bool vsi_tag_next(vsi_tag *tag, vsi_tag_attribute *ret_attribute);

/* After the comment, declaration or instruction whose "<!", "<?" or "</" is at `at`, where no tag begins; end if it has
 * no end. A CDATA section is one only if reads_cdata: in svg and math. */
const char *vsi_tag_skip_markup(const char *at, const char *end, bool reads_cdata);
/* The end tag that ends the text of an element, a script with its escapes or any other; end: there is none. */
const char *vsi_tag_text_end(const char *at, const char *end, vestry_slice name);

#endif
