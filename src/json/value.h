/* SPDX-License-Identifier: MIT */
/* Making jansson's values, and telling why when they cannot be made. */
#ifndef VSI_JSON_VALUE_H
#define VSI_JSON_VALUE_H

#include "json/json.h"

/* Any value, of text that one of the checks in event/json.h has found well formed, with for_c. OK | MALFORMED (a number
 * that does not fit; ret_fault says where) | NO_MEMORY. */
vestry_err vsi_json_build(const char *json, size_t len, json_t **ret_value, vsi_json_fault *ret_fault);

/* Make of well-formed JSON, which need not be so for_c, what vsi_json_build takes, in its place: half a surrogate pair
 * and a zero character become U+FFFD, an integer beyond 64 bits the nearest double. A text that is cut in an emoji, or
 * a field with 20 digits, must not have each request of its tab refused. */
void vsi_json_mend(char *json, size_t len);

/* Any value from text that was not looked at yet, within a client's limits (NULL: the defaults). As
 * vestry_signals_parse, but an empty text is MALFORMED. */
vestry_err vsi_json_parse(const char *json, size_t len, const vestry_signals_limits *limits, json_t **ret_value,
                          vsi_json_fault *ret_fault);

#endif
