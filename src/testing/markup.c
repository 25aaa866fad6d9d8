/* SPDX-License-Identifier: MIT */
#include "testing/markup.h"

#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/ascii.h"
#include "base/real.h"
#include "base/utf8.h"
#include "html/tag.h"

enum { DEPTH_MOST = 256, LITERAL_DEPTH_MOST = 32 };

static bool is_one_of(const char *name, const char *words) {
  const size_t len = strlen(name);
  for (const char *at = words; (at = strstr(at, name)) != NULL; at += len)
    if ((at == words || at[-1] == ' ') && (at[len] == ' ' || !at[len])) return true;
  return false;
}

/* ---- elements ---------------------------------------------------------------------------------------------------- */

static void copy_name(vestry_slice from, char name[16]) {
  const size_t len = from.len < 15 ? from.len : 15;
  for (size_t i = 0; i < len; i++) name[i] = vsi_lower(((const char *)from.data)[i]);
  name[len] = '\0';
}

typedef struct reading {
  vsi_markup *markup;
  size_t open[DEPTH_MOST], depth;
} reading;

/* End the open elements down to this depth, which end at `at`. */
static void close_to(reading *r, size_t depth, size_t at) {
  while (r->depth > depth) {
    vsi_markup_element *of = &r->markup->elements[r->open[--r->depth]];
    of->inner_end = of->end = at;
  }
}

static void end_element(reading *r, const char *name, size_t begin, size_t end) {
  for (size_t i = r->depth; i-- > 0;) {
    vsi_markup_element *of = &r->markup->elements[r->open[i]];
    if (strcmp(of->name, name) != 0) continue;
    close_to(r, i + 1, begin);
    of->inner_end = begin;
    of->end = end;
    r->depth = i;
    return;
  }
}

static vestry_err begin_element(reading *r, const vsi_tag *tag, const char *name, size_t begin, size_t inner) {
  vsi_markup *m = r->markup;
  vestry_err error = VSI_ARRAY_RESERVE(m->host, m->elements, m->count, m->room, 1);
  if (error) return error;
  vsi_markup_element *of = &m->elements[m->count];
  *of = (vsi_markup_element){.begin = begin, .inner = inner, .inner_end = inner, .end = inner};
  of->parent = r->depth ? r->open[r->depth - 1] : VSI_NO_ELEMENT;
  strcpy(of->name, name);
  const bool is_void = is_one_of(name, "area base br col embed hr img input link meta source track wbr");
  if (!is_void && !tag->is_self_closing && r->depth < DEPTH_MOST) r->open[r->depth++] = m->count;
  m->count++;
  return VESTRY_OK;
}

/* Read the tag at `at`. Returns the place behind it; NULL: there is no tag, or it does not end. */
static const char *read_tag(reading *r, const char *at, vestry_err *ret_error) {
  vsi_markup *m = r->markup;
  const char *end = m->html + m->len;
  vsi_tag tag;
  vsi_tag_attribute attribute;
  char name[16];
  if (!vsi_tag_begin(&tag, at, end)) return NULL;
  copy_name(tag.name, name);
  while (vsi_tag_next(&tag, &attribute)) continue;
  if (!tag.at) return NULL;
  const size_t begin = (size_t)(at - m->html), behind = (size_t)(tag.at - m->html);
  if (tag.is_end) {
    end_element(r, name, begin, behind);
    return tag.at;
  }
  *ret_error = begin_element(r, &tag, name, begin, behind);
  if (!*ret_error && is_one_of(name, "script style textarea title noscript xmp iframe"))
    return vsi_tag_text_end(tag.at, end, tag.name);
  return tag.at;
}

