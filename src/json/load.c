/* SPDX-License-Identifier: MIT */
#include "json/load.h"

#include <locale.h>

/* Set the C locale for this thread. The C locale is a constant of the C library, so newlocale neither allocates nor
 * fails. */
static locale_t enter_c(void) {
  return uselocale(newlocale(LC_ALL_MASK, "C", (locale_t)0));
}

json_t *vsi_json_load(const char *text, size_t len, size_t flags, json_error_t *ret_why) {
  const locale_t before = enter_c();
  json_t *made = json_loadb(text, len, flags, ret_why);
  uselocale(before);
  return made;
}

char *vsi_json_dump(const json_t *value) {
  const locale_t before = enter_c();
  char *made = json_dumps(value, JSON_COMPACT);
  uselocale(before);
  return made;
}
