/* SPDX-License-Identifier: MIT */
/* Checking whether civetweb has read a head to its end, and reading the path.
 *
 * civetweb stops reading headers at a line that begins with a colon, a blank or a byte above 126, and after 64 headers,
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
#include <civetweb.h>
#include <stdio.h>
#include <string.h>

#include "adapter/civetweb/adapter.h"
#include "base/memory.h"
#include "http/target.h"

static const char version_name[] = "HTTP/";
enum { VERSION_NAME_LEN = sizeof version_name - 1 };

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
  const char *version = info->http_version - VERSION_NAME_LEN, *query = info->query_string;
  const bool asks_nothing = query && version == query + 1; /* "/path?" */
  return info->request_uri == end_of(info->request_method) + 1 && version >= info->request_uri + 2 &&
         memcmp(version, version_name, VERSION_NAME_LEN) == 0 && version[-1] == '\0' &&
         (version[-2] != '\0' || asks_nothing);
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

/* ---------------------------------------------------------------------------------------------------- the path ---- */

/* civetweb decodes a path in place, unless decode_url is "no", and normalizes a copy of it, so the handler does not see
 * the path as it was sent. The remaining data is sufficient:
 * - local_uri_raw is decoded but not normalized: if it differs from the path, dots, slashes or backslashes were
 *   removed;
 * - a path with n percent-encoded bytes was 2n bytes longer when sent, and its end is known, because the query or the
 *   version follows it. Decoding leaves one NUL in that space, at the end of the decoded path; a second NUL was %00;
 * - some characters can only be sent encoded. If no more bytes than these were encoded, no slash was.
 * Besides, 1.16 replaces each plus sign by a blank. A blank cannot be sent unencoded. So if the number of encoded bytes
 * is too small by the number of blanks, all blanks were plus signs. */

/* Return the end of the path as it was sent. NULL: this civetweb stores it elsewhere. */
static const char *sent_end(const struct mg_request_info *info) {
  const char *begin = info->local_uri_raw, *end = info->query_string;
  if (end) return end > begin ? end - 1 : NULL;
  end = info->http_version - VERSION_NAME_LEN;
  if (end <= begin || memcmp(end, version_name, VERSION_NAME_LEN) != 0) return NULL;
  while (end > begin && end[-1] == '\0') end--; /* the spaces before the version */
  return end;
}

/* Return whether a decoded path can have been sent in one way only. *ret_pluses: each of its blanks was a plus sign. */
static bool path_is_clear(const struct mg_request_info *info, bool *ret_pluses) {
  const char *path = info->local_uri, *begin = info->local_uri_raw, *end = sent_end(info);
  const size_t len = strlen(path), least = vsi_path_least_encoded(path);
  if (!end || (size_t)(end - begin) < len) return false;
  const size_t more = (size_t)(end - begin) - len, encoded = more / 2;
  size_t nuls = 0, blanks = 0;
  for (const char *at = begin; at < end; at++) nuls += *at == '\0';
  for (const char *at = path; *at; at++) blanks += *at == ' ';
  if (more % 2 || nuls > 1) return false;
  *ret_pluses = blanks && encoded == least - blanks;
  if (*ret_pluses) return !strchr(path, '%'); /* which may have been sent unencoded, in a malformed escape */
  return encoded == least || (encoded > least && !strchr(path + 1, '/'));
}

/* Read a target as it was sent: the text before `between`, and the query after it.
 * ret_owned  memory of the decoded path; NULL: none
 * Returns    the path; NULL: refused, or no memory */
static const char *read_sent(const vestry_host *host, const char *before, size_t before_len, const char *between,
                             const char *query, char **ret_owned) {
  const size_t len = before_len + strlen(between) + strlen(query);
  const char *rest;
  char *text = *ret_owned = vsi_calloc(host, 2, len + 2); /* the decoded path is written after the target */
  if (!text) return NULL;
  snprintf(text, len + 1, "%.*s%s%s", (int)before_len, before, between, query);
  return vestry_target_read(text, text + len + 1, &rest) ? NULL : text + len + 1;
}

const char *vsi_civetweb_path_read(const vsi_civetweb *adapter, const struct mg_request_info *info, char **ret_owned) {
  const vestry_host *host = adapter->host;
  const char *uri = info->request_uri, *raw = info->local_uri_raw, *path = info->local_uri;
  const char *query = adapter->settings.query_is_decoded || !info->query_string ? "" : info->query_string;
  *ret_owned = NULL;
  if (adapter->settings.path_is_raw) /* the server has only split the target in two */
    return uri && *uri ? read_sent(host, uri, strlen(uri), "?", query, ret_owned) : NULL;
  bool has_pluses = false;
  if (!raw || !uri || raw < uri || strcmp(raw, path) != 0 || !vsi_path_is_plain(path) ||
      !path_is_clear(info, &has_pluses))
    return NULL;
  /* civetweb keeps the text before and after the path as it was sent. */
  const bool is_clear = read_sent(host, uri, (size_t)(raw - uri), "/?", query, ret_owned);
  vsi_free(host, *ret_owned);
  *ret_owned = is_clear && has_pluses ? vsi_strdup(host, path, strlen(path)) : NULL;
  if (!is_clear || !has_pluses) return is_clear ? path : NULL;
  for (char *at = *ret_owned; at && *at; at++)
    if (*at == ' ') *at = '+';
  return *ret_owned;
}
