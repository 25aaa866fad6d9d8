/* SPDX-License-Identifier: MIT */
/* Check whether VESTRY_OBJECT accepts ITEMS. */
#include "vestry/value.h"

int main(void) {
  return !VESTRY_OBJECT(ITEMS)->count;
}
