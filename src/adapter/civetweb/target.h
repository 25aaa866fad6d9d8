/* Which path a request names, in civetweb's words. */
#ifndef VSI_CIVETWEB_TARGET_H
#define VSI_CIVETWEB_TARGET_H

#include "vestry/host.h"

struct mg_request_info;

/* Whether a request, whose local_uri is not NULL, names that path and no other by anybody's reading, by the rules of
 * adapter/web/target.h; if not, answer 400. Where civetweb has not kept enough to know, it does not: when something was
 * percent-encoded that need not be, in a path of several segments. So it does when memory is wanting. */
bool vsi_civetweb_target_is_clear(const struct mg_request_info *info, const vestry_host *host, bool query_is_decoded);

#endif
