/* SPDX-License-Identifier: MIT */
/* CSS selectors for an element with a given id, escaped as the CSS Object Model prescribes for identifiers. */
#include "vestry/event.h"

#include <stdio.h>
#include <string.h>

#include "base/ascii.h"
#include "base/buffer.h"
#include "base/utf8.h"

/* Escape a character "as code point": a backslash, the number in lower-case hexadecimal, a space. Only for ASCII. */
static void put_code_point(vsi_writer *s, unsigned char c) {
  char escape[8];
  vsi_put(s, escape, (size_t)snprintf(escape, sizeof escape, "\\%x ", c));
}

/* Return whether the character needs no escape within an identifier, except at its beginning. */
static bool is_name(char c) {
  return vsi_is_digit(c) || vsi_is_letter(c) || c == '-' || c == '_';
}

static void serialize(vsi_writer *s, const char *id, size_t len) {
  const char *end = id + len;
  vsi_put(s, "#", 1);
  for (const char *at = id; at < end;) {
    unsigned char c = (unsigned char)*at;
    if (c >= 0x80) {
      bool valid;
      size_t bytes = vsi_utf8_next(at, end, &valid);
      if (valid)
        vsi_put(s, at, bytes);
      else
        vsi_put_str(s, VSI_UTF8_REPLACEMENT);
      at += bytes;
      continue;
    }
    bool begins = at == id || (at == id + 1 && *id == '-');
    if (c < 0x20 || c == 0x7F || (begins && vsi_is_digit(*at))) {
      put_code_point(s, c);
    } else {
      if (!is_name(*at) || (c == '-' && len == 1)) vsi_put(s, "\\", 1);
      vsi_put(s, at, 1);
    }
    at++;
  }
}

vestry_err vestry_select_id(const char *id, char *buffer, size_t capacity) {
  if (!id || !*id || !buffer) return VESTRY_INVALID;
  size_t len = strlen(id);
  vsi_writer counter = {.to = NULL}, writer = {.to = buffer};
  serialize(&counter, id, len);
  if (counter.len >= capacity) return VESTRY_TOO_LARGE;
  serialize(&writer, id, len);
  buffer[writer.len] = '\0';
  return VESTRY_OK;
}
