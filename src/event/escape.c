/* SPDX-License-Identifier: MIT */
/* Escaping of text that an event inserts into a script element or into attribute values (escape.h). */
#include "event/escape.h"

#include <string.h>

bool vsi_starts_with(const char *text, size_t len, const char *lower) {
  for (size_t i = 0; lower[i]; i++) {
    if (i == len) return false;
    bool is_letter = lower[i] >= 'a' && lower[i] <= 'z';
    if ((is_letter ? text[i] | 0x20 : text[i]) != lower[i]) return false;
  }
  return true;
}

/* Sequences that must not follow a `<` in the text of a script element.
 *
 * - `/script` ends the element.
 * - `!--` begins a state of the HTML parser in which a later `<script` makes it ignore the next `</script>`. Without
 *   the first, the second is harmless. So `<script` is not escaped: minified code contains it as "less than script".
 * - The last three concern the client. If the elements contain any of them, the client parses all elements as a
 *   document, and the script moves into a head that is dropped, so it does not run. */
static const char *const hazards[] = {"/script", "!--", "/html", "/head", "/body"};

static bool is_hazard(const char *behind, size_t len) {
  for (size_t i = 0; i < sizeof hazards / sizeof *hazards; i++) {
    if (vsi_starts_with(behind, len, hazards[i])) return true;
  }
  return false;
}

/* The `<` is written as \u003C. Strings, templates and regular expressions read this as `<`, and so does JSON, because
 * some script elements contain JSON (speculation rules, import maps). If a backslash already escapes the `<`, that
 * backslash is used: a second one would turn the pair into a backslash and "u003C". */
void vsi_put_script_text(vsi_writer *writer, const char *text, size_t len, const char *prefix) {
  const char *end = text + len;
  const char *written = text, *at = text;
  while (at < end && (at = memchr(at, '<', (size_t)(end - at))) != NULL) {
    if (is_hazard(at + 1, (size_t)(end - at - 1))) {
      size_t backslashes = 0;
      while (at - backslashes > text && *(at - backslashes - 1) == '\\') backslashes++;
      vsi_put_lines(writer, written, (size_t)(at - written), prefix);
      vsi_put_str(writer, backslashes % 2 ? "u003C" : "\\u003C");
      written = at + 1;
    }
    at++;
  }
  vsi_put_lines(writer, written, (size_t)(end - written), prefix);
}

void vsi_put_attribute_value(vsi_writer *writer, const char *value) {
  for (;;) {
    size_t plain = strcspn(value, "&\"<>\r\n");
    vsi_put(writer, value, plain);
    value += plain;
    switch (*value++) {
    case '&': vsi_put_str(writer, "&amp;"); break;
    case '"': vsi_put_str(writer, "&quot;"); break;
    case '<': vsi_put_str(writer, "&lt;"); break;
    case '>': vsi_put_str(writer, "&gt;"); break;
    case '\r': vsi_put_str(writer, "&#13;"); break;
    case '\n': vsi_put_str(writer, "&#10;"); break;
    default: return;
    }
  }
}

bool vsi_is_attribute_name(const char *name) {
  static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_:.";
  return name && *name && name[strspn(name, allowed)] == '\0';
}
