/* SPDX-License-Identifier: MIT */
/* essay: heads that are measured */
/* libmicrohttpd reads more than HTTP allows, and does not say so. A proxy in front may read the same bytes as another
 * number of requests.
 *
 *   0.9.75  glues a folded line to the NAME of the header before it ("Transfer-Enc: chunked\r\n oding" is a
 *           Transfer-Encoding), ends a head at a line that begins with a colon, and ends lines at a bare LF. None of
 *           its options refuses these.
 *   1.0     glues a folded line to the value before it, with blanks, and ends lines at a bare LF, unless it is strict.
 *
 * So the head is measured. libmicrohttpd takes it apart where it lies: each name and value is a pointer into it, what
 * ended them became NUL, and MHD_CONNECTION_INFO_REQUEST_HEADER_SIZE says how long it is in all. If each part begins
 * where the one before it ends, and the last one ends the head, nothing stands between them that was read in a way of
 * libmicrohttpd's own. The two differ in what they leave between a value and the next name:
 *
 *   0.9.75  CR and LF are NULs, and blanks after the value belong to it
 *   1.0     the byte after the value is a NUL, be it a blank or the CR; the rest is as it was
 *
 * In 1.0 CR and LF of a fold are two blanks; so of two blanks in a row the first may have been a fold, and is refused.
 * One thing it does not show, a bare LF after a value that ends with a blank; and a body may have been moved over the
 * end of the head, so that only its length can be looked at. That is why a daemon of 1.0 is to be strict: then it
 * refuses all this by itself, nothing is measured, and two blanks are two blanks. Which it is, is found out by asking
 * it (habits.c).
 *
 * Only what lies between the first byte of the head and its last is looked at. What can be seen in the headers
 * themselves is checked with every version. */
#include "adapter/microhttpd/head.h"

#include <string.h>

/* What stands after a value: not known, so nothing is measured; two NULs; one NUL and the rest of the line's end. */
typedef enum layout { UNKNOWN, NULS, REST } layout;

typedef struct reading {
  vsi_web_framing *framing;
  const char *at; /* the end of the last part */
  const char *end;
  layout layout;
  bool is_plain;
} reading;

static bool is_blank(char c) {
  return c == ' ' || c == '\t';
}

/* How many bytes a line's end has, from the NUL after its last part; 0: it is none, or no plain one. */
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

/* Where it is not known what was a fold. */
static bool has_two_blanks(const char *at, const char *end) {
  for (; at + 1 < end; at++)
    if (*at == ' ' && is_blank(at[1])) return true;
  return false;
}

static void measure(reading *r, const char *name, size_t name_len, const char *value, size_t value_len) {
  pass_line_end(r);
  if (!r->is_plain) return;
  r->is_plain = name == r->at && name_len < (size_t)(r->end - r->at);
  if (!r->is_plain) return;
  const char *at = name + name_len + 1, *begin = at;
  while (at < r->end && is_blank(*at)) at++;
  r->is_plain = value == at && value_len < (size_t)(r->end - at);
  r->at = value + value_len;
  if (r->is_plain && r->layout == REST) r->is_plain = !has_two_blanks(begin, r->at);
}

/* A body may lie over it in 1.0: two line ends, and at most one blank. */
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
  vsi_web_framing_see(r->framing, name, value);
  return r->is_plain ? MHD_YES : MHD_NO;
}

/* By what stands after the version. */
static layout layout_of(const reading *r) {
  if (r->end - r->at < 2 || r->at[0]) return UNKNOWN;
  return r->at[1] == '\0' ? NULS : REST;
}

bool vsi_microhttpd_head_read(struct MHD_Connection *conn, const vsi_microhttpd_line *line, bool measures,
                              vsi_web_framing *framing) {
  const union MHD_ConnectionInfo *info = MHD_get_connection_info(conn, MHD_CONNECTION_INFO_REQUEST_HEADER_SIZE);
  reading r = {.framing = framing, .is_plain = true};
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
