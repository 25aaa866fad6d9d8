/* SPDX-License-Identifier: MIT */
#include "base/real.h"

#include <stdio.h>
#include <stdlib.h>

size_t vsi_real_digits(double number, int digits, char text[VSI_REAL_BYTES]) {
  const locale_t before = vsi_c_locale_enter();
  const int len = snprintf(text, VSI_REAL_BYTES, "%.*g", digits, number);
  uselocale(before);
  return (size_t)len;
}

/* 17 digits are enough for every number. */
size_t vsi_real_write(double number, char text[VSI_REAL_BYTES]) {
  size_t len;
  int digits = 15;
  do len = vsi_real_digits(number, digits, text);
  while (digits++ < 17 && vsi_real_read(text, NULL) != number);
  return len;
}

double vsi_real_read(const char *text, char **ret_end) {
  const locale_t before = vsi_c_locale_enter();
  const double number = strtod(text, ret_end);
  uselocale(before);
  return number;
}
