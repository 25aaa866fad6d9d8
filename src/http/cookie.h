/* SPDX-License-Identifier: MIT */
/* Cookies of a request, by the grammar of RFC 6265, section 4.1.1. */
#ifndef VSI_HTTP_COOKIE_H
#define VSI_HTTP_COOKIE_H

#include <stdbool.h>

#include "vestry/host.h"

/* Find the next cookie of a name in the text of a Cookie header, and move *header behind it. The value is a part of
 * that text, without quotes around it; malformed ones are skipped. false: there is none.
 * Several cookies have one name if they have different paths or domains: another program may set its own for the domain
 * above, and browsers order them by path and age. So a cookie of vestry is the first one that is valid. */
VESTRY_API bool vsi_cookie_next(const char **header, const char *name, vestry_slice *ret_value);

#endif
