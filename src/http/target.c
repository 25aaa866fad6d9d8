/* SPDX-License-Identifier: MIT */
/* Request targets: from the bytes of a request line to the path of a route, in the same way for every server. A target
 * is refused if a proxy with rules, or a server that normalizes paths, could read another path from it. */
#include "http/target.h"

#include <string.h>

#include "base/ascii.h"
#include "base/hex.h"
#include "base/utf8.h"
#include "vestry/adapter.h"

static bool is_control_byte(unsigned char c) {
  return c < 0x20 || c == 0x7f;
}

bool vsi_path_is_plain(const char *path) {
  if (*path != '/' || !vsi_is_utf8(path, strlen(path))) return false;
  char before = '\0';
  for (const char *at = path; *at; before = *at++) {
    if (is_control_byte((unsigned char)*at) || *at == '\\') return false;
    if (*at == '/' && (before == '/' || before == '.')) return false;
  }
  return before != '.';
}

/* Decode a path up to the query or the end. NULL: refused. No client has a reason to encode an unreserved character,
 * except to hide it from a proxy. */
static const char *decode_target_path(const char *at, char *path) {
  const char *begin = path;
  bool is_odd = false;
  for (; *at && *at != '?'; at++) {
    unsigned char c = (unsigned char)*at;
    if (c <= ' ' || c > 126 || c == '#') return NULL;
    if (c == '%') {
      int high = vsi_hex_digit(vsi_lower(at[1])), low = high < 0 ? -1 : vsi_hex_digit(vsi_lower(at[2]));
      if (low < 0) return NULL;
      c = (unsigned char)(high * 16 + low);
      if (c == 0 || c == '/') return NULL; /* the others are refused decoded, too */
      at += 2;
      is_odd |= vsi_is_unreserved(c);
    } else {
      is_odd |= c == '"' || c == '<' || c == '>' || c == '`' || c == '{' || c == '}';
    }
    *path++ = (char)c;
  }
  *path = '\0';
  const bool has_segments = begin < path && strchr(begin + 1, '/');
  return has_segments && is_odd ? NULL : at;
}

/* Skip "http://host". Returns the target itself if it has another form; NULL: refused. */
static const char *pass_origin(const char *target) {
  size_t scheme = vsi_strncasecmp(target, "http://", 7) == 0 ? 7 : vsi_strncasecmp(target, "https://", 8) == 0 ? 8 : 0;
  if (!scheme) return target;
  size_t host = strcspn(target + scheme, "/?#@\\");
  for (size_t i = 0; i < host; i++)
    if (target[scheme + i] <= ' ' || target[scheme + i] > 126) return NULL;
  const char *end = target + scheme + host;
  return host && (!*end || *end == '/' || *end == '?') ? end : NULL;
}

static bool query_is_fit(const char *query) {
  for (; *query; query++)
    if (*query == ' ' || *query == '#' || is_control_byte((unsigned char)*query)) return false;
  return true;
}

vestry_err vestry_target_read(const char *target, char *path, const char **ret_query) {
  if (!target || !path || !ret_query) return VESTRY_INVALID;
  const char *at = pass_origin(target), *query = NULL;
  if (!at) return VESTRY_MALFORMED;
  if (strcmp(target, "*") == 0) {
    strcpy(path, "*");
    *ret_query = NULL;
    return VESTRY_OK;
  }
  const bool has_path = at == target || *at == '/';
  if (!has_path) *path = '/';
  at = decode_target_path(at, has_path ? path : path + 1);
  if (!at || !vsi_path_is_plain(path)) return VESTRY_MALFORMED;
  if (*at == '?') query = at + 1;
  if (query && !query_is_fit(query)) return VESTRY_MALFORMED;
  *ret_query = query;
  return VESTRY_OK;
}
