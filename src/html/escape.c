/* SPDX-License-Identifier: MIT */
/* essay: JavaScript strings that two parsers and a client rewrite */
/* Escapes, one for each kind of place. They share a loop: plain bytes and valid UTF-8 are copied in runs, and every
 * other byte is passed to the kind's own function. */
#include "html/escape.h"

#include <string.h>

#include "base/ascii.h"
#include "base/utf8.h"
#include "html/place.h"
#include "json/load.h"

static const char digits[] = "0123456789abcdef";

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

/* U+2028 and U+2029 ended strings before ES2019. U+1F595 "JS_" and "_DS" U+1F680 are brackets to clients before 1.0.3,
 * which remove them wherever they occur. */
static const struct {
  const char *bytes, *escape;
} special_sequences[] = {
    {"\xE2\x80\xA8", "\\u2028"}, {"\xE2\x80\xA9", "\\u2029"}, {"\xF0\x9F\x96\x95", "\\ud83d\\udd95"}};

static const char *special_escape(const char *bytes, size_t len) {
  for (size_t i = 0; i < sizeof special_sequences / sizeof *special_sequences; i++) {
    if (len == strlen(special_sequences[i].bytes) && memcmp(bytes, special_sequences[i].bytes, len) == 0)
      return special_sequences[i].escape;
  }
  return NULL;
}

static bool js_is_special(const char *bytes, size_t len) {
  return special_escape(bytes, len) != NULL;
}

static void put_special(vsi_html *html, const char *bytes, size_t len) {
  const char *escape = special_escape(bytes, len);
  vsi_html_put(html, escape ? escape : bytes, escape ? strlen(escape) : len);
}

static void js_put(vsi_html *html, const char *bytes, size_t len) {
  char escape[4] = {'\\', 'x', digits[*bytes >> 4 & 15], digits[*bytes & 15]};
  if (!*bytes)
    vsi_html_put_str(html, VSI_UTF8_REPLACEMENT);
  else if (len == 1)
    vsi_html_put(html, escape, sizeof escape);
  else
    put_special(html, bytes, len);
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

static bool json_is_plain(char c) {
  return c >= 0x20 && !strchr("\"\\<>&'`$@;(", c);
}

static void json_put(vsi_html *html, const char *bytes, size_t len) {
  char escape[6] = {'\\', 'u', '0', '0', digits[*bytes >> 4 & 15], digits[*bytes & 15]};
  if (len == 1)
    vsi_html_put(html, escape, sizeof escape);
  else
    put_special(html, bytes, len);
}

/* Rewrites JSON from jansson, which arrives in parts, into JSON that is also JavaScript. */
typedef struct json_rewriter {
  vsi_html *html;
  const char *quote; /* replacement for quotes */
  bool in_string, behind_backslash;
} json_rewriter;

/* Inside strings, the characters of js_is_plain's comment are escaped in the only form that both grammars have: \u and
 * four digits. Outside of strings, only the quotes of JSON are special to any reader. Runs of a string are cut at ASCII
 * characters only, so no UTF-8 sequence is split. */
static void rewrite_json(json_rewriter *r, const char *json, size_t len) {
  static const escaping inside = {json_is_plain, js_is_special, json_put};
  const char *end = json + len;
  while (json < end) {
    const char *stop = json;
    if (r->behind_backslash) { /* \" \\ become \u0022 \u005c; \/ becomes a slash; the others are unchanged */
      if (*json == '"' || *json == '\\')
        json_put(r->html, json, 1);
      else if (*json != '/')
        vsi_html_put_str(r->html, "\\");
      if (*json != '"' && *json != '\\') vsi_html_put(r->html, json, 1);
      r->behind_backslash = false;
      json++;
      continue;
    }
    while (stop < end && *stop != '"' && !(r->in_string && *stop == '\\')) stop++;
    if (r->in_string)
      put_escaped(r->html, json, (size_t)(stop - json), &inside);
    else
      vsi_html_put(r->html, json, (size_t)(stop - json));
    json = stop;
    if (stop == end) return;
    if (*stop == '"') {
      vsi_html_put_str(r->html, r->quote);
      r->in_string = !r->in_string;
    } else {
      r->behind_backslash = true;
    }
    json++;
  }
}

static int take_json(const char *json, size_t len, void *rewriter) {
  json_rewriter *r = rewriter;
  rewrite_json(r, json, len);
  return r->html->error ? -1 : 0;
}

void vsi_html_put_json(vsi_html *html, const json_t *value, const char *quote) {
  json_rewriter rewriter = {.html = html, .quote = quote};
  /* Writing a valid value fails only if memory runs out, the builder's or jansson's; or if the value contains itself,
   * which jansson reports in the same way. */
  if (vsi_json_dump_to(value, take_json, &rewriter, JSON_COMPACT | JSON_ENCODE_ANY))
    vsi_html_fail(html, VESTRY_NO_MEMORY, "out of memory for a value, or the value contains itself");
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
