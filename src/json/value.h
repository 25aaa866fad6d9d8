/* SPDX-License-Identifier: MIT */
/* Values of jansson: parsing, copying and reading them. */
#ifndef VSI_JSON_VALUE_H
#define VSI_JSON_VALUE_H

#include <string.h>

#include "vestry/value.h"
#include "json/json.h"

/* Parse a value of this kind from unchecked text, within a client's limits (NULL: the defaults). As
 * vestry_signals_parse, except that an empty text is MALFORMED, and that only the text of an object is mended
 * (vsi_json_read). */
vestry_err vsi_json_parse(const char *json, size_t len, const vestry_signals_limits *limits, vsi_json_root kind,
                          json_t **ret_value, vsi_json_fault *ret_fault);

/* Return a new array or object with the same elements or members, by reference. NULL: out of memory. */
VESTRY_API json_t *vsi_json_copy(json_t *value);

/* Return a string as a C string; NULL if the value is no string, or if it contains a NUL, which would cut the text off
 * and so change its meaning. */
static inline const char *vsi_json_c_text(const json_t *value) {
  const char *text = json_string_value(value);
  return text && strlen(text) == json_string_length(value) ? text : NULL;
}

/* Read a value into a variable, which borrows from the value. Untouched on failure.
 * OK | MALFORMED (another type; an integer outside of its bounds; a text with a zero character) | INVALID (into has no
 * variable, or a type that cannot be read) */
VESTRY_API vestry_err vsi_into_take(vestry_into into, const json_t *value);

#endif
