/* SPDX-License-Identifier: MIT */
/* Giving memory back to the system. What requests and answers held goes to the allocator, which keeps much of it: the
 * largest that was ever freed is, from then on, no page of its own any more. So some time after much was given back the
 * allocator is asked to let go of what it does not need. */
#ifndef VSI_INSTANCE_TRIM_H
#define VSI_INSTANCE_TRIM_H

#include <stdatomic.h>
#include <stdbool.h>

#include "vestry/runtime.h"

typedef struct vsi_trim {
  vestry_timer *timer;
  _Atomic(uint64_t) freed; /* in large pieces, since the timer was set; relaxed: a mere sum */
  _Atomic(bool) is_due;    /* it is set */
} vsi_trim;

/* OK | NO_MEMORY | CLOSED (the runtime) */
vestry_err vsi_trim_init(vsi_trim *trim, vestry_runtime *runtime);
/* Before the runtime. Takes one that was only zeroed. */
void vsi_trim_finish(vsi_trim *trim);
/* So much was freed. Any thread, does not block. */
void vsi_trim_note(vsi_trim *trim, size_t bytes);

#endif
