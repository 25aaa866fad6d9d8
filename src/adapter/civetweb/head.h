/* SPDX-License-Identifier: MIT */
/* Whether civetweb read a request's head to its end. */
#ifndef VSI_CIVETWEB_HEAD_H
#define VSI_CIVETWEB_HEAD_H

#include <stdbool.h>
#include <stddef.h>

struct mg_request_info;

/* capacity  max_request_size: where the bytes of the request end at the latest
 * false: headers were passed over, or names were mended: what it says of the body is not to be trusted */
bool vsi_civetweb_head_is_whole(const struct mg_request_info *info, size_t capacity);

#endif
