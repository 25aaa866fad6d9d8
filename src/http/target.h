/* SPDX-License-Identifier: MIT */
/* Paths that a server has decoded, for adapters that do not see targets as they were sent (vestry_target_read). */
#ifndef VSI_HTTP_TARGET_H
#define VSI_HTTP_TARGET_H

#include <stdbool.h>
#include <stddef.h>

#include "vestry/host.h"

/* Return whether a decoded path can be that of a valid target, and is not "*". */
VESTRY_API bool vsi_path_is_plain(const char *path);

/* Return the number of bytes of a decoded path that can only be sent encoded. If no more bytes than these were encoded,
 * no slash was. */
static inline size_t vsi_path_least_encoded(const char *path) {
  size_t count = 0;
  for (const unsigned char *at = (const unsigned char *)path; *at; at++)
    count += *at <= ' ' || *at >= 0x7f || *at == '%' || *at == '#' || *at == '?';
  return count;
}

#endif
