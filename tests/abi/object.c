/* SPDX-License-Identifier: MIT */
/* Whether something makes an object: ITEMS are what. */
#include "vestry/value.h"

int main(void) {
  return !VESTRY_OBJECT(ITEMS)->count;
}
