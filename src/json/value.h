/* SPDX-License-Identifier: MIT */
/* Building jansson's values, and describing why it failed. */
#ifndef VSI_JSON_VALUE_H
#define VSI_JSON_VALUE_H

#include "json/json.h"

/* Build any value from text that a check of json/json.h with for_c has accepted. OK | MALFORMED (a number that does not
 * fit; ret_fault has its place) | NO_MEMORY. */
vestry_err vsi_json_build(const char *json, size_t len, json_t **ret_value, vsi_json_fault *ret_fault);

/* Change well-formed JSON in place, so that vsi_json_build accepts it although for_c was not checked. Half a surrogate
 * pair and a zero character become U+FFFD, and an integer beyond 64 bits becomes the nearest double. Without this, a
 * text that is cut inside an emoji, or a field with 20 digits, would make every request of its tab fail. */
void vsi_json_mend(char *json, size_t len);

/* Parse any value from unchecked text, within a client's limits (NULL: the defaults). As vestry_signals_parse, except
 * that an empty text is MALFORMED. */
vestry_err vsi_json_parse(const char *json, size_t len, const vestry_signals_limits *limits, json_t **ret_value,
                          vsi_json_fault *ret_fault);

#endif
