/* SPDX-License-Identifier: MIT */
/* Check whether VESTRY_KEY accepts PART as a part of a key. */
#include <stdbool.h>

#include "vestry/key.h"

int main(void) {
  return !VESTRY_KEY("a", PART)->len;
}
