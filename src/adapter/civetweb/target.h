/* Which path a request names, in civetweb's words. */
#ifndef VSI_CIVETWEB_TARGET_H
#define VSI_CIVETWEB_TARGET_H

#include "vestry/host.h"

struct mg_request_info;

typedef enum vsi_civetweb_target {
  VSI_CIVETWEB_TARGET_THIS,     /* this path, and no other by anybody's reading */
  VSI_CIVETWEB_TARGET_OTHER,    /* another one, which civetweb takes for this */
  VSI_CIVETWEB_TARGET_AMBIGUOUS /* answer 400 */
} vsi_civetweb_target;

/* What a request on a mounted path is, by the rules of adapter/web/target.h. Where civetweb has not kept enough to know
 * it is ambiguous: when something was percent-encoded that need not be, in a path of several segments. Memory that is
 * wanting makes it ambiguous too. */
vsi_civetweb_target vsi_civetweb_target_judge(const struct mg_request_info *info, const vestry_host *host,
                                              const char *path, bool query_is_decoded);

#endif