vestry_err vsi_markup_read(vsi_markup *markup, const vestry_host *host, const char *html, size_t len) {
  *markup = (vsi_markup){.host = host, .html = html, .len = len};
  reading r = {.markup = markup, .depth = 0};
  vestry_err error = VESTRY_OK;
  const char *at = html, *end = html + len;
  while (!error && at < end && (at = memchr(at, '<', (size_t)(end - at))) != NULL) {
    const char *behind = read_tag(&r, at, &error);
    const bool is_markup = at + 1 < end && (at[1] == '!' || at[1] == '?' || at[1] == '/');
    at = behind ? behind : is_markup ? vsi_tag_skip_markup(at, end, false) : at + 1;
  }
  close_to(&r, 0, len);
  return error;
}

void vsi_markup_finish(vsi_markup *markup) {
  vsi_free(markup->host, markup->elements);
  *markup = (vsi_markup){.host = markup->host};
}

/* Return the number of elements that begin before `at`. */
static size_t count_before(const vsi_markup *m, size_t at) {
  size_t low = 0, high = m->count;
  while (low < high) {
    const size_t middle = low + (high - low) / 2;
    if (m->elements[middle].begin < at)
      low = middle + 1;
    else
      high = middle;
  }
  return low;
}

static void shift(vsi_markup_element *of, size_t by) {
  of->begin += by, of->inner += by, of->inner_end += by, of->end += by;
}

vestry_err vsi_markup_replace(vsi_markup *m, const char *html, size_t begin, size_t end, const vsi_markup_part *by,
                              size_t *ret_first) {
  const size_t first = count_before(m, begin), last = count_before(m, end);
  const size_t longer = by->end - by->begin - (end - begin); /* may wrap around, as may the next difference */
  const size_t more = by->count - (last - first);
  size_t around = VSI_NO_ELEMENT;
  vestry_err error = VSI_ARRAY_RESERVE(m->host, m->elements, m->count, m->room, by->count);
  if (error) return error;
  for (size_t i = 0; i < first; i++) {
    vsi_markup_element *of = &m->elements[i];
    if (of->inner > begin || of->inner_end < end || of->end == of->inner) continue; /* before it, or void */
    of->inner_end += longer, of->end += longer;
    around = i;
  }
  memmove(m->elements + first + by->count, m->elements + last, (m->count - last) * sizeof *m->elements);
  m->count += more;
  for (size_t i = 0; i < by->count; i++) {
    vsi_markup_element *of = &m->elements[first + i];
    *of = by->of->elements[by->first + i];
    shift(of, begin - by->begin);
    of->parent = of->parent == VSI_NO_ELEMENT ? around : of->parent - by->first + first;
  }
  for (size_t i = first + by->count; i < m->count; i++) {
    vsi_markup_element *of = &m->elements[i];
    shift(of, longer);
    if (of->parent != VSI_NO_ELEMENT && of->parent >= first) of->parent += more;
  }
  m->html = html;
  m->len += longer;
  *ret_first = first;
  return VESTRY_OK;
}

/* ---- texts ------------------------------------------------------------------------------------------------------- */

static const struct {
  const char *name, *text;
} references[] = {{"amp;", "&"}, {"lt;", "<"}, {"gt;", ">"}, {"quot;", "\""}, {"apos;", "'"}, {"nbsp;", "\xC2\xA0"}};

static void append_code_point(vsi_buffer *to, unsigned long c) {
  char bytes[4];
  vsi_buffer_append(to, bytes, vsi_utf8_put(bytes, (uint32_t)c));
}

/* Append the character reference whose '&' is at `at`. Returns the place behind it. */
static const char *append_reference(vsi_buffer *to, const char *at, const char *end) {
  for (size_t i = 0; i < sizeof references / sizeof *references; i++) {
    const size_t len = strlen(references[i].name);
    if ((size_t)(end - at) <= len || strncmp(at + 1, references[i].name, len) != 0) continue;
    vsi_buffer_append_str(to, references[i].text);
    return at + 1 + len;
  }
  if (end - at > 3 && at[1] == '#') {
    char *behind;
    const bool is_hex = at[2] == 'x' || at[2] == 'X';
    const unsigned long c = strtoul(at + 2 + is_hex, &behind, is_hex ? 16 : 10);
    if (behind < end && *behind == ';' && c && c < 0x110000) {
      append_code_point(to, c);
      return behind + 1;
    }
  }
  vsi_buffer_append_char(to, '&');
  return at + 1;
}

