/* SPDX-License-Identifier: MIT */
/* A builder: its bytes, its memory, its error. */
#ifndef VSI_HTML_BUILDER_H
#define VSI_HTML_BUILDER_H

#include "html/attribute.h"
#include "vestry/html.h"

typedef struct vsi_html_learned vsi_html_learned;

enum {
  VSI_HTML_SHOWN = 60,      /* bytes of a refused format that the log shows */
  VSI_HTML_EXPLAINED = 256, /* size of vsi_html_explain's text, with its NUL */
};

/* The content of a vestry_html. */
typedef struct __attribute__((may_alias)) vsi_html {
  const vestry_host *host;
  char *data;
  size_t len, capacity;
  vestry_err error;
  const char *why;
  size_t at;
  bool is_fixed;
  bool has_file;      /* the document loads the file of the library's scripts (html/script.h) */
  uint8_t adds_count; /* formats that were added; stops at the number where learning begins (learned.c) */
  vsi_html_place place;
  vsi_html_learned *learned; /* NULL: nothing was learned */
  bool is_at_format;         /* the error arose at a byte of a format */
  uint8_t shown_len;
  char shown[VSI_HTML_SHOWN]; /* the end of the refused format's text, up to `at` */
} vsi_html;
_Static_assert(sizeof(vsi_html) <= sizeof(vestry_html), "room for it");

static inline vsi_html *vsi_html_of(const vestry_html *html) {
  return (vsi_html *)(uintptr_t)html;
}

/* Begin with memory of the caller that does not grow: TOO_LARGE when it is full. One byte is reserved for a NUL.
 * vestry_html_finish is not needed. */
void vsi_html_init_fixed(vsi_html *html, char *buffer, size_t capacity);
/* Make room for `more` bytes and a NUL. false: an error, which sticks. */
bool vsi_html_make_room(vsi_html *html, size_t more);
static inline bool vsi_html_reserve(vsi_html *html, size_t more) {
  return (!html->error && html->data && more < html->capacity - html->len) || vsi_html_make_room(html, more);
}
/* Append bytes that do not change the place; does nothing after an error. */
void vsi_html_put(vsi_html *html, const char *bytes, size_t len);
void vsi_html_put_str(vsi_html *html, const char *text);
/* Set the error, if it is the first; the first error sticks. why: static. Returns the error that sticks now. */
VESTRY_API vestry_err vsi_html_fail(vsi_html *html, vestry_err error, const char *why);
/* Note the byte of the format at which it failed. */
void vsi_html_fail_at(vsi_html *html, const char *format, size_t at);
/* Describe an error for a log. If it is the builder's error, the text has the reason, the byte of the format, and the
 * format's text up to it; otherwise it is vestry_strerror's. Returns `text`, or a static text. */
VESTRY_API const char *vsi_html_explain(const vestry_html *html, vestry_err error,
                                        char text[static VSI_HTML_EXPLAINED]);

#endif
