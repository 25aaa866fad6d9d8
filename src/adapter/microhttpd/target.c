/* SPDX-License-Identifier: MIT */
/* A target is clear if the decoded text shows how the client sent it, so that it can be read in only one way. For
 * example, a slash in a decoded path may have been sent as %2F.
 *
 * libmicrohttpd has decoded path and arguments in place, so the bytes up to the first argument or the version were the
 * path. Decoding has left one NUL there, at the end of the decoded path; a second NUL was %00. The path is clear if no
 * byte was encoded that need not be, or if it has only one segment: then no slash was encoded. */
#include "adapter/microhttpd/target.h"

#include <string.h>

#include "adapter/web/target.h"

static void put_text(vsi_microhttpd_query *to, const char *data, size_t len) {
  static const char hex[] = "0123456789ABCDEF";
  for (size_t i = 0; i < len; i++) {
    unsigned char c = (unsigned char)data[i];
    bool is_plain = (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || strchr("-._~", c);
    if (!c) is_plain = false;
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
  const size_t least = vsi_web_path_least_encoded(path);
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
