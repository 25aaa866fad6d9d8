/* SPDX-License-Identifier: MIT */
/* Marks that a thread is in a callback of any instance, for functions that know none: the host's log, a listing. The
 * thread must not wait for the end of an instance there. Paired and nested. */
#ifndef VSI_BASE_CALLBACK_H
#define VSI_BASE_CALLBACK_H

#include <stdbool.h>

#include "vestry/error.h"

VESTRY_API void vsi_callback_begin(void);
VESTRY_API void vsi_callback_end(void);
bool vsi_is_in_callback(void);

#endif
