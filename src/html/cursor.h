/* SPDX-License-Identifier: MIT */
/* The state of the reader of HTML. */
#ifndef VSI_HTML_CURSOR_H
#define VSI_HTML_CURSOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The place of the next byte in the HTML. */
typedef struct vsi_html_place {
  uint8_t state, content, facts, kind, result, js, js_last, matched, name_len, element_len;
  bool in_fragment, is_end_tag, drops_newline, in_noscript;
  char name[32], element[16];
} vsi_html_place;

#endif
