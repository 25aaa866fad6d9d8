/* SPDX-License-Identifier: MIT */
/* essay: checking heads by the places of their parts */
/* Checking heads that libmicrohttpd has accepted.
 *
 * libmicrohttpd accepts more than HTTP allows, and does not report it. A proxy in front of it may read a different
 * number of requests from the same bytes.
 *
 *   0.9.75  appends a folded line to the NAME of the header before it ("Transfer-Enc: chunked\r\n oding" is a
 *           Transfer-Encoding), ends a head at a line that begins with a colon, and ends lines at a bare LF. It has no
 *           option against these.
 *   1.0     appends a folded line to the value before it, with blanks, and ends lines at a bare LF, unless it is
 *           strict.
 *
 * Therefore the places of the parts are checked. libmicrohttpd splits the head in place: each name and value is a
 * pointer into it, the bytes that ended them are NULs, and MHD_CONNECTION_INFO_REQUEST_HEADER_SIZE is the length of the
 * head. If each part begins where the one before it ends, and the last one ends the head, there are no bytes between
 * them that libmicrohttpd read in its own way. The versions differ in the bytes that they leave between a value and the
 * next name:
 *
 *   0.9.75  CR and LF are NULs, and blanks after the value belong to it
 *   1.0     the byte after the value is a NUL, in the place of a blank or the CR; the rest is unchanged
 *
 * In 1.0, CR and LF of a fold become two blanks; so the first of two adjacent blanks may have been a fold, and the head
 * is refused. Two faults cannot be found in 1.0: a bare LF after a value that ends with a blank, and the end of the
 * head if a body was moved over it, so that only its length can be checked. For these reasons a daemon of 1.0 should be
 * strict. Then it refuses all these heads itself, nothing is checked here, and two blanks are only two blanks. A probe
 * determines the version's behaviour (capabilities.c).
 *
 * These checks are about the bytes between the parts. The headers themselves are checked with every version, by
 * vestry_head_check. */
#include "adapter/microhttpd/head.h"

#include <string.h>

#include "base/ascii.h"
#include "http/target.h"

/* The bytes after a value: unknown, so that nothing is checked; two NULs; one NUL and the rest of the line's end. */
typedef enum layout { UNKNOWN, NULS, REST } layout;

typedef struct reading {
  const char *at; /* the end of the last part */
  const char *end;
  layout layout;
  bool is_plain;
} reading;

/* Return the number of bytes in a line's end, from the NUL after the line's last part; 0: it is none, or not a plain
 * one. */
static size_t line_end(const reading *r) {
  const char *at = r->at;
  size_t left = (size_t)(r->end - at);
  if (left < 2 || at[0]) return 0;
  if (r->layout == NULS) return at[1] ? 0 : 2;
  if (at[1] == '\n') return 2;
  return left >= 3 && at[1] == '\r' && at[2] == '\n' ? 3 : 0; /* one blank after the value */
}

static void pass_line_end(reading *r) {
  size_t len = r->is_plain ? line_end(r) : 0;
  r->is_plain = len > 0;
  r->at += len;
}

/* Return whether there are two adjacent blanks, of which the first may have been a fold. */
static bool has_two_blanks(const char *at, const char *end) {
  for (; at + 1 < end; at++)
    if (*at == ' ' && vsi_is_blank(at[1])) return true;
  return false;
}

static void measure(reading *r, const char *name, size_t name_len, const char *value, size_t value_len) {
  pass_line_end(r);
  if (!r->is_plain) return;
  r->is_plain = name == r->at && name_len < (size_t)(r->end - r->at);
  if (!r->is_plain) return;
  const char *at = name + name_len + 1, *begin = at;
  while (at < r->end && vsi_is_blank(*at)) at++;
  r->is_plain = value == at && value_len < (size_t)(r->end - at);
  r->at = value + value_len;
  if (r->is_plain && r->layout == REST) r->is_plain = !has_two_blanks(begin, r->at);
}

/* Check the end of the head. In 1.0 a body may lie over it: two line ends, and at most one blank. */
static void measure_end(reading *r) {
  if (r->layout == NULS) {
    pass_line_end(r);
    r->is_plain = r->is_plain && r->end - r->at == 2 && r->at[0] == '\0' && r->at[1] == '\0';
  } else {
    r->is_plain = r->is_plain && (r->end - r->at == 4 || r->end - r->at == 5) && !r->at[0];
  }
}

static enum MHD_Result see(void *cls, enum MHD_ValueKind kind, const char *name, size_t name_len, const char *value,
                           size_t value_len) {
  (void)kind;
  reading *r = cls;
  if (!value) value = "";
  if (strlen(name) != name_len || strlen(value) != value_len) r->is_plain = false; /* cut by a NUL */
  if (r->is_plain && r->layout) measure(r, name, name_len, value, value_len);
  return r->is_plain ? MHD_YES : MHD_NO;
}

/* Determine the layout by the bytes after the version. */
static layout layout_of(const reading *r) {
  if (r->end - r->at < 2 || r->at[0]) return UNKNOWN;
  return r->at[1] == '\0' ? NULS : REST;
}

