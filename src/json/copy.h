/* SPDX-License-Identifier: MIT */
/* Shallow copies of JSON values. */
#ifndef VSI_JSON_COPY_H
#define VSI_JSON_COPY_H

#include <jansson.h>

/* Return a new array or object with the same elements or members, by reference. NULL: out of memory. */
json_t *vsi_json_copy(json_t *value);

#endif
