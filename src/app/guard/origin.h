/* SPDX-License-Identifier: MIT */
/* Origins, as browsers write them: "https://example.org:8443". */
#ifndef VSI_GUARD_ORIGIN_H
#define VSI_GUARD_ORIGIN_H

#include <stdbool.h>

/* Whether it is one: http or https, a host's name or address, perhaps a port. */
bool vsi_origin_is_good(const char *origin);
/* Whether pages of that origin are of this Host: the same name in any case, the same port, which is that of the
 * origin's scheme where it is not written. (By which scheme the request itself came only a proxy may know.) */
bool vsi_origin_is_host(const char *origin, const char *host);
bool vsi_origins_are_equal(const char *a, const char *b);

#endif
