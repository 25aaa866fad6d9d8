/* SPDX-License-Identifier: MIT */
#include "base/real.h"
#include "base/buffer.h"

#include <locale.h>
#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

size_t vsi_real_set_point(char *text, size_t len) {
  size_t kept = 0;
  bool in_point = false;
  for (size_t i = 0; i < len; i++) {
    const bool is_point = !strchr("0123456789+-einfa", text[i]) || !text[i];
    if (!is_point || !in_point) text[kept++] = is_point ? '.' : text[i];
    in_point = is_point;
  }
  return kept;
}

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

/* 17 digits are enough for every number. strtod reads the point of the same locale, so it is replaced afterwards. */
size_t vsi_real_write(double number, char text[VSI_REAL_BYTES]) {
  const size_t whole_len = write_whole(number, text);
  if (whole_len) return whole_len;
  int len = 0, digits = 15;
  do len = snprintf(text, VSI_REAL_BYTES, "%.*g", digits, number);
  while (digits++ < 17 && strtod(text, NULL) != number);
  const size_t made = vsi_real_set_point(text, (size_t)len);
  text[made] = '\0';
  return made;
}

double vsi_real_read(const char *text, char **ret_end) {
  const locale_t before = uselocale(newlocale(LC_ALL_MASK, "C", (locale_t)0)); /* a constant of the C library */
  const double number = strtod(text, ret_end);
  uselocale(before);
  return number;
}
