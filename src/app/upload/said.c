/* SPDX-License-Identifier: MIT */
#include "app/upload/said.h"

#include <string.h>
#include <strings.h>

#include "base/ascii.h"
#include "base/control.h"
#include "base/hex.h"
#include "base/utf8.h"

/* Where the last character that fits ends. */
static size_t cut(const char *text, size_t len, size_t most) {
  if (len <= most) return len;
  while (most && ((unsigned char)text[most] & 0xC0) == 0x80) most--;
  return most;
}

void vsi_said_name(vestry_slice said, char name[VSI_SAID_NAME_BYTES]) {
  const char *from = said.data, *end = from + said.len;
  name[0] = '\0';
  for (const char *at = from; at < end; at++)
    if (*at == '/' || *at == '\\') from = at + 1;
  if (from == end || !vsi_is_utf8(from, (size_t)(end - from))) return;
  const char *stop = from + cut(from, (size_t)(end - from), VSI_SAID_NAME_BYTES - 1);
  size_t len = 0;
  while (from < stop) {
    const size_t control = vsi_control_len(from, stop);
    if (!control) name[len++] = *from;
    from += control ? control : 1;
  }
  name[len] = '\0';
  if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0) name[0] = '\0';
}

static int digit(char c) {
  return vsi_hex_digit(vsi_lower(c));
}

void vsi_said_encoded_name(const char *said, char name[VSI_SAID_NAME_BYTES]) {
  char text[4 * VSI_SAID_NAME_BYTES];
  size_t len = 0;
  for (const char *at = said ? said : ""; *at && len < sizeof text; at++) {
    bool is_escape = at[0] == '%' && digit(at[1]) >= 0 && digit(at[2]) >= 0;
    text[len++] = is_escape ? (char)(digit(at[1]) << 4 | digit(at[2])) : *at;
    at += is_escape ? 2 : 0;
  }
  vsi_said_name((vestry_slice){text, cut(text, len, sizeof text - 1)}, name);
}

/* Of RFC 9110: a token, a slash, a token. */
static bool is_type_char(char c) {
  return c > ' ' && c < 0x7F && !strchr("()<>@,;:\\\"[]?={}", c);
}

void vsi_said_type(vestry_slice said, char type[VSI_SAID_TYPE_BYTES]) {
  size_t len = 0, slashes = 0;
  for (const char *text = said.data; len < said.len && len < VSI_SAID_TYPE_BYTES && is_type_char(text[len]);) {
    char c = text[len];
    slashes += c == '/';
    if (len < VSI_SAID_TYPE_BYTES - 1) type[len] = c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
    len++;
  }
  bool is_one = slashes == 1 && len < VSI_SAID_TYPE_BYTES && type[0] != '/' && type[len - 1] != '/';
  if (is_one)
    type[len] = '\0';
  else
    strcpy(type, "application/octet-stream");
}

bool vsi_said_type_is_in(const char *types, const char *type) {
  while (*types) {
    types += strspn(types, ", \t");
    size_t len = strcspn(types, ", \t");
    bool is_kind = len > 2 && strncmp(types + len - 2, "/*", 2) == 0;
    if (len && strncasecmp(types, type, is_kind ? len - 1 : len) == 0 && (is_kind || !type[len])) return true;
    if (len == 3 && strncmp(types, "*/*", 3) == 0) return true;
    types += len;
  }
  return false;
}
