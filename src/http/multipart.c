/* SPDX-License-Identifier: MIT */
/* Reading the parts of a multipart/form-data body (multipart.h). */
#include "http/multipart.h"

#include <string.h>

#include "base/ascii.h"

enum { BOUNDARY_MAX = 70 };

/* -------------------------------------------------------------------------------------- parameters of a header ---- */

/* Return the end of a quoted value. Programs other than browsers escape a quote with a backslash (RFC 9110). Browsers
 * escape with % and send backslashes unchanged, so a backslash before the last quote belongs to the value. */
static const char *quoted_end(const char *at, const char *end) {
  for (; at < end && *at != '"'; at++) {
    if (*at != '\\' || end - at < 3 || at[1] != '"') continue;
    const char *after = at + 2;
    while (after < end && vsi_is_blank(*after)) after++;
    if (after < end && *after != ';') at++;
  }
  return at;
}

/* Read the parameter at `at`, which is after a ';': its name, and its value without quotes. Returns its end; NULL:
 * there is none. */
static const char *parameter(const char *at, const char *end, vestry_slice *ret_name, vestry_slice *ret_value) {
  while (at < end && (vsi_is_blank(*at) || *at == ';')) at++;
  const char *equals = memchr(at, '=', (size_t)(end - at));
  if (!equals) return NULL;
  *ret_name = (vestry_slice){at, (size_t)(equals - at)};
  at = equals + 1;
  bool is_quoted = at < end && *at == '"';
  const char *from = at + is_quoted;
  at = from;
  if (is_quoted) at = quoted_end(at, end);
  while (!is_quoted && at < end && *at != ';' && !vsi_is_blank(*at)) at++;
  if (is_quoted && at == end) return NULL;
  *ret_value = (vestry_slice){from, (size_t)(at - from)};
  return at + is_quoted;
}

vestry_err vsi_boundary_read(const char *content_type, vsi_boundary *ret) {
  vestry_slice name, value = {NULL, 0};
  const char *end = content_type + strlen(content_type), *at = strchr(content_type, ';');
  bool found = false;
  while (at && !found) {
    at = parameter(at, end, &name, &value);
    found = at && vsi_is_word(name, "boundary");
  }
  if (!found || !value.len || value.len > BOUNDARY_MAX) return VESTRY_MALFORMED;
  memcpy(ret->text, "\r\n--", 4);
  memcpy(ret->text + 4, value.data, value.len);
  ret->len = value.len + 4;
  return VESTRY_OK;
}

vestry_err vsi_parts_init(vsi_parts *parts, const char *content_type, vestry_slice body) {
  vestry_err error = vsi_boundary_read(content_type, &parts->boundary);
  if (error) return error;
  parts->at = body.data;
  parts->end = body.data ? parts->at + body.len : NULL;
  /* The first boundary may stand at the beginning, without the line break. Any text before it belongs to no part (RFC
   * 2046, 5.1.1). */
  size_t len = parts->boundary.len - 2;
  if (body.len >= len && memcmp(body.data, parts->boundary.text + 2, len) == 0) {
    parts->at += len;
    return VESTRY_OK;
  }
  const char *first = body.len ? memmem(body.data, body.len, parts->boundary.text, parts->boundary.len) : NULL;
  if (!first) return VESTRY_MALFORMED;
  parts->at = first + parts->boundary.len;
  return VESTRY_OK;
}

/* ------------------------------------------------------------------------------------------------------ a part ---- */

static vestry_slice trimmed_text(const char *from, const char *to) {
  while (from < to && vsi_is_blank(*from)) from++;
  while (to > from && vsi_is_blank(to[-1])) to--;
  return (vestry_slice){from, (size_t)(to - from)};
}

/* Skip the character set and the language of UTF-8'en'caf%C3%A9.png (RFC 8187). A name in another character set is
 * empty. Browsers do not send filename*, but clients of .NET and older ones of Python do. */
