/* SPDX-License-Identifier: MIT */
/* A program of somebody who installed vestry: it can do a little work, and says which version it runs with. */
#include <stdio.h>

#include <vestry/vestry.h>

int main(void) {
  vestry *instance;
  vestry_err error = vestry_create(&(vestry_options){.threads_count = 1}, &instance);
  if (error) {
    fprintf(stderr, "%s\n", vestry_strerror(error));
    return 1;
  }
  vestry_destroy(instance);
  printf("vestry %s\n", vestry_version());
  return 0;
}
