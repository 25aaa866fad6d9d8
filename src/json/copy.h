/* SPDX-License-Identifier: MIT */
/* Copying JSON values that share their parts. */
#ifndef VSI_JSON_COPY_H
#define VSI_JSON_COPY_H

#include <jansson.h>

/* A new array or object with the same elements or members, by reference. NULL: out of memory. */
json_t *vsi_json_copy(json_t *value);

#endif
