/* SPDX-License-Identifier: MIT */
/* Real numbers as text, independent of the process's locale. */
#ifndef VSI_BASE_REAL_H
#define VSI_BASE_REAL_H

#include <locale.h>
#include <stddef.h>

#include "vestry/host.h"

enum { VSI_REAL_BYTES = 40 };

/* Write a finite number with the fewest digits, from 15 on, that read back as the same number. Returns its length. */
VESTRY_API size_t vsi_real_write(double number, char text[VSI_REAL_BYTES]);

/* Read a number as strtod does in the C locale, whose decimal point is '.'. */
VESTRY_API double vsi_real_read(const char *text, char **ret_end);

/* Write a number with this number of digits. Returns its length. */
VESTRY_API size_t vsi_real_digits(double number, int digits, char text[VSI_REAL_BYTES]);

/* Enter the C locale on this thread, in which printf and strtod have the decimal point '.'; uselocale of the result
 * leaves it. */
static inline locale_t vsi_c_locale_enter(void) {
  return uselocale(newlocale(LC_ALL_MASK, "C", (locale_t)0)); /* a constant of the C library */
}

#endif
