/* SPDX-License-Identifier: MIT */
/* The HTML builder: any HTML around any text, and any format.
 * Input: HTML, a NUL, more HTML, a NUL, and a text, which may contain NULs. The text is inserted between the two in
 * every possible way. If the builder accepts it, its output must be inert and read back as the text. The first HTML
 * is used as a format, too. */
#include "base/utf8.h"
#include "fuzz/target.h"
#include "html/builder.h"
#include "html/place.h"
#include "vestry/vestry.h"

enum { MAX_TEXT = 4096 * 4 };

/* Return the length of the text as a reader gets it: valid, and without NUL. */
static size_t readable(const char *text, size_t len, char *to) {
  size_t made = 0;
  for (const char *at = text, *end = text + len; at < end;) {
    bool valid;
    size_t bytes = vsi_utf8_next(at, end, &valid);
    const char *from = valid && *at ? at : VSI_UTF8_REPLACEMENT;
    size_t add = valid && *at ? bytes : strlen(VSI_UTF8_REPLACEMENT);
    memcpy(to + made, from, add);
    made += add;
    at += bytes;
  }
  return made;
}

static unsigned hex(const char *digits, size_t count) {
  char text[5] = "";
  memcpy(text, digits, count);
  return (unsigned)strtoul(text, NULL, 16);
}

static size_t put_utf8(char *to, unsigned point) {
  if (point < 0x80) return *to = (char)point, 1;
  if (point < 0x10000) {
    to[0] = (char)(0xE0 | point >> 12);
    to[1] = (char)(0x80 | (point >> 6 & 63));
    to[2] = (char)(0x80 | (point & 63));
    return 3;
  }
  to[0] = (char)(0xF0 | point >> 18);
  to[1] = (char)(0x80 | (point >> 12 & 63));
  to[2] = (char)(0x80 | (point >> 6 & 63));
  to[3] = (char)(0x80 | (point & 63));
  return 4;
}

/* Undo the escapes of HTML or of JavaScript, of the few kinds that the builder writes. */
static size_t unescape(const char *at, size_t len, bool is_js, char *to) {
  static const char *const references[][2] = {{"&amp;", "&"}, {"&lt;", "<"},   {"&gt;", ">"},  {"&quot;", "\""},
                                              {"&#39;", "'"}, {"&#13;", "\r"}, {"&#10;", "\n"}};
  size_t made = 0;
  for (const char *end = at + len; at < end;) {
    if (is_js && *at == '\\') {
      size_t digits = at[1] == 'x' ? 2 : 4;
      unsigned point = hex(at + 2, digits);
      at += 2 + digits;
      if (point >= 0xD800 && point < 0xDC00) {
        point = 0x10000 + ((point - 0xD800) << 10) + (hex(at + 2, 4) - 0xDC00);
        at += 6;
      }
      made += put_utf8(to + made, point);
      continue;
    }
    size_t i = 0, count = sizeof references / sizeof *references;
    while (!is_js && i < count && strncmp(at, references[i][0], strlen(references[i][0])) != 0) i++;
    require(is_js || i < count || *at != '&');
    to[made++] = is_js || i == count ? *at : *references[i][1];
    at += is_js || i == count ? 1 : strlen(references[i][0]);
  }
  return made;
}

static bool has_any(const char *bytes, size_t len, const char *of) {
  for (size_t i = 0; i < len; i++)
    if (!bytes[i] || strchr(of, bytes[i])) return true;
  return false;
}

