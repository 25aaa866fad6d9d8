/* libmicrohttpd 0.9.75 reads more than HTTP allows, and does not say so: it glues a folded line to the NAME of the
 * header before it ("Transfer-Enc: chunked\r\n oding" is a Transfer-Encoding), ends a head at a line that begins with a
 * colon, and ends lines at a bare LF. A proxy in front may read the same bytes as another number of requests. None of
 * its options refuses these (MHD_OPTION_STRICT_FOR_CLIENT 1 asks for Host, and for no spaces in a target; -1 for no
 * blanks before a colon).
 *
 * So the head is measured. libmicrohttpd takes it apart where it lies: each name and value is a pointer into it, what
 * ended them (a blank, a colon, CR and LF) became NUL, and MHD_CONNECTION_INFO_REQUEST_HEADER_SIZE says how long it is
 * in all. If each part begins where the one before it ends, and the last one ends the head, nothing stands between them
 * that was read in a way of libmicrohttpd's own. Only what lies between the first byte of the head and its last is
 * looked at.
 *
 * Other versions may keep heads in other ways, so only this one's are measured. Later ones have an option that refuses
 * what is not allowed (MHD_OPTION_CLIENT_DISCIPLINE_LVL), and are started with it (daemon.c): without it 1.0 glues
 * folded lines to the value before them, and answers two blanks in a request line with a redirect. What can be seen in
 * the headers themselves is checked with every version. */
#include "adapter/microhttpd/head.h"

#include <string.h>

typedef struct reading {
  vsi_web_framing *framing;
  const char *at; /* the end of the last part: where its CRLF must be */
  const char *end;
  bool is_measured;
  bool is_plain;
} reading;

bool vsi_microhttpd_head_is_measured(void) {
  const char *version = MHD_get_version();
  return strncmp(version, "0.9.75", 6) == 0 && (version[6] == '\0' || version[6] == '-');
}

/* What were CR and LF are at the end of a line, and the next one begins behind them. */
static void pass_line_end(reading *r) {
  if (!r->is_plain) return;
  r->is_plain = r->end - r->at >= 2 && r->at[0] == '\0' && r->at[1] == '\0';
  r->at += 2;
}

static void measure(reading *r, const char *name, size_t name_len, const char *value, size_t value_len) {
  pass_line_end(r);
  if (!r->is_plain) return;
  r->is_plain = name == r->at && name_len < (size_t)(r->end - r->at);
  if (!r->is_plain) return;
  const char *at = name + name_len + 1;
  while (at < r->end && (*at == ' ' || *at == '\t')) at++;
  r->is_plain = value == at && value_len < (size_t)(r->end - at);
  r->at = value + value_len;
}

static enum MHD_Result see(void *cls, enum MHD_ValueKind kind, const char *name, size_t name_len, const char *value,
                           size_t value_len) {
  (void)kind;
  reading *r = cls;
  if (!value) value = "";
  if (strlen(name) != name_len || strlen(value) != value_len) r->is_plain = false; /* cut by a NUL */
  if (r->is_plain && r->is_measured) measure(r, name, name_len, value, value_len);
  vsi_web_framing_see(r->framing, name, value);
  return r->is_plain ? MHD_YES : MHD_NO;
}

bool vsi_microhttpd_head_read(struct MHD_Connection *conn, const vsi_microhttpd_line *line, vsi_web_framing *framing) {
  const union MHD_ConnectionInfo *info = MHD_get_connection_info(conn, MHD_CONNECTION_INFO_REQUEST_HEADER_SIZE);
  reading r = {.framing = framing, .is_plain = true, .is_measured = info && vsi_microhttpd_head_is_measured()};
  if (r.is_measured) {
    r.end = line->method + info->header_size;
    r.at = line->version + strlen(line->version);
    /* one blank between the parts of the request line */
    r.is_plain = line->path == line->method + strlen(line->method) + 1 &&
                 line->version == line->path + line->target_len + 1 && r.at < r.end;
  }
  MHD_get_connection_values_n(conn, MHD_HEADER_KIND, see, &r);
  if (r.is_measured) {
    pass_line_end(&r);
    r.is_plain = r.is_plain && r.end - r.at == 2 && r.at[0] == '\0' && r.at[1] == '\0';
  }
  return r.is_plain;
}
