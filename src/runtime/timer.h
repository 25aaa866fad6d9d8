/* SPDX-License-Identifier: MIT */
/* vestry_timer, for the library itself. */
#ifndef VSI_RUNTIME_TIMER_H
#define VSI_RUNTIME_TIMER_H

#include "vestry/runtime.h"

/* vestry_timer_set for a time on the host's clock, once. As that. */
VESTRY_API vestry_err vsi_timer_set_at(vestry_timer *timer, uint64_t due_ns);

#endif
