/* SPDX-License-Identifier: MIT */
/* Functions of vestry_timer for the library. */
#ifndef VSI_RUNTIME_TIMER_H
#define VSI_RUNTIME_TIMER_H

#include "vestry/runtime.h"

/* Set a timer to a time on the host's clock, once. Otherwise as vestry_timer_set. */
VESTRY_API vestry_err vsi_timer_set_at(vestry_timer *timer, uint64_t due_ns);

#endif
