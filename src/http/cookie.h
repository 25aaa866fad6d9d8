/* SPDX-License-Identifier: MIT */
/* Cookies of a request, by the grammar of RFC 6265, section 4.1.1. */
#ifndef VSI_HTTP_COOKIE_H
#define VSI_HTTP_COOKIE_H

#include <stdbool.h>

#include "vestry/host.h"

/* Find a cookie's value in the text of a Cookie header. The value is a part of that text, without quotes around it. If
 * several cookies have the name, the first well-formed one is returned. OK | NOT_FOUND. */
VESTRY_API vestry_err vsi_cookie_find(const char *header, const char *name, vestry_slice *ret_value);
/* Return whether all bytes may stand in an unquoted value (cookie-octet). */
bool vsi_is_cookie_value(const char *value, size_t len);

#endif
