/* SPDX-License-Identifier: MIT */
#include "base/real.h"
#include "base/buffer.h"

#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

/* Write a whole number of at most 15 digits, as printf does, which takes much longer. Most numbers are counts. Returns
 * its length; 0: it is another number. */
static size_t write_whole(double number, char text[VSI_REAL_BYTES]) {
  const double most = 1e15;
  const bool is_small = number > -most && number < most && !(number == 0 && signbit(number));
  const int64_t whole = is_small ? (int64_t)number : 0;
  if (!is_small || (double)whole != number) return 0;
  vsi_writer writer = {.to = text};
  vsi_put_int(&writer, whole);
  text[writer.len] = '\0';
  return writer.len;
}

size_t vsi_real_digits(double number, int digits, char text[VSI_REAL_BYTES]) {
  const locale_t before = vsi_c_locale_enter();
  const int len = snprintf(text, VSI_REAL_BYTES, "%.*g", digits, number);
  uselocale(before);
  return (size_t)len;
}

/* 17 digits are enough for every number. */
size_t vsi_real_write(double number, char text[VSI_REAL_BYTES]) {
  size_t len = write_whole(number, text);
  if (len) return len;
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