static void append_decoded(vsi_buffer *to, const char *at, const char *end) {
  while (at < end) {
    const char *next = memchr(at, '&', (size_t)(end - at));
    vsi_buffer_append(to, at, (size_t)((next ? next : end) - at));
    at = next ? append_reference(to, next, end) : end;
  }
}

/* Return whether an element stands in the line of its text, so that no space separates it. */
static bool is_inline(const char *name) {
  return is_one_of(name, "a abbr b code em i kbd mark q s small span strong sub sup time u");
}

/* Append the text between start tags: without end tags, comments and declarations. */
static void append_text(vsi_buffer *to, const char *at, const char *end) {
  while (at < end) {
    const char *next = memchr(at, '<', (size_t)(end - at));
    const bool is_end = next && end - next > 1 && next[1] == '/';
    append_decoded(to, at, next ? next : end);
    if (!next) return;
    char name[16] = "";
    if (is_end) copy_name((vestry_slice){next + 2, strspn(next + 2, "abcdefghijklmnopqrstuvwxyz0123456789-")}, name);
    if (is_end && !is_inline(name)) vsi_buffer_append_char(to, ' ');
    const char *behind = is_end ? memchr(next, '>', (size_t)(end - next)) : NULL;
    at = is_end                             ? (behind ? behind + 1 : end)
         : end - next > 1 && next[1] == '!' ? vsi_tag_skip_markup(next, end, false)
                                            : next + 1;
  }
}

bool vsi_markup_attribute(const vsi_markup *markup, size_t element, const char *name, vsi_buffer *value, char *ret_rest,
                          size_t capacity) {
  const vsi_markup_element *of = &markup->elements[element];
  const size_t len = strlen(name);
  const bool is_prefix = name[len - 1] == ':' || name[len - 1] == '_';
  vsi_tag tag;
  vsi_tag_attribute found;
  vsi_buffer_clear(value);
  if (!vsi_tag_begin(&tag, markup->html + of->begin, markup->html + markup->len)) return false;
  while (vsi_tag_next(&tag, &found)) {
    const vestry_slice rest = vsi_slice_behind(found.name, found.name.len < len ? found.name.len : len);
    if (!vsi_starts_with(found.name.data, found.name.len, name) || (rest.len && !is_prefix)) continue;
    if (ret_rest) snprintf(ret_rest, capacity, "%.*s", (int)rest.len, (const char *)rest.data);
    const char *text = found.value.data;
    if (found.value.len) append_decoded(value, text, text + found.value.len);
    return vsi_buffer_terminate(value) != NULL;
  }
  return false;
}

/* Append the value of data-text="$name" or "$name.part". Returns whether the element has such an attribute. */
static bool append_signal(const vsi_markup *markup, size_t element, const json_t *signals, vsi_buffer *text) {
  vsi_buffer value;
  vsi_buffer_init(&value, markup->host);
  const bool has = signals && vsi_markup_attribute(markup, element, "data-text", &value, NULL, 0) &&
                   value.data[0] == '$' && !value.data[1 + strcspn(value.data + 1, " +-*/?:&|()[]{}!=<>")];
  const json_t *is = has ? signals : NULL;
  for (char *name = has ? value.data + 1 : NULL, *rest; is && name; name = rest) {
    rest = strchr(name, '.');
    if (rest) *rest++ = '\0';
    is = json_object_get(is, name);
  }
  if (json_is_string(is)) vsi_buffer_append_str(text, json_string_value(is));
  if (json_is_integer(is)) vsi_buffer_printf(text, "%lld", (long long)json_integer_value(is));
  vsi_buffer_finish(&value);
  return has;
}

