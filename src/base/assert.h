/* SPDX-License-Identifier: MIT */
/* What must hold, whatever a client or an application does: a false one is a fault of vestry's own. The process ends
 * then, in builds of type Debug and in those with sanitizers (NDEBUG is not defined); other builds evaluate nothing. */
#ifndef VSI_BASE_ASSERT_H
#define VSI_BASE_ASSERT_H

#include <assert.h>

#ifdef NDEBUG
#define VSI_ASSERT(condition) ((void)sizeof((condition) ? 1 : 0)) /* its variables count as used */
#else
#define VSI_ASSERT(condition) assert(condition)
#endif

#endif
