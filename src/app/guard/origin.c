/* SPDX-License-Identifier: MIT */
#include "app/guard/origin.h"

#include <stddef.h>
#include <string.h>
#include <strings.h>

enum { AUTHORITY_MAX_BYTES = 255 + 6 };

/* What comes after the scheme, and the port that need not be written. NULL: neither http nor https. */
static const char *authority_of(const char *origin, const char **ret_port) {
  if (strncasecmp(origin, "http://", 7) == 0) {
    *ret_port = ":80";
    return origin + 7;
  }
  *ret_port = ":443";
  return strncasecmp(origin, "https://", 8) == 0 ? origin + 8 : NULL;
}

static bool is_name(char c) {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-' || c == '.' || c == '_';
}

/* The length of the host in an authority; 0: it is none. */
static size_t host_len(const char *text) {
  if (*text != '[') {
    size_t len = 0;
    while (is_name(text[len])) len++;
    return len;
  }
  size_t len = strspn(text + 1, "0123456789abcdefABCDEF:.");
  return len && text[len + 1] == ']' ? len + 2 : 0;
}

static bool is_authority(const char *text) {
  size_t len = strlen(text), at = len > AUTHORITY_MAX_BYTES ? 0 : host_len(text);
  if (!at) return false;
  if (!text[at]) return true;
  size_t digits = text[at] == ':' ? strspn(text + at + 1, "0123456789") : 0;
  return digits && digits <= 5 && at + 1 + digits == len;
}

bool vsi_origin_is_good(const char *origin) {
  const char *port, *authority = authority_of(origin, &port);
  return authority && is_authority(authority);
}

/* The length without the port that goes without saying. */
static size_t len_without(const char *authority, const char *port) {
  size_t len = strlen(authority), port_len = strlen(port);
  return len > port_len && strcmp(authority + len - port_len, port) == 0 ? len - port_len : len;
}

static bool are_equal(const char *a, const char *b, const char *port) {
  size_t len = len_without(a, port);
  return len == len_without(b, port) && strncasecmp(a, b, len) == 0;
}

bool vsi_origin_is_host(const char *origin, const char *host) {
  const char *port, *authority = authority_of(origin, &port);
  return authority && is_authority(authority) && is_authority(host) && are_equal(authority, host, port);
}

bool vsi_origins_are_equal(const char *a, const char *b) {
  const char *port_a, *port_b;
  const char *of_a = authority_of(a, &port_a), *of_b = authority_of(b, &port_b);
  return of_a && of_b && strcmp(port_a, port_b) == 0 && are_equal(of_a, of_b, port_a);
}
