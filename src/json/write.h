/* SPDX-License-Identifier: MIT */
/* Writing JSON values as text. */
#ifndef VSI_JSON_WRITE_H
#define VSI_JSON_WRITE_H

#include <jansson.h>

#include "base/writer.h"
#include "vestry/error.h"

/* Nothing longer is written, as no event is longer (event/layout.h). Parts that are shared add up to anything. */
#define VSI_JSON_MAX_BYTES ((size_t)64 << 20)

/* Put a value, compact, on one line, members in the order they have. The same value comes out the same every time, so
 * it can be counted first and written then.
 * OK | INVALID (NULL; text that is not UTF-8) | TOO_LARGE (nested deeper than VSI_JSON_MAX_DEPTH; the writer has come
 * beyond VESTRY_EVENT_MAX_BYTES). What was put before a failure stays. */
vestry_err vsi_json_put(vsi_writer *writer, const json_t *json);

#endif
