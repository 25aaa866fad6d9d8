/* SPDX-License-Identifier: MIT */
/* civetweb stops reading headers at a line that begins with a colon, a blank or a byte above 126, and after 64 of them,
 * and takes what follows for nothing: a Content-Length there is not seen, and the body becomes a second request. It
 * takes blanks away in front of the first header, in front of each colon, and between the words of the request line.
 *
 * It cuts names and values out of the bytes that were read, by putting a NUL over each byte that ends one. So the NULs
 * tell what was there:
 *   - between the words of the request line there is one NUL, as there was one blank;
 *   - a value ends with CR LF, two NULs, and after the last header stands the CR of the empty line and a NUL, which is
 *     put over the last byte of the head. A CR alone ends the headers, too, but not the head;
 *   - between the version and the first header there are the two NULs of CR LF, and no blank;
 *   - a name ends with one NUL, the colon, and blanks after it stay. */
#include "adapter/civetweb/head.h"

#include <civetweb.h>
#include <string.h>

static const char *end_of(const char *text) {
  return text + strlen(text);
}

/* Lines that end with a bare LF are taken, but not the last one, of which it cannot be told what follows. */
static bool is_last(const struct mg_request_info *info, const char *value, size_t capacity) {
  const char *end = end_of(value);
  if ((size_t)(end - info->request_method) + 4 > capacity) return false; /* not even an empty line fits after it */
  return end[1] == '\0' && end[2] == '\r' && end[3] == '\0';
}

/* One blank each. A path or query that was decoded in place leaves some of its bytes after the decoded one. */
static bool line_is_whole(const struct mg_request_info *info) {
  static const char name[] = "HTTP/";
  const char *version = info->http_version - (sizeof name - 1), *query = info->query_string;
  const bool asks_nothing = query && version == query + 1; /* "/path?" */
  return info->request_uri == end_of(info->request_method) + 1 && version >= info->request_uri + 2 &&
         memcmp(version, name, sizeof name - 1) == 0 && version[-1] == '\0' && (version[-2] != '\0' || asks_nothing);
}

/* One byte may have been a CR, and what stands after it in a line of its own. */
static bool begins_a_line(const struct mg_request_info *info, const char *name) {
  return name - end_of(info->http_version) == 2;
}

/* CR LF twice, of which all became NULs: otherwise there are headers, which were not read. */
static bool has_no_header(const struct mg_request_info *info, size_t capacity) {
  static const char ends[4];
  const char *end = end_of(info->http_version);
  return (size_t)(end - info->request_method) + sizeof ends <= capacity && memcmp(end, ends, sizeof ends) == 0;
}

static bool name_is_whole(const char *name, const char *value) {
  for (const char *at = end_of(name) + 1; at < value; at++)
    if (*at == '\0') return false;
  return true;
}

bool vsi_civetweb_head_is_whole(const struct mg_request_info *info, size_t capacity) {
  const int count = info->num_headers;
  if (!line_is_whole(info)) return false;
  if (!count) return strcmp(info->http_version, "1.1") != 0 && has_no_header(info, capacity);
  for (int i = 0; i < count; i++)
    if (!name_is_whole(info->http_headers[i].name, info->http_headers[i].value)) return false;
  return begins_a_line(info, info->http_headers[0].name) &&
         is_last(info, info->http_headers[count - 1].value, capacity);
}