/* Replace runs of white space by single spaces, and drop those at the ends. */
static void collapse(vsi_buffer *text) {
  size_t to = 0;
  for (size_t i = 0; i < text->len; i++) {
    const bool is_space = vsi_is_space(text->data[i]);
    if (is_space && (!to || text->data[to - 1] == ' ')) continue;
    text->data[to++] = is_space ? ' ' : text->data[i];
  }
  text->len = to && text->data[to - 1] == ' ' ? to - 1 : to;
}

void vsi_markup_text(const vsi_markup *markup, size_t element, const json_t *signals, vsi_buffer *text) {
  const vsi_markup_element *root = &markup->elements[element];
  size_t at = root->inner;
  vsi_buffer_clear(text);
  const bool is_signal = append_signal(markup, element, signals, text);
  for (size_t i = element + 1; !is_signal && i < markup->count && markup->elements[i].begin < root->inner_end; i++) {
    const vsi_markup_element *of = &markup->elements[i];
    if (of->begin < at) continue; /* in an element that was skipped */
    append_text(text, markup->html + at, markup->html + of->begin);
    if (!is_inline(of->name)) vsi_buffer_append_char(text, ' ');
    const bool is_skipped = is_one_of(of->name, "script style template noscript select textarea head") ||
                            append_signal(markup, i, signals, text);
    at = is_skipped ? of->end : of->inner;
  }
  if (!is_signal && at < root->inner_end) append_text(text, markup->html + at, markup->html + root->inner_end);
  collapse(text);
  (void)vsi_buffer_terminate(text);
}

static bool has_id(const vsi_markup *markup, size_t element, const char *id, vsi_buffer *value) {
  return vsi_markup_attribute(markup, element, "id", value, NULL, 0) && strcmp(value->data, id) == 0;
}

size_t vsi_markup_by_id(const vsi_markup *markup, size_t within, const char *id) {
  vsi_buffer value;
  size_t found = VSI_NO_ELEMENT;
  vsi_buffer_init(&value, markup->host);
  /* First the elements whose start tags contain this text, because reading all of them is slow. */
  const bool is_in_all = within == VSI_NO_ELEMENT;
  const char *at = markup->html + (is_in_all ? 0 : markup->elements[within].inner);
  const char *end = markup->html + (is_in_all ? markup->len : markup->elements[within].inner_end);
  const size_t len = strlen(id), first = is_in_all ? 0 : within + 1;
  for (; len && found == VSI_NO_ELEMENT && at < end; at += len) {
    at = memmem(at, (size_t)(end - at), id, len);
    if (!at) break;
    const size_t before = count_before(markup, (size_t)(at - markup->html)), i = before - 1;
    if (before && (size_t)(at - markup->html) < markup->elements[i].inner && has_id(markup, i, id, &value)) found = i;
  }
  for (size_t i = first; i < markup->count && found == VSI_NO_ELEMENT && strpbrk(id, "&<>\"'"); i++) {
    if (markup->html + markup->elements[i].begin >= end) break;
    if (has_id(markup, i, id, &value)) found = i;
  }
  vsi_buffer_finish(&value);
  return found;
}

size_t vsi_markup_around(const vsi_markup *markup, size_t element, const char *name) {
  while (element != VSI_NO_ELEMENT && strcmp(markup->elements[element].name, name) != 0)
    element = markup->elements[element].parent;
  return element;
}

char *vsi_markup_copy(const vsi_markup *markup, size_t element, const char *name) {
  vsi_buffer value;
  vsi_buffer_init(&value, markup->host);
  const bool has = vsi_markup_attribute(markup, element, name, &value, NULL, 0);
  const char *text = has ? vsi_buffer_terminate(&value) : NULL;
  char *copy = text ? vsi_strdup(markup->host, text, strlen(text)) : NULL;
  vsi_buffer_finish(&value);
  return copy;
}

char *vsi_markup_listener(const vsi_markup *markup, size_t element) {
  for (size_t at = markup->elements[element].parent; at != VSI_NO_ELEMENT; at = markup->elements[at].parent) {
    char *expression = vsi_markup_copy(markup, at, "data-on:click");
    if (expression && strstr(expression, VSI_MARKUP_PRESSED)) return expression;
    vsi_free(markup->host, expression);
  }
  return NULL;
}

