/* SPDX-License-Identifier: MIT */
#include "base/real.h"

#include <stdbool.h>
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

/* 17 digits are enough for every number. strtod reads the point of the same locale, so it is replaced afterwards. */
size_t vsi_real_write(double number, char text[VSI_REAL_BYTES]) {
  int len = 0, digits = 15;
  do len = snprintf(text, VSI_REAL_BYTES, "%.*g", digits, number);
  while (digits++ < 17 && strtod(text, NULL) != number);
  const size_t made = vsi_real_set_point(text, (size_t)len);
  text[made] = '\0';
  return made;
}
