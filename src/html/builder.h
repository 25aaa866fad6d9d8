/* SPDX-License-Identifier: MIT */
/* A builder: its bytes, its room, its error. */
#ifndef VSI_HTML_BUILDER_H
#define VSI_HTML_BUILDER_H

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

#endif
