/* SPDX-License-Identifier: MIT */
/* UTF-8 of others, sequence by sequence. */
#ifndef VSI_BASE_UTF8_H
#define VSI_BASE_UTF8_H

#include <stdbool.h>
#include <stddef.h>

/* What a decoder puts in the place of a sequence that is none: U+FFFD. */
#define VSI_UTF8_REPLACEMENT "\xEF\xBF\xBD"

/* How many bytes, at least one, the sequence at `at` has; at < end. Of one that is not valid: those that a decoder
 * replaces by one U+FFFD, the "maximal subpart" (Unicode, section 3.9; WHATWG Encoding). */
size_t vsi_utf8_next(const char *at, const char *end, bool *ret_valid);

/* Whether all of it is valid; text may be NULL when len is 0. */
bool vsi_is_utf8(const char *text, size_t len);

/* The length without a sequence at the end that misses bytes: for texts that were cut. */
size_t vsi_utf8_trim(const char *text, size_t len);

#endif
