/* SPDX-License-Identifier: MIT */
/* What a request for a file asks: a range of it, or whether it has changed. Headers are terminated. */
#ifndef VSI_FILES_CONDITIONS_H
#define VSI_FILES_CONDITIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum vsi_range { VSI_RANGE_WHOLE, VSI_RANGE_PART, VSI_RANGE_UNSATISFIABLE } vsi_range;

/* Read Range for a file of len bytes (RFC 9110, section 14.2). Several ranges, another unit, what is malformed, and
 * NULL ask for the whole. PART: ret_first <= ret_last < len; otherwise both are untouched. */
vsi_range vsi_range_read(const char *header, size_t len, size_t *ret_first, size_t *ret_last);

/* Whether If-Match or If-None-Match lists the tag, or is "*" (sections 13.1.1 and 13.1.2; compared strongly or weakly,
 * 8.8.3.2). etag: a strong one, in its quotes. */
bool vsi_etag_is_listed(const char *header, const char *etag, bool weakly);

enum { VSI_HTTP_DATE_BYTES = 30 };
/* Seconds since 1970 as IMF-fixdate (section 5.6.7). false: a year that has not four digits. */
bool vsi_http_date_write(int64_t seconds, char text[VSI_HTTP_DATE_BYTES]);
/* The other way, from any of the three forms. false: it is none. */
bool vsi_http_date_read(const char *text, int64_t *ret_seconds);

/* The type that a name's ending says; application/octet-stream, if it says none. */
const char *vsi_content_type(const char *path);

#endif
