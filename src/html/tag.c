/* SPDX-License-Identifier: MIT */
/* The tokenizer for whole HTML: tags, attributes, comments, and the text of elements such as script (tag.h). */
#include "html/tag.h"

#include <string.h>

bool vsi_starts_with_any(vestry_slice text, const char *const *prefixes, size_t count) {
  for (size_t i = 0; i < count; i++)
    if (vsi_starts_with(text.data, text.len, prefixes[i])) return true;
  return false;
}

static const char *skip_tag_space(const char *at, const char *end) {
  while (at < end && vsi_is_space(*at)) at++;
  return at;
}

static size_t length(const char *from, const char *to) {
  return (size_t)(to - from);
}

/* Return whether a character ends a name. */
static inline bool is_name_end(char c) {
  return (unsigned char)c <= '>' && (vsi_is_space(c) || c == '/' || c == '>');
}

bool vsi_tag_begin(vsi_tag *tag, const char *at, const char *end) {
  at++;
  bool is_end = at < end && *at == '/';
  if (is_end) at++;
  if (at == end || !vsi_is_letter(*at)) return false;
  const char *name = at;
  while (at < end && !is_name_end(*at)) at++;
  *tag = (vsi_tag){.name = {name, length(name, at)}, .is_end = is_end, .at = at, .end = end};
  return true;
}

/* Read the value after a '='. Returns its end; NULL: the text ends inside it. */
static const char *read_tag_value(const char *at, const char *end, vestry_slice *ret_value) {
  if (*at == '"' || *at == '\'') {
    const char *close = memchr(at + 1, *at, length(at + 1, end));
    if (!close) return NULL;
    *ret_value = (vestry_slice){at + 1, length(at + 1, close)};
    return close + 1;
  }
  const char *value = at;
  while (at < end && !vsi_is_space(*at) && *at != '>') at++;
  *ret_value = (vestry_slice){value, length(value, at)};
  return at;
}

/* By the standard, a leading '=' is the first byte of the name, and a '/' ends the attribute. */
bool vsi_tag_next(vsi_tag *tag, vsi_tag_attribute *ret_attribute) {
  const char *at = tag->at, *end = tag->end;
  tag->at = NULL;
  bool behind_slash = false;
  while (at < end && (vsi_is_space(*at) || *at == '/')) {
    behind_slash = *at == '/';
    at++;
  }
  if (at == end) return false;
  if (*at == '>') {
    tag->is_self_closing = behind_slash;
    tag->at = at + 1;
    return false;
  }
  const char *name = at++;
  while (at < end && !is_name_end(*at) && *at != '=') at++;
  ret_attribute->name = (vestry_slice){name, length(name, at)};
  at = skip_tag_space(at, end);
  if (at == end) return false;
  ret_attribute->value = (vestry_slice){at, 0};
  if (*at == '=') {
    at = skip_tag_space(at + 1, end);
    if (at == end || !(at = read_tag_value(at, end, &ret_attribute->value))) return false;
  }
  tag->at = at;
  return true;
}

static const char *behind_name(const char *at, const char *end, const char *mark) {
  const char *found = at < end ? memmem(at, length(at, end), mark, strlen(mark)) : NULL;
  return found ? found + strlen(mark) : end;
}

static bool begins(const char *at, const char *end, const char *with) {
  return vsi_slice_begins((vestry_slice){at, length(at, end)}, with);
}

/* Skip the rest of a comment after "<!--". It ends at "-->" or "--!>"; the dashes of its beginning count only before a
 * '>'. */
static const char *skip_comment(const char *at, const char *end) {
  if (begins(at, end, ">")) return at + 1;
  if (begins(at, end, "->")) return at + 2;
  while ((at = behind_name(at, end, "--")) < end) {
    while (at < end && *at == '-') at++;
    if (begins(at, end, ">")) return at + 1;
    if (begins(at, end, "!>")) return at + 2;
    if (begins(at, end, "!-")) at++; /* that dash can be the first of two */
  }
  return end;
}

const char *vsi_tag_skip_markup(const char *at, const char *end, bool reads_cdata) {
  if (begins(at, end, "<!--")) return skip_comment(at + 4, end);
  if (reads_cdata && begins(at, end, "<![CDATA[")) return behind_name(at, end, "]]>");
  return behind_name(at, end, ">");
}

/* Return whether a tag has this name. at: after its '<' or "</". */
static bool is_named(const char *at, const char *end, vestry_slice name) {
  return length(at, end) > name.len && vsi_is_same_text(at, name.data, name.len) && is_name_end(at[name.len]);
}

/* Find the end of a script's text. After "<!--", up to "-->", a "<script" hides the next "</script". */
static const char *script_end(const char *at, const char *end, vestry_slice name) {
  enum { PLAIN, ESCAPED, DOUBLE_ESCAPED } state = PLAIN;
  while (at < end) {
    if (state == PLAIN && !(at = memchr(at, '<', length(at, end)))) return end;
    if (state == PLAIN && begins(at, end, "<!--")) {
      state = ESCAPED;
      at += 2; /* "<!-->" ends it again */
    } else if (*at == '-' && begins(at, end, "-->")) {
      state = PLAIN;
      at += 3;
    } else if (*at != '<') {
      at++;
    } else if (begins(at, end, "</") && is_named(at + 2, end, name)) {
      if (state != DOUBLE_ESCAPED) return at;
      state = ESCAPED;
      at += 2 + name.len;
    } else {
      if (state == ESCAPED && is_named(at + 1, end, name)) state = DOUBLE_ESCAPED;
      at++;
    }
  }
  return end;
}

const char *vsi_tag_text_end(const char *at, const char *end, vestry_slice name) {
  if (vsi_is_word(name, "script")) return script_end(at, end, name);
  while (at < end && (at = memchr(at, '<', length(at, end)))) {
    if (begins(at, end, "</") && is_named(at + 2, end, name)) return at;
    at++;
  }
  return end;
}

size_t vsi_html_root_tag(vestry_slice html, bool *ret_has_tag) {
  const char *begin = html.data, *at = begin, *end = begin + html.len;
  *ret_has_tag = false;
  if (begins(at, end, "\xEF\xBB\xBF")) at += 3; /* a byte order mark */
  for (;;) {
    at = skip_tag_space(at, end);
    bool is_markup = end - at > 1 && *at == '<' && (at[1] == '!' || at[1] == '?');
    if (!is_markup) break;
    at = vsi_tag_skip_markup(at, end, false);
  }
  vsi_tag tag;
  if (at < end && *at == '<' && vsi_tag_begin(&tag, at, end) && !tag.is_end && vsi_is_word(tag.name, "html")) {
    *ret_has_tag = true;
    at = (const char *)tag.name.data + tag.name.len;
  }
  return (size_t)(at - begin);
}
