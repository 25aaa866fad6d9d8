/* SPDX-License-Identifier: MIT */
/* Reading JSON into variables of C. */
#ifndef VSI_JSON_INTO_H
#define VSI_JSON_INTO_H

#include "vestry/value.h"

/* Read a value into a variable, which borrows from the value. Untouched on failure.
 * OK | MALFORMED (another type; an integer outside of its bounds; a text with a zero character) | INVALID (into has no
 * variable, or a type that cannot be read) */
VESTRY_API vestry_err vsi_into_take(vestry_into into, const json_t *value);

#endif
