/* SPDX-License-Identifier: MIT */
/* Writing JSON values as text. */
#ifndef VSI_JSON_WRITE_H
#define VSI_JSON_WRITE_H

#include <jansson.h>

#include "base/writer.h"
#include "vestry/value.h"

/* Nothing longer is written, as no event is longer (event/layout.h). Parts that are shared add up to anything. */
#define VSI_JSON_MAX_BYTES ((size_t)64 << 20)

/* Put a value, compact, on one line, members in the order they have. The same value comes out the same every time, so
 * it can be counted first and written then.
 * OK | INVALID (NULL; text that is not UTF-8) | TOO_LARGE (nested deeper than VSI_JSON_MAX_DEPTH; the writer has come
 * beyond VESTRY_EVENT_MAX_BYTES). What was put before a failure stays. */
VESTRY_API vestry_err vsi_json_put(vsi_writer *writer, const json_t *json);
/* Put a value of C's own, without making JSON of it first: what vestry_value_to_json takes, but a name that comes twice
 * in an object is written twice: the reader takes the last one. Returns as vsi_json_put, and what
 * vestry_value_to_json refuses. */
vestry_err vsi_json_put_value(vsi_writer *writer, const vestry_value *value);

#endif
