/* SPDX-License-Identifier: MIT */
/* essay: a boundary that is split between two pieces */
/* A boundary begins with CR and contains no other CR. Therefore, if the end of a piece may be the beginning of a
 * boundary, this beginning starts at the last CR, and its length is all that has to be stored. If it turns out not to
 * be a boundary, no boundary begins inside it. Pieces are searched as a whole, and values are passed on in runs as long
 * as possible. */
#include "app/upload/form.h"

#include <string.h>

#include "base/ascii.h"
#include "base/hex.h"
#include "base/log.h"
#include "base/utf8.h"

/* ---- descriptions of files, as clients send them */

/* Return the end of the last character that fits into `most` bytes. */
static size_t cut(const char *text, size_t len, size_t most) {
  if (len <= most) return len;
  while (most && ((unsigned char)text[most] & 0xC0) == 0x80) most--;
  return most;
}

/* Return the length of the ending of a name, with its dot; 0: there is none, or it is too long for one. */
static size_t ending_len(const char *name, size_t len) {
  enum { ENDING_MOST = 16 };
  const char *dot = memrchr(name, '.', len);
  const size_t ending = dot ? len - (size_t)(dot - name) : 0;
  return ending <= ENDING_MOST ? ending : 0;
}

/* Append a text without control characters. Returns the end of the name. */
static char *put_clean(char *name, const char *text, size_t len) {
  for (const char *end = text + len; text < end;) {
    const size_t control = vsi_control_len(text, end);
    if (!control) *name++ = *text;
    text += control ? control : 1;
  }
  return name;
}

/* The name of a file has 255 bytes in most systems, but 255 code units in some, which are up to 765 bytes of UTF-8. Of
 * a name that is too long the ending stays, because programs recognize files by it. */
void vsi_declared_name(vestry_slice declared, char name[VSI_DECLARED_NAME_BYTES]) {
  const char *from = declared.data, *end = from + declared.len;
  name[0] = '\0';
  for (const char *at = from; at < end; at++)
    if (*at == '/' || *at == '\\') from = at + 1;
  const size_t len = (size_t)(end - from);
  if (!len || !vsi_is_utf8(from, len)) return;
  const size_t ending = len < VSI_DECLARED_NAME_BYTES ? 0 : ending_len(from, len);
  char *to = put_clean(name, from, cut(from, len - ending, VSI_DECLARED_NAME_BYTES - 1 - ending));
  *put_clean(to, end - ending, ending) = '\0';
  if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0) name[0] = '\0';
}

static int digit(char c) {
  return vsi_hex_digit(vsi_lower(c));
}

void vsi_declared_encoded_name(const char *declared, char name[VSI_DECLARED_NAME_BYTES]) {
  char text[VSI_FORM_HEAD_BYTES];
  size_t len = 0;
  for (const char *at = declared ? declared : ""; *at && len < sizeof text; at++) {
    bool is_escape = at[0] == '%' && digit(at[1]) >= 0 && digit(at[2]) >= 0;
    text[len++] = is_escape ? (char)(digit(at[1]) << 4 | digit(at[2])) : *at;
    at += is_escape ? 2 : 0;
  }
  vsi_declared_name((vestry_slice){text, cut(text, len, sizeof text - 1)}, name);
}

/* A media type of RFC 9110 is a token, a slash, and a token. */
static bool is_type_char(char c) {
  return c > ' ' && c < 0x7F && !strchr("()<>@,;:\\\"[]?={}", c);
}

void vsi_declared_type(vestry_slice declared, char type[VSI_DECLARED_TYPE_BYTES]) {
  size_t len = 0, slashes = 0;
  for (const char *text = declared.data;
       len < declared.len && len < VSI_DECLARED_TYPE_BYTES && is_type_char(text[len]);) {
    char c = text[len];
    slashes += c == '/';
    if (len < VSI_DECLARED_TYPE_BYTES - 1) type[len] = vsi_lower(c);
    len++;
  }
  bool is_one = slashes == 1 && len < VSI_DECLARED_TYPE_BYTES && type[0] != '/' && type[len - 1] != '/';
  if (is_one)
    type[len] = '\0';
  else
    strcpy(type, "application/octet-stream");
}

bool vsi_declared_type_is_in(const char *types, const char *type) {
  while (*types) {
    types += strspn(types, ", \t");
    size_t len = strcspn(types, ", \t");
    bool is_kind = len > 2 && strncmp(types + len - 2, "/*", 2) == 0;
    if (len && vsi_strncasecmp(types, type, is_kind ? len - 1 : len) == 0 && (is_kind || !type[len])) return true;
    if (len == 3 && strncmp(types, "*/*", 3) == 0) return true;
    types += len;
  }
  return false;
}

vestry_err vsi_form_init(vsi_form *form, const char *content_type, const vsi_form_sink *sink, void *ctx) {
  vestry_err error = vsi_boundary_read(content_type, &form->boundary);
  if (error) return error;
  form->sink = sink;
  form->ctx = ctx;
  form->at = VSI_FORM_BEFORE;
  form->matched = form->separator_len = 2; /* the first boundary may stand at the beginning, without the line break */
  form->head_len = form->count = 0;
  form->max_count = VSI_FORM_PARTS;
  return VESTRY_OK;
}

bool vsi_form_is_whole(const vsi_form *form) {
  return form->at == VSI_FORM_AFTER;
}

