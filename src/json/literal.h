/* SPDX-License-Identifier: MIT */
/* Text as a string literal, for where JSON or JavaScript is made. */
#ifndef VSI_JSON_LITERAL_H
#define VSI_JSON_LITERAL_H

#include "base/buffer.h"

/* Append text in double quotes. The literal means the same in JSON and in JavaScript, stands on one line, and may stand
 * in the text of a script element: it has no `<`. Bytes that are no UTF-8 are passed on. */
VESTRY_API void vsi_literal_append(vsi_buffer *buffer, const char *text, size_t len);

#endif
