/* SPDX-License-Identifier: MIT */
#include "app/files/conditions.h"

#include <string.h>
#include <time.h>

#include "base/ascii.h"

/* Parse at least one digit. A number that does not fit becomes SIZE_MAX. Returns the end, or NULL without a digit. */
static const char *read_position(const char *at, size_t *ret_position) {
  size_t position = 0;
  if (!vsi_is_digit(*at)) return NULL;
  for (; vsi_is_digit(*at); at++) {
    size_t digit = (size_t)(*at - '0');
    position = position > (SIZE_MAX - digit) / 10 ? SIZE_MAX : position * 10 + digit;
  }
  *ret_position = position;
  return at;
}

vsi_range vsi_range_read(const char *header, size_t len, size_t *ret_first, size_t *ret_last) {
  size_t first, last = SIZE_MAX;
  if (!header || vsi_strncasecmp(header, "bytes=", 6) != 0)
    return VSI_RANGE_WHOLE; /* units are case-insensitive (14.1) */
  const char *at = header + 6;
  if (*at == '-') { /* suffix-range: the last bytes of the file */
    at = read_position(at + 1, &last);
    if (!at || *at) return VSI_RANGE_WHOLE;
    if (!last || !len) return VSI_RANGE_UNSATISFIABLE; /* 14.1.2 */
    first = last < len ? len - last : 0;
    last = len - 1;
  } else {
    at = read_position(at, &first);
    if (!at || *at++ != '-') return VSI_RANGE_WHOLE;
    if (*at) at = read_position(at, &last);
    if (!at || *at || last < first) return VSI_RANGE_WHOLE;
    if (first >= len) return VSI_RANGE_UNSATISFIABLE;
    if (last >= len) last = len - 1;
  }
  *ret_first = first;
  *ret_last = last;
  return VSI_RANGE_PART;
}

bool vsi_etag_is_listed(const char *header, const char *etag, bool weakly) {
  size_t len = strlen(etag);
  if (strcmp(header, "*") == 0) return true;
  for (const char *at = header;;) {
    at += strspn(at, ", \t");
    bool is_weak = strncmp(at, "W/", 2) == 0;
    if (is_weak) at += 2;
    if (*at != '"') return false;
    const char *end = strchr(at + 1, '"');
    if (!end) return false;
    end++;
    if ((weakly || !is_weak) && (size_t)(end - at) == len && memcmp(at, etag, len) == 0) return true;
    at = end;
  }
}

bool vsi_http_date_read(const char *text, int64_t *ret_seconds) {
  static const char *const forms[] = {"%a, %d %b %Y %H:%M:%S GMT", "%A, %d-%b-%y %H:%M:%S GMT", "%a %b %d %H:%M:%S %Y"};
  for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
    struct tm t = {0};
    const char *end = strptime(text, forms[i], &t);
    if (!end || *end) continue;
    *ret_seconds = (int64_t)timegm(&t);
    return true;
  }
  return false;
}

const char *vsi_content_type(const char *path) {
  static const char *const types[][2] = {
      {"html", "text/html; charset=utf-8"},
      {"htm", "text/html; charset=utf-8"},
      {"css", "text/css; charset=utf-8"},
      {"js", "text/javascript; charset=utf-8"},
      {"mjs", "text/javascript; charset=utf-8"},
      {"txt", "text/plain; charset=utf-8"},
      {"md", "text/markdown; charset=utf-8"},
      {"csv", "text/csv; charset=utf-8"},
      {"xml", "text/xml; charset=utf-8"},
      {"json", "application/json"},
      {"map", "application/json"},
      {"webmanifest", "application/manifest+json"},
      {"svg", "image/svg+xml; charset=utf-8"},
      {"png", "image/png"},
      {"jpg", "image/jpeg"},
      {"jpeg", "image/jpeg"},
      {"gif", "image/gif"},
      {"webp", "image/webp"},
      {"avif", "image/avif"},
      {"ico", "image/x-icon"},
      {"woff", "font/woff"},
      {"woff2", "font/woff2"},
      {"ttf", "font/ttf"},
      {"otf", "font/otf"},
      {"wasm", "application/wasm"},
      {"pdf", "application/pdf"},
      {"mp3", "audio/mpeg"},
      {"ogg", "audio/ogg"},
      {"mp4", "video/mp4"},
      {"webm", "video/webm"},
      {"zip", "application/zip"},
  };
  const char *slash = strrchr(path, '/'), *dot = strrchr(slash ? slash : path, '.');
  for (size_t i = 0; dot && i < sizeof types / sizeof *types; i++)
    if (vsi_strcasecmp(dot + 1, types[i][0]) == 0) return types[i][1];
  return "application/octet-stream";
}
