/* SPDX-License-Identifier: MIT */
#include "json/value.h"

/* jansson gets text that is known to be well formed. All it can still refuse is a number that does not fit its types,
 * or a name with a zero character, which for_c has refused already; whatever else it says, it ran out of memory (its
 * lexer reports that as a syntax error).
 *
 * One thing cannot be seen from here: jansson 2.14 takes no notice when the buffer of its lexer, which grows with the
 * longest token so far, fails to grow, and goes on without that byte. Out of memory at just that call, a string or
 * number of more than 15 bytes comes out a byte short. */
vestry_err vsi_json_build(const char *json, size_t len, json_t **ret_value, vsi_json_fault *ret_fault) {
  json_error_t why = {.line = 0}; /* all of it is: jansson sets no code when it has no memory for its reader */
  json_t *value = json_loadb(json, len, JSON_DECODE_ANY, &why);
  if (value) {
    *ret_value = value;
    return VESTRY_OK;
  }
  if (json_error_code(&why) != json_error_numeric_overflow) return VESTRY_NO_MEMORY;
  size_t offset = why.position > 0 ? (size_t)why.position : 0;
  return vsi_json_fail(VESTRY_MALFORMED, offset, "a number is too large", ret_fault);
}
