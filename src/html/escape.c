/* SPDX-License-Identifier: MIT */
/* essay: JavaScript strings that two parsers and a client rewrite */
/* Escapes, one for each kind of place. They share a loop: plain bytes and valid UTF-8 are copied in runs, and every
 * other byte is passed to the kind's own function. */
#include "html/escape.h"

#include <string.h>

#include "base/ascii.h"
#include "base/hex.h"
#include "base/utf8.h"
#include "html/place.h"
#include "json/write.h"

typedef struct escaping {
  bool (*is_plain)(char c);                                   /* of ASCII */
  bool (*is_special)(const char *bytes, size_t len);          /* of longer sequences; NULL: none is */
  void (*put)(vsi_html *html, const char *bytes, size_t len); /* writes a sequence that is not plain, or special */
} escaping;

/* Inlined, so that is_plain is a comparison in the loop and no call. */
static inline __attribute__((always_inline)) void put_escaped(vsi_html *html, const char *text, size_t len,
                                                              const escaping *e) {
  if (!len) return; /* text may be NULL */
  const char *end = text + len, *written = text;
  for (const char *at = text; !html->error;) {
    while (at < end && (unsigned char)*at < 0x80 && e->is_plain(*at)) at++; /* most bytes */
    if (at == end) break;
    bool valid = true, is_ascii = (unsigned char)*at < 0x80;
    size_t bytes = is_ascii ? 1 : vsi_utf8_next(at, end, &valid);
    if (is_ascii ? e->is_plain(*at) : valid && !(e->is_special && e->is_special(at, bytes))) {
      at += bytes;
      continue;
    }
    vsi_html_put(html, written, (size_t)(at - written));
    e->put(html, valid ? at : VSI_UTF8_REPLACEMENT, valid ? bytes : strlen(VSI_UTF8_REPLACEMENT));
    written = at += bytes;
  }
  vsi_html_put(html, written, (size_t)(end - written));
}

/* ------------------------------------------------------------------------------------------------------ HTML ------ */

static bool text_is_plain(char c) {
  return c != '&' && c != '<' && c != '>' && c != '"' && c != '\'' && c != '\r' && c != '\0';
}

/* Write CR as a reference, because the parser, and an event stream before it, replaces it by LF. No reference stands
 * for a NUL. */
static void text_put(vsi_html *html, const char *bytes, size_t len) {
  switch (*bytes) {
  case '&': vsi_html_put_str(html, "&amp;"); break;
  case '<': vsi_html_put_str(html, "&lt;"); break;
  case '>': vsi_html_put_str(html, "&gt;"); break;
  case '"': vsi_html_put_str(html, "&quot;"); break;
  case '\'': vsi_html_put_str(html, "&#39;"); break;
  case '\r': vsi_html_put_str(html, "&#13;"); break;
  case '\0': vsi_html_put_str(html, VSI_UTF8_REPLACEMENT); break;
  default: vsi_html_put(html, bytes, len); break;
  }
}

/* Append a text, escaped. */
static void escape_text(vsi_html *html, const char *text, size_t len) {
  static const escaping e = {text_is_plain, NULL, text_put};
  put_escaped(html, text, len, &e);
}

/* ------------------------------------------------------------------------------------------------ JavaScript ------ */

/* A JavaScript string passes through two readers before JavaScript's own: HTML's parser, and the Datastar client, which
 * rewrites expressions with regular expressions. The client takes a backslash before a quote for an escaped quote even
 * after another backslash, and splits at `;`. Up to 1.0.3 it also calls an action for `@name(`, and may read a signal
 * at `$name`, even inside strings (1.0.4 ignores strings). Therefore only punctuation that no reader interprets is left
 * unescaped. */
static bool js_is_plain(char c) {
  return vsi_is_letter(c) || vsi_is_digit(c) || (c && strchr(" _-./:,?=%#~+*!)[]{}|^", c));
}

static bool js_is_special(const char *bytes, size_t len) {
  return vsi_js_sequence_at(bytes, len) != NULL;
}

static void js_put(vsi_html *html, const char *bytes, size_t len) {
  const vsi_js_sequence *sequence = vsi_js_sequence_at(bytes, len);
  char escape[5] = "\\x";
  if (!sequence) vsi_hex_write(escape + 2, (const unsigned char *)bytes, 1);
  const bool is_lost = !*bytes || len > 1; /* a NUL, or what replaces invalid UTF-8 */
  vsi_html_put_str(html, sequence ? sequence->escape : is_lost ? VSI_UTF8_REPLACEMENT : escape);
}

void vsi_html_escape_js(vsi_html *html, const char *text, size_t len) {
  static const escaping e = {js_is_plain, js_is_special, js_put};
  put_escaped(html, text, len, &e);
}

/* ------------------------------------------------------------------------------------------------------- URL ------ */

static bool component_is_plain(char c) {
  return vsi_is_unreserved(c);
}

static void component_put(vsi_html *html, const char *bytes, size_t len) {
  static const char upper[] = "0123456789ABCDEF";
  for (size_t i = 0; i < len; i++) {
    char escape[3] = {'%', upper[bytes[i] >> 4 & 15], upper[bytes[i] & 15]};
    vsi_html_put(html, escape, sizeof escape);
  }
}