bool vsi_microhttpd_head_is_plain(struct MHD_Connection *conn, const vsi_microhttpd_line *line, bool measures) {
  const union MHD_ConnectionInfo *info = MHD_get_connection_info(conn, MHD_CONNECTION_INFO_REQUEST_HEADER_SIZE);
  reading r = {.is_plain = true};
  if (measures && info) {
    r.end = line->method + info->header_size;
    r.at = line->version + strlen(line->version);
    /* one blank between the parts of the request line */
    r.is_plain = line->path == line->method + strlen(line->method) + 1 &&
                 line->version == line->path + line->target_len + 1 && r.at < r.end;
    if (r.is_plain) r.layout = layout_of(&r);
  }
  MHD_get_connection_values_n(conn, MHD_HEADER_KIND, see, &r);
  if (r.layout) measure_end(&r);
  return r.is_plain;
}

/* A function of vestry for a line, and its argument. */
typedef struct visit {
  void (*line)(void *ctx, const char *name, const char *value);
  void *ctx;
} visit;

static enum MHD_Result visit_line(void *cls, enum MHD_ValueKind kind, const char *name, const char *value) {
  (void)kind;
  const visit *v = cls;
  v->line(v->ctx, name, value ? value : "");
  return MHD_YES;
}

void vsi_microhttpd_each_header(struct MHD_Connection *conn,
                                void (*line)(void *ctx, const char *name, const char *value), void *ctx) {
  MHD_get_connection_values(conn, MHD_HEADER_KIND, visit_line, &(visit){line, ctx});
}

/* -------------------------------------------------------------------------------------------------- the target ---- */

/* A target is clear if the decoded text shows how the client sent it, so that it can be read in only one way. For
 * example, a slash in a decoded path may have been sent as %2F.
 *
 * libmicrohttpd has decoded path and arguments in place, so the bytes up to the first argument or the version were the
 * path. Decoding has left one NUL there, at the end of the decoded path; a second NUL was %00. The path is clear if no
 * byte was encoded that need not be, or if it has only one segment: then no slash was encoded. */

static void put_text(vsi_microhttpd_query *to, const char *data, size_t len) {
  static const char hex[] = "0123456789ABCDEF";
  for (size_t i = 0; i < len; i++) {
    unsigned char c = (unsigned char)data[i];
    const bool is_plain = vsi_is_unreserved(c);
    const char escaped[] = {'%', hex[c >> 4], hex[c & 15]};
    size_t part = is_plain ? 1 : sizeof escaped;
    if (to->text) memcpy(to->text + to->len, is_plain ? data + i : escaped, part);
    to->len += part;
    to->least_len += c < ' ' || c == '#' || c > 126 ? sizeof escaped : 1; /* a blank can be a '+' */
  }
}

static void put_sign(vsi_microhttpd_query *to, char sign) {
  if (to->text) to->text[to->len] = sign;
  to->len++;
  to->least_len++;
}

static enum MHD_Result put_argument(void *cls, enum MHD_ValueKind kind, const char *name, size_t name_len,
                                    const char *value, size_t value_len) {
  (void)kind;
  vsi_microhttpd_query *to = cls;
  if (!to->first)
    to->first = name;
  else
    put_sign(to, '&');
  to->is_broken |= (!name_len && *name) || (value && !value_len && *value);
  put_text(to, name, name_len);
  if (!value) return MHD_YES;
  put_sign(to, '=');
  put_text(to, value, value_len);
  return MHD_YES;
}

vsi_microhttpd_query vsi_microhttpd_query_write(struct MHD_Connection *conn, char *text) {
  vsi_microhttpd_query to = {.text = text};
  MHD_get_connection_values_n(conn, MHD_GET_ARGUMENT_KIND, put_argument, &to);
  return to;
}

static bool path_is_clear(const char *path, const char *end) {
  size_t len = strlen(path), nuls = 0;
  if (end < path + len) return false;
  size_t more = (size_t)(end - path) - len;
  for (const char *at = path; at < end; at++) nuls += !*at;
  const size_t least = vsi_path_least_encoded(path);
  return more % 2 == 0 && nuls <= 1 && more / 2 >= least && (more / 2 == least || !strchr(path + 1, '/'));
}

/* Return whether the query as sent is long enough for all bytes that must be encoded. */
static bool query_is_clear(const char *version, const vsi_microhttpd_query *query) {
  return !query->first || (size_t)(version - 1 - query->first) >= query->least_len;
}

bool vsi_microhttpd_target_is_clear(const char *path, const char *version, const vsi_microhttpd_query *query) {
  const char *end = query->first ? query->first - 1 : version - 1;
  if (!query->first && end > path && !end[-1] && (size_t)(end - path - 1) >= strlen(path) &&
      (size_t)(end - path - 1 - strlen(path)) % 2 == 0)
    end--; /* a '?' with nothing after it */
  return version > path && path_is_clear(path, end) && query_is_clear(version, query);
}
