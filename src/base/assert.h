/* SPDX-License-Identifier: MIT */
/* Assertions about vestry itself, which no client and no application can make false. In builds of type Debug and with
 * sanitizers (without NDEBUG), a false one ends the process; other builds evaluate nothing. */
#ifndef VSI_BASE_ASSERT_H
#define VSI_BASE_ASSERT_H

#include <assert.h>

#ifdef NDEBUG
#define VSI_ASSERT(condition) ((void)sizeof((condition) ? 1 : 0)) /* so that its variables count as used */
#else
#define VSI_ASSERT(condition) assert(condition)
#endif

#endif
