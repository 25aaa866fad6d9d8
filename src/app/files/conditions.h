/* SPDX-License-Identifier: MIT */
/* Parsing of the request headers for files: ranges, conditions and dates. Also the content types of file names. Header
 * values are terminated strings. */
#ifndef VSI_FILES_CONDITIONS_H
#define VSI_FILES_CONDITIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum vsi_range { VSI_RANGE_WHOLE, VSI_RANGE_PART, VSI_RANGE_UNSATISFIABLE } vsi_range;

/* Parse Range for a file of len bytes (RFC 9110, section 14.2). WHOLE if the header is NULL or malformed, has another
 * unit, or lists several ranges. PART: ret_first <= ret_last < len; otherwise both are untouched. */
vsi_range vsi_range_read(const char *header, size_t len, size_t *ret_first, size_t *ret_last);

/* Return whether If-Match or If-None-Match lists the tag, or is "*" (RFC 9110, sections 13.1.1 and 13.1.2).
 * etag    a strong tag, with its quotes
 * weakly  use the weak comparison instead of the strong one (section 8.8.3.2) */
bool vsi_etag_is_listed(const char *header, const char *etag, bool weakly);

/* Parse a date in any of the three forms (section 5.6.7) into seconds since 1970. false: it has none of them. */
bool vsi_http_date_read(const char *text, int64_t *ret_seconds);

/* Return the content type for a file name's extension; application/octet-stream if the extension is unknown or
 * missing. */
const char *vsi_content_type(const char *path);

#endif
