/* SPDX-License-Identifier: MIT */
/* A small reader of JavaScript, which recognizes strings. */
#ifndef VSI_HTML_JS_H
#define VSI_HTML_JS_H

#include "html/cursor.h"

enum {
  VSI_JS_CODE = 0,
  VSI_JS_SINGLE = 1,    /* in a string of single quotes */
  VSI_JS_DOUBLE = 2,    /* in a string of double quotes */
  VSI_JS_BACKSLASH = 4, /* flag: the byte before was a backslash, which escapes the next */
  VSI_JS_LOST = 8       /* code or string: unknown */
};
void vsi_js_read(vsi_html_place *place, char c, bool has_references);

#endif
