/* SPDX-License-Identifier: MIT */
/* Whether something can be a part of a key: PART is what. */
#include <stdbool.h>

#include "vestry/key.h"

int main(void) {
  return !VESTRY_KEY("a", PART)->len;
}
