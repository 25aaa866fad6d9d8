/* SPDX-License-Identifier: MIT */
/* The path of a request of civetweb. */
#ifndef VSI_CIVETWEB_TARGET_H
#define VSI_CIVETWEB_TARGET_H

#include "vestry/host.h"

struct mg_request_info;

enum { VSI_CIVETWEB_TARGET_BYTES = 1024 };

/* A path, and the memory for one that is decoded here. */
typedef struct vsi_civetweb_target {
  const char *path; /* decoded; NULL: refused, answer 400 */
  char *owned;      /* allocated by the host, if it does not fit into small; NULL: none */
  char small[VSI_CIVETWEB_TARGET_BYTES];
} vsi_civetweb_target;

typedef struct vsi_civetweb vsi_civetweb;

/* Read the path of a request whose local_uri is not NULL. A path that a proxy or another server could read differently
 * is refused, by the rules of adapter/web/target.h. If the server decodes paths, the remaining data may be
 * insufficient. Then a path of several segments is also refused if a byte was encoded that need not be. The path is
 * refused, too, if memory runs out. */
void vsi_civetweb_target_read(vsi_civetweb_target *target, const vsi_civetweb *adapter,
                              const struct mg_request_info *info);
void vsi_civetweb_target_finish(vsi_civetweb_target *target, const vsi_civetweb *adapter);

#endif
