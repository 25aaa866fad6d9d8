/* SPDX-License-Identifier: MIT */
/* Writing JSON: values, and string literals. */
#ifndef VSI_JSON_WRITE_H
#define VSI_JSON_WRITE_H

#include <jansson.h>

#include "base/buffer.h"
#include "vestry/value.h"

/* The longest text that is written, equal to the longest event (event/layout.h). A value whose parts are shared can
 * have a text of any length. */
#define VSI_JSON_MAX_BYTES ((size_t)64 << 20)

/* How strings are written, for a reader that gives a meaning to more characters than JSON does (vsi_writer.style). The
 * text is also JavaScript: U+2028 and the like are escaped. */
typedef struct vsi_json_style {
  const char *quote;   /* before and after a string */
  const char *special; /* characters of ASCII that are written as \u and four digits */
  bool copies_invalid; /* bytes that are not UTF-8 */
} vsi_json_style;

/* A character that a reader of JavaScript could take for more than a part of a string, and its escape. */
typedef struct vsi_js_sequence {
  const char *bytes, *escape;
} vsi_js_sequence;
/* Return the one at the beginning of a text; NULL: there is none. */
const vsi_js_sequence *vsi_js_sequence_at(const char *text, size_t len);

/* Write a value in compact form, on one line, with the members in their stored order. The same value always gives the
 * same text, so a caller can measure it first and then write it.
 * OK | INVALID (NULL; text that is not UTF-8) | TOO_LARGE (nested deeper than VSI_JSON_MAX_DEPTH; the writer has passed
 * VSI_JSON_MAX_BYTES). Text written before a failure remains. */
vestry_err vsi_json_put(vsi_writer *writer, const json_t *json);
/* Write a value of C without making JSON values from it. It accepts the same values as vestry_value_to_json; a repeated
 * name in an object is written twice, and readers use the last one. Errors: those of vsi_json_put and
 * vestry_value_to_json. */
VESTRY_API vestry_err vsi_json_put_value(vsi_writer *writer, const vestry_value *value);

/* Append text in double quotes. The literal has the same meaning in JSON and in JavaScript, is a single line, and
 * contains no `<`, so that it may stand in a script element. Bytes that are not UTF-8 are copied. */
VESTRY_API void vsi_literal_append(vsi_buffer *buffer, const char *text, size_t len);

#endif
