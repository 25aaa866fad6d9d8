/* SPDX-License-Identifier: MIT */
/* Replies made by formats of the HTML builder. */
#include <stdarg.h>

#include "event/layout.h"
#include "http/reply.h"

/* Pass the built HTML to `put`; NO_MEMORY is remembered, as in reply.c. */
static vestry_err take(vestry_reply *reply, vestry_err (*put)(vestry_reply *reply, vestry_slice html),
                       vestry_html *html) {
  vestry_slice made;
  vestry_err error = vsi_html_settle(html, &made);
  reply->no_memory |= error == VESTRY_NO_MEMORY;
  if (!error) return put(reply, made);
  if (error != VESTRY_NO_MEMORY) reply->refused = error; /* logged already */
  return error;
}

static vestry_err build(vestry_reply *reply, vestry_err (*put)(vestry_reply *reply, vestry_slice html),
                        const char *format, va_list arguments) VESTRY_PRINTF(3, 0);
static vestry_err build(vestry_reply *reply, vestry_err (*put)(vestry_reply *reply, vestry_slice html),
                        const char *format, va_list arguments) {
  vestry_html html;
  vestry_html_init(&html, reply->host);
  vestry_html_vadd(&html, format, arguments);
  vestry_err error = take(reply, put, &html);
  vestry_html_finish(&html);
  return error;
}

static vestry_err put_elements(vestry_reply *reply, vestry_slice html) {
  return vestry_reply_patch_elements(reply, html.data); /* terminated; a format makes no NUL */
}

vestry_err vestry_reply_patch_elementsf(vestry_reply *reply, const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  vestry_err error = build(reply, put_elements, format, arguments);
  va_end(arguments);
  return error;
}

static vestry_err put_body(vestry_reply *reply, vestry_slice html) {
  return vestry_reply_body(reply, NULL, html.data, html.len);
}

vestry_err vestry_reply_bodyf(vestry_reply *reply, const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  vestry_err error = build(reply, put_body, format, arguments);
  va_end(arguments);
  return error;
}

vestry_err vestry_reply_html(vestry_reply *reply, vestry_html *html) {
  return html ? take(reply, put_body, html) : vsi_reply_refuse(reply, VESTRY_INVALID, "the HTML is NULL");
}
