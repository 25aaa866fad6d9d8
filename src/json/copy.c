/* SPDX-License-Identifier: MIT */
#include "json/copy.h"

#include <stddef.h>

/* jansson 2.14 omits members that it has no memory for, without an error, so the sizes are compared. */
json_t *vsi_json_copy(json_t *value) {
  json_t *copy = json_copy(value);
  if (json_array_size(copy) == json_array_size(value) && json_object_size(copy) == json_object_size(value)) return copy;
  json_decref(copy);
  return NULL;
}