static void check_text(const char *before, const char *behind, const char *text, size_t len) {
  static char wanted[MAX_TEXT], got[MAX_TEXT * 2];
  vestry_html html;
  vestry_slice made;
  const char *why = NULL;
  vestry_html_init(&html, NULL);
  vestry_html_raw(&html, before, strlen(before));
  vsi_slot slot = vsi_place_slot(&vsi_html_of(&html)->place, &why);
  bool drops = vsi_html_of(&html)->place.drops_newline && len && *text == '\n';
  vestry_html_text(&html, text, len);
  size_t until = vsi_html_of(&html)->len;
  vestry_html_raw(&html, behind, strlen(behind));
  vestry_err error = vestry_html_result(&html, &made);
  if (error) {
    require(error == VESTRY_INVALID);
  } else {
    const char *inside = (const char *)made.data + strlen(before);
    size_t inside_len = until - strlen(before), wanted_len = readable(text, len, wanted);
    require(slot == VSI_SLOT_TEXT || slot == VSI_SLOT_URL || slot == VSI_SLOT_JS_STRING);
    require(!has_any(inside, inside_len, slot == VSI_SLOT_JS_STRING ? "<>&\"'`$@;(\r\n" : "<>\"'\r"));
    size_t got_len = unescape(inside, inside_len, slot == VSI_SLOT_JS_STRING, got);
    bool same = got_len == wanted_len + drops && memcmp(got + drops, wanted, wanted_len) == 0;
    require(same || (slot == VSI_SLOT_URL && got_len == 13 && memcmp(got, "about:invalid", 13) == 0));
  }
  /* A format gives the same result as its pieces, if the text contains no NUL. */
  if (!memchr(text, 0, len)) {
    vestry_html other;
    vestry_slice by_format;
    vestry_html_init(&other, NULL);
    char *copy = malloc(len + 1);
    require(copy != NULL);
    memcpy(copy, text, len);
    copy[len] = '\0';
    require(vestry_html_add(&other, "%-s%s%-s", before, copy, behind) == error);
    if (!error) {
      require(vestry_html_result(&other, &by_format) == VESTRY_OK);
      require(by_format.len == made.len && memcmp(by_format.data, made.data, made.len) == 0);
    }
    free(copy);
    vestry_html_finish(&other);
  }
  vestry_html_finish(&html);
}

static void check_code(const char *before, const char *text, size_t len) {
  vestry_html html;
  for (int kind = 0; kind < 3; kind++) {
    vestry_html_init(&html, NULL);
    vestry_html_raw(&html, before, strlen(before));
    size_t from = vsi_html_of(&html)->len;
    json_t *value = json_stringn_nocheck("", 0);
    if (kind == 1) {
      json_decref(value);
      value = json_stringn(text, len); /* NULL: not valid UTF-8 */
    }
    vestry_err error = kind == 0   ? vestry_html_js(&html, text, len)
                       : kind == 1 ? vestry_html_json(&html, VESTRY_VALUES(value))
                                   : vestry_html_backend_action(&html, VESTRY_METHOD_GET, NULL, "/%.*s?%-.*s", (int)len,
                                                                text, (int)len, text);
    bool in_script = !error && memchr("'\"", vsi_html_of(&html)->data[from], 2) != NULL;
    require(error || !has_any(vsi_html_of(&html)->data + from, vsi_html_of(&html)->len - from,
                              in_script ? "<>&`$;\r\n" : "<>\"'`$\r\n"));
    json_decref(value);
    vestry_html_finish(&html);
  }
}

/* Return whether conversions are texts, and no more than the given arguments. */
static bool is_safe(const char *format) {
  size_t count = 0;
  for (const char *at = format; (at = strchr(at, '%')) != NULL; count++) {
    at += 1 + strspn(at + 1, "-+ #0123456789.hlzjt'");
    if (*at && strchr("fg*", *at)) return false;
    if (*at == '%') at++;
  }
  return count <= 8;
}

static void check_format(const char *format, const char *text) {
  vestry_err (*const add)(vestry_html *, const char *, ...) = vestry_html_add;
  vestry_html html;
  vestry_html_init(&html, NULL);
  const char *why;
  size_t offset;
  if (add(&html, format, text, text, text, text, text, text, text, text)) {
    require(vestry_html_error(&html, &why, &offset) == VESTRY_INVALID && *why && offset < strlen(format));
    require(format[offset] == '%' || !offset); /* 0: a conflict with an earlier text */
  }
  vestry_html_finish(&html);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  const char *before = (const char *)data, *end = before + size;
  const char *zero = size ? memchr(before, 0, size) : NULL;
  const char *behind = zero ? zero + 1 : end;
  zero = memchr(behind, 0, (size_t)(end - behind));
  if (!zero || size > 4096) return 0;
  const char *text = zero + 1;
  check_text(before, behind, text, (size_t)(end - text));
  check_code(before, text, (size_t)(end - text));
  if (is_safe(before)) check_format(before, behind);
  return 0;
}
