/* SPDX-License-Identifier: MIT */
/* Checks whether civetweb has read a request's head to its end. */
#ifndef VSI_CIVETWEB_HEAD_H
#define VSI_CIVETWEB_HEAD_H

#include <stdbool.h>
#include <stddef.h>

struct mg_request_info;

/* Return whether the head was read completely. capacity: max_request_size, which bounds the request's bytes. false:
 * headers were ignored or names were changed, so the information about the body cannot be trusted. */
bool vsi_civetweb_head_is_whole(const struct mg_request_info *info, size_t capacity);

#endif
