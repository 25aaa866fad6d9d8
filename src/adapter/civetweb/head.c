/* SPDX-License-Identifier: MIT */
/* civetweb stops reading headers at a line that begins with a colon, a blank or a byte above 126, and after 64 headers,
 * and ignores the following ones. If one of them is a Content-Length, civetweb does not see it, and the body becomes a
 * second request. Besides, civetweb removes blanks before the first header, before each colon, and between the words of
 * the request line.
 *
 * civetweb separates names and values by overwriting the byte after each with a NUL. Therefore the NULs show what the
 * client sent:
 * - between the words of the request line there is one NUL, in the place of one blank;
 * - a value ends with CR LF, two NULs. After the last header there is the CR of the empty line, and a NUL that
 *   overwrites the last byte of the head. A CR alone ends the headers, too, but not the head;
 * - between the version and the first header there are the two NULs of CR LF, and no blank;
 * - a name ends with one NUL, the colon; blanks after it stay. */
#include "adapter/civetweb/head.h"

#include <civetweb.h>
#include <string.h>

static const char *end_of(const char *text) {
  return text + strlen(text);
}

/* Return whether the last header is followed by the empty line. Lines that end with a bare LF are accepted, except the
 * last one, because the bytes after it cannot be identified. */
static bool is_last(const struct mg_request_info *info, const char *value, size_t capacity) {
  const char *end = end_of(value);
  if ((size_t)(end - info->request_method) + 4 > capacity) return false; /* not even an empty line fits after it */
  return end[1] == '\0' && end[2] == '\r' && end[3] == '\0';
}

/* Return whether the words of the request line are separated by one blank each. A path or query that was decoded in
 * place leaves some of its bytes behind the decoded text. */
static bool line_is_whole(const struct mg_request_info *info) {
  static const char name[] = "HTTP/";
  const char *version = info->http_version - (sizeof name - 1), *query = info->query_string;
  const bool asks_nothing = query && version == query + 1; /* "/path?" */
  return info->request_uri == end_of(info->request_method) + 1 && version >= info->request_uri + 2 &&
         memcmp(version, name, sizeof name - 1) == 0 && version[-1] == '\0' && (version[-2] != '\0' || asks_nothing);
}

/* Return whether the first header begins a line: of the two bytes before it, one may have been a CR. */
static bool begins_a_line(const struct mg_request_info *info, const char *name) {
  return name - end_of(info->http_version) == 2;
}

/* Return whether the version is followed by CR LF twice, as four NULs. Otherwise there are headers that were not
 * read. */
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
