/* The builder's parts: bytes, escapes and the reader of formats. */
#ifndef VSI_HTML_HTML_H
#define VSI_HTML_HTML_H

#include <stdarg.h>

#include "html/cursor.h"
#include "vestry/html.h"

typedef struct vsi_html_learned vsi_html_learned;

/* What is in a builder. */
typedef struct __attribute__((may_alias)) vsi_html {
  const vestry_host *host;
  char *data;
  size_t len, capacity;
  vestry_err error;
  const char *why;
  size_t at;
  bool is_fixed;
  uint8_t adds_count; /* formats that were added; it stops where learning begins (learned.c) */
  vsi_html_place place;
  vsi_html_learned *learned; /* NULL: nothing */
} vsi_html;
_Static_assert(sizeof(vsi_html) <= sizeof(vestry_html), "room for it");

static inline vsi_html *vsi_html_of(const vestry_html *html) {
  return (vsi_html *)(uintptr_t)html;
}

/* Begin with memory of the caller's, which does not grow: TOO_LARGE when it is full. One byte of it is kept for a NUL.
 * vestry_html_finish is not needed. */
void vsi_html_init_fixed(vsi_html *html, char *buffer, size_t capacity);
/* Room for so many bytes and a NUL: false, and the error sticks. */
bool vsi_html_make_room(vsi_html *html, size_t more);
static inline bool vsi_html_reserve(vsi_html *html, size_t more) {
  return (!html->error && html->data && more < html->capacity - html->len) || vsi_html_make_room(html, more);
}
/* Append bytes that change nothing of the place; nothing after an error. */
void vsi_html_put(vsi_html *html, const char *bytes, size_t len);
void vsi_html_put_str(vsi_html *html, const char *text);
/* The first error sticks. why: static. Returns the error that sticks now. */
vestry_err vsi_html_fail(vsi_html *html, vestry_err error, const char *why);
/* A text of others for a place that takes one. */
void vsi_html_insert(vsi_html *html, const char *text, size_t len);
/* The same where vsi_place_is_settled has said so. */
void vsi_html_insert_settled(vsi_html *html, bool in_js, const char *text, size_t len);
extern const char vsi_html_why_null[];

/* Begin a JavaScript value here. INVALID where there can be none (in a URL, inside a string), and in a script element
 * unless in_script. ret_quote: how the value spells its quotes, `"` or `'`: as a character reference in attributes and
 * text, where the parser decodes it; as it is in a script element. */
vestry_err vsi_html_code_begin(vsi_html *html, bool in_script, char quote, const char **ret_quote);
void vsi_html_code_end(vsi_html *html);

/* escape.c: append a text, escaped. What is not valid UTF-8 comes out as U+FFFD from all of them. */
void vsi_html_escape_text(vsi_html *html, const char *text, size_t len);
/* The inside of a JavaScript string, for either kind of quotes; of HTML's special characters it has none. */
void vsi_html_escape_js(vsi_html *html, const char *text, size_t len);
/* One component of a URL; all ASCII, nothing of it special to HTML or JavaScript. */
void vsi_html_escape_component(vsi_html *html, const char *text, size_t len);

/* JSON that jansson wrote, which comes in parts, as JSON that is JavaScript, too. */
typedef struct vsi_json_rewriter {
  vsi_html *html;
  const char *quote; /* how quotes are written */
  bool in_string, behind_backslash;
} vsi_json_rewriter;
void vsi_html_rewrite_json(vsi_json_rewriter *rewriter, const char *json, size_t len);
/* A value, with quotes written like that; the place has been looked at. */
void vsi_html_put_json(vsi_html *html, const json_t *value, const char *quote);

/* format.c: what is done with the parts of a format. */
typedef struct vsi_format_sink {
  void (*literal)(vsi_html *html, const char *bytes, size_t len); /* the format's own text, and numbers */
  void (*text)(vsi_html *html, const char *text, size_t len);     /* %s */
  void (*raw)(vsi_html *html, const char *text, size_t len);      /* %-s */
} vsi_format_sink;
void vsi_html_format(vsi_html *html, const vsi_format_sink *sink, const char *format, va_list arguments)
    VESTRY_PRINTF(3, 0);

/* learned.c: vestry_html_vadd of a format that is known, or is learned now; sink: what does it otherwise.
 * Returns  false: nothing was done, it is to be read as ever */
bool vsi_html_add_learned(vsi_html *html, const vsi_format_sink *sink, const char *format, va_list arguments)
    VESTRY_PRINTF(3, 0);
/* Forget all. */
void vsi_html_forget(vsi_html *html);

#endif
