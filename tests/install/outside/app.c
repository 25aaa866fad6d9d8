/* SPDX-License-Identifier: MIT */
/* Create and destroy sessions and pages. Prints the version. */
#include <stdio.h>

#include <vestry/app/page.h>
#include <vestry/app/session.h>
#include <vestry/vestry.h>

int main(void) {
  vestry *v = NULL;
  vestry_pages *pages = NULL;
  if (vestry_create(&(vestry_options){.threads_count = 1}, &v)) return 1;
  if (vestry_sessions_create(v, NULL)) return 1;
  if (vestry_pages_create(v, NULL, &pages)) return 1;
  vestry_pages_destroy(pages);
  vestry_destroy(v);
  printf("vestry %s\n", vestry_version());
  return 0;
}
