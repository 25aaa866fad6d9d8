/* SPDX-License-Identifier: MIT */
/* Parts that a small build leaves out are refused with an error that says so. Exit status 0: they are. */
#include <vestry/vestry.h>

int main(void) {
  vestry *v = NULL;
  if (vestry_create(&(vestry_options){.threads_count = VESTRY_THREADS_NONE}, &v)) return 2;
  json_t *effects = json_pack("[[s,s],[s]]", "redirect", "/", "close-sse");
  vestry_dispatch_result result = {0};
  vestry_err error = vestry_dispatch_with(v, effects, NULL, &result);
  json_decref(effects);
  if (error != VESTRY_NOT_FOUND || result.errors_count != 1 || result.effects_count != 1) return 3;
  return vestry_destroy(v);
}
