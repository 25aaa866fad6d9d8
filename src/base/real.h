/* SPDX-License-Identifier: MIT */
/* Real numbers as text, independent of the process's locale. */
#ifndef VSI_BASE_REAL_H
#define VSI_BASE_REAL_H

#include <stddef.h>

#include "vestry/host.h"

enum { VSI_REAL_BYTES = 40 };

/* Write a finite number with the fewest digits, from 15 on, that read back as the same number. Returns its length. */
VESTRY_API size_t vsi_real_write(double number, char text[VSI_REAL_BYTES]);

/* Read a number as strtod does in the C locale, whose decimal point is '.'. */
VESTRY_API double vsi_real_read(const char *text, char **ret_end);

/* Replace the decimal point of the locale by '.' in a number that printf has written. The decimal point, of one byte or
 * several, is the part that is neither digit, letter nor sign. Returns the new length. */
VESTRY_API size_t vsi_real_set_point(char *text, size_t len);

#endif
