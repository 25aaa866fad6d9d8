/* Making jansson's values, and telling why when they cannot be made. */
#ifndef VSI_EVENT_JSON_VALUE_H
#define VSI_EVENT_JSON_VALUE_H

#include <stdarg.h>

#include "event/json.h"

/* Of text that one of the checks in event/json.h has found well formed, with for_c. OK | MALFORMED (a number that does
 * not fit; ret_fault says where) | NO_MEMORY. */
vestry_err vsi_json_build(const char *json, size_t len, json_t **ret_value, vsi_json_fault *ret_fault);

/* By a format of json_pack's, not NULL. The arguments are left indeterminate. OK | INVALID (it does not fit) |
 * NO_MEMORY. */
vestry_err vsi_json_vpack(const char *format, va_list arguments, json_t **ret_value);

#endif
