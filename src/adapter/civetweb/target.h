/* SPDX-License-Identifier: MIT */
/* Which path a request names, in civetweb's words. */
#ifndef VSI_CIVETWEB_TARGET_H
#define VSI_CIVETWEB_TARGET_H

#include "vestry/host.h"

struct mg_request_info;

enum { VSI_CIVETWEB_TARGET_BYTES = 1024 };

/* Room for a path that is decoded here. */
typedef struct vsi_civetweb_target {
  const char *path; /* decoded; NULL: refused, answer 400 */
  char *owned;      /* of the host, for what is longer; NULL: none */
  char small[VSI_CIVETWEB_TARGET_BYTES];
} vsi_civetweb_target;

typedef struct vsi_civetweb vsi_civetweb;

/* Read which path a request names, whose local_uri is not NULL: it is refused if a proxy or a server could read
 * another, by the rules of adapter/web/target.h. Where the server decodes, it does not keep enough to know: then it is
 * refused, too, when anything was encoded that can be sent as it is, in a path of several segments. So it is when
 * memory is wanting. */
void vsi_civetweb_target_read(vsi_civetweb_target *target, const vsi_civetweb *adapter,
                              const struct mg_request_info *info);
void vsi_civetweb_target_finish(vsi_civetweb_target *target, const vsi_civetweb *adapter);

#endif
