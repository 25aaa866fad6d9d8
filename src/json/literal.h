/* SPDX-License-Identifier: MIT */
/* Text as a string literal for JSON and JavaScript. */
#ifndef VSI_JSON_LITERAL_H
#define VSI_JSON_LITERAL_H

#include "base/buffer.h"

/* Append text in double quotes. The literal has the same meaning in JSON and in JavaScript, is a single line, and
 * contains no `<`, so that it may stand in a script element. Bytes that are not UTF-8 are copied. */
VESTRY_API void vsi_literal_append(vsi_buffer *buffer, const char *text, size_t len);

#endif
