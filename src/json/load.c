/* SPDX-License-Identifier: MIT */
#include "json/load.h"

#include "base/real.h"

json_t *vsi_json_load(const char *text, size_t len, size_t flags, json_error_t *ret_why) {
  const locale_t before = vsi_c_locale_enter();
  json_t *made = json_loadb(text, len, flags, ret_why);
  uselocale(before);
  return made;
}

char *vsi_json_dump(const json_t *value) {
  const locale_t before = vsi_c_locale_enter();
  char *made = json_dumps(value, JSON_COMPACT);
  uselocale(before);
  return made;
}
