/* SPDX-License-Identifier: MIT */
/* Check messages between nodes without a broker. Prints the version. */
#include <stdio.h>

#include <vestry/cluster/broker.h>
#include <vestry/vestry.h>

int main(void) {
  if (!vestry_subject_is_valid("vestry.here") || vestry_subject_is_valid("no subject")) return 1;
  printf("vestry %s\n", vestry_version());
  return 0;
}
