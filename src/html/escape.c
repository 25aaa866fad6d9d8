/* SPDX-License-Identifier: MIT */
/* essay: JavaScript strings that two parsers and a client rewrite */
/* Escapes, one for each kind of place. They share a loop: plain bytes and valid UTF-8 are copied in runs, and every
 * other byte is passed to the kind's own function. */
#include "html/escape.h"

#include <string.h>

#include "base/utf8.h"

static const char digits[] = "0123456789abcdef";

typedef struct escaping {
  bool (*is_plain)(char c);                                            /* of ASCII */
  void (*put_ascii)(vsi_html *html, char c);                           /* writes a byte that is not plain */
  void (*put_sequence)(vsi_html *html, const char *bytes, size_t len); /* writes a valid multi-byte sequence; NULL:
                                                                          unchanged */
  bool (*is_special)(const char *bytes, size_t len);                   /* sequences for put_sequence; NULL: all */
} escaping;

static void put_escaped(vsi_html *html, const char *text, size_t len, const escaping *e) {
  if (!len) return; /* text may be NULL */
  const char *end = text + len, *written = text;
  for (const char *at = text; at < end && !html->error;) {
    bool valid = true;
    size_t bytes = 1;
    if ((unsigned char)*at < 0x80) {
      if (e->is_plain(*at)) {
        at++;
        continue;
      }
    } else {
      bytes = vsi_utf8_next(at, end, &valid);
      if (valid && (!e->put_sequence || (e->is_special && !e->is_special(at, bytes)))) {
        at += bytes;
        continue;
      }
    }
    vsi_html_put(html, written, (size_t)(at - written));
    if (valid && bytes == 1)
      e->put_ascii(html, *at);
    else if (e->put_sequence)
      e->put_sequence(html, valid ? at : VSI_UTF8_REPLACEMENT, valid ? bytes : strlen(VSI_UTF8_REPLACEMENT));
    else
      vsi_html_put_str(html, VSI_UTF8_REPLACEMENT);
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
static void text_put_ascii(vsi_html *html, char c) {
  switch (c) {
  case '&': vsi_html_put_str(html, "&amp;"); break;
  case '<': vsi_html_put_str(html, "&lt;"); break;
  case '>': vsi_html_put_str(html, "&gt;"); break;
  case '"': vsi_html_put_str(html, "&quot;"); break;
  case '\'': vsi_html_put_str(html, "&#39;"); break;
  case '\r': vsi_html_put_str(html, "&#13;"); break;
  default: vsi_html_put_str(html, VSI_UTF8_REPLACEMENT); break;
  }
}

void vsi_html_escape_text(vsi_html *html, const char *text, size_t len) {
  static const escaping e = {text_is_plain, text_put_ascii, NULL, NULL};
  put_escaped(html, text, len, &e);
}

/* ------------------------------------------------------------------------------------------------ JavaScript ------ */

/* A JavaScript string passes through two readers before JavaScript's own: HTML's parser, and the Datastar client, which
 * rewrites expressions with regular expressions. The client takes a backslash before a quote for an escaped quote even
 * after another backslash, and splits at `;`. Up to 1.0.3 it also calls an action for `@name(`, and may read a signal
 * at `$name`, even inside strings (1.0.4 ignores strings). Therefore only punctuation that no reader interprets is left
 * unescaped. */
static bool js_is_plain(char c) {
  return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
         (c && strchr(" _-./:,?=%#~+*!)[]{}|^", c));
}

static void js_put_ascii(vsi_html *html, char c) {
  if (c) {
    char escape[4] = {'\\', 'x', digits[c >> 4 & 15], digits[c & 15]};
    vsi_html_put(html, escape, sizeof escape);
  } else {
    vsi_html_put_str(html, VSI_UTF8_REPLACEMENT);
  }
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

static void js_put_sequence(vsi_html *html, const char *bytes, size_t len) {
  const char *escape = special_escape(bytes, len);
  if (escape)
    vsi_html_put_str(html, escape);
  else
    vsi_html_put(html, bytes, len);
}

void vsi_html_escape_js(vsi_html *html, const char *text, size_t len) {
  static const escaping e = {js_is_plain, js_put_ascii, js_put_sequence, js_is_special};
  put_escaped(html, text, len, &e);
}

/* ------------------------------------------------------------------------------------------------------- URL ------ */

/* Return whether a character is unreserved (RFC 3986, section 2.3). */
static bool component_is_plain(char c) {
  return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c && strchr("-._~", c));
}

static void component_put(vsi_html *html, const char *bytes, size_t len) {
  static const char upper[] = "0123456789ABCDEF";
  for (size_t i = 0; i < len; i++) {
    char escape[3] = {'%', upper[bytes[i] >> 4 & 15], upper[bytes[i] & 15]};
    vsi_html_put(html, escape, sizeof escape);
  }
}

static void component_put_ascii(vsi_html *html, char c) {
  component_put(html, &c, 1);
}

void vsi_html_escape_component(vsi_html *html, const char *text, size_t len) {
  static const escaping e = {component_is_plain, component_put_ascii, component_put, NULL};
  put_escaped(html, text, len, &e);
}

/* ------------------------------------------------------------------------------------------------------ JSON ------ */

static bool json_is_plain(char c) {
  return c >= 0x20 && !strchr("\"\\<>&'`$@;(", c);
}

static void json_put_ascii(vsi_html *html, char c) {
  char escape[6] = {'\\', 'u', '0', '0', digits[c >> 4 & 15], digits[c & 15]};
  vsi_html_put(html, escape, sizeof escape);
}

/* Inside strings, the characters of js_is_plain's comment are escaped in the only form that both grammars have: \u and
 * four digits. Outside of strings, only the quotes of JSON are special to any reader. Runs of a string are cut at ASCII
 * characters only, so no UTF-8 sequence is split. */
void vsi_html_rewrite_json(vsi_json_rewriter *r, const char *json, size_t len) {
  static const escaping inside = {json_is_plain, json_put_ascii, js_put_sequence, js_is_special};
  const char *end = json + len;
  while (json < end) {
    const char *stop = json;
    if (r->behind_backslash) { /* \" \\ become \u0022 \u005c; \/ becomes a slash; the others are unchanged */
      if (*json == '"' || *json == '\\')
        json_put_ascii(r->html, *json);
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
  vsi_json_rewriter *r = rewriter;
  vsi_html_rewrite_json(r, json, len);
  return r->html->error ? -1 : 0;
}

void vsi_html_put_json(vsi_html *html, const json_t *value, const char *quote) {
  vsi_json_rewriter rewriter = {.html = html, .quote = quote};
  /* Writing a valid value fails only if memory runs out, the builder's or jansson's; or if the value contains itself,
   * which jansson reports in the same way. */
  if (json_dump_callback(value, take_json, &rewriter, JSON_COMPACT | JSON_ENCODE_ANY))
    vsi_html_fail(html, VESTRY_NO_MEMORY, "out of memory for a value, or the value contains itself");
}