static vestry_slice skip_charset(vestry_slice value) {
  const char *end = (const char *)value.data + value.len, *at = memchr(value.data, '\'', value.len);
  const vestry_slice charset = {value.data, at ? (size_t)(at - (const char *)value.data) : 0};
  at = at ? memchr(at + 1, '\'', (size_t)(end - at - 1)) : NULL;
  if (!at) return value;
  return (vestry_slice){at + 1, vsi_is_word(charset, "UTF-8") ? (size_t)(end - at - 1) : 0};
}

/* Read form-data; name="…"; filename="…"; filename*=… */
static void read_disposition(vestry_slice header, vsi_part *part) {
  const char *at = header.data, *end = at + header.len;
  vestry_slice name, value;
  if (header.len < 9 || vsi_strncasecmp(at, "form-data", 9) != 0) return;
  for (at += 9; (at = parameter(at, end, &name, &value)) != NULL;) {
    if (vsi_is_word(name, "name")) part->name = value;
    if (vsi_is_word(name, "filename")) part->filename = value;
    if (vsi_is_word(name, "filename*")) part->encoded = skip_charset(value);
  }
}

void vsi_part_read(const char *line, const char *end, vsi_part *part) {
  const char *colon = memchr(line, ':', (size_t)(end - line));
  if (!colon) return;
  const vestry_slice name = {line, (size_t)(colon - line)}, value = trimmed_text(colon + 1, end);
  if (vsi_is_word(name, "Content-Disposition")) read_disposition(value, part);
  if (vsi_is_word(name, "Content-Type")) part->type = value;
}

vestry_err vsi_parts_next(vsi_parts *parts, vsi_part *ret_part) {
  const char *at = parts->at, *end = parts->end;
  if (end - at >= 2 && memcmp(at, "--", 2) == 0) return VESTRY_NOT_FOUND; /* the close delimiter */
  while (at < end && vsi_is_blank(*at)) at++;
  if (end - at < 2 || memcmp(at, "\r\n", 2) != 0) return VESTRY_MALFORMED;
  at += 2;
  vsi_part part = {.name = {NULL, 0}};
  for (;;) {
    const char *stop = memmem(at, (size_t)(end - at), "\r\n", 2);
    if (!stop) return VESTRY_MALFORMED;
    if (stop == at) break;
    vsi_part_read(at, stop, &part);
    at = stop + 2;
  }
  /* the boundary begins with a line break, which may be that of the empty line */
  const char *stop = memmem(at, (size_t)(end - at), parts->boundary.text, parts->boundary.len);
  if (!stop || !part.name.data) return VESTRY_MALFORMED;
  at += 2;
  part.value = (vestry_slice){at, stop > at ? (size_t)(stop - at) : 0};
  parts->at = stop + parts->boundary.len;
  *ret_part = part;
  return VESTRY_OK;
}

/* Read a character of a text. Browsers send these three escapes (WHATWG HTML, "multipart/form-data encoding
 * algorithm"). Returns where the next character begins. */
static const char *decode_escape(const char *at, const char *end, char *ret_c) {
  static const struct {
    const char *sent;
    char is;
  } escapes[] = {{"\\\"", '"'}, {"%22", '"'}, {"%0D", '\r'}, {"%0A", '\n'}};
  for (size_t i = 0; i < sizeof escapes / sizeof *escapes; i++) {
    const size_t len = strlen(escapes[i].sent);
    if ((size_t)(end - at) < len || memcmp(at, escapes[i].sent, len) != 0) continue;
    *ret_c = escapes[i].is;
    return at + len;
  }
  *ret_c = *at;
  return at + 1;
}

size_t vsi_part_decode(vestry_slice text, char *to) {
  const char *at = text.data, *end = at + text.len;
  size_t len = 0;
  while (at < end) at = decode_escape(at, end, &to[len++]);
  return len;
}

bool vsi_part_is_named(const vsi_part *part, const char *name) {
  const char *at = part->name.data, *end = at + part->name.len;
  char c;
  for (; at < end; name++) {
    at = decode_escape(at, end, &c);
    if (c != *name || !c) return false;
  }
  return !*name;
}