static bool component_is_special(const char *bytes, size_t len) {
  (void)bytes, (void)len;
  return true;
}

void vsi_html_escape_component(vsi_html *html, const char *text, size_t len) {
  static const escaping e = {component_is_plain, component_is_special, component_put};
  put_escaped(html, text, len, &e);
}

/* ------------------------------------------------------------------------------------------------------ JSON ------ */

/* The characters of js_is_plain's comment are escaped in the only form that both grammars have: \u and four digits. */
void vsi_html_put_value(vsi_html *html, const vestry_value *value, const char *quote) {
  const vsi_json_style style = {quote, "\"\\<>&'`$@;(", false};
  vsi_writer writer = {.style = &style};
  const vestry_err error = value ? vsi_json_put_value(&writer, value) : VESTRY_INVALID;
  if (error) {
    vsi_html_fail(html, error, "the value is NULL, or cannot be written as JSON");
  } else if (vsi_html_reserve(html, writer.len)) {
    writer = (vsi_writer){.to = html->data + html->len, .style = &style};
    (void)vsi_json_put_value(&writer, value); /* same result as the first time */
    html->len += writer.len;
  }
}

/* ---------------------------------------------------------------------------------------------- inserting ---- */

/* The place determines whether a text is possible there and how it is escaped. */

/* Return whether the last bytes could begin a character reference: a `&`, possibly with letters and digits. The
 * following text would be searched for its end. The longest name of a reference has 31 characters. */
static bool ends_in_reference(const vsi_html *html) {
  for (size_t back = 1; back <= 33 && back <= html->len; back++) {
    const char c = html->data[html->len - back];
    if (c == '&') return true;
    if (c != '#' && !vsi_is_digit(c) && !vsi_is_letter(c)) return false;
  }
  return false;
}

static bool ends_in_cr(const vsi_html *html) {
  return html->len && html->data[html->len - 1] == '\r';
}

/* Write a text, escaped. A LF after a CR becomes a reference, because the parser would read both as one line feed. */
static void put_inserted(vsi_html *html, bool in_js, const char *text, size_t len) {
  bool is_merged = len && *text == '\n' && !in_js && ends_in_cr(html);
  if (is_merged) vsi_html_put_str(html, "&#10;");
  if (is_merged) text++, len--;
  if (in_js)
    vsi_html_escape_js(html, text, len);
  else
    escape_text(html, text, len);
}

static const char why_reference[] = "the value follows a & and could form a character reference with it";

static const char *find_fault(const vsi_html *html, vsi_slot *ret_slot) {
  const char *why = NULL;
  *ret_slot = vsi_place_slot(&html->place, &why);
  if (*ret_slot == VSI_SLOT_JS_CODE || *ret_slot == VSI_SLOT_SCRIPT)
    return "the value is in code, outside of a string: use vestry_html_js, which adds quotes";
  if (!why && ends_in_reference(html)) return why_reference;
  return why;
}

void vsi_html_insert(vsi_html *html, const char *text, size_t len) {
  if (html->error) return;
  vsi_slot slot;
  const char *why = find_fault(html, &slot);
  if (why) {
    vsi_html_fail(html, VESTRY_INVALID, why);
    return;
  }
  bool is_dropped = len && *text == '\n' && html->place.drops_newline;
  bool runs = vsi_place_insert(&html->place, slot, text, len);
  if (is_dropped) vsi_html_put(html, "\n", 1);
  if (runs)
    vsi_html_put_str(html, "about:invalid");
  else
    put_inserted(html, slot == VSI_SLOT_JS_STRING, text, len);
}

void vsi_html_insert_settled(vsi_html *html, bool in_js, const char *text, size_t len) {
  if (html->error) return;
  if (ends_in_reference(html)) {
    vsi_html_fail(html, VESTRY_INVALID, why_reference);
    return;
  }
  put_inserted(html, in_js, text, len);
}

/* In text and attributes, quotes are written as references, so that a piece built in text can stand in an attribute
 * with either kind of quotes. The text of a script element is not decoded. */
vestry_err vsi_html_code_begin(vsi_html *html, bool in_script, char quote, const char **ret_quote) {
  if (html->error) return html->error;
  const char *why = NULL;
  switch (vsi_place_slot(&html->place, &why)) {
  case VSI_SLOT_TEXT:
  case VSI_SLOT_JS_CODE: *ret_quote = quote == '"' ? "&quot;" : "&#39;"; return VESTRY_OK;
  case VSI_SLOT_SCRIPT:
    if (!in_script) return vsi_html_fail(html, VESTRY_INVALID, "an action is in a script element");
    *ret_quote = quote == '"' ? "\"" : "'";
    return VESTRY_OK;
  case VSI_SLOT_URL: why = "code is in a URL"; break;
  case VSI_SLOT_JS_STRING: why = "code is inside a string"; break;
  default: break;
  }
  return vsi_html_fail(html, VESTRY_INVALID, why);
}

void vsi_html_code_end(vsi_html *html) {
  vsi_place_insert(&html->place, VSI_SLOT_JS_CODE, "'", 1);
}
