/* SPDX-License-Identifier: MIT */
/* Accept-Encoding. */
#ifndef VSI_HTTP_ACCEPT_H
#define VSI_HTTP_ACCEPT_H

#include <stddef.h>

#include "vestry/error.h"

enum { VSI_ACCEPT_MAX = 16 };

/* Choose among codings by the header's value (RFC 9110, section 12.5.3): the one with the highest q, of equals the one
 * that is offered first. Identity is offered after all others; unless the header names it, it is taken only if nothing
 * else will do.
 * header   NULL: there was none, identity. Malformed: as if there was none. Of a coding that is listed twice the first
 *          counts
 * codings  names in lower case, at most VSI_ACCEPT_MAX; NULL: not on offer after all
 * ret_index  count: identity
 * OK | UNSUPPORTED: nothing on offer is acceptable, identity neither */
VESTRY_API vestry_err vsi_accept_choose(const char *header, const char *const *codings, size_t count,
                                        size_t *ret_index);

#endif
