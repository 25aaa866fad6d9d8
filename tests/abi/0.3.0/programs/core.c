/* SPDX-License-Identifier: MIT */
/* A program that uses an installed vestry: it does a little work, and prints the version of the library. */
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
