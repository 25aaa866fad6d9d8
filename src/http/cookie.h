/* SPDX-License-Identifier: MIT */
/* Cookies of a request, read by the grammar of RFC 6265, section 4.1.1. */
#ifndef VSI_HTTP_COOKIE_H
#define VSI_HTTP_COOKIE_H

#include <stdbool.h>

#include "vestry/host.h"

/* Find a cookie's value in the text of a Cookie header: a piece of it, without quotes around it. Of several with that
 * name the first that is well formed. OK | NOT_FOUND. */
VESTRY_API vestry_err vsi_cookie_find(const char *header, const char *name, vestry_slice *ret_value);
/* Whether all bytes may stand in a value without quotes (cookie-octet). */
bool vsi_is_cookie_value(const char *value, size_t len);

#endif