/* Pass on bytes of a value. Bytes before the first part are ignored. */
static vestry_err pass_on(vsi_form *form, const char *bytes, size_t len) {
  if (!len || form->at != VSI_FORM_VALUE) return VESTRY_OK;
  return form->sink->bytes(form->ctx, bytes, len);
}

static vestry_err find_end(vsi_form *form) {
  vestry_err error = form->at == VSI_FORM_VALUE ? form->sink->over(form->ctx) : VESTRY_OK;
  form->at = VSI_FORM_BETWEEN;
  form->matched = form->separator_len = form->head_len = 0;
  return error;
}

/* Continue with a boundary that began in an earlier piece. *ret_taken: the bytes of this piece that belong to it. */
static vestry_err go_on(vsi_form *form, const char *bytes, size_t len, size_t *ret_taken) {
  size_t taken = 0;
  while (taken < len && form->matched < form->boundary.len && bytes[taken] == form->boundary.text[form->matched]) {
    form->matched++;
    taken++;
  }
  *ret_taken = taken;
  if (form->matched == form->boundary.len) return find_end(form);
  if (taken == len) return VESTRY_OK;
  size_t from = form->separator_len, to = form->matched;
  form->matched = form->separator_len = 0;
  return pass_on(form, form->boundary.text + from, to - from);
}

/* Return how many bytes at the end of the piece may be the beginning of a boundary. */
static size_t tail_of(const vsi_form *form, const char *bytes, size_t len) {
  size_t most = len < form->boundary.len - 1 ? len : form->boundary.len - 1;
  const char *from = most ? memrchr(bytes + len - most, '\r', most) : NULL;
  size_t tail = from ? (size_t)(bytes + len - from) : 0;
  return memcmp(bytes + len - tail, form->boundary.text, tail) == 0 ? tail : 0;
}

/* Parse bytes of a value, or before the first part. */
static vestry_err take_value(vsi_form *form, const char *bytes, size_t len, size_t *ret_taken) {
  if (form->matched) return go_on(form, bytes, len, ret_taken);
  const char *end = memmem(bytes, len, form->boundary.text, form->boundary.len);
  size_t tail = end ? 0 : tail_of(form, bytes, len), content_len = end ? (size_t)(end - bytes) : len - tail;
  *ret_taken = end ? content_len + form->boundary.len : len;
  vestry_err error = pass_on(form, bytes, content_len);
  form->matched = tail;
  if (!error && end) error = find_end(form);
  return error;
}

/* Parse the bytes after a boundary: two dashes after the last one; otherwise a line break, possibly after blanks. */
static vestry_err take_between(vsi_form *form, const char *bytes, size_t *ret_taken) {
  *ret_taken = 1;
  char c = *bytes, *had = form->head;
  if (form->head_len == 0 && vsi_is_blank(c)) return VESTRY_OK;
  if (form->head_len == 0 && c != '-' && c != '\r') return VESTRY_MALFORMED;
  if (form->head_len == 1 && c != (*had == '-' ? '-' : '\n')) return VESTRY_MALFORMED;
  had[form->head_len++] = c;
  if (form->head_len < 2) return VESTRY_OK;
  form->at = *had == '-' ? VSI_FORM_AFTER : VSI_FORM_HEAD;
  form->head_len = 0;
  return VESTRY_OK;
}

static vestry_err begin_part(vsi_form *form) {
  vsi_part part = {.name = {NULL, 0}};
  const char *end = form->head + form->head_len;
  for (const char *at = form->head, *stop; at < end && (stop = memmem(at, (size_t)(end - at), "\r\n", 2));
       at = stop + 2)
    if (stop > at) vsi_part_read(at, stop, &part);
  form->at = VSI_FORM_VALUE;
  form->matched = form->separator_len = 2; /* the line break of the empty line may belong to a boundary */
  if (!part.name.data) return VESTRY_MALFORMED;
  if (++form->count > form->max_count) return VESTRY_TOO_LARGE;
  return form->sink->part(form->ctx, &part);
}

/* Parse the head of a part, which ends with an empty line. */
static vestry_err take_head(vsi_form *form, const char *bytes, size_t *ret_taken) {
  *ret_taken = 1;
  if (form->head_len == sizeof form->head) return VESTRY_TOO_LARGE;
  form->head[form->head_len++] = *bytes;
  const char *end = form->head + form->head_len;
  if (form->head_len == 2 && memcmp(form->head, "\r\n", 2) == 0) return VESTRY_MALFORMED; /* a part without a name */
  return form->head_len >= 4 && memcmp(end - 4, "\r\n\r\n", 4) == 0 ? begin_part(form) : VESTRY_OK;
}

vestry_err vsi_form_take(vsi_form *form, const char *bytes, size_t len) {
  vestry_err error = VESTRY_OK;
  for (size_t taken = 0; len && !error; bytes += taken, len -= taken) {
    switch (form->at) {
    case VSI_FORM_BEFORE:
    case VSI_FORM_VALUE: error = take_value(form, bytes, len, &taken); break;
    case VSI_FORM_BETWEEN: error = take_between(form, bytes, &taken); break;
    case VSI_FORM_HEAD: error = take_head(form, bytes, &taken); break;
    case VSI_FORM_AFTER: taken = len; break; /* bytes after the last boundary are ignored */
    }
  }
  return error;
}