/* ---- literals of JavaScript -------------------------------------------------------------------------------------- */

static const char *skip_space(const char *at) {
  return at + strspn(at, " \t\r\n");
}

/* Read the escape behind the backslash at `at`. Returns the place behind it. */
static const char *read_escape(const char *at, vsi_buffer *to) {
  static const char names[] = "nrtbfv0", values[] = "\n\r\t\b\f\v";
  const size_t digits = *at == 'x' ? 2 : *at == 'u' ? 4 : 0;
  char hex[5] = "", *end;
  if (digits && strlen(at + 1) >= digits) {
    memcpy(hex, at + 1, digits);
    append_code_point(to, strtoul(hex, &end, 16));
    return at + 1 + digits;
  }
  const char *name = *at ? strchr(names, *at) : NULL;
  if (*at) vsi_buffer_append_char(to, name ? values[name - names] : *at);
  return *at ? at + 1 : at;
}

static json_t *read_string(const char **at) {
  const char quote = **at;
  vsi_buffer text;
  vsi_buffer_init(&text, vestry_host_default());
  const char *next = *at + 1;
  while (*next && *next != quote) {
    if (*next == '\\')
      next = read_escape(next + 1, &text);
    else
      vsi_buffer_append_char(&text, *next++);
  }
  json_t *made = *next && vsi_buffer_terminate(&text) ? json_stringn(text.data, text.len) : NULL;
  *at = *next ? next + 1 : next;
  vsi_buffer_finish(&text);
  return made;
}

static json_t *read_literal(const char **at, int depth);

/* Read the name of a member, quoted or not, and its colon. false: there is none. */
static bool read_name(const char **at, char name[64]) {
  *at = skip_space(*at);
  json_t *quoted = **at == '\'' || **at == '"' ? read_string(at) : NULL;
  const size_t len = quoted ? 0 : strspn(*at, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_$");
  if (quoted)
    snprintf(name, 64, "%s", json_string_value(quoted));
  else
    snprintf(name, 64, "%.*s", (int)len, *at);
  json_decref(quoted);
  *at = skip_space(*at + len);
  if (!*name || **at != ':') return false;
  ++*at;
  return true;
}

static json_t *read_group(const char **at, int depth) {
  const bool is_object = **at == '{';
  json_t *made = is_object ? json_object() : json_array();
  *at = skip_space(*at + 1);
  while (made && **at && **at != (is_object ? '}' : ']')) {
    char name[64] = "";
    json_t *value = is_object && !read_name(at, name) ? NULL : read_literal(at, depth + 1);
    if (!value || (is_object ? json_object_set_new(made, name, value) : json_array_append_new(made, value))) {
      json_decref(made);
      return NULL;
    }
    *at = skip_space(*at);
    if (**at == ',') *at = skip_space(*at + 1);
  }
  if (**at) ++*at;
  return made;
}

static json_t *read_literal(const char **at, int depth) {
  static const char *const words[] = {"true", "false", "null"};
  *at = skip_space(*at);
  if (depth > LITERAL_DEPTH_MOST) return NULL;
  if (**at == '\'' || **at == '"') return read_string(at);
  if (**at == '{' || **at == '[') return read_group(at, depth);
  for (size_t i = 0; i < 3; i++) {
    const size_t len = strlen(words[i]);
    if (strncmp(*at, words[i], len) != 0) continue;
    *at += len;
    return i == 2 ? json_null() : json_boolean(i == 0);
  }
  char *end;
  const double number = vsi_real_read(*at, &end);
  if (end == *at) return NULL;
  const bool is_whole = strcspn(*at, ".eE") >= (size_t)(end - *at);
  *at = end;
  return is_whole ? json_integer((json_int_t)number) : json_real(number);
}

json_t *vsi_js_literal(const char **at) {
  return read_literal(at, 0);
}
