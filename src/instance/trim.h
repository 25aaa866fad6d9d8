/* SPDX-License-Identifier: MIT */
/* Returning memory to the system. The memory of requests and answers is freed to the allocator, which keeps much of it:
 * after a large block was freed, later blocks up to its size are no longer mapped separately. So some time after much
 * memory was freed, the allocator is made to return its unused memory. */
#ifndef VSI_INSTANCE_TRIM_H
#define VSI_INSTANCE_TRIM_H

#include <stdatomic.h>
#include <stdbool.h>

#include "vestry/runtime.h"

typedef struct vsi_trim {
  vestry_timer *timer;
  _Atomic(uint64_t) freed; /* in large blocks, since the timer was set; relaxed: a sum */
  _Atomic(bool) is_due;    /* the timer is set */
} vsi_trim;

/* Initialize. OK | NO_MEMORY | CLOSED (the runtime) */
vestry_err vsi_trim_init(vsi_trim *trim, vestry_runtime *runtime);
/* Finish before the runtime is destroyed. A zeroed struct is accepted. */
void vsi_trim_finish(vsi_trim *trim);
/* Record that this number of bytes was freed. Any thread, does not block. */
void vsi_trim_note(vsi_trim *trim, size_t bytes);

#endif
