/* SPDX-License-Identifier: MIT */
#include "page/merge.h"

json_t *merge_patch(json_t *target, json_t *patch) {
  if (!json_is_object(patch)) {
    json_decref(target);
    return json_incref(patch);
  }
  if (!json_is_object(target)) {
    json_decref(target);
    target = json_object();
  }
  const char *name;
  json_t *value;
  json_object_foreach(patch, name, value) {
    if (json_is_null(value)) {
      json_object_del(target, name);
      continue;
    }
    json_t *had = json_object_get(target, name);
    json_object_set_new_nocheck(target, name, merge_patch(had ? json_deep_copy(had) : NULL, value));
  }
  return target;
}
