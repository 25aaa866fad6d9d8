/* SPDX-License-Identifier: MIT */
/* jansson's reader and writer, independent of the process's locale. */
#ifndef VSI_JSON_LOAD_H
#define VSI_JSON_LOAD_H

#include <jansson.h>

#include "vestry/host.h"

/* Same as json_loadb and json_dumps. jansson assumes that the locale's decimal separator is one byte. In a locale with
 * a separator of two bytes, json_loadb ends the process at the first number with a fraction, and json_dumps writes
 * invalid JSON. */
VESTRY_API json_t *vsi_json_load(const char *text, size_t len, size_t flags, json_error_t *ret_why);
VESTRY_API char *vsi_json_dump(const json_t *value); /* JSON_COMPACT */

#endif
