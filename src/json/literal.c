/* SPDX-License-Identifier: MIT */
#include "json/literal.h"

#include <string.h>

/* Return whether a byte needs no escape. These need one:
 * - the quote and the backslash;
 * - control characters, which JSON does not allow unescaped and which could be line ends (RFC 8259, section 7);
 * - `<`, because every tag and comment that ends or changes a script element begins with it;
 * - 0xE2, the first byte of U+2028 and U+2029, which were line ends in JavaScript strings before 2019. */
static bool is_plain(unsigned char c) {
  return c >= 0x20 && c != '"' && c != '\\' && c != '<' && c != 0xE2;
}

/* Append the character at `at`, escaped. Returns its length in the text. */
static size_t append_escape(vsi_buffer *buffer, const char *at, const char *end) {
  unsigned char c = (unsigned char)*at;
  if (c == 0xE2) {
    bool separator = end - at >= 3 && at[1] == '\x80' && (at[2] == '\xA8' || at[2] == '\xA9');
    if (separator)
      vsi_buffer_append_str(buffer, at[2] == '\xA8' ? "\\u2028" : "\\u2029");
    else
      vsi_buffer_append_char(buffer, *at);
    return separator ? 3 : 1;
  }
  switch (c) {
  case '"': vsi_buffer_append_str(buffer, "\\\""); break;
  case '\\': vsi_buffer_append_str(buffer, "\\\\"); break;
  case '\n': vsi_buffer_append_str(buffer, "\\n"); break;
  case '\r': vsi_buffer_append_str(buffer, "\\r"); break;
  case '\t': vsi_buffer_append_str(buffer, "\\t"); break;
  default: {
    static const char digits[] = "0123456789ABCDEF";
    char escape[6] = {'\\', 'u', '0', '0', digits[c >> 4], digits[c & 15]};
    vsi_buffer_append(buffer, escape, sizeof escape);
  }
  }
  return 1;
}

void vsi_literal_append(vsi_buffer *buffer, const char *text, size_t len) {
  const char *end = text + len;
  vsi_buffer_append_char(buffer, '"');
  for (const char *at = text; at < end && !buffer->error;) {
    const char *stop = at;
    while (stop < end && is_plain((unsigned char)*stop)) stop++;
    vsi_buffer_append(buffer, at, (size_t)(stop - at));
    at = stop < end ? stop + append_escape(buffer, stop, end) : end;
  }
  vsi_buffer_append_char(buffer, '"');
}
